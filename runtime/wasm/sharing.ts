/** Which dispatches of a run threads share, and in how many pieces: what is shared too small costs more than it spares. */
import type { Plan } from '../../compiler/plan.ts';
import type { Dims } from '../device.ts';
import { runsOf } from '../loops.ts';
import { evalSize } from '../size.ts';
import type { StepShape } from './threads.ts';

/** Operations from which threads share a run, and of it the dispatches of so many: fewer are faster on one. */
export const shareRuns = 600_000;
const shareDispatches = 100_000;
/** The same beside a dispatch that is shared: threads meet there anyway. */
const shareBeside = 30_000;
/** Operations of a piece, of which a thread takes some at a time: a few microseconds. */
const pieceOperations = 100_000;

/** A run of a plan with these dims. `shareFrom`: operations from which threads share one. */
export function stepShape(plan: Plan, dims: Dims, shareFrom: number): StepShape {
  const specials = plan.dispatches.filter((d) => d.special);
  const chosen = plan.dispatches.map(({ special, units }, i) =>
    special && dims[special.dim] === special.value
      ? { units: special.units, entry: plan.dispatches.length + specials.indexOf(plan.dispatches[i]!) }
      : { units, entry: i },
  );
  const work = plan.dispatches.map((d) => evalSize(d.work ?? d.flops, dims));
  const runs = runsOf(plan, dims);
  const total = work.reduce((sum, w, i) => sum + w * runs[i]!, 0);
  const units = chosen.map((c) => evalSize(c.units, dims));
  const isWorth = (i: number, from: number): boolean =>
    total >= shareFrom && units[i]! > 1 && work[i]! >= Math.min(shareFrom, from);
  const large = units.map((_, i) => isWorth(i, shareDispatches));
  return {
    dims: plan.dims.map((d) => dims[d]!),
    units,
    shared: large.map((is, i) => is || ((large[i - 1] || large[i + 1]) === true && isWorth(i, shareBeside))),
    pieces: work.map((w) => Math.ceil(w / pieceOperations)),
    which: chosen.map((c) => c.entry),
    loops: plan.loops.map(({ begin, end, count }) => ({ begin, end, times: evalSize(count, dims) })),
  };
}
