/** A model in f16 as a module: for GPUs only, its ports carried as f32; a run on wasm is refused, one on the reference trains. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { encodeSafetensors, decodeSafetensors, decodeTensor } from '../../runtime/safetensors.ts';
import { roundToHalf } from '../../compiler/plan.ts';
import { cli } from '../cli/run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-half-'));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(
  join(folder, 'half.nnet'),
  `model Half() {
  input  x: f16[batch, 4]
  output y: f16[batch, 2]
  param  weight: f16[4, 2] = glorot_uniform
  y = x @ weight
}
`,
);
const rows = Array.from({ length: 16 }, (_, i) => `${i / 8},${1 - i / 9},${i % 2}\n`);
writeFileSync(join(folder, 'points.csv'), `a,b,side\n${rows.join('')}`);
writeFileSync(
  join(folder, 'mixed.nnet'),
  `model Net() {
  input  x: f32[batch, 2]
  output logits: f32[batch, 2]
  logits = x |> Dense(8) |> tanh |> Dense(2)
}
task train {
  net = Net()
  points = csv("points.csv", x: ("a", "b"), side: "side")
  fit(epochs: 3, batch: 8, valid: 0.25, seed: 1, precision: "mixed") on points {
    minimize cross_entropy(net(x), side) with Adam(lr: 0.01)
  }
}
`,
);

it('compiles to a module for WebGPU only', async () => {
  const { code, out } = await cli(folder, 'compile', 'half.nnet', '-o', 'half.ts');
  expect(code).toBe(0);
  expect(out).toContain('for WebGPU only: it computes in f16');
  const text = readFileSync(join(folder, 'half.ts'), 'utf8');
  expect(text).toMatch(/programs: \{\s*webgpu:/);
  expect(text).not.toMatch(/\bwasm:/);
  expect(text).toMatch(/readonly x: Tensor<["']f32["'], readonly \[number, 4\]>/);
});

it('takes and gives f16 tensors in files', async () => {
  const data = Float32Array.of(0.1, 0.2, 0.3, 0.4);
  const tensors = [{ name: 'x', dtype: 'f16' as const, shape: [1, 4], data }];
  writeFileSync(join(folder, 'in.safetensors'), Buffer.concat([...encodeSafetensors(tensors)]));
  const argv = [
    'run',
    'half.nnet',
    '--backend',
    'reference',
    '--inputs',
    'in.safetensors',
    '--outputs',
    'out.safetensors',
  ];
  expect(await cli(folder, ...argv)).toMatchObject({ code: 0 });
  const bytes = new Uint8Array(readFileSync(join(folder, 'out.safetensors')));
  const file = decodeSafetensors('out', bytes);
  const y = file.tensors.get('y')!;
  expect([y.type, y.shape]).toEqual(['F16', [1, 2]]);
  const values = [...decodeTensor('out', y, file.bytesOf(y), 'f32')];
  expect(values).toEqual(values.map(roundToHalf));
  expect(values.some((v) => v !== 0)).toBe(true);
});

it('mixed precision trains on the reference, goes on from its checkpoint, and is refused by wasm', async () => {
  const argv = ['run', 'mixed.nnet', '--backend', 'reference', '--out', 'runs/mixed'];
  const first = await cli(folder, ...argv, '--json');
  expect(first.code).toBe(0);
  const events = first.out
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l) as { type: string; train?: { loss: number } });
  const losses = events.flatMap((e) => (e.type === 'epoch' ? [e.train!.loss] : []));
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  const file = decodeSafetensors(
    'last',
    new Uint8Array(readFileSync(join(folder, 'runs/mixed/last.safetensors'))),
  );
  const names = [...file.tensors.keys()];
  expect(names).toEqual(
    expect.arrayContaining(['scaling/loss/scale', 'scaling/loss/good', 'scaling/loss/skipped']),
  );
  // What predicts has no scale.
  const model = decodeSafetensors(
    'model',
    new Uint8Array(readFileSync(join(folder, 'runs/mixed/model.safetensors'))),
  );
  expect([...model.tensors.keys()].some((n) => n.startsWith('scaling'))).toBe(false);
  expect((await cli(folder, ...argv, '--resume', '--epochs', '4')).code).toBe(0);
  const { code, err } = await cli(folder, 'run', 'mixed.nnet', '--backend', 'wasm');
  expect(code).toBe(1);
  expect(err).toContain('error[E0325]');
  expect(err).toContain('precision: "mixed"');
});
