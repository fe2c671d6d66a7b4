/** Lanes that a guard keeps out may lie before all memory, while their neighbours are read. */
import { expect, it } from 'vitest';
import { compileModel, load } from '../../compiler/index.ts';
import { noise } from '../check/support.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';

const text = `model Case() {
  input  x: f32[b, 8, 10, 3, 4, 4]
  output y: f32[b, 3, 4, 5]
  y[n, g, i, j] = sum(p in 4, q in 4, r in 2, s in 2) (
    if 2 * i + p + r - 1 >= 0 and 2 * j + q + s - 1 >= 0 and 8 - p - r - 2 * i >= 0 and 10 - q - s - 2 * j >= 0
    then x[n, 2 * i + p + r - 1, 2 * j + q + s - 1, g, p, q] else 0
  )
}
`;

it('reads what is inside when the first lane is far outside', async () => {
  const x = Float32Array.from(noise(2 * 80 * 48));
  const found: Float32Array[] = [];
  for (const target of ['reference', 'wasm'] as const) {
    const model = load('case.nnet', testHost({ 'case.nnet': text }));
    const { program } = must(compileModel(model, 'Case', { target, relaxed: false }));
    const session = await openSession(program, target);
    await session.run('init', {}, {}, { seed: 1 });
    await session.run('predict', { b: 2 }, { x });
    found.push((await session.output('predict', 'y')) as Float32Array);
    session.close();
  }
  expect(found[1]!.length).toBe(120);
  expectClose(found[1]!, found[0]!, tolerance.wasm, 'y');
});
