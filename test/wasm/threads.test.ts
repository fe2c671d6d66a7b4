/** Results do not depend on how many threads share a step, in either mode, and are the same in every run. */
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import { openWasm } from '../../runtime/wasm.ts';
import { must, testHost } from '../support/backends.ts';
import { uniform } from '../support/weights.ts';

const text = `
model Net() {
  input  image:  f32[batch, 12, 12]
  output logits: f32[batch, 7]
  h = reshape(image, (-1, 1, 12, 12)) |> Conv2d(6, 3, padding: 1) |> relu |> MaxPool2d(2)
  rows = reshape(h, (-1, 6, 36)) |> Gru(9)
  wide = h |> Flatten() |> Dense(40) |> tanh
  logits = concat((wide, reshape(rows, (-1, 54))), axis: 1) |> LayerNorm() |> Dropout(0.3) |> Dense(7)
}
task train() {
  net  = Net()
  data = idx(image: "image", label: "label")
  fit(batch: 10) on data { minimize cross_entropy(net(image), label) with Adam(lr: 0.01) }
}
`;

async function tensorsAfter(steps: number, threads: number, relaxed: boolean) {
  const fields = { image: { dtype: 'f32', shape: [12, 12] }, label: { dtype: 'i32', shape: [] } } as const;
  const host = { ...testHost({ 'net.nnet': text }), describeData: () => ({ fields, count: 10 }) };
  const compiled = must(compileTask(load('net.nnet', host), 'train', { target: 'wasm', relaxed }));
  const session = await openWasm(compiled.program, { threads, shareFrom: 0 });
  try {
    await session.run('init', {}, {}, { seed: 3 });
    const data = { image: uniform(1, 1440), label: Int32Array.from({ length: 10 }, (_, i) => i % 7) };
    const clocks = { seed: 3, epoch: 1, epochs: 1, steps_per_epoch: steps };
    for (let step = 1; step <= steps; step++)
      await session.run('train', { batch: 10 }, data, { ...clocks, step });
    const found: Record<string, readonly number[]> = {};
    for (const { path } of compiled.program.tensors) found[path] = Array.from(await session.read(path));
    return found;
  } finally {
    session.close();
  }
}

describe.each([
  ['strict', false],
  ['relaxed', true],
] as const)('%s', (_, relaxed) => {
  it('gives the same bits on one, two and three threads, and again', async () => {
    const alone = await tensorsAfter(3, 1, relaxed);
    for (const threads of [1, 2, 3]) expect(await tensorsAfter(3, threads, relaxed)).toEqual(alone);
  });
});
