/** Dispatches before loops, which fill what a loop reads prepared in every iteration: plans with these among the others. */
import type { Preparation } from './backend/wasm/index.ts';
import type { Dispatch, Plan, PlanBuffer } from './plan.ts';

type Order = Pick<Plan, 'dispatches' | 'loops' | 'buffers'>;

/** `plan` with a dispatch for each of these before its loop, and all that counts dispatches moved on. */
export function withPreparations<P extends Order>(plan: P, preparations: readonly Preparation[]): P {
  const { dispatches, loops, buffers } = plan;
  const inserted = preparations
    .flatMap((p) =>
      p.moment === 'start' ? [] : [{ loop: p.moment, made: dispatchOf(p, dispatches[p.kernel]!) }],
    )
    .sort((a, b) => a.loop - b.loop);
  const beginOf = (loop: number): number => loops[loop]!.begin;
  /** Where what was at `index` is then. */
  const moved = (index: number): number => index + inserted.filter((i) => beginOf(i.loop) <= index).length;
  // What comes before a loop inside of another that begins there, too, belongs to the other.
  const isBefore = (i: { readonly loop: number }, loop: number): boolean =>
    beginOf(i.loop) < beginOf(loop) || (beginOf(i.loop) === beginOf(loop) && i.loop <= loop);
  return {
    ...plan,
    dispatches: dispatches.flatMap((d, at) => [
      ...inserted.flatMap((i) => (beginOf(i.loop) === at ? [i.made] : [])),
      d,
    ]),
    loops: loops.map((l, at) => ({
      ...l,
      begin: l.begin + inserted.filter((i) => isBefore(i, at)).length,
      end: l.end + inserted.filter((i) => beginOf(i.loop) < l.end).length,
    })),
    buffers: buffers.map((b) => ({ ...b, place: placeOf(b, moved) })),
  };
}

function placeOf({ place }: PlanBuffer, moved: (index: number) => number): PlanBuffer['place'] {
  if (place.kind === 'store') return place;
  return { ...place, first: moved(place.first), last: moved(place.last) };
}

const dispatchOf = ({ entry, units, work }: Preparation, of: Dispatch): Dispatch => ({
  name: entry,
  entry,
  buffers: of.buffers,
  units,
  flops: 0,
  work,
  prepares: of.name,
});
