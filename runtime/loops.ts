/** The order in which a plan's dispatches run, with its loops. */
import type { Plan, PlanLoop } from '../compiler/plan.ts';
import type { Dims } from './device.ts';
import { evalSize } from './size.ts';

/** A loop of a plan whose dimensions are bound. */
export type BoundLoop = Pick<PlanLoop, 'begin' | 'end'> & { readonly times: number };

/**
 * Calls `dispatch` for every run of a dispatch, in order, and before it `enter` for each loop that begins an iteration
 * (counted from 1), by its number among `loops`.
 */
export function inOrder(
  count: number,
  loops: readonly BoundLoop[],
  enter: (loop: number, iteration: number) => void,
  dispatch: (dispatch: number) => void,
): void {
  const run = (from: number, to: number, outer: number): void => {
    let loop = outer;
    for (let d = from; d < to;) {
      while (loop < loops.length && loops[loop]!.begin < d) loop++;
      const here = loops[loop];
      if (here?.begin !== d) dispatch(d++);
      else {
        for (let i = 1; i <= here.times; i++) {
          enter(loop, i);
          run(d, here.end, loop + 1);
        }
        loop++;
        d = here.end;
      }
    }
  };
  run(0, count, 0);
}

/** How often a run of the plan runs each of its dispatches. */
export const runsOf = (plan: Plan, dims: Dims): number[] =>
  plan.dispatches.map((_, i) =>
    plan.loops.filter((l) => l.begin <= i && i < l.end).reduce((n, l) => n * evalSize(l.count, dims), 1),
  );
