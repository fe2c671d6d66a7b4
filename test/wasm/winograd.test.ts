/** 3 x 3 convolutions and their gradients in the transformed domain, against the oracle in float64. */
import { describe, expect, it } from 'vitest';
import { mergeRoles } from '../../compiler/backend/wasm/contract/plan.ts';
import { printWasm } from '../../compiler/backend/wasm/index.ts';
import type { Matrix } from '../../compiler/backend/wasm/winograd/matrices.ts';
import { B, F23, F32 } from '../../compiler/backend/wasm/winograd/matrices.ts';
import { planImage, planWeight } from '../../compiler/backend/wasm/winograd/plan.ts';
import type { BufferUse, Condition, ContractKernel } from '../../compiler/kernel/kernel.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { add, multiply, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import { axis, check, dim, expectClose, float, floats, load, local, modes, op, runWasm } from './harness.ts';

const s = symbol;
const acc = local('acc');
const use = (buffer: number, mode: BufferUse['mode'] = 'read'): BufferUse => ({ buffer, dtype: 'f32', mode });
/** Row-major offset of indices in a shape. */
const at = (...pairs: [Poly | string, Poly | number | string][]): Poly =>
  pairs.reduce<Poly>((sum, [i, extent]) => add(multiply(sum, dim(extent)), dim(i)), dim(0));

/** About a digit less than a direct sum: sums of up to 16 values in place of one, differences of products. */
const tolerance = { relative: 1e-5, absolute: 2e-5 };

interface Shape {
  readonly images: number;
  readonly channels: number;
  readonly filters: number;
  readonly height: number;
  readonly width: number;
  readonly pad?: number;
  /** The image is read backwards along the taps, as in the gradient. */
  readonly backwards?: boolean;
}

/** results[image, filter, y, x] of images[image, channel, row, column] and weights[filter, channel, 3, 3]. */
function convolution(shape: Shape, change: Partial<ContractKernel> = {}): ContractKernel {
  const { images, channels, filters, height, width, pad = 0, backwards = false } = shape;
  const [rows, columns] = [height + 2 - 2 * pad, width + 2 - 2 * pad];
  const seen = (i: string, tap: string): Poly =>
    subtract(backwards ? add(subtract(s(i), s(tap)), 2) : add(s(i), s(tap)), pad);
  const [y, x] = [seen('y', 'r'), seen('x', 'q')];
  const inside = (p: Poly, extent: number): Condition[] =>
    pad === 0
      ? []
      : [
          { kind: 'ge', value: p },
          { kind: 'ge', value: subtract(extent - 1, p) },
        ];
  const guard = [...inside(y, rows), ...inside(x, columns)];
  const offset = at(['i', images], ['f', filters], ['y', height], ['x', width]);
  return {
    kind: 'contract',
    name: 'c',
    notes: [],
    buffers: [use(0), use(1), use(2, 'update'), use(3)],
    batch: [],
    m: [axis('f', filters)],
    n: [axis('i', 'images'), axis('y', height), axis('x', width)],
    k: [axis('c', channels), axis('r', 3), axis('q', 3)],
    a: load(0, at(['f', filters], ['c', channels], ['r', 3], ['q', 3])),
    b: load(1, at(['i', images], ['c', channels], [y, rows], [x, columns]), 'f32', { guard }),
    stores: [{ buffer: 2, offset, value: acc }],
    ...change,
  };
}

function buffersOf({ images, channels, filters, height, width, pad = 0 }: Shape): Float32Array[] {
  const [rows, columns] = [height + 2 - 2 * pad, width + 2 - 2 * pad];
  return [
    floats(filters * channels * 9, 1).map((w) => w / Math.sqrt(9 * channels)),
    floats(images * channels * rows * columns, 2),
    floats(images * filters * height * width, 3),
    floats(filters, 4),
  ];
}

const isTransformed = (k: ContractKernel): boolean => planImage(mergeRoles(k)) !== undefined;

describe('convolutions', () => {
  const shapes: readonly Shape[] = [
    { images: 8, channels: 12, filters: 12, height: 4, width: 4 },
    { images: 3, channels: 13, filters: 15, height: 5, width: 7 },
    { images: 2, channels: 14, filters: 18, height: 6, width: 13 },
    { images: 2, channels: 12, filters: 14, height: 9, width: 8, pad: 1 },
    { images: 2, channels: 12, filters: 13, height: 7, width: 11, pad: 1 },
    { images: 1, channels: 12, filters: 12, height: 12, width: 24, pad: 2 },
    { images: 4, channels: 14, filters: 12, height: 6, width: 5, backwards: true },
    { images: 3, channels: 12, filters: 17, height: 5, width: 10, backwards: true, pad: 1 },
    { images: 2, channels: 12, filters: 12, height: 4, width: 50 },
  ];
  it.each(shapes)('%j', (shape) => {
    const k = convolution(shape);
    expect(isTransformed(k)).toBe(true);
    check(k, buffersOf(shape), { images: shape.images }, tolerance);
  });

  const shape: Shape = { images: 3, channels: 12, filters: 14, height: 6, width: 9 };

  it.runIf(modes.includes(true))('more rows of m than a block has', () => {
    const deep: Shape = { images: 8, channels: 264, filters: 18, height: 4, width: 4 };
    const plan = planImage(mergeRoles(convolution(deep)))!;
    expect(plan.blockM).toBeLessThan(deep.filters);
    const run = (relaxed: boolean) =>
      runWasm([convolution(deep)], buffersOf(deep), { images: deep.images }, { relaxed });
    expectClose(run(true), run(false), tolerance);
  });

  it('any expression before and after: a scaled and clipped image, bias, relu, a residual, two stores', () => {
    const k = convolution(shape);
    const { offset } = k.stores[0]!;
    const hidden = op('max', 'f32', op('add', 'f32', acc, load(3, s('f'))), float(0));
    const image = op('max', 'f32', op('mul', 'f32', k.b, float(0.5)), float(-0.25));
    check(
      convolution(shape, {
        buffers: [...k.buffers, use(4, 'write')],
        b: image,
        stores: [
          { buffer: 2, offset, value: op('add', 'f32', load(2, offset), hidden) },
          { buffer: 4, offset, value: hidden },
        ],
      }),
      [...buffersOf(shape), floats(3 * 14 * 54, 5)],
      { images: 3 },
      tolerance,
    );
  });

  it('the image as the left operand, a flipped kernel, taps before channels', () => {
    const k = convolution(shape);
    const flipped = at(['f', 14], ['c', 12], [subtract(2, s('r')), 3], [subtract(2, s('q')), 3]);
    const swapped = { a: k.b, b: load(0, flipped), m: k.n, n: k.m };
    const taps = [axis('q', 3), axis('c', 12), axis('r', 3)];
    for (const change of [swapped, { ...swapped, k: taps }]) {
      const changed = convolution(shape, change);
      expect(isTransformed(changed)).toBe(true);
      check(changed, buffersOf(shape), { images: 3 }, tolerance);
    }
  });

  it('groups of channels as batch axes', () => {
    const grouped: Shape = { images: 4, channels: 24, filters: 24, height: 6, width: 5 };
    const groups = axis('g', 2);
    const channel = add(scale(s('g'), 12), s('c'));
    const filter = add(scale(s('g'), 12), s('f'));
    const c = convolution(grouped, {
      batch: [groups],
      m: [axis('f', 12)],
      k: [axis('c', 12), axis('r', 3), axis('q', 3)],
      a: load(0, at([filter, 24], ['c', 12], ['r', 3], ['q', 3])),
      b: load(1, at(['i', 4], [channel, 24], [add(s('y'), s('r')), 8], [add(s('x'), s('q')), 7])),
      stores: [{ buffer: 2, offset: at(['i', 4], [filter, 24], ['y', 6], ['x', 5]), value: acc }],
    });
    expect(isTransformed(c)).toBe(true);
    check(c, buffersOf(grouped), { images: 4 }, tolerance);
  });

  it('only 3 x 3 of stride 1 with enough channels, and only where sums may differ in their order', () => {
    const k = convolution(shape);
    const column = add(s('x'), s('q'));
    const strided = load(1, at(['i', 3], ['c', 12], [add(scale(s('y'), 2), s('r')), 14], [column, 11]));
    const wide = { k: [axis('c', 12), axis('r', 5), axis('q', 3)] };
    const few = convolution({ ...shape, channels: 8 });
    const data = [{ name: '@0', value: load(3, s('i'), 'i32') }];
    const picked = load(1, at(['@0', 3], ['c', 12], [add(s('y'), s('r')), 8], [column, 11]), 'f32', { data });
    const others = [{ b: strided }, wide, { b: picked }].map((change) => convolution(shape, change));
    for (const direct of [few, ...others]) expect(isTransformed(direct)).toBe(false);
    const text = (relaxed: boolean): string => printWasm([k], ['images'], 4, { relaxed });
    expect(text(true)).toContain('$c.transformBack');
    expect(text(false)).not.toContain('$c.transformBack');
  });
});

/** weights[filter, channel, 3, 3] of the results' gradient [image, filter, y, x] and the image; several orders of n. */
function gradient(shape: Shape, order = 'crq', change: Partial<ContractKernel> = {}): ContractKernel {
  const { images, channels, filters, height, width } = shape;
  const forward = convolution(shape);
  const extents: Record<string, number> = { c: channels, r: 3, q: 3 };
  const n = [...order].map((name) => axis(name, extents[name]!));
  const offset = at(['f', filters], ...[...order].map((name) => [name, extents[name]!] as [string, number]));
  const moved = op('add', 'f32', op('mul', 'f32', load(2, offset), float(0.5)), acc);
  return {
    ...forward,
    buffers: [use(0), use(1), use(2, 'update')],
    n,
    k: forward.n,
    a: load(0, at(['i', images], ['f', filters], ['y', height], ['x', width])),
    stores: [{ buffer: 2, offset, value: moved }],
    ...change,
  };
}

/** Small enough that the sums are about 1. */
function gradientBuffers(shape: Shape): Float32Array[] {
  const [weights, image, results] = buffersOf(shape) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const terms = shape.images * shape.height * shape.width;
  return [results.map((x) => x / Math.sqrt(terms)), image, weights];
}

describe('gradients of weights', () => {
  const shapes: readonly (Shape & { readonly order?: string })[] = [
    { images: 8, channels: 12, filters: 12, height: 4, width: 4 },
    { images: 5, channels: 13, filters: 15, height: 5, width: 7 },
    { images: 2, channels: 14, filters: 17, height: 6, width: 13, order: 'rqc' },
    { images: 2, channels: 20, filters: 12, height: 9, width: 8, pad: 1, order: 'rcq' },
    { images: 2, channels: 12, filters: 13, height: 7, width: 11, pad: 1, order: 'qcr' },
    { images: 1, channels: 12, filters: 30, height: 19, width: 21 },
    { images: 4, channels: 12, filters: 14, height: 6, width: 5, backwards: true },
    { images: 1, channels: 12, filters: 12, height: 4, width: 140, order: 'cqr' },
  ];
  it.each(shapes)('%j', ({ order, ...shape }) => {
    const k = gradient(shape, order);
    expect(planWeight(mergeRoles(k))).toBeDefined();
    check(k, gradientBuffers(shape), { images: shape.images }, tolerance);
  });

  const shape: Shape = { images: 3, channels: 24, filters: 20, height: 6, width: 7 };

  it('an image in channels-last order, and roles exchanged', () => {
    const k = gradient(shape);
    const image = load(1, at(['i', 3], [add(s('y'), s('r')), 8], [add(s('x'), s('q')), 9], ['c', 24]));
    for (const change of [{ b: image }, { a: k.b, b: k.a, m: k.n, n: k.m }]) {
      const changed = gradient(shape, 'crq', change);
      expect(planWeight(mergeRoles(changed))).toBeDefined();
      check(changed, gradientBuffers(shape), { images: 3 }, tolerance);
    }
  });

  it('no images: what is stored is what an empty sum gives', () => {
    check(gradient(shape), gradientBuffers(shape), { images: 0 }, tolerance);
  });

  it('units that share a long sum, as many as four threads need', () => {
    const long: Shape = { images: 20, channels: 40, filters: 50, height: 8, width: 8 };
    const { blockM, blockC } = planWeight(mergeRoles(gradient(long)))!;
    expect(Math.ceil(50 / blockM) * Math.ceil(40 / blockC)).toBeGreaterThanOrEqual(4);
    const run = (relaxed: boolean, split?: number) =>
      runWasm([gradient(long)], gradientBuffers(long), { images: 20 }, { relaxed, ...(split && { split }) });
    expectClose(run(true), run(false), tolerance);
    expect(run(true, 1)).toEqual(run(true));
  });
});

describe('the matrices', () => {
  const product = (m: Matrix, v: readonly number[]): number[] =>
    m.map((row) => row.reduce((sum, c, i) => sum + c * v[i]!, 0));
  const filtered = (
    b: Matrix,
    g: Matrix,
    a: Matrix,
    taps: readonly number[],
    d: readonly number[],
  ): number[] => {
    const [u, v] = [product(g, taps), product(b, d)];
    return product(
      a,
      u.map((x, i) => x * v[i]!),
    );
  };
  const d = [3, -5, 7, 11];
  const cases = [
    { name: 'F(2, 3)', ...F23, taps: [2, 13, -17] },
    { name: 'F(3, 2)', ...F32, taps: [2, 13] },
  ];

  it.each(cases)('$name filters, and no longer when any sign is flipped', ({ G, A, taps }) => {
    const direct = A.map((_, i) => taps.reduce((sum, g, j) => sum + g * d[i + j]!, 0));
    expect(filtered(B, G, A, taps, d)).toEqual(direct);
    const flips = (m: Matrix): Matrix[] =>
      m.flatMap((row, i) => row.flatMap((c, j) => (c === 0 ? [] : [m.with(i, row.with(j, -c))])));
    for (const wrong of flips(B)) expect(filtered(wrong, G, A, taps, d)).not.toEqual(direct);
    for (const wrong of flips(G)) expect(filtered(B, wrong, A, taps, d)).not.toEqual(direct);
    for (const wrong of flips(A)) expect(filtered(B, G, wrong, taps, d)).not.toEqual(direct);
  });
});
