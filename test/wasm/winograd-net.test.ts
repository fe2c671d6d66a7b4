/** A network of 3 x 3 convolutions whose three products are all transformed: against the reference, and on several threads. */
import { describe, expect, it } from 'vitest';
import { mergeRoles } from '../../compiler/backend/wasm/contract/plan.ts';
import { loadsIn } from '../../compiler/kernel/walk.ts';
import { planImage, planWeight } from '../../compiler/backend/wasm/winograd/plan.ts';
import { elaborateTask } from '../../compiler/check/index.ts';
import { compileTask, load, optimise } from '../../compiler/compile.ts';
import type { Target } from '../../compiler/plan.ts';
import type { ContractKernel, Kernel } from '../../compiler/kernel/kernel.ts';
import { schedule } from '../../compiler/schedule/schedule.ts';
import { wasmTargetFor } from '../../compiler/schedule/target.ts';
import { openReference } from '../../runtime/reference.ts';
import { openWasm, supportsRelaxedSimd } from '../../runtime/wasm.ts';
import { must, testHost } from '../support/backends.ts';
import { expectClose } from '../support/tolerance.ts';
import { uniform } from '../support/weights.ts';

const text = `
model Net() {
  input  image:  f32[batch, 9, 10]
  output logits: f32[batch, 5]
  logits = reshape(image, (-1, 1, 9, 10))
    |> Conv2d(12, 3) |> tanh |> Conv2d(14, 3, padding: 1) |> tanh |> Flatten() |> Dense(5)
}
task train() {
  net  = Net()
  data = idx(image: "image", label: "label")
  fit(batch: 6) on data { minimize cross_entropy(net(image), label) with Sgd(lr: 0.5) }
}
`;
const steps = 2;
const fields = { image: { dtype: 'f32', shape: [9, 10] }, label: { dtype: 'i32', shape: [] } } as const;
const host = { ...testHost({ 'net.nnet': text }), describeData: () => ({ fields, count: 6 }) };

async function tensorsAfter(target: Target, threads: number): Promise<Record<string, readonly number[]>> {
  const relaxed = supportsRelaxedSimd();
  const { program } = must(compileTask(load('net.nnet', host), 'train', { target, relaxed }));
  const session =
    target === 'wasm' ? await openWasm(program, { threads, shareFrom: 0 }) : openReference(program);
  try {
    await session.run('init', {}, {}, { seed: 3 });
    const data = { image: uniform(1, 540), label: Int32Array.from({ length: 6 }, (_, i) => i % 5) };
    const clocks = { seed: 3, epoch: 1, epochs: 1, steps_per_epoch: steps };
    for (let step = 1; step <= steps; step++)
      await session.run('train', { batch: 6 }, data, { ...clocks, step });
    const found: Record<string, readonly number[]> = {};
    for (const { path } of program.tensors) found[path] = Array.from(await session.read(path));
    return found;
  } finally {
    session.close();
  }
}

const kernelsFor = (relaxed: boolean): readonly Kernel[] => {
  const { graphs } = elaborateTask(load('net.nnet', host), 'train');
  const { train } = optimise(graphs!.computations);
  return schedule(train!, wasmTargetFor(relaxed)).kernels.map((k) => k.kernel);
};
const contractions = (kernels: readonly Kernel[]): ContractKernel[] =>
  kernels.flatMap((k) => (k.kind === 'contract' ? [mergeRoles(k)] : []));

it('the second convolution and both its gradients are transformed', () => {
  const all = contractions(kernelsFor(true));
  expect(all.filter((k) => planImage(k))).toHaveLength(2);
  expect(all.filter((k) => planWeight(k))).toHaveLength(1);
});

it('windows that are transformed are read through their guards, others from copies with a halo', () => {
  const copies = (kernels: readonly Kernel[]): number =>
    kernels.filter((k) => k.notes.some((n) => n.includes('padding around'))).length;
  const guarded = (kernels: readonly Kernel[]): ContractKernel[] =>
    contractions(kernels).filter((k) => [k.a, k.b].some((x) => loadsIn(x).some((l) => l.guard.length > 0)));
  // The image's and its gradient's; the gradient of the weights still wants the image's.
  expect(copies(kernelsFor(false))).toBe(2);
  expect(guarded(kernelsFor(false))).toEqual([]);
  const relaxed = kernelsFor(true);
  expect(copies(relaxed)).toBe(1);
  expect(guarded(relaxed)).toHaveLength(2);
  for (const k of guarded(relaxed)) expect(planImage(k), k.name).toBeDefined();
});

describe.runIf(supportsRelaxedSimd())('trained', () => {
  it('has the parameters of the reference, and the same bits on one, two and three threads', async () => {
    const expected = await tensorsAfter('reference', 1);
    const alone = await tensorsAfter('wasm', 1);
    // Two steps move each parameter by about its size.
    for (const [path, values] of Object.entries(expected)) expectClose(alone[path]!, values, 1e-5, path);
    for (const threads of [2, 3]) expect(await tensorsAfter('wasm', threads)).toEqual(alone);
  });
});
