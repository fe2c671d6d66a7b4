/** Data sources as the command line's host describes them: tables work, and the argument that is to blame is pointed at. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-data-'));
afterAll(() => rmSync(folder, { recursive: true }));
const rows = Array.from({ length: 12 }, (_, i) => `${i},${12 - i},${i < 6 ? 'low' : 'high'}\n`);
writeFileSync(join(folder, 'points.csv'), `a,b,side\n${rows.join('')}`);

function program(source: string): string {
  const text = `model M {
  input x: f32[batch, 2]
  output logits: f32[batch, 2]
  logits = x |> Dense(2)
}
task train {
  net = M()
  points = ${source}
  fit(epochs: 2, batch: 4, valid: 0.25) on points {
    minimize cross_entropy(net(x), side) with Sgd(lr: 0.01)
  }
}
`;
  writeFileSync(join(folder, 'points.nnet'), text);
  return 'points.nnet';
}

describe('a table', () => {
  it('is checked and trained on', async () => {
    const file = program('csv(file: "points.csv", x: ("a", "b"), side: "side: low|high")');
    expect(await cli(folder, 'check', file)).toMatchObject({ code: 0, err: '' });
    const { code, out } = await cli(folder, 'run', file, '--backend', 'reference', '--json');
    expect(code).toBe(0);
    expect(out).toMatch(/"type":"fit".*"train":9,"valid":3/);
    expect(out).toMatch(/"type":"end","status":"done"/);
  });

  it.each([
    ['csv(file: "points.csv", x: ("a", "c"), side: "side")', 'E0714', '("a", "c")'],
    ['csv(file: "points.csv", x: ("a", "side"), side: "side")', 'E0715', '("a", "side")'],
    ['csv(file: "nowhere.csv", x: ("a", "b"), side: "side")', 'E0701', '"nowhere.csv"'],
    ['csv(x: ("a", "b"), side: "side")', 'E0713', '("a", "b")'],
  ])('%s is %s', async (source, code, blamed) => {
    const { code: exit, err } = await cli(folder, 'check', program(source));
    expect(exit).toBe(1);
    expect(err).toContain(`error[${code}]`);
    const marked = /^ 8 │ (.*)\n.*│ (.*)$/m.exec(err);
    const start = marked?.[2]?.indexOf('^') ?? -1;
    expect(marked?.[1]?.slice(start, (marked[2]?.lastIndexOf('^') ?? 0) + 1)).toBe(blamed);
  });
});
