/** Which values share a kernel: a statement of what fusion must achieve, for the networks that matter. */
import { describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { load, optimise } from '../../compiler/compile.ts';
import { elaborateTask } from '../../compiler/check/index.ts';
import type { Ex, Kernel, RowsKernel } from '../../compiler/kernel/kernel.ts';
import { schedule } from '../../compiler/schedule/schedule.ts';
import { type Target, wasmTarget, webgpuTarget } from '../../compiler/schedule/target.ts';
import { asConstant } from '../../compiler/shape/poly.ts';
import { root } from '../support/examples.ts';

function kernelsOf(
  file: string,
  plan: string,
  target: Target,
): { kernels: Kernel[]; written: (k: Kernel) => string[] } {
  const { graphs } = elaborateTask(load(file, fileHost(root)), 'train');
  const computation = graphs?.computations[plan];
  if (!computation) throw new Error(`no ${plan}`);
  const scheduled = schedule(optimise({ [plan]: computation })[plan] ?? computation, target);
  const name = (b: number): string => {
    const leaf = scheduled.buffers[b]?.leaf;
    return leaf ? leaf.name : 'temporary';
  };
  const written = (k: Kernel): string[] =>
    k.buffers.filter((b) => b.mode !== 'read').map((b) => name(b.buffer));
  return { kernels: scheduled.kernels.map((k) => k.kernel), written };
}

describe.each([wasmTarget, webgpuTarget])('on $name', (target) => {
  const mlp = kernelsOf('examples/mnist.nnet', 'train', target);
  const contractions = mlp.kernels.filter((k) => k.kind === 'contract');

  it('every product of the perceptron is a contraction', () => {
    expect(contractions).toHaveLength(5);
  });

  it('the optimizer runs where the gradient is made, so that no gradient of a weight is stored', () => {
    const updates = mlp.kernels.map(mlp.written).filter((names) => names.some((n) => n.endsWith('weight')));
    const of = (layer: string): string[] =>
      ['weight', 'bias'].flatMap((p) => ['/m', '/v', ''].map((slot) => `${layer}.${p}${slot}`));
    expect(updates).toEqual([of('dense1'), of('dense2')]);
  });

  it('bias and relu end the forward product', () => {
    expect(contractions[0]?.stores).toHaveLength(1);
    expect(JSON.stringify(contractions[0]?.stores[0]?.value)).toMatch(/"fn":"max"/);
  });

  it('softmax, cross-entropy and its gradient are one kernel', () => {
    // The optimizer's bias correction has an exponential too, but no maximum over classes.
    const text = mlp.kernels.filter((k) => k.kind === 'rows').map((k) => JSON.stringify(k));
    const rows = text.filter((k) => k.includes('"fn":"exp"') && k.includes('"fn":"max"'));
    expect(rows).toHaveLength(1);
  });

  it('a gelu keeps nothing but its derivative for its gradient', () => {
    const { kernels } = kernelsOf('bench/workloads/gpt.nnet', 'train', target);
    const written = kernels
      .filter((k) => k.kind === 'contract' && JSON.stringify(k.stores).includes('"fn":"sigmoid"'))
      .filter((k) => k.buffers.every((b) => b.mode !== 'update'))
      .map((k) => k.buffers.filter((b) => b.mode === 'write').length);
    // That, and the gelu itself: what the next layer multiplies.
    expect(written).toEqual([2, 2, 2, 2]);
  });

  it('the gradient of a tensor that was cut is put together once for all its readers', () => {
    const { kernels } = kernelsOf('bench/workloads/gpt.nnet', 'train', target);
    // Query, key and value of each block; the weight, the bias and the layer before read it.
    const guarded = (ex: Ex): number =>
      ex.kind === 'op'
        ? ex.args.reduce((n, arg) => n + guarded(arg), 0)
        : Number(ex.kind === 'load' && ex.guard.length > 0);
    const joined = kernels.filter(
      (k) =>
        k.kind === 'rows' &&
        k.stages.some((s) => s.kind === 'map' && s.stores.some((x) => guarded(x.value) === 3)),
    );
    expect(joined).toHaveLength(4);
  });

  it('the gradient of a softmax needs its result and no second exponential', () => {
    const { kernels } = kernelsOf('bench/workloads/gpt.nnet', 'train', target);
    const backward = kernels.filter(
      (k): k is RowsKernel =>
        k.kind === 'rows' && k.grid.length === 3 && k.stages.length === 2 && k.stages[0]?.kind === 'reduce',
    );
    expect(backward).toHaveLength(4);
    for (const k of backward) {
      expect(k.buffers.map((b) => b.mode)).toEqual(['read', 'read', 'write']);
      expect(JSON.stringify(k.stages)).not.toMatch(/"fn":"(exp|div)"/);
    }
  });

  it('no contraction of LeNet is left as a plain reduction', () => {
    const { kernels } = kernelsOf('examples/lenet.nnet', 'train', target);
    expect(kernels.filter((k) => k.kind === 'contract')).toHaveLength(14);
    expect(kernels.filter((k) => k.kind === 'scatter')).toHaveLength(0);
  });
});

describe('windows over tensors side by side', () => {
  it.each([wasmTarget, webgpuTarget])('pass over one copy of them, on $name', (target) => {
    const { kernels } = kernelsOf('examples/unet.nnet', 'predict', target);
    // 9 times as much would be written if each window had its own copy.
    const sizes = kernels.flatMap((k) =>
      k.kind === 'rows' && JSON.stringify(k.stages).includes('"where"')
        ? [k.grid.reduce((n, a) => n * (asConstant(a.extent) ?? 1), 1)]
        : [],
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16 * 30 * 30);
  });
});
