/** 3 x 3 convolutions and their gradients in the transformed domain, against the oracle in float64. */
import { describe, expect, it } from 'vitest';
import { mergeRoles } from '../../compiler/backend/wasm/contract/plan.ts';
import { emitWasm, printWasm } from '../../compiler/backend/wasm/index.ts';
import type { Matrix, TileSize } from '../../compiler/backend/wasm/winograd/matrices.ts';
import { filterBy, filterOver } from '../../compiler/backend/wasm/winograd/matrices.ts';
import { planImage, planWeight } from '../../compiler/backend/wasm/winograd/plan.ts';
import type { BufferUse, ContractKernel } from '../../compiler/kernel/kernel.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import { add, evaluate, multiply, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import { evaluateKernel } from '../support/kernel-eval.ts';
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

const imageTile = (k: ContractKernel): TileSize | undefined => planImage(mergeRoles(k))?.tile;
const isTransformed = (k: ContractKernel): boolean => imageTile(k) !== undefined;

describe('convolutions', () => {
  const shapes: readonly (Shape & { readonly tile: TileSize })[] = [
    { images: 8, channels: 12, filters: 12, height: 4, width: 4, tile: 4 },
    { images: 4, channels: 13, filters: 15, height: 5, width: 5, tile: 2 },
    { images: 4, channels: 14, filters: 18, height: 5, width: 6, pad: 1, tile: 2 },
    { images: 2, channels: 14, filters: 18, height: 7, width: 13, tile: 4 },
    { images: 2, channels: 13, filters: 14, height: 11, width: 14, tile: 4 },
    { images: 2, channels: 12, filters: 14, height: 9, width: 8, pad: 1, tile: 4 },
    { images: 2, channels: 12, filters: 13, height: 7, width: 11, pad: 1, tile: 4 },
    { images: 1, channels: 12, filters: 12, height: 12, width: 24, pad: 2, tile: 4 },
    { images: 4, channels: 14, filters: 12, height: 6, width: 5, backwards: true, tile: 2 },
    { images: 4, channels: 12, filters: 17, height: 6, width: 6, backwards: true, pad: 1, tile: 2 },
    { images: 3, channels: 12, filters: 17, height: 14, width: 17, backwards: true, pad: 1, tile: 4 },
    { images: 2, channels: 12, filters: 12, height: 4, width: 50, tile: 4 },
  ];
  it.each(shapes)('%j', ({ tile, ...shape }) => {
    const k = convolution(shape);
    expect(imageTile(k)).toBe(tile);
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

  it('units of nearly as many rows of tiles each, two of one image', () => {
    const units = (shape: Shape): number => {
      const [entry] = emitWasm([convolution(shape)], ['images'], 4, { relaxed: true, wide: false }).entries;
      return evaluate(entry!.units, () => shape.images);
    };
    const small: Shape = { images: 1, channels: 12, filters: 12, height: 12, width: 24 };
    const { blockRows } = planImage(mergeRoles(convolution(small)))!;
    expect(blockRows).toBe(4);
    expect(units(small)).toBe(2);
    expect(units({ ...small, images: 3 })).toBe(3);
    expect(units({ ...small, images: 0 })).toBe(0);
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
  const shapes: readonly (Shape & { readonly order?: string; readonly tile: TileSize })[] = [
    { images: 8, channels: 12, filters: 12, height: 4, width: 4, tile: 4 },
    { images: 5, channels: 13, filters: 15, height: 5, width: 5, tile: 2 },
    { images: 2, channels: 14, filters: 17, height: 6, width: 13, order: 'rqc', tile: 4 },
    { images: 4, channels: 20, filters: 12, height: 6, width: 6, pad: 1, order: 'rcq', tile: 2 },
    { images: 2, channels: 12, filters: 13, height: 7, width: 11, pad: 1, order: 'qcr', tile: 4 },
    { images: 1, channels: 12, filters: 30, height: 19, width: 21, tile: 4 },
    { images: 4, channels: 12, filters: 14, height: 6, width: 5, backwards: true, tile: 2 },
    { images: 1, channels: 12, filters: 12, height: 4, width: 140, order: 'cqr', tile: 4 },
  ];
  it.each(shapes)('%j', ({ order, tile, ...shape }) => {
    const k = gradient(shape, order);
    expect(planWeight(mergeRoles(k))!.tile).toBe(tile);
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
    const unitsFor = (threads: number): number => {
      const { blockM, blockC } = planWeight(mergeRoles(gradient(long)), false, threads)!;
      return Math.ceil(50 / blockM) * Math.ceil(40 / blockC);
    };
    expect([1, 2, 4, 8].map(unitsFor)).toEqual([1, 2, 4, 4]);
    const run = (relaxed: boolean, more: { split?: number; threads?: number } = {}) =>
      runWasm([gradient(long)], gradientBuffers(long), { images: 20 }, { relaxed, ...more });
    expectClose(run(true), run(false), tolerance);
    for (const more of [{ split: 1 }, { threads: 1 }, { threads: 2 }])
      expect(run(true, more)).toEqual(run(true));
  });
});

/** Sums of standard normal numbers, in the order of the kernel's results. */
describe.runIf(modes.includes(true))('accuracy', () => {
  /** Box and Muller's numbers of a normal distribution. */
  const normal = (n: number, seed: number): Float32Array => {
    const [radius, angle] = [floats(n, seed), floats(n, seed + 1)];
    return radius.map(
      (x, i) => Math.sqrt(-2 * Math.log(Math.max(1e-6, Math.abs(x) % 1))) * Math.cos(Math.PI * angle[i]!),
    );
  };
  const shape: Shape = { images: 1, channels: 64, filters: 12, height: 16, width: 16 };
  const sizes = buffersOf(shape).map((b) => b.length);

  /** The largest error, relative to the largest result, of fast sums; the expected ones are in float64. */
  const errorOf = (k: ContractKernel, buffers: Float32Array[]): number => {
    const expected = buffers.map((b) => b.slice());
    evaluateKernel(
      k,
      { images: 1 },
      k.buffers.map((b) => expected[b.buffer]!),
    );
    const found = runWasm([k], buffers, { images: 1 }, { relaxed: true })[2]!;
    const largest = Math.max(...expected[2]!.map(Math.abs));
    return Math.max(...expected[2]!.map((x, i) => Math.abs(x - found[i]!))) / largest;
  };

  it('of a convolution of 64 channels, and of its gradient, is within 3e-6 of the largest result', () => {
    const [weights, image, results] = sizes.map((n, i) => normal(n, 7 + 2 * i)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect(planImage(mergeRoles(convolution(shape)))!.tile).toBe(4);
    expect(planWeight(mergeRoles(gradient(shape)))!.tile).toBe(4);
    expect(errorOf(convolution(shape), [weights, image, results.map(() => 0), floats(12, 4)])).toBeLessThan(
      3e-6,
    );
    const k = gradient(shape);
    const sums = { ...k, stores: [{ buffer: 2, offset: k.stores[0]!.offset, value: acc }] };
    expect(errorOf(sums, [results, image, weights.map(() => 0)])).toBeLessThan(3e-6);
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
  const cases = ([2, 4] as const).flatMap((tile) => [
    { name: `F(${tile}, 3)`, ...filterOver(tile), taps: [2, 13, -17] },
    { name: `F(3, ${tile})`, ...filterBy(tile), taps: [2, 13, -17, 19].slice(0, tile) },
  ]);

  it.each(cases)('$name filters, and no longer when any sign is flipped', ({ B, G, A, taps }) => {
    const d = [3, -5, 7, 11, -23, 29].slice(0, B.length);
    const direct = A.map((_, i) => taps.reduce((sum, g, j) => sum + g * d[i + j]!, 0));
    const error = (b: Matrix, g: Matrix, a: Matrix): number =>
      Math.max(...filtered(b, g, a, taps, d).map((x, i) => Math.abs(x - direct[i]!)));
    expect(error(B, G, A)).toBeLessThan(1e-11);
    const flips = (m: Matrix): Matrix[] =>
      m.flatMap((row, i) => row.flatMap((c, j) => (c === 0 ? [] : [m.with(i, row.with(j, -c))])));
    for (const wrong of flips(B)) expect(error(wrong, G, A)).toBeGreaterThan(0.1);
    for (const wrong of flips(G)) expect(error(B, wrong, A)).toBeGreaterThan(0.1);
    for (const wrong of flips(A)) expect(error(B, G, wrong)).toBeGreaterThan(0.1);
  });
});
