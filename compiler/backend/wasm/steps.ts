/**
 * Maps that compute a costly function of something costly that they store as well, as the gates of an LSTM do: first the
 * cell, then its hyperbolic tangent. Both chains of instructions are long, and a processor sees only one or two elements ahead;
 * in a loop of its own each is done for many elements at once.
 */
import type { Ex, LoadEx, MapStage, OpEx, RowsKernel, Store } from '../../kernel/kernel.ts';
import { exKey } from '../../kernel/key.ts';
import { exRebuilder } from '../../kernel/rebuild.ts';
import { loadsIn } from '../../kernel/walk.ts';
import { isCostlyOp } from '../../ir/ops.ts';

/** The kernel with what needs costly values that are stored in a second stage, which loads them, if it is such a map. */
export function inSteps(k: RowsKernel): RowsKernel {
  const [stage, ...others] = k.stages;
  if (stage?.kind !== 'map' || stage.axes.length > 0 || others.length > 0) return k;
  const isCostly = within(isCostlyEx);
  const isNested = within((ex) => isCostlyEx(ex) && ex.args.some(isCostly));
  if (stage.stores.length < 2 || !stage.stores.some((s) => isNested(s.value))) return k;
  const one = oneOfEach();
  const stages = split(k, { ...stage, stores: stage.stores.map((s) => ({ ...s, value: one(s.value) })) });
  return stages ? { ...k, stages } : k;
}

const isCostlyEx = (ex: Ex): ex is OpEx => ex.kind === 'op' && isCostlyOp(ex.fn);

function split(k: RowsKernel, stage: MapStage): readonly MapStage[] | undefined {
  const isCostly = within(isCostlyEx);
  const isF32 = ({ buffer, value }: Store): boolean =>
    value.kind === 'op' && value.dtype === 'f32' && k.buffers[buffer]!.dtype === 'f32';
  const kept = new Map(stage.stores.flatMap((s) => (isF32(s) && isCostly(s.value) ? [[s.value, s]] : [])));
  const holdsKept = within((ex) => kept.has(ex));
  const isLate = within((ex) => isCostlyEx(ex) && ex.args.some(holdsKept));
  const [early, late] = [false, true].map((when) => stage.stores.filter((s) => isLate(s.value) === when));
  if (!early || !late || late.length === 0) return undefined;

  const loads = new Map<Ex, LoadEx>();
  for (const { buffer, offset, value } of early)
    if (kept.has(value))
      loads.set(value, { kind: 'load', dtype: 'f32', buffer, offset, guard: [], fill: 0, data: [] });
  const load = replacing(loads);
  const stores = late.map((s) => ({ ...s, value: load(s.value) }));
  const place = (buffer: number): number => k.buffers[buffer]!.buffer;
  const written = new Set(early.map((s) => place(s.buffer)));
  const own = new Set(loads.values());
  const isGone = (l: LoadEx): boolean => !own.has(l) && written.has(place(l.buffer));
  const isSafe = stores.every((s) => !written.has(place(s.buffer)) && !loadsIn(s.value).some(isGone));
  return isSafe
    ? [
        { ...stage, stores: early },
        { ...stage, stores },
      ]
    : undefined;
}

/** Whether an expression or an operand of it, at any depth, is one of those. */
function within(is: (ex: Ex) => boolean): (ex: Ex) => boolean {
  const known = new Map<Ex, boolean>();
  const visit = (ex: Ex): boolean => {
    const found = known.get(ex) ?? (is(ex) || (ex.kind === 'op' && ex.args.some(visit)));
    known.set(ex, found);
    return found;
  };
  return visit;
}

/** Makes expressions that say the same one object. */
function oneOfEach(): (ex: Ex) => Ex {
  const made = new Map<string, Ex>();
  const numbers = new Map<Ex, number>();
  return exRebuilder((ex) => {
    const key =
      ex.kind === 'op'
        ? `${ex.fn} ${ex.dtype} ${ex.args.map((arg) => numbers.get(arg)).join(' ')}`
        : exKey(ex);
    const known = made.get(key) ?? ex;
    made.set(key, known);
    if (known === ex) numbers.set(ex, numbers.size);
    return known;
  });
}

/** Puts others in the place of some expressions; what is shared stays shared. */
function replacing(by: ReadonlyMap<Ex, Ex>): (ex: Ex) => Ex {
  const made = new Map<Ex, Ex>(by);
  const visit = (ex: Ex): Ex => {
    const known = made.get(ex);
    if (known) return known;
    const changed = ex.kind === 'op' ? { ...ex, args: ex.args.map(visit) } : ex;
    made.set(ex, changed);
    return changed;
  };
  return visit;
}
