/** How a contraction is run: which side the vectors are on, tile and block sizes, or plain loops where packing does not pay. */
import type { Axis, ContractKernel, Ex } from '../../../kernel/kernel.ts';
import { exMapper, mapStore, swapRoles } from '../../../kernel/rebuild.ts';
import { loadsIn, polysOf, polysOfStores } from '../../../kernel/walk.ts';
import type { Poly } from '../../../shape/poly.ts';
import { asConstant, evaluate, stepOf } from '../../../shape/poly.ts';
import { type InPlace, inPlaceOf } from './in-place.ts';
import { type Mode, rowsCost, stripCost, type Tile, tilesFor } from './tiles.ts';
import { mentions, mergeAxes } from '../transform.ts';

/** What a packing loop runs along in vectors: the lanes of the panel, or k (and then transposes 4 x 4). */
export type PackAlong = 'lanes' | 'k';

/** Which of a unit's strips are run one after the other: those of B, down all rows, or those of A, along all columns. */
export type Order = 'strips' | 'rows';

export interface ContractPlan {
  readonly tile: Tile;
  readonly order: Order;
  readonly packA: PackAlong;
  /** A is not packed. */
  readonly inPlace: InPlace | undefined;
  readonly packB: PackAlong;
  /** m and n indices of a unit: multiples of the tile, or less if there are less. */
  readonly blockM: number;
  readonly blockN: number;
  /** The k axes up to this one count as one, which is cut into runs of `chunk`; those after it are whole. */
  readonly cut: number;
  readonly chunk: number;
  /** k's in a block: chunk times the extents after the cut. */
  readonly blockK: number;
  /** All of k is one block: the result need not be kept between blocks. */
  readonly single: boolean;
}

/** Dimensions that are bound later count as this when sizes are compared. */
const guess = 64;
export const sizeOf = (axes: readonly Axis[]): number =>
  axes.reduce(
    (v, a) =>
      v *
      Math.max(
        0,
        evaluate(a.extent, () => guess),
      ),
    1,
  );
/** The product of the extents, where all are known. */
export const known = (axes: readonly Axis[]): number | undefined =>
  axes.reduce<number | undefined>((v, a) => {
    const e = asConstant(a.extent);
    return v === undefined || e === undefined ? undefined : v * e;
  }, 1);

// ---------------------------------------------------------------- normal form

const storePolys = ({ stores, sums = [] }: ContractKernel): Poly[] => polysOfStores([...stores, ...sums]);

/** Merges the axes of every role. */
export function mergeRoles(k: ContractKernel): ContractKernel {
  let merged = k;
  for (const role of ['batch', 'm', 'n', 'k'] as const) {
    const { axes, map } = mergeAxes(merged[role], [
      ...polysOf(merged.a),
      ...polysOf(merged.b),
      ...storePolys(merged),
    ]);
    const mapEx = exMapper(map);
    merged = {
      ...merged,
      [role]: axes,
      a: mapEx(merged.a),
      b: mapEx(merged.b),
      stores: merged.stores.map((s) => mapStore(map, mapEx, s)),
      ...(merged.sums && { sums: merged.sums.map((s) => mapStore(map, mapEx, s)) }),
    };
  }
  return merged;
}

// ---------------------------------------------------------------- costs, in cycles, roughly

/** By how many elements `p` moves along the axis; Infinity where in no simple way. */
const movesBy = (p: Poly, axis: Axis | undefined): number =>
  axis ? Math.abs(stepOf(p, axis.name) ?? Infinity) : 0;

/** Packing one element with the vectors along this axis. */
function packCost(ex: Ex, axis: Axis | undefined, along: PackAlong): number {
  const extent = axis ? (asConstant(axis.extent) ?? guess) : 1;
  const loads = loadsIn(ex);
  const cost = loads.reduce(
    (sum, l) => {
      const step = movesBy(l.offset, axis);
      return sum + (step === 1 ? 0.35 : step === 0 ? 0.2 : step === 2 ? 0.6 : 1.3) + 0.5 * l.guard.length;
    },
    0.3 + 0.1 * loads.length,
  );
  const scalar = 1.5 + 1.2 * loads.length;
  if (along === 'k') return 0.5 + ((extent - (extent % 4)) * cost + (extent % 4) * scalar) / extent;
  // Four lanes that do not lie in one run of the innermost axis are packed one by one.
  const straddling = extent % 4 === 0 ? 0 : Math.min(1, 3 / extent);
  return (1 - straddling) * cost + straddling * scalar;
}

/** What to pack along, and the cost of an element. */
export function cheaper(ex: Ex, lanes: Axis | undefined, k: Axis | undefined): Packing {
  const [x, y] = [packCost(ex, lanes, 'lanes'), packCost(ex, k, 'k')];
  return x <= y ? { along: 'lanes', cost: x } : { along: 'k', cost: y };
}

export function storeCost(k: ContractKernel): number {
  const lanes = k.n.at(-1);
  const offsets = k.stores.flatMap((s) => [s.offset, ...loadsIn(s.value).map((l) => l.offset)]);
  return offsets.reduce((sum, p) => sum + (movesBy(p, lanes) <= 1 ? 0.4 : 1.6), 0.5);
}

interface Packing {
  readonly along: PackAlong;
  /** Of an element. */
  readonly cost: number;
}

interface Candidate {
  readonly kernel: ContractKernel;
  readonly tile: Tile;
  /** Of one k of a strip. */
  readonly strip: number;
  readonly inPlace: InPlace | undefined;
  readonly a: Packing;
  readonly b: Packing;
  readonly cost: number;
}

function candidate(kernel: ContractKernel, tile: Tile, mode: Mode): Candidate {
  const [m, n, k] = [sizeOf(kernel.m), sizeOf(kernel.n), sizeOf(kernel.k)];
  const inPlace = inPlaceOf(kernel);
  const a = inPlace
    ? ({ along: 'k', cost: 0 } as const)
    : cheaper(kernel.a, kernel.m.at(-1), kernel.k.at(-1));
  const b = cheaper(kernel.b, kernel.n.at(-1), kernel.k.at(-1));
  const strip = stripCost(tile.rows, tile.vectors, mode);
  const lanes = 4 * tile.vectors;
  const rest = Math.ceil((n % lanes) / 4);
  const strips = (vectors: number): number => rowsCost(tile, m, vectors, mode);
  const pair = 2 * tile.rows;
  // Two tiles of one vector are computed together.
  const last = rest === 1 ? Math.ceil(m / pair) * stripCost(pair, 1, mode) : rest > 0 ? strips(rest) : 0;
  const multiply = k * (Math.floor(n / lanes) * strips(tile.vectors) + last);
  const cost = multiply + n * k * b.cost + m * k * a.cost + m * n * storeCost(kernel);
  return { kernel, tile, strip, inPlace, a, b, cost };
}

/** The kernel with its roles settled, how to run it, and the cost; undefined when plain loops are better. */
export function planContract(
  kernel: ContractKernel,
  mode: Mode,
): { readonly kernel: ContractKernel; readonly plan: ContractPlan; readonly cost: number } | undefined {
  const [m, n, all] = [known(kernel.m), known(kernel.n), known([...kernel.m, ...kernel.n, ...kernel.k])];
  if (kernel.m.length === 0 || kernel.n.length === 0 || kernel.k.length === 0) return undefined;
  if ([...kernel.m, ...kernel.n, ...kernel.k].some((a) => asConstant(a.extent) === 0)) return undefined;
  if (Math.min(m ?? guess, n ?? guess) <= 2 || (all !== undefined && all < 2048)) return undefined;
  const tiles = tilesFor(mode);
  // What is summed over b stays with n.
  const sides = kernel.sums ? [kernel] : [kernel, swapRoles(kernel)];
  const candidates = sides.flatMap((k) => tiles.map((tile) => candidate(k, tile, mode)));
  const best = candidates.reduce((x, y) => (y.cost < x.cost ? y : x));
  return {
    kernel: best.kernel,
    cost: best.cost,
    plan: {
      tile: best.tile,
      packA: best.a.along,
      inPlace: best.inPlace,
      packB: best.b.along,
      ...(rowBlocks(best) ?? stripBlocks(best)),
    },
  };
}

// ---------------------------------------------------------------- blocks

const wholeK = 1024;
const blockedK = 512;
/** Floats of a packed block of A, which should stay in the second-level cache beside the rest. */
const blockA = 1 << 16;
const resultFloats = 1 << 16;
const unitProducts = 1 << 16;

export const roundUp = (x: number, to: number): number => Math.ceil(x / to) * to;
const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, x));

type Blocks = Pick<ContractPlan, 'order' | 'blockM' | 'blockN' | 'cut' | 'chunk' | 'blockK' | 'single'>;

/** Few blocks are shared out best where there are as many for every thread. */
const evenCount = (blocks: number): number => (blocks > 1 && blocks < 16 ? roundUp(blocks, 2) : blocks);

/** Strip by strip. */
function stripBlocks(candidate: Candidate): Blocks {
  const { kernel: k, tile, b } = candidate;
  const total = known(k.k);
  const lanes = 4 * tile.vectors;
  const [m, n] = [known(k.m), known(k.n)];
  const single = total !== undefined && total <= wholeK;
  const { cut, chunk, blockK } = single ? uncut(k.k, total) : cutOf(k.k, blockedK);
  const most = Math.min(252, rowsInCache(k, tile, b.cost));
  const fits = roundUp(clamp(Math.floor(blockA / blockK), 4 * tile.rows, most), tile.rows);
  const blockM = m === undefined ? fits : roundUp(Math.ceil(m / evenCount(Math.ceil(m / fits))), tile.rows);
  const mostN = single
    ? roundUp(Math.max(1, Math.floor(unitProducts / (blockM * blockK))), lanes)
    : Math.floor(resultFloats / blockM / lanes) * lanes;
  const blockN = Math.max(lanes, Math.min(mostN, 1024 * lanes, roundUp(n ?? Infinity, lanes)));
  const order = 'strips';
  if (single) return { order, blockM, blockN, cut, chunk, blockK, single };
  const [allM, allN] = [sizeOf(k.m), sizeOf(k.n)];
  const parts = partsOf(candidate, allM * candidate.a.cost) / Math.ceil(allM / blockM);
  const shareN = Math.min(blockN, shareOf(allN, parts, lanes));
  const isOne = allM <= blockM && allN <= shareN;
  const partsM = isOne ? partsOf(candidate, allN * candidate.b.cost) : 1;
  const shareM = Math.min(blockM, shareOf(allM, partsM, tile.rows));
  return { order, blockM: shareM, blockN: shareN, cut, chunk, blockK, single };
}

/** Of so many indices, in multiples of the tile. */
const shareOf = (size: number, parts: number, multiple: number): number =>
  roundUp(Math.ceil(size / Math.max(1, parts)), multiple);

/** Floats of a packed block of B that stays while the strips of A pass by. */
const keptB = 1 << 17;
/** Shorter rows are stored strip by strip. */
const longRow = 128;

/**
 * Row by row, where the block of B is small enough to be packed whole: sums of few terms, whose stores are much of the work and
 * then run along whole rows.
 */
function rowBlocks({ kernel: k, tile }: Candidate): Blocks | undefined {
  const [n, total] = [known(k.n), known(k.k)];
  if (n === undefined || k.n.length !== 1 || sizeOf(k.k) > blockedK) return undefined;
  if (n < longRow && touchedBy(k) < 2) return undefined;
  const single = total !== undefined;
  const blockN = roundUp(n, 4 * tile.vectors);
  const { cut, chunk, blockK } = single
    ? uncut(k.k, total)
    : cutOf(k.k, Math.min(blockedK, Math.floor(keptB / blockN)));
  if (blockN * blockK > keptB) return undefined;
  // B is packed once for all blocks of m if k is one block, else for each. Small blocks leave something to share at batch 1.
  const most = single ? (known(k.m) ? 64 : 16) : Math.floor(resultFloats / blockN);
  const units = Math.max(1, Math.ceil(16 / sizeOf(k.batch)));
  const rows = clamp(Math.ceil(sizeOf(k.m) / units), 16, Math.max(16, most));
  const blockM = roundUp(evenShare(k.m, rows), tile.rows);
  return { order: 'rows', blockM, blockN, cut, chunk, blockK, single };
}

/** At most so many rows, as even as can be at batch 1: 28 in blocks of 18 would leave 10 to the other thread. */
function evenShare(m: readonly Axis[], rows: number): number {
  const whole = m.reduce((size, { extent }) => size * (asConstant(extent) ?? 1), 1);
  return whole > rows ? Math.ceil(whole / Math.ceil(whole / rows)) : rows;
}

/** Products of a unit of which nothing is packed. */
const smallUnit = 1 << 17;

/**
 * Blocks of rows where neither operand is packed: small ones cost nothing, and threads share few rows evenly. Rows of C are cut in
 * halves, as 64 rows of A, eleven strips, cannot be.
 */
export function whereNothingIsPacked(k: ContractKernel, plan: ContractPlan): ContractPlan {
  const { order, inPlace, tile, blockK, single } = plan;
  const n = known(k.n);
  if (order !== 'rows' || !inPlace || !single || n === undefined || known(k.m) !== undefined) return plan;
  const blockN = n < longRow ? plan.blockN : roundUp(Math.ceil(n / 2), 4 * tile.vectors);
  return { ...plan, blockN, blockM: roundUp(Math.ceil(smallUnit / (blockN * blockK)), tile.rows) };
}

/** Bytes of the tensors that a strip's stores touch: the next strip finds the other halves of their cache lines. */
const storedBytes = 1 << 14;
const lineBytes = 64;

/** How many tensors the stores touch at other elements for other m. */
function touchedBy(k: ContractKernel): number {
  const axis = k.m.at(-1);
  const moves = (p: Poly): boolean => axis !== undefined && mentions(p, axis.name);
  return new Set(
    k.stores.flatMap((s) => [
      ...(moves(s.offset) ? [s.buffer] : []),
      ...loadsIn(s.value).flatMap((l) => (moves(l.offset) ? [l.buffer] : [])),
    ]),
  ).size;
}

/** What a store or load misses where half a line of cache is gone when its other half is wanted. */
const missCost = 0.5;

/**
 * Rows of a block of which all that the stores touch (a parameter and the states of its optimizer) stays in the first cache.
 * Any number where sums are so long that to pack B for every block costs more.
 */
function rowsInCache(k: ContractKernel, tile: Tile, packB: number): number {
  const touched = touchedBy(k);
  if (touched < 2) return Infinity;
  const rows = Math.max(4, Math.floor(storedBytes / (lineBytes * touched) / tile.rows)) * tile.rows;
  const m = sizeOf(k.m);
  const again = (Math.ceil(m / rows) - 1) * sizeOf(k.k) * packB;
  return again > m * touched * missCost ? Infinity : rows;
}

/** Packing an operand again for every unit may take this part of the time; where there would be one unit only, this for two. */
const repacking = 0.04;
const repackingOfTwo = 0.25;
const worthSharing = 1 << 18;

/**
 * Into how many units a sum of many terms is cut (the gradient of a weight), so that threads can share it. Each unit packs
 * again what all need, which costs so much for one k.
 */
function partsOf({ kernel: k, tile, strip, a, b }: Candidate, again: number): number {
  const [m, n] = [sizeOf(k.m), sizeOf(k.n)];
  const multiply = Math.ceil(m / tile.rows) * Math.ceil(n / (4 * tile.vectors)) * strip;
  const time = multiply + m * a.cost + n * b.cost;
  const fits = (parts: number): boolean =>
    (parts - 1) * again <= (parts > 2 ? repacking : repackingOfTwo) * time &&
    m * n * sizeOf(k.k) >= parts * worthSharing;
  return [8, 4, 2].find(fits) ?? 1;
}

type Cut = Pick<ContractPlan, 'cut' | 'chunk' | 'blockK'>;

/** All of k, of which there are `total`, as one block. */
const uncut = (axes: readonly Axis[], total: number): Cut => ({
  cut: 0,
  chunk: asConstant(axes[0]!.extent)!,
  blockK: total,
});

/** Cuts the k axes so that a block has about `most` indices and its size is known. */
function cutOf(axes: readonly Axis[], most: number): Cut {
  let inner = 1;
  let cut = axes.length - 1;
  for (; cut > 0; cut--) {
    const extent = asConstant(axes[cut]!.extent);
    if (extent === undefined || inner * extent > 2 * most) break;
    inner *= extent;
  }
  const extent = known(axes.slice(0, cut + 1)) ?? Infinity;
  const chunk = Math.min(extent, Math.max(1, Math.floor(most / Math.max(1, inner))));
  return { cut, chunk, blockK: chunk * inner };
}
