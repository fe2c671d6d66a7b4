/**
 * A program by hand: h = x * w + seed (in the arena), loss = sum(h), w' = w - 0.125 * sum(h) over the batch; w: f32[3],
 * x: f32[batch, 3].
 */
import { emitWgsl } from '../../compiler/backend/wgsl/index.ts';
import { sizeOf } from '../../compiler/ir/serialise.ts';
import type { Kernel } from '../../compiler/kernel/kernel.ts';
import type { Plan, PlanBuffer, Program } from '../../compiler/plan.ts';
import { multiply, symbol } from '../../compiler/shape/poly.ts';
import {
  at,
  cast,
  constant,
  load,
  local,
  map,
  op,
  reduce,
  reduction,
  rows,
  store,
} from '../support/kernel-build.ts';

const N = 3;

export const hidden = rows(
  'hidden',
  ['r f32', 'r f32', 'r i32', 'w f32'],
  { b: 'batch', i: N },
  map(
    {},
    store(
      3,
      at(['batch', N], 'b', 'i'),
      op(
        'add',
        op('mul', load(0, at(['batch', N], 'b', 'i')), load(1, 'i')),
        cast(load(2, 0, { dtype: 'i32' }), 'f32'),
      ),
    ),
  ),
);
const loss = rows(
  'loss',
  ['r f32', 'w f32'],
  {},
  reduce({ b: 'batch', i: N }, reduction('total', 'sum', load(0, at(['batch', N], 'b', 'i')))),
  map({}, store(1, 0, local('total'))),
);
const update = rows(
  'update',
  ['r f32', 'u f32'],
  { i: N },
  reduce({ b: 'batch' }, reduction('g', 'sum', load(0, at(['batch', N], 'b', 'i')))),
  map({}, store(1, 'i', op('sub', load(1, 'i'), op('mul', constant(0.125), local('g'))))),
);

export const kernels = [hidden, loss, update];

/** `buffers`: which buffer of the plan each buffer of the kernel is. */
export const dispatch = (kernel: Kernel, buffers: readonly number[]) => {
  const { entry, workgroups } = emitWgsl(kernel, ['batch']);
  const [x, y, z] = workgroups;
  return {
    name: kernel.name,
    entry,
    buffers,
    units: 1,
    workgroups: [sizeOf(x), sizeOf(y), sizeOf(z)] as const,
    flops: 0,
  };
};

/** Their code by name. */
export const shadersOf = (list: readonly Kernel[]) =>
  Object.fromEntries(list.map((k) => [k.name, emitWgsl(k, ['batch']).code]));

const size = sizeOf(multiply(symbol('batch'), N));
const arena = (
  name: string,
  dtype: 'f32' | 'i32',
  of: PlanBuffer['size'],
  first: number,
  last: number,
): PlanBuffer => ({
  name,
  dtype,
  size: of,
  place: { kind: 'arena', first, last },
});

export const step: Plan = {
  name: 'step',
  target: 'webgpu',
  dims: ['batch'],
  inputs: [{ name: 'x', dtype: 'f32', shape: ['batch', N], buffer: 0 }],
  outputs: [
    { name: 'h', dtype: 'f32', shape: ['batch', N], buffer: 3 },
    { name: 'loss', dtype: 'f32', shape: [], buffer: 4 },
  ],
  clocks: [{ name: 'seed', dtype: 'i32', shape: [], buffer: 2 }],
  buffers: [
    arena('x', 'f32', size, -1, 0),
    { name: 'w', dtype: 'f32', size: N, place: { kind: 'store', store: 1 } },
    arena('seed', 'i32', 1, -1, 0),
    arena('h', 'f32', size, 0, 3),
    arena('loss', 'f32', 1, 1, 3),
  ],
  loops: [],
  dispatches: [dispatch(hidden, [0, 1, 2, 3]), dispatch(loss, [3, 4]), dispatch(update, [3, 1])],
  code: {
    kind: 'wgsl',
    shaders: shadersOf(kernels),
  },
};

export const program: Program = {
  format: 1,
  stores: [
    { name: 'other', dtype: 'i32', size: 100 },
    { name: 'w', dtype: 'f32', size: N },
  ],
  tensors: [
    { path: 'first', role: 'state', dtype: 'i32', shape: [2, 5], store: 0, offset: 0 },
    { path: 'second', role: 'state', dtype: 'i32', shape: [3], store: 0, offset: 10 },
    { path: 'w', role: 'param', dtype: 'f32', shape: [N], store: 1, offset: 0 },
  ],
  plans: { step },
};

/** The step in plain arithmetic. */
export class Expected {
  w: readonly number[];
  h: number[] = [];
  loss = 0;
  constructor(w: readonly number[]) {
    this.w = w;
  }
  run(x: ArrayLike<number>, seed: number): void {
    this.h = Array.from(x, (v, i) => v * this.w[i % N]! + seed);
    this.loss = this.h.reduce((a, b) => a + b, 0);
    this.w = this.w.map(
      (w, i) => w - 0.125 * this.h.filter((_, j) => j % N === i).reduce((a, b) => a + b, 0),
    );
  }
}

/** Numbers for `x`. */
export const batchOf = (batch: number, scale = 1): Float32Array =>
  Float32Array.from({ length: batch * N }, (_, i) => (((i * 7) % 5) - 2) * scale);
