/**
 * Which contractions are 3 x 3 convolutions of stride 1, or the gradients of their weights, that run with fewer
 * multiplications in the transformed domain (Lavin & Gray 2016), and how they are cut.
 */
import type { Axis, ContractKernel } from '../../kernel/kernel.ts';
import { swapRoles } from '../../kernel/rebuild.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, linearIn, scale, substitute, subtract, symbol } from '../../shape/poly.ts';
import { loadsOf } from './contract-plan.ts';
import { mentions, polysOf } from './transform.ts';

/** An axis along which the image is read at `slide + tap` (sign 1) or `slide - tap` (sign -1). */
export interface Sliding {
  readonly slide: Axis;
  readonly tap: Axis;
  readonly sign: 1 | -1;
  /** The extent of `slide`. */
  readonly extent: number;
}

/** b is the image, read at (y, x) and its taps; a the other operand. */
export interface Window {
  readonly y: Sliding;
  readonly x: Sliding;
}

/** A convolution: n is (images, y, x), k is (channels, taps). */
export interface ImagePlan {
  readonly kernel: ContractKernel;
  readonly window: Window;
  readonly images: readonly Axis[];
  readonly channels: readonly Axis[];
  /** Number of channels, and of rows of m. */
  readonly depth: number;
  readonly height: number;
  /** Tiles of 2 x 2 results: in a row, and rows of an image. */
  readonly tilesX: number;
  readonly tilesY: number;
  /** Rows of m in a unit, a multiple of 4; rows of tiles in a unit. */
  readonly blockM: number;
  readonly blockRows: number;
}

const taps = 3;
/** Below this there is no gain from tiles of two. */
const leastExtent = 4;
/** Fewer channels or rows do not pay for the transforms of patches and results (measured), fewer tiles not for the weights'. */
const leastDepth = 12;
const fewTiles = 32;

const roundUp = (x: number, to: number): number => Math.ceil(x / to) * to;

/** The product of extents, where all are known. */
export const sizeOf = (axes: readonly Axis[]): number | undefined =>
  axes.reduce<number | undefined>((v, a) => {
    const e = asConstant(a.extent);
    return v === undefined || e === undefined ? undefined : v * e;
  }, 1);

/** Whether all of `polys` know the two axes as `slide + sign * tap` only. */
function slides(polys: readonly Poly[], slide: Axis, tap: Axis, sign: 1 | -1): boolean {
  const moved = subtract(symbol(slide.name), scale(symbol(tap.name), sign));
  return polys.every(
    (p) =>
      !mentions(
        substitute(p, (s) => (s === slide.name ? moved : undefined)),
        tap.name,
      ),
  );
}

function slidings(k: ContractKernel, slide: readonly Axis[], tap: readonly Axis[]): Sliding[] {
  const polys = polysOf(k.b);
  const found: Sliding[] = [];
  for (const t of tap) {
    if (asConstant(t.extent) !== taps || !polys.some((p) => mentions(p, t.name))) continue;
    for (const s of slide) {
      const extent = asConstant(s.extent);
      if (extent === undefined || extent < leastExtent) continue;
      const sign = ([1, -1] as const).find((d) => slides(polys, s, t, d));
      if (sign) found.push({ slide: s, tap: t, sign, extent });
    }
  }
  return found;
}

/** Whether every load of the image lies in memory along this axis. */
const isInnermost = (k: ContractKernel, axis: Axis): boolean =>
  loadsOf(k.b).every((l) => {
    if (!mentions(l.offset, axis.name)) return true;
    const linear = linearIn(l.offset, axis.name);
    return linear !== undefined && asConstant(linear.coefficient) === 1;
  });

function windowOf(k: ContractKernel, slide: readonly Axis[], tap: readonly Axis[]): Window | undefined {
  const all = slidings(k, slide, tap);
  const x = all.find((s) => isInnermost(k, s.slide));
  const y = all.find((s) => x && s.slide !== x.slide && s.tap !== x.tap);
  return x && y && { x, y };
}

const without = (axes: readonly Axis[], ...some: readonly Axis[]): Axis[] =>
  axes.filter((a) => !some.includes(a));

/** Bytes of transformed weights that a thread keeps, about half of a second-level cache. */
const weightBytes = 1 << 18;
const leastTiles = 16;

/** Rows of tiles that fill whole strips of eight best. */
function rowsOfBlock(tilesX: number): number {
  const waste = (rows: number): number => roundUp(rows * tilesX, 8) / (rows * tilesX);
  const least = Math.ceil(leastTiles / tilesX);
  const candidates = Array.from({ length: 4 }, (_, i) => least + i);
  return candidates.reduce((best, r) => (waste(r) < waste(best) - 0.02 ? r : best));
}

function imagePlan(kernel: ContractKernel): ImagePlan | undefined {
  const window = windowOf(kernel, kernel.n, kernel.k);
  if (!window) return undefined;
  const { x, y } = window;
  const channels = without(kernel.k, x.tap, y.tap);
  const [depth, height] = [sizeOf(channels), sizeOf(kernel.m)];
  if (depth === undefined || height === undefined || Math.min(depth, height) < leastDepth) return undefined;
  const [tilesX, tilesY] = [Math.ceil(x.extent / 2), Math.ceil(y.extent / 2)];
  const images = without(kernel.n, x.slide, y.slide);
  if (tilesX * tilesY * (sizeOf(images) ?? Infinity) < fewTiles) return undefined;
  const most = Math.max(16, roundUp(weightBytes / (64 * depth) - 3, 4));
  const blockM = roundUp(Math.ceil(height / Math.ceil(height / most)), 4);
  return {
    kernel,
    window,
    images,
    channels,
    depth,
    height,
    tilesX,
    tilesY,
    blockM,
    blockRows: rowsOfBlock(tilesX),
  };
}

/** The kernel with its roles settled as a convolution; undefined where the direct product is better. */
export function planImage(kernel: ContractKernel): ImagePlan | undefined {
  return imagePlan(kernel) ?? imagePlan(swapRoles(kernel));
}
