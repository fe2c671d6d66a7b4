/** Rows of which not all elements count: a stage with `live` runs over those that do, in whole vectors. */
import type { Axis, MapStage, ReduceStage } from '../../kernel/kernel.ts';
import { liveBounds } from '../../kernel/live.ts';
import type { Poly } from '../../shape/poly.ts';
import { negate } from '../../shape/poly.ts';
import type { I32 } from './encoder.ts';
import { i32, maxI32, minI32 } from './instr.ts';
import type { Bounds, Loops } from './loops.ts';
import type { Lowering } from './lower.ts';

/** The elements along the axis that a grid point needs; undefined where nothing bounds them. */
export function liveRun(
  { axes, live = [] }: MapStage | ReduceStage,
  axis: Axis,
  lower: Lowering,
  loops: Loops,
): Bounds | undefined {
  if (axes.length !== 1) return undefined;
  const whole = loops.whole(axis);
  let { from, to } = whole;
  for (const { constant, k } of liveBounds(live, { m: [], n: [], k: axes })) {
    if (k > 0) from = lower.keep(maxI32(from, rounded(lower, negate(constant), 0)));
    if (k < 0) to = lower.keep(minI32(to, rounded(lower, constant, 4)));
  }
  if (from === whole.from && to === whole.to) return undefined;
  from = lower.keep(minI32(from, whole.to));
  return { from, to: lower.keep(maxI32(from, to)) };
}

/** The multiple of four at or below an index, or the one behind it. */
const rounded = (lower: Lowering, index: Poly, more: number): I32 =>
  lower.keep(i32.and(lower.keep(i32.add(lower.poly(index), i32.const(more))), i32.const(-4)));
