/**
 * Which contractions are 3 x 3 convolutions of stride 1, or the gradients of their weights, that run with fewer
 * multiplications in the transformed domain (Lavin & Gray 2016), and how they are cut.
 */
import type { Axis, ContractKernel, Ex } from '../../../kernel/kernel.ts';
import { swapRoles } from '../../../kernel/rebuild.ts';
import { loadsIn, polysOf } from '../../../kernel/walk.ts';
import { transformedWindow } from '../../../kernel/window.ts';
import type { Poly } from '../../../shape/poly.ts';
import { asConstant, scale, stepOf, substitute, subtract, symbol } from '../../../shape/poly.ts';
import { known, roundUp } from '../contract/plan.ts';
import { stripCost } from '../contract/tiles.ts';
import { mentions } from '../transform.ts';
import type { Filtering, TileSize } from './matrices.ts';
import { filterBy, filterOver, tileSizes } from './matrices.ts';

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

/** What both kinds have. */
interface Tiling {
  readonly kernel: ContractKernel;
  readonly window: Window;
  /** Columns of a register tile, which has four rows. */
  readonly strip: number;
  readonly images: readonly Axis[];
  readonly channels: readonly Axis[];
  /** Number of channels, and of rows of m. */
  readonly depth: number;
  readonly height: number;
  /** Rows and columns of a tile of results (of their gradient), and of its patch; positions of the latter. */
  readonly tile: TileSize;
  readonly size: number;
  readonly positions: number;
  readonly filtering: Filtering;
  /** Tiles in a row, and rows of tiles of an image. */
  readonly tilesX: number;
  readonly tilesY: number;
  /** Rows of m in a unit, a multiple of 4. */
  readonly blockM: number;
  /** Rows of tiles that are taken together: in a unit of an image, or when weights' tiles are packed. */
  readonly blockRows: number;
}

/** A convolution: n is (images, y, x), k is (channels, taps). */
export type ImagePlan = Tiling;

/** The gradient of a convolution's weights: n is (channel, taps), k is (images, y, x); its channels are one axis. */
export interface WeightPlan extends Tiling {
  /** Channels of a unit, a multiple of the strip. */
  readonly blockC: number;
  /** Blocks of rows of tiles that an image has. */
  readonly blocksY: number;
  /** Such blocks that are multiplied together, and the most tiles they have. */
  readonly pieces: number;
  readonly tiles: number;
}

/** Rows of m of a register tile. */
const tileRows = 4;

/** Cycles of each position of a tile: a product of a channel and a row of m, with register tiles of so many columns; the transform of either. */
const productCost = (strip: number): number =>
  (0.88 * stripCost(tileRows, strip / 4, { relaxed: true, wide: strip === stripOf(true) })) /
  (tileRows * strip);
const sideCost = 0.68;
/** Transforming the weights costs as much as the products of so many tiles. */
const weightTiles = 4;
/** Larger tiles lose some accuracy. */
const worthwhile = 0.9;
/** Images of an unknown number. */
const guess = 16;
const { taps, extent: leastExtent, depth: leastDepth, tiles: fewTiles } = transformedWindow;

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

/** Where data is an index, elements beyond a row, which are read and not used, could be anywhere. */
const usesData = (ex: Ex): boolean =>
  ((ex.kind === 'load' || ex.kind === 'index') && ex.data.length > 0) ||
  (ex.kind === 'op' && ex.args.some(usesData));

/** Whether every load of the image lies in memory along this axis. */
const isInnermost = (k: ContractKernel, axis: Axis): boolean =>
  !usesData(k.b) &&
  loadsIn(k.b).every((l) => !mentions(l.offset, axis.name) || stepOf(l.offset, axis.name) === 1);

/** `isX`: whether a row of the image may run along an axis. */
function windowOf(
  k: ContractKernel,
  slide: readonly Axis[],
  tap: readonly Axis[],
  isX: (axis: Axis) => boolean,
): Window | undefined {
  const all = slidings(k, slide, tap);
  const order = (s: Sliding): number => slide.indexOf(s.slide);
  const [x] = all.filter((s) => isX(s.slide)).toSorted((s, t) => order(t) - order(s));
  const y = all.find((s) => x && s.slide !== x.slide && s.tap !== x.tap);
  return x && y && { x, y };
}

const without = (axes: readonly Axis[], ...some: readonly Axis[]): Axis[] =>
  axes.filter((a) => !some.includes(a));

/** Bytes of transformed weights that a thread keeps, about half of a second-level cache. */
const weightBytes = 5 << 16;

/** At least two strips, in rows of tiles that fill halves of strips best. */
function rowsOfBlock(tilesX: number, strip: number): number {
  const waste = (rows: number): number => roundUp(rows * tilesX, strip / 2) / (rows * tilesX);
  const least = Math.ceil((2 * strip) / tilesX);
  const candidates = Array.from({ length: 4 }, (_, i) => least + i);
  return candidates.reduce((best, r) => (waste(r) < waste(best) - 0.02 ? r : best));
}

interface Map {
  readonly window: Window;
  readonly images: readonly Axis[];
  readonly depth: number;
  readonly height: number;
}

type Tiles = Pick<Tiling, 'tile' | 'size' | 'positions' | 'tilesX' | 'tilesY'>;

function tilesOf({ x, y }: Window, tile: TileSize): Tiles {
  const size = tile + taps - 1;
  const [tilesX, tilesY] = [Math.ceil(x.extent / tile), Math.ceil(y.extent / tile)];
  return { tile, size, positions: size * size, tilesX, tilesY };
}

/** The tiles that take the least time, as far as it depends on them; undefined where these are too few. */
function bestTiles({ window, images, depth, height }: Map, strip: number, fours: boolean): Tiles | undefined {
  const count = known(images);
  const perProduct = productCost(strip);
  const costOf = ({ positions, tilesX, tilesY }: Tiles): number => {
    const tiles = (count ?? guess) * tilesX * tilesY;
    // Patches are transformed four at a time.
    const patches = fours ? (count ?? guess) * tilesY * roundUp(tilesX, 4) : tiles;
    const products = perProduct * height * depth * (tiles + weightTiles);
    return positions * (products + sideCost * (height * tiles + depth * patches));
  };
  const all = tileSizes.map((tile) => tilesOf(window, tile));
  const [least] = all as [Tiles];
  if (least.tilesX * least.tilesY * (count ?? Infinity) < fewTiles) return undefined;
  return all.reduce((best, next) => (costOf(next) < worthwhile * costOf(best) ? next : best));
}

function imagePlan(kernel: ContractKernel, strip: number): ImagePlan | undefined {
  const window = windowOf(kernel, kernel.n, kernel.k, (axis) => isInnermost(kernel, axis));
  if (!window) return undefined;
  const { x, y } = window;
  const channels = without(kernel.k, x.tap, y.tap);
  const images = without(kernel.n, x.slide, y.slide);
  const [depth, height] = [known(channels), known(kernel.m)];
  if (depth === undefined || height === undefined || Math.min(depth, height) < leastDepth) return undefined;
  const tiles = bestTiles({ window, images, depth, height }, strip, true);
  if (!tiles) return undefined;
  const most = Math.max(16, roundUp(weightBytes / (4 * tiles.positions * depth) - 3, 4));
  const blockM = roundUp(Math.ceil(height / Math.ceil(height / most)), 4);
  const blockRows = rowsOfBlock(tiles.tilesX, strip);
  const filtering = filterOver(tiles.tile);
  return { kernel, window, strip, images, channels, depth, height, ...tiles, filtering, blockM, blockRows };
}

const stripOf = (wide: boolean): number => (wide ? 16 : 8);

/** The kernel with its roles settled as a convolution; undefined where the direct product is better. `wide`: as for any product. */
export const planImage = (kernel: ContractKernel, wide = false): ImagePlan | undefined =>
  imagePlan(kernel, stripOf(wide)) ?? imagePlan(swapRoles(kernel), stripOf(wide));

// ---------------------------------------------------------------- gradients of weights

/** Tiles that are multiplied at once: both operands of a unit's stay in the second-level cache beside its sums. */
const mostTiles = { 2: 64, 4: 48 } as const;
const mostBlock = 64;
/** Transforming an operand again for every unit may take this part of the time: with four threads it is the smaller loss. */
const repeating = 0.2;

function weightPlan(kernel: ContractKernel, strip: number, threads: number): WeightPlan | undefined {
  const window = windowOf(kernel, kernel.k, kernel.n, () => true);
  if (!window) return undefined;
  const { x, y } = window;
  const channels = without(kernel.n, x.tap, y.tap);
  const images = without(kernel.k, x.slide, y.slide);
  const [depth, height] = [known(channels), known(kernel.m)];
  if (channels.length !== 1 || depth === undefined || height === undefined) return undefined;
  if (Math.min(depth, height) < leastDepth) return undefined;
  const tiles = bestTiles({ window, images, depth, height }, strip, false);
  if (!tiles) return undefined;
  const { tile, tilesX, tilesY } = tiles;
  const rows = Math.max(1, Math.min(tilesY, Math.floor(mostTiles[tile] / tilesX)));
  const blocksY = Math.ceil(tilesY / rows);
  const blockRows = Math.ceil(tilesY / blocksY);
  const pieces = Math.max(1, Math.floor(mostTiles[tile] / (blockRows * tilesX)));
  const [blockM, blockC] = weightBlocks(height, depth, strip, threads);
  const filtering = filterBy(tile);
  const plan = { kernel, window, strip, images, channels, depth, height, ...tiles, filtering };
  return { ...plan, blockM, blockC, blockRows, blocksY, pieces, tiles: pieces * blockRows * tilesX };
}

/** Rows of m and channels of a unit: equal blocks, and so many that the threads, up to four, can share the sum. */
function weightBlocks(
  height: number,
  depth: number,
  strip: number,
  threads: number,
): readonly [number, number] {
  const whole = productCost(strip) * height * depth + sideCost * (height + depth);
  const [m, c] = [Math.ceil(height / mostBlock), Math.ceil(depth / mostBlock)];
  const again = (i: number, j: number): number => sideCost * (height * (j - c) + depth * (i - m));
  const sharing = [4, 2, 1].filter((parts) => parts < 2 * threads);
  const cuts = sharing
    .flatMap((i) => sharing.map((j) => [m * i, c * j] as const))
    .filter(([i, j]) => again(i, j) <= repeating * whole && i * j <= Math.max(sharing[0]!, m * c))
    .toSorted(([i, j], [k, l]) => k * l - i * j || again(i, j) - again(k, l));
  const [i, j] = cuts[0] ?? [m, c];
  return [roundUp(Math.ceil(height / i), 4), roundUp(Math.ceil(depth / j), strip)];
}

/** The kernel with its roles settled as the gradient of a convolution's weights; undefined where the direct sum is better. */
export const planWeight = (kernel: ContractKernel, wide = false, threads = 4): WeightPlan | undefined =>
  weightPlan(kernel, stripOf(wide), threads) ?? weightPlan(swapRoles(kernel), stripOf(wide), threads);
