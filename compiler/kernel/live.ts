/** Conditions of which products of a contraction count, by role: what backends need to leave out blocks. */
import type { Condition, Poly } from '../shape/poly.ts';
import { asConstant, linearIn, symbolsOf } from '../shape/poly.ts';
import type { Axis } from './kernel.ts';

/** `constant + m * index of m + n * index of n + k * index of k >= 0`; k is -1, 0 or 1. */
export interface LiveBound {
  readonly constant: Poly;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

type Roles = Readonly<Record<'m' | 'n' | 'k', readonly Axis[]>>;

/** Those of the conditions that are over roles of one axis; the constant is over dimensions, and axes of no role. */
export function liveBounds(conditions: readonly Condition[], roles: Roles): readonly LiveBound[] {
  const axes = new Set([...roles.m, ...roles.n, ...roles.k].map((a) => a.name));
  return conditions.flatMap(({ value }) => {
    let rest = value;
    const times = { m: 0, n: 0, k: 0 };
    for (const role of ['m', 'n', 'k'] as const) {
      const [axis, ...more] = roles[role];
      const linear = axis && more.length === 0 ? linearIn(rest, axis.name) : undefined;
      if (!linear) continue;
      times[role] = asConstant(linear.coefficient) ?? 0;
      rest = linear.rest;
    }
    return [...symbolsOf(rest)].some((s) => axes.has(s)) ? [] : [{ constant: rest, ...times }];
  });
}
