/** Contractions that would leave a GPU idle are split over k: which, into what, and that the results stay the same. */
import { expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { compileTask, load, optimise } from '../../compiler/compile.ts';
import { elaborateTask, type Host } from '../../compiler/check/index.ts';
import type { Program, Target } from '../../compiler/plan.ts';
import { schedule } from '../../compiler/schedule/schedule.ts';
import { webgpuTargetFor } from '../../compiler/schedule/target.ts';
import { asConstant } from '../../compiler/shape/poly.ts';
import type { Data, Session } from '../../runtime/device.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { root } from '../support/examples.ts';
import { describeGpu } from '../support/swiftshader.ts';

function lenet(workgroups: number) {
  const { graphs } = elaborateTask(load('examples/lenet.nnet', fileHost(root)), 'train');
  return schedule(optimise(graphs!.computations)['train']!, webgpuTargetFor(workgroups));
}

it("the gradients of the weights of LeNet's convolutions are split, and nothing else", () => {
  const { kernels, buffers } = lenet(64);
  const split = kernels.flatMap(({ kernel }, i) => (kernel.kind === 'contract' && kernel.parts ? [i] : []));
  const written = split.map((i) =>
    kernels[i + 1]!.kernel.buffers.filter((b) => b.mode !== 'read')
      .map((b) => buffers[b.buffer]!.leaf?.name)
      .sort(),
  );
  const of = (layer: string): string[] =>
    ['bias', 'bias/velocity', 'weight', 'weight/velocity'].map((name) => `${layer}.${name}`);
  expect(written.sort()).toEqual([of('conv1'), of('conv2')]);
  for (const i of split) {
    const { kernel } = kernels[i]!;
    if (kernel.kind !== 'contract') continue;
    const parts = asConstant(kernel.parts!.axis.extent)!;
    const tiles = Math.ceil(asConstant(kernel.n[0]!.extent)! / 32);
    expect(parts * tiles).toBeGreaterThanOrEqual(12);
    // The partial sums live for these two kernels alone.
    const own = buffers.find((b) => b.name === `parts of ${kernel.name}`);
    expect(own).toMatchObject({ first: i, last: i + 1 });
  }
});

it('buffers live as long as before, kernels counted anew', () => {
  const [whole, split] = [lenet(1), lenet(64)];
  expect(split.kernels.length).toBe(whole.kernels.length + 2);
  const uses = (s: typeof whole, b: number): number[] =>
    s.kernels.flatMap(({ kernel }, i) => (kernel.buffers.some((u) => u.buffer === b) ? [i] : []));
  split.buffers.forEach((buffer, b) => {
    for (const i of uses(split, b)) {
      expect(buffer.first).toBeLessThanOrEqual(i);
      expect(buffer.last).toBeGreaterThanOrEqual(i);
    }
  });
});

const text = `
model Net {
  input  image: f32[batch, 1, 12, 12]
  output y: f32[batch, 4, 8, 8]
  conv = Conv2d(4, kernel: 5)
  y = image |> conv
}
task train {
  net = Net()
  data = idx(image: "x")
  fit(batch: 64, epochs: 1) on data {
    minimize mean((net(image) - 1) ^ 2) with Sgd(lr: 0.01, momentum: 0.9)
  }
}`;

const compiled = (target: Target, workgroups: number): Program => {
  const host: Host = {
    ...testHost({ 'net.nnet': text }),
    describeData: () => ({ fields: { image: { dtype: 'f32', shape: [1, 12, 12] } }, count: 100 }),
  };
  return must(compileTask(load('net.nnet', host), 'train', { target, relaxed: false, workgroups })).program;
};

const kept = ['conv.weight', 'conv.bias', 'conv.weight/velocity', 'conv.bias/velocity'];

async function train(session: Session): Promise<Data[]> {
  for (const [i, path] of kept.entries()) {
    const { length } = await session.read(path);
    await session.write(
      path,
      Float32Array.from({ length }, (_, j) => Math.cos(j + i) / 5),
    );
  }
  for (const [i, batch] of [33, 2, 9].entries()) {
    const image = Float32Array.from({ length: batch * 144 }, (_, j) => Math.sin(j * (i + 1)));
    await session.run('train', { batch }, { image }, { step: i + 1 });
  }
  return await Promise.all(kept.map((path) => session.read(path)));
}

describeGpu('a split training step', () => {
  it('gives what the reference gives, at batches that fill the parts and that do not, and the same again', async () => {
    const split = compiled('webgpu', 64);
    const count = (p: Program): number => p.plans['train']!.dispatches.length;
    expect(count(split)).toBe(count(compiled('webgpu', 1)) + 1);
    const reference = await openSession(compiled('reference', 1), 'reference');
    const wanted = await train(reference);
    const session = await openSession(split, 'webgpu');
    try {
      const [once, twice] = [await train(session), await train(session)];
      once.forEach((found, i) => {
        expect(Array.from(found)).toEqual(Array.from(twice[i]!));
        found.forEach((x, j) => expect(Math.abs(x - wanted[i]![j]!)).toBeLessThan(1e-5));
      });
    } finally {
      session.close();
    }
  }, 120_000);
});
