/** The shape of a contraction's tiles: how a workgroup's invocations share rows, columns and the contracted axis. */
import type { ContractKernel } from '../../kernel/kernel.ts';
import { asConstant, evaluate, one } from '../../shape/poly.ts';
import type { Poly } from '../../shape/poly.ts';
import { countOf } from './axes.ts';
import type { WgslLimits } from './shader.ts';

/** Numbers of invocations are powers of two. */
export interface Tile {
  /** Invocations along m and n, and accumulators each has along them. */
  readonly threadsM: number;
  readonly threadsN: number;
  readonly perM: number;
  readonly perN: number;
  /** Invocations that share one accumulator, each taking its part of every slice of k. */
  readonly threadsK: number;
  /** Steps of k in workgroup memory at a time. */
  readonly depth: number;
}

export const rowsOf = (t: Tile): number => t.threadsM * t.perM;
export const columnsOf = (t: Tile): number => t.threadsN * t.perN;
export const invocationsOf = (t: Tile): number => t.threadsM * t.threadsN * t.threadsK;

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const size = (p: Poly): number => asConstant(p) ?? Infinity;

/** Invocations and accumulators each for an extent: [8, 4] where it is large. */
function side(extent: number): [threads: number, per: number] {
  if (extent <= 4) return [1, extent <= 1 ? 1 : extent <= 2 ? 2 : 4];
  return [extent <= 8 ? 2 : extent <= 16 ? 4 : 8, 4];
}

const INVOCATIONS = 64;
/** Fewer workgroups leave a GPU idle: then more invocations share the contracted axis. */
const FEW_GROUPS = 32;

export function chooseTile(kernel: ContractKernel, limits: WgslLimits): Tile {
  const { parts } = kernel;
  const [m, n, k] = [countOf(kernel.m), countOf(kernel.n), parts?.length ?? countOf(kernel.k)].map(size) as [
    number,
    number,
    number,
  ];
  const [leastM, perM] = side(m);
  const [leastN, perN] = side(n);
  let [threadsM, threadsN] = [leastM, leastN];
  while (threadsM * threadsN < INVOCATIONS && (m > threadsM * perM || n > threadsN * perN)) {
    if (m > threadsM * perM) threadsM *= 2;
    else threadsN *= 2;
  }
  const shape = { threadsM, threadsN, perM, perN };
  const tiles = Math.ceil(m / (threadsM * perM)) * Math.ceil(n / (threadsN * perN));
  const groups = tiles * size(countOf(kernel.batch)) * size(parts?.axis.extent ?? one);
  const wanted = k >= 256 && groups < FEW_GROUPS ? limits.workgroupSize : k >= 32 ? INVOCATIONS : 1;
  const threadsK = Math.max(1, Math.floor(wanted / (threadsM * threadsN)));
  return { ...shape, threadsK, depth: depthOf({ ...shape, threadsK, depth: 16 }, limits) };
}

/** More are seldom worth the time to try them. */
const MOST_TILES = 4;

/**
 * The tiles worth trying: the chosen one first, then others that fit, those of the least estimated time first. The estimate
 * takes an unknown extent to be `TYPICAL`.
 */
export function tilesOf(kernel: ContractKernel, limits: WgslLimits): readonly Tile[] {
  const first = chooseTile(kernel, limits);
  const { threadsM, threadsN, threadsK, depth } = first;
  const others: Partial<Tile>[] = [
    { depth: depth * 2 },
    { threadsM: threadsM * 2, threadsN: threadsN * 2, threadsK: Math.max(1, threadsK / 4) },
    { threadsM: threadsM / 2, threadsK: threadsK * 2 },
    { threadsN: threadsN / 2, threadsK: threadsK * 2 },
    { threadsK: threadsK / 2 },
    { threadsK: threadsK * 2 },
  ];
  const fits = (t: Tile): boolean =>
    [t.threadsM, t.threadsN, t.threadsK].every((n) => n >= 1) &&
    invocationsOf(t) >= 32 &&
    invocationsOf(t) <= limits.workgroupSize &&
    t.depth >= t.threadsK &&
    memoryOf(t) <= limits.workgroupMemory;
  const ranked = others
    .map((change): Tile => ({ ...first, ...change }))
    .filter(fits)
    .map((tile) => ({ tile, cost: costOf(tile, kernel) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ tile }) => tile);
  return [first, ...ranked.slice(0, MOST_TILES - 1)];
}

const TYPICAL = 64;
/** Invocations that a GPU runs at once, about; what a barrier costs, in multiplications of one invocation. */
const AT_ONCE = 16384;
const BARRIER = 64;

/**
 * Time in multiplications of one invocation: the slices of k that a workgroup goes through, each with its loads, products and
 * barriers, as often as the device has to begin anew.
 */
function costOf(tile: Tile, { batch, m, n, k, parts }: ContractKernel): number {
  const extent = (p: Poly): number => evaluate(p, () => TYPICAL);
  const invocations = invocationsOf(tile);
  const tiles =
    Math.ceil(extent(countOf(m)) / rowsOf(tile)) * Math.ceil(extent(countOf(n)) / columnsOf(tile));
  const groups = tiles * extent(countOf(batch)) * extent(parts?.axis.extent ?? one);
  const slices = Math.ceil(extent(parts?.length ?? countOf(k)) / tile.depth);
  const loads = ((rowsOf(tile) + columnsOf(tile)) * tile.depth) / invocations;
  const products = (tile.depth / tile.threadsK) * (tile.perM * tile.perN + tile.perM + tile.perN);
  const rounds = Math.max(1, (groups * invocations) / AT_ONCE);
  return rounds * (slices * (4 * loads + products + BARRIER) + tile.threadsK * tile.perM * tile.perN);
}

/** 16 steps, or 4 for each of several invocations, as far as they fit beside what adding up needs. */
function depthOf(tile: Tile, limits: WgslLimits): number {
  let depth = Math.max(16, 4 * tile.threadsK);
  while (depth > tile.threadsK && memoryOf({ ...tile, depth }) > limits.workgroupMemory) depth /= 2;
  return depth;
}

/** Bytes of workgroup memory; tiles are padded by up to a vector a step against bank conflicts. */
export function memoryOf(tile: Tile): number {
  const adding = tile.threadsK > 1 ? invocationsOf(tile) * tile.perN : 0;
  return 4 * ((rowsOf(tile) + 4 + columnsOf(tile) + 4) * tile.depth + adding);
}
