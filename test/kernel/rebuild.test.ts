import { expect, it } from 'vitest';
import { clockDim, withClocksAsDims } from '../../compiler/kernel/clocks.ts';
import type { Kernel } from '../../compiler/kernel/kernel.ts';
import { relocate } from '../../compiler/schedule/relocate.ts';
import { constant, symbol } from '../../compiler/shape/poly.ts';
import { evaluateKernel } from '../support/kernel-eval.ts';
import { withSums } from '../webgpu/kernels.ts';

it('the sums of a contraction move with its kernel', () => {
  const { kernel } = withSums(2, 3, 2);
  const data = [
    [1, 2, 3, 4],
    [5, 6, 7, 8, 9, 10],
    [0, 0, 0, 0, 0, 0],
    [100, 200, 300],
  ].map((x) => Float64Array.from(x));
  const moved = relocate(kernel, (buffer) => ({ buffer: 3 - buffer, start: constant(buffer) }));
  expect(moved.buffers.map((b) => b.buffer)).toEqual([3, 2, 1, 0]);
  const there = data.map((x, i) => Float64Array.from([...Array<number>(i).fill(-1), ...x]));
  evaluateKernel(kernel, {}, data);
  evaluateKernel(moved, {}, there);
  expect(there.map((x, i) => [...x.subarray(i)])).toEqual(data.map((x) => [...x]));
  expect([...data[3]!]).toEqual([113, 215, 317]);
});

it('a clock that is read under a condition is its fill where that fails', () => {
  const value = {
    kind: 'load',
    dtype: 'i32',
    buffer: 0,
    offset: constant(0),
    guard: [
      { kind: 'ge', value: symbol('i') },
      { kind: 'eq', value: symbol('j') },
    ],
    fill: 7,
    data: [],
  } as const;
  const axis = (name: string) => ({ name, extent: constant(2) });
  const kernel: Kernel = {
    kind: 'rows',
    name: 'guarded',
    notes: [],
    buffers: [
      { buffer: 5, dtype: 'i32', mode: 'read' },
      { buffer: 6, dtype: 'i32', mode: 'write' },
    ],
    grid: [axis('j')],
    stages: [{ kind: 'map', axes: [axis('i')], stores: [{ buffer: 1, offset: symbol('j'), value }] }],
  };
  const made = withClocksAsDims(kernel, (b) => (b === 5 ? 'step' : undefined));
  expect(made.buffers.map((b) => b.buffer)).toEqual([6]);
  const out = new Float64Array(2);
  evaluateKernel(made, { [clockDim('step')]: 3 }, [out]);
  expect([...out]).toEqual([3, 7]);
});
