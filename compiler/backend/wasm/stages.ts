/**
 * Rows kernels whose stages repeat each other: the exponentials of a softmax are needed for their sum and again for the
 * quotients. They are put where the quotients will go, so that each is computed once.
 */
import type {
  Axis,
  Ex,
  LoadEx,
  MapStage,
  OpEx,
  ReduceStage,
  RowsKernel,
  Stage,
} from '../../kernel/kernel.ts';
import { exKey } from '../../kernel/key.ts';
import { exMapper, exRebuilder } from '../../kernel/rebuild.ts';
import { loadsIn, rootsOf } from '../../kernel/walk.ts';
import { isCostlyOp } from '../../ir/ops.ts';
import type { Poly } from '../../shape/poly.ts';
import { common, equal, mapGuard, substitute, symbol } from '../../shape/poly.ts';
import { mentions } from './transform.ts';

/** The kernel with what a reduction and a later map both compute in a map of its own before them, if there is such a thing. */
export function computeOnce(k: RowsKernel): RowsKernel {
  for (const [r, reduce] of k.stages.entries()) {
    if (reduce.kind !== 'reduce' || reduce.axes.length === 0) continue;
    for (const [m, map] of k.stages.entries()) {
      const made = map.kind === 'map' && m > r ? share(k, r, m, reduce, map) : undefined;
      if (made) return made;
    }
  }
  return k;
}

function share(
  k: RowsKernel,
  r: number,
  m: number,
  reduce: ReduceStage,
  map: MapStage,
): RowsKernel | undefined {
  const [from, to] = [reduce.axes, map.axes];
  if (from.length !== to.length || !from.every((a, i) => equal(a.extent, to[i]!.extent))) return undefined;
  const known = new Set(map.stores.flatMap((s) => costlyParts(s.value)).map(exKey));
  const renamed = exMapper(renaming(from, to));
  const values = reduce.reductions.map((x) => renamed(x.value));
  const shared = values.flatMap(costlyParts).find((ex) => known.has(exKey(ex)));
  const target = map.stores.find(
    (s) => s.value.dtype === 'f32' && to.every((a) => mentions(s.offset, a.name)),
  );
  if (!shared || shared.dtype !== 'f32' || !target) return undefined;
  const { buffer, offset } = target;
  const kept: LoadEx = { kind: 'load', dtype: 'f32', buffer, offset, guard: [], fill: 0, data: [] };
  const key = exKey(shared);
  const load = exRebuilder((ex) =>
    ex.kind === 'op' && ex.fn === shared.fn && exKey(ex) === key ? kept : ex,
  );
  const sums = values.map(load);
  const stores = map.stores.map((s) => ({ ...s, value: load(s.value) }));
  const others = k.stages.slice(r + 1).filter((s) => s !== map);
  const place = k.buffers[buffer]!.buffer;
  const isThere = (b: number): boolean => k.buffers[b]!.buffer === place;
  const readThere = (ex: Ex): boolean => loadsIn(ex).some((l) => l !== kept && isThere(l.buffer));
  const early = loadsIn(shared).filter((l) => isThere(l.buffer));
  const isSafe =
    early.every((l) => l.guard.length === 0 && equal(l.offset, offset)) &&
    ![...sums, ...stores.map((s) => s.value), ...others.flatMap(rootsOf)].some(readThere) &&
    others.every((s) => s.kind === 'reduce' || !s.stores.some((x) => isThere(x.buffer)));
  if (!isSafe) return undefined;
  const back = exMapper(renaming(to, from));
  // Needed where either of the two computes something.
  const live = common(map.live ?? [], mapGuard(reduce.live ?? [], renaming(from, to)));
  const needed = live.length > 0 && { live };
  const before: Stage = { kind: 'map', axes: to, stores: [{ buffer, offset, value: shared }], ...needed };
  const changed = (stage: Stage, i: number): Stage[] => {
    if (i === m) return [{ ...map, stores }];
    if (i !== r) return [stage];
    return [
      before,
      { ...reduce, reductions: reduce.reductions.map((x, j) => ({ ...x, value: back(sums[j]!) })) },
    ];
  };
  return { ...k, stages: k.stages.flatMap(changed) };
}

/** Operations that cost much, and what is computed from them; outermost first. */
function costlyParts(ex: Ex): OpEx[] {
  const found: OpEx[] = [];
  const seen = new Map<Ex, boolean>();
  const visit = (e: Ex): boolean => {
    const known = seen.get(e);
    if (known !== undefined) return known;
    seen.set(e, false);
    if (e.kind !== 'op') return false;
    const at = found.length;
    const isPart = [isCostlyOp(e.fn), ...e.args.map(visit)].some((x) => x);
    if (isPart) found.splice(at, 0, e);
    seen.set(e, isPart);
    return isPart;
  };
  visit(ex);
  return found;
}

const renaming =
  (from: readonly Axis[], to: readonly Axis[]) =>
  (p: Poly): Poly =>
    substitute(p, (s) => {
      const i = from.findIndex((a) => a.name === s);
      return i < 0 ? undefined : symbol(to[i]!.name);
    });
