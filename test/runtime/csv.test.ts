/** Tables as data: types of columns, classes, separators; a network trained from one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { StaticValue } from '../../compiler/plan.ts';
import { describeSource, loadSource } from '../../runtime/data/source.ts';
import { openReference } from '../../runtime/reference.ts';
import { runTask } from '../../runtime/train.ts';
import { must, testHost } from '../support/backends.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-csv-'));
afterAll(() => rmSync(folder, { recursive: true }));

const text = `\uFEFFlength,width,count,species,"odd, name"
1.5, 2 ,3,rose,7

-1e-1,4,0,"lily",8
2,0,-5,rose,9
`;
writeFileSync(join(folder, 'flowers.csv'), text);

const call = (args: Readonly<Record<string, StaticValue>>) => ({
  kind: 'csv',
  args: { file: 'flowers.csv', ...args },
  file: join(folder, 'main.nnet'),
});

function field(asked: StaticValue): { type: string; shape: readonly number[]; values: number[] } {
  const { type, shape, values } = loadSource(call({ x: asked })).columns.get('x')!;
  return { type, shape, values: [...values] };
}

it('describes fields with their dtypes', () => {
  expect(describeSource(call({ x: ['length', 'width'], n: 'count', label: 'species' }))).toEqual({
    count: 3,
    fields: {
      x: { dtype: 'f32', shape: [2] },
      n: { dtype: 'i32', shape: [] },
      label: { dtype: 'i32', shape: [] },
    },
  });
});

it('reads columns as numbers, whole numbers and classes', () => {
  expect(field('length')).toEqual({ type: 'f32', shape: [], values: [1.5, Math.fround(-0.1), 2] });
  expect(field('width')).toEqual({ type: 'i32', shape: [], values: [2, 4, 0] });
  expect(field('width: f32')).toEqual({ type: 'f32', shape: [], values: [2, 4, 0] });
  expect(field(['count', 'odd, name'])).toEqual({ type: 'f32', shape: [2], values: [3, 7, 0, 8, -5, 9] });
  expect(field('species')).toEqual({ type: 'i32', shape: [], values: [1, 0, 1] });
  expect(field('species: rose|tulip|lily')).toEqual({ type: 'i32', shape: [], values: [0, 2, 0] });
  expect(field('count: class').values).toEqual([2, 1, 0]);
});

it('takes other separators, and tables without names', () => {
  writeFileSync(join(folder, 'plain.txt'), '1;2\n3;4\n');
  const plain = { file: 'plain.txt', separator: ';', header: false, x: ['2', '1'] };
  expect([...loadSource(call(plain)).columns.get('x')!.values]).toEqual([2, 1, 4, 3]);
});

it('trains from a table', async () => {
  const rows = Array.from({ length: 60 }, (_, i) => {
    const [a, b] = [Math.sin(i * 1.7), Math.cos(i * 2.3)];
    return `${a},${b},${a + b > 0 ? 'over' : 'below'}`;
  });
  writeFileSync(join(folder, 'points.csv'), `a,b,side\n${rows.join('\n')}\n`);
  const file = join(folder, 'points.nnet');
  writeFileSync(
    file,
    `model Line() {
  input  x: f32[batch, 2]
  output logits: f32[batch, 2]
  logits = x |> Dense(2)
}
task train {
  net = Line()
  points = csv(file: "points.csv", x: ("a", "b"), side: "side")
  fit(epochs: 20, batch: 20) on points {
    logits = net(x)
    minimize cross_entropy(logits, side) with Adam(lr: 0.1)
    metric accuracy = accuracy(logits, side)
  }
}`,
  );
  const { program, info } = must(
    compileTask(load(file, testHost()), 'train', { target: 'reference', relaxed: false, predict: false }),
  );
  const session = openReference(program);
  const { history } = await runTask(info, session, new Map([['points', loadSource(info.data[0]!)]]));
  expect(history.at(-1)!.train['accuracy']).toBeGreaterThan(0.9);
});
