/**
 * Index expressions of nodes: the symbols they are over, and their conditions, simplified by the ranges of the indices.
 */
import type { Condition, Poly, Ranges } from '../shape/poly.ts';
import {
  add,
  asConstant,
  conditionKey,
  floorDivide,
  isFlat,
  isNonNegative,
  multiply,
  one,
  soleAtom,
  substitute,
  subtract,
  symbol,
  zero,
} from '../shape/poly.ts';

/** Name of the i-th result index in views, index nodes and scatters; of the i-th data index. */
export const resultIndex = (i: number): Poly => resultIndices[i] ?? symbol(`$${i}`);
export const dataIndex = (i: number): Poly => symbol(`@${i}`);
const resultIndices: readonly Poly[] = Array.from({ length: 12 }, (_, i) => symbol(`$${i}`));

/** Replaces `$0, $1, …` by the given expressions. */
export const atIndices = (p: Poly, indices: readonly Poly[]): Poly =>
  substitute(p, (name) => (name.startsWith('$') ? indices[Number(name.slice(1))] : undefined));

/** Ranges of the result indices of a shape. */
export const rangesOf = (shape: readonly Poly[]): Map<string, Poly> =>
  new Map(shape.map((d, i) => [`$${i}`, d]));

/** The index of a dimension; 0 where the dimension is 1, so that equal views have equal keys. */
export function indexAt(i: number, shape: readonly Poly[]): Poly {
  const d = shape[i];
  return d && asConstant(d) === 1 ? zero : resultIndex(i);
}

/** The expression over the result indices of `shape`, simplified by their ranges; the index of a dimension of 1 is 0. */
export function simplifyOver(e: Poly, shape: readonly Poly[]): Poly {
  if (isFlat(e) && !shape.some((d) => asConstant(d) === 1)) return e;
  const single = new Map<string, Poly>(
    shape.flatMap((d, i) => (asConstant(d) === 1 ? [[`$${i}`, zero] as const] : [])),
  );
  return substitute(e, (name) => single.get(name), rangesOf(shape));
}

/** The conditions that are left to test, in one order; undefined when they can never hold together. */
export function simplifyGuard(
  guard: readonly Condition[],
  shape: readonly Poly[],
): readonly Condition[] | undefined {
  if (guard.length === 0) return guard;
  const ranges = rangesOf(shape);
  const kept = new Map<string, Condition>();
  for (const c of guard) {
    const condition = withoutDivision({ kind: c.kind, value: simplifyOver(c.value, shape) });
    if (isImpossible(condition, ranges)) return undefined;
    if (!isCertain(condition, ranges)) kept.set(conditionKey(condition), condition);
  }
  return [...kept].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, c]) => c);
}

/** `k + (u div d) >= 0` as `u + k*d >= 0`, `k - (u div d) >= 0` as `k*d + d - 1 - u >= 0`; no common factor. */
function withoutDivision({ kind, value }: Condition): Condition {
  for (const t of value.terms) {
    const [f, another] = t.factors;
    if (kind === 'eq' || f?.kind !== 'div' || another || Math.abs(t.coefficient) !== 1) continue;
    const quotient = floorDivide(f.a, f.b);
    if (soleAtom(quotient)?.key !== f.key) continue;
    const rest = t.coefficient > 0 ? subtract(value, quotient) : add(value, quotient);
    const whole = multiply(rest, f.b);
    const unfolded = t.coefficient > 0 ? add(whole, f.a) : subtract(add(whole, f.b, -1), f.a);
    return withoutDivision({ kind, value: unfolded });
  }
  const common = value.terms
    .filter((t) => t.factors.length > 0)
    .reduce((g, t) => greatestCommon(g, Math.abs(t.coefficient)), 0);
  const divisible = kind === 'ge' || value.terms.every((t) => t.coefficient % common === 0);
  return common > 1 && divisible ? { kind, value: floorDivide(value, common) } : { kind, value };
}

const greatestCommon = (a: number, b: number): number => (b === 0 ? a : greatestCommon(b, a % b));

/** Proved to hold everywhere in the ranges. */
const isCertain = ({ kind, value }: Condition, ranges: Ranges): boolean =>
  kind === 'ge' ? isNonNegative(value, ranges) : asConstant(value) === 0;

/** Proved to hold nowhere in the ranges. */
function isImpossible({ kind, value }: Condition, ranges: Ranges): boolean {
  const below = isNonNegative(subtract(-1, value), ranges);
  return below || (kind === 'eq' && isNonNegative(subtract(value, one), ranges));
}
