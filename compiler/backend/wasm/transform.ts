/** Rewrites of kernels before code is made: unit axes dropped, axes merged, what the index expressions say of them. */
import type { Axis } from '../../kernel/kernel.ts';
import type { PolyMap } from '../../kernel/rebuild.ts';
import type { Condition, Poly } from '../../shape/poly.ts';
import {
  asConstant,
  floorDivide,
  floorMod,
  linearIn,
  multiply,
  subtract,
  substitute,
  symbol,
  symbolsOf,
  zero,
} from '../../shape/poly.ts';

/** Indices from `from` to `to` - 1. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Where a condition on this index alone holds. */
export function rangeWhere({ kind, value }: Condition, index: string): Range | undefined {
  const linear = kind === 'ge' ? linearIn(value, index) : undefined;
  const [by, rest] = [linear && asConstant(linear.coefficient), linear && asConstant(linear.rest)];
  if (!by || rest === undefined) return undefined;
  return by > 0
    ? { from: Math.ceil(-rest / by), to: Infinity }
    : { from: -Infinity, to: Math.floor(rest / -by) + 1 };
}

/** A list of axes after merging, and what it did to index expressions. */
export interface Merged {
  readonly axes: readonly Axis[];
  readonly map: PolyMap;
}

/**
 * Drops axes of extent 1 and joins neighbours `a, b` into one axis (named `b`) wherever none of the index expressions
 * tells them apart: b := b - a * extent(b) makes `a` vanish everywhere. Others (what is live) may: `map` takes the two
 * apart again there, a := b div extent(b) and b := b mod extent(b).
 */
export function mergeAxes(axes: readonly Axis[], polys: readonly Poly[]): Merged {
  const steps: PolyMap[] = [];
  let current = [...polys];
  const apply = (step: PolyMap): void => {
    steps.push(step);
    current = current.map(step);
  };
  const units = new Set(axes.filter((a) => asConstant(a.extent) === 1).map((a) => a.name));
  if (units.size > 0) apply((p) => substitute(p, (s) => (units.has(s) ? zero : undefined)));
  const kept: Axis[] = [];
  for (const axis of axes) {
    if (units.has(axis.name)) continue;
    const outer = kept.at(-1);
    const step = outer && joinStep(outer, axis, current);
    if (!step) {
      kept.push(axis);
      continue;
    }
    apply(step);
    kept[kept.length - 1] = { name: axis.name, extent: multiply(outer.extent, axis.extent) };
  }
  return { axes: kept, map: (p) => steps.reduce((q, step) => step(q), p) };
}

function joinStep(outer: Axis, inner: Axis, polys: readonly Poly[]): PolyMap | undefined {
  const index = symbol(inner.name);
  const replacement = subtract(index, multiply(symbol(outer.name), inner.extent));
  const joined: PolyMap = (p) =>
    mentions(p, outer.name) || mentions(p, inner.name)
      ? substitute(p, (s) => (s === inner.name ? replacement : undefined))
      : p;
  const isApart = (p: Poly): boolean => mentions(p, outer.name);
  if (polys.some((p) => isApart(joined(p)))) return undefined;
  const apart = new Map([
    [outer.name, floorDivide(index, inner.extent)],
    [inner.name, floorMod(index, inner.extent)],
  ]);
  return (p) => {
    const merged = joined(p);
    return isApart(merged) ? substitute(p, (s) => apart.get(s)) : merged;
  };
}

export const mentions = (p: Poly, name: string): boolean => symbolsOf(p).has(name);
