/** Values that are used twice in every step of a long chain: text and time grow with the chain, not with its 2^24 paths. */
import { expect, it } from 'vitest';
import { compileModel, load } from '../../compiler/index.ts';
import { must, openSession, testHost } from '../support/backends.ts';

const text = `
model Logistic() {
  input  x: f32[batch, 3]
  output y: f32[batch, 3]
  output slope: f32[batch, 3]
  z = x
  repeat 24 { z = z + 0.1 * z * (1 - z) }
  y = z
  slope = grad(sum(y), x)
}`;

const start = [0.1, 0.5, 2];
const [values, slopes] = [[...start], start.map(() => 1)];
for (let i = 0; i < 24; i++)
  for (const k of start.keys()) {
    slopes[k]! *= 1.1 - 0.2 * values[k]!;
    values[k]! += 0.1 * values[k]! * (1 - values[k]!);
  }

it.each(['reference', 'wasm', 'webgpu'] as const)(
  'a chain of 24 on %s',
  async (target) => {
    const model = load('case.nnet', testHost({ 'case.nnet': text }));
    const { program } = must(compileModel(model, 'Logistic', { target, relaxed: false }));
    expect(JSON.stringify(program.plans['predict']).length).toBeLessThan(200_000);
    if (target === 'webgpu') return;
    const session = await openSession(program, target);
    try {
      await session.run('predict', { batch: 1 }, { x: Float32Array.from(start) });
      const found = [
        ...(await session.output('predict', 'y')),
        ...(await session.output('predict', 'slope')),
      ];
      for (const [i, v] of [...values, ...slopes].entries()) expect(found[i]).toBeCloseTo(v, 4);
    } finally {
      session.close();
    }
  },
  10_000,
);
