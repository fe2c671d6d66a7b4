/** Operands of contractions that are windows sliding over an image, which a target copies with their halo as it uses them. */
import { resultIndex } from '../ir/indices.ts';
import type { WindowRule } from '../kernel/window.ts';
import { add, asConstant, one, subtract, symbolsOf, type Poly } from '../shape/poly.ts';
import type { Contraction } from './contract.ts';
import { isUnit } from './reads.ts';

const mentions = (e: Poly, axis: number): boolean => symbolsOf(e).has(`$${axis}`);

/** Whether `side` of a contraction over `shape` is a guarded view of an image that such windows slide over. */
export function isWindow(
  found: Contraction,
  side: 'a' | 'b',
  shape: readonly Poly[],
  rule: WindowRule | undefined,
): boolean {
  const view = found[side];
  const [image] = view.inputs;
  if (!rule || view.op !== 'view' || !image || image.op === 'view' || view.inputs.length > 1) return false;
  const [own, others] = side === 'a' ? [found.m, found.n] : [found.n, found.m];
  const pairs = view.index.map((e, i) =>
    isUnit(image.shape[i]) ? undefined : slidingOf(e, own, found.k, shape, rule),
  );
  const used = pairs.flatMap((p) => p ?? []);
  const isAlone = used.every((axis) => view.index.filter((e) => mentions(e, axis)).length === 1);
  if (used.length !== 4 || !isAlone || !pairs.at(-1)) return false;
  const extents = (axes: readonly number[]): number | undefined =>
    axes.reduce<number | undefined>((n, i) => {
      const extent = asConstant(shape[i] ?? one);
      return used.includes(i) ? n : n && extent && n * extent;
    }, 1);
  const tiles = pairs.reduce((n, p) => (p ? n * Math.ceil(asConstant(shape[p[0]]!)! / 2) : n), 1);
  const [channels, results] = [extents(found.k), extents(others)];
  if (channels === undefined || results === undefined) return false;
  return Math.min(channels, results) >= rule.depth && tiles * (extents(own) ?? Infinity) >= rule.tiles;
}

/** The axis of results and the tap that an index is the sum or difference of, and a constant. */
function slidingOf(
  e: Poly,
  own: readonly number[],
  k: readonly number[],
  shape: readonly Poly[],
  rule: WindowRule,
): readonly [number, number] | undefined {
  const extent = (i: number): number => asConstant(shape[i] ?? one) ?? 0;
  const slide = own.find((i) => mentions(e, i));
  const tap = k.find((i) => mentions(e, i));
  if (slide === undefined || tap === undefined) return undefined;
  if (extent(slide) < rule.extent || extent(tap) !== rule.taps) return undefined;
  const rest = subtract(e, resultIndex(slide));
  const isPlain = [subtract, add].some((by) => asConstant(by(rest, resultIndex(tap))) !== undefined);
  return isPlain ? [slide, tap] : undefined;
}
