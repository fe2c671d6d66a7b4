/** What a run says of weights that it takes from a file, whole or in parts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { encodeSafetensors } from '../../runtime/safetensors.ts';
import { cli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-load-'));
afterAll(() => rmSync(folder, { recursive: true }));
const rows = Array.from({ length: 8 }, (_, i) => `${i},${8 - i},${i % 2}\n`);
writeFileSync(join(folder, 'points.csv'), `a,b,side\n${rows.join('')}`);

const tensor = (name: string, shape: readonly number[]) => ({
  name,
  dtype: 'f32' as const,
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5),
});
// `first` fits, `head.weight` is of three classes, `head.bias` is not there.
const stored = [
  tensor('first.weight', [2, 4]),
  tensor('first.bias', [4]),
  tensor('head.weight', [4, 3]),
  tensor('old', [1]),
];
writeFileSync(join(folder, 'old.safetensors'), Buffer.concat([...encodeSafetensors(stored)]));

const program = (load: string, made = 'M()'): string => `model M {
  input x: f32[batch, 2]
  output logits: f32[batch, 2]
  first = Dense(4)
  head = Dense(2)
  logits = x |> first |> tanh |> head
}
task train {
  net = ${made}
  points = csv("points.csv", x: ("a", "b"), side: "side")
  ${load}
  evaluate on points {
    metric accuracy = accuracy(net(x), side)
  }
}
`;

async function run(
  text: string,
): Promise<{ code: number; events: Record<string, unknown>[]; out: string; err: string }> {
  writeFileSync(join(folder, 'main.nnet'), text);
  const human = await cli(folder, 'run', 'main.nnet', '--backend', 'reference');
  const { code, out } = await cli(folder, 'run', 'main.nnet', '--backend', 'reference', '--json');
  const events = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { code, events, out: human.out, err: human.err };
}

it('a partial load takes what fits and reports what is missing or of another shape', async () => {
  const { code, events, out } = await run(program('load(net, "old.safetensors", partial: true)'));
  expect(code).toBe(0);
  expect(events.find((e) => e['type'] === 'loaded')).toMatchObject({
    model: 'net',
    matched: ['first.weight', 'first.bias'],
    missing: ['head.bias'],
    differing: ['head.weight: F32[4, 3] in the file, f32[4, 2] here'],
    kept: [],
    unused: ['old'],
  });
  expect(out).toContain('net: 2 of 4 tensors from old.safetensors (first.weight, first.bias)');
  expect(out).toContain('missing there: head.bias; of another shape: head.weight: F32[4, 3] in the file');
});

it.each([
  ['load(net, "old.safetensors")', 'E0802'],
  ['load(net, "old.safetensors", only: "head.weight")', 'E0803'],
  ['load(net, "old.safetensors", under: "body", partial: true)', 'E0802'],
  ['load(net, "old.safetensors", only: "head.weight", partial: true)', 'E0803'],
])('%s is %s', async (load, code) => {
  const { code: exit, err } = await run(program(load));
  expect(exit).toBe(1);
  expect(err).toContain(`error[${code}]`);
});

it('what follows `from` is reported too', async () => {
  const whole = [...stored.slice(0, 2), tensor('head.weight', [4, 2]), tensor('head.bias', [2])];
  writeFileSync(join(folder, 'whole.safetensors'), Buffer.concat([...encodeSafetensors(whole)]));
  const { code, events, out } = await run(program('', 'M() from "whole.safetensors"'));
  expect(code).toBe(0);
  expect(events.find((e) => e['type'] === 'loaded')).toMatchObject({ model: 'net', kept: [], missing: [] });
  expect(out).toContain('net: 4 of 4 tensors from whole.safetensors');
});
