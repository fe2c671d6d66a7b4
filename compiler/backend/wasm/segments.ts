/**
 * Maps that read several tensors side by side (a concatenation, the gradient of slices): instead of asking of every element in
 * which of them it lies, the axis is cut where the answer changes, and each segment is a map of its own. Where what is left
 * divides an index by a constant (heads of an attention, laid side by side), the axis is split into quotient and remainder.
 */
import type { Axis, Ex, MapStage, RowsKernel } from '../../kernel/kernel.ts';
import { exMapper, exRebuilder, mapStore } from '../../kernel/rebuild.ts';
import { loadsIn, polysOfStores, rootsOf } from '../../kernel/walk.ts';
import type { Poly, Ranges } from '../../shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  isNonNegative,
  negate,
  scale,
  soleAtom,
  substitute,
  symbol,
} from '../../shape/poly.ts';
import { mentions, rangeWhere } from './transform.ts';

/** As many copies of the code are made at most. */
const mostSegments = 8;

/** The kernel with an axis cut where several of its loads begin or end, if it is a map that has one. */
export function cutAtGuards(k: RowsKernel): RowsKernel {
  const [stage, ...others] = k.stages;
  if (stage?.kind !== 'map' || stage.axes.length > 0 || others.length > 0 || k.grid.length < 2) return k;
  for (const axis of k.grid) {
    const cuts = cutsOf(axis, stage);
    if (!cuts) continue;
    const rest = k.grid.filter((a) => a !== axis);
    const ranges = new Map(rest.map((a) => [a.name, a.extent]));
    const stages = cuts.slice(1).map((to, i) => segment(stage, axis, [cuts[i]!, to], ranges));
    return { ...k, grid: rest, stages: stages.map((s) => splitAxis(s, ranges)) };
  }
  return k;
}

/** Where segments begin, and the end of the last; undefined where fewer than two loads are kept out of some of them. */
function cutsOf(axis: Axis, stage: MapStage): readonly number[] | undefined {
  const extent = asConstant(axis.extent);
  if (extent === undefined) return undefined;
  const loads = new Set(rootsOf(stage).flatMap(loadsIn));
  const cuts = new Set<number>([0, extent]);
  let kept = 0;
  for (const { guard } of loads) {
    const own = guard.flatMap((c) => {
      const { from, to } = rangeWhere(c, axis.name) ?? { from: 0, to: extent };
      return [from, to].filter((cut) => cut > 0 && cut < extent);
    });
    if (own.length > 0) kept++;
    for (const cut of own) cuts.add(cut);
  }
  const sorted = [...cuts].sort((x, y) => x - y);
  return kept > 1 && sorted.length - 1 <= mostSegments ? sorted : undefined;
}

/** The stage for indices `from` to `to` - 1, as an inner axis. `others`: ranges of the other axes. */
function segment(
  stage: MapStage,
  axis: Axis,
  [from, to]: readonly [number, number],
  others: Ranges,
): MapStage {
  const inner: Axis = { name: `${axis.name} from ${from}`, extent: constant(to - from) };
  const ranges = new Map([...others, [inner.name, inner.extent]]);
  const moved = add(symbol(inner.name), from);
  const map = (p: Poly): Poly =>
    mentions(p, axis.name) ? substitute(p, (s) => (s === axis.name ? moved : undefined), ranges) : p;
  const [mapEx, fold] = [exMapper(map), exRebuilder((ex) => folded(ex, ranges))];
  const stores = stage.stores.map((s) => mapStore(map, (ex) => fold(mapEx(ex)), s));
  return { ...stage, axes: [inner], stores };
}

/** Without loads that are kept out of the whole segment, conditions that hold in all of it, and sums with 0. */
function folded(ex: Ex, ranges: Ranges): Ex {
  if (ex.kind === 'op' && ex.fn === 'add') {
    const rest = ex.args.filter((arg) => !(arg.kind === 'const' && arg.value === 0));
    return rest.length < 2 ? (rest[0] ?? ex.args[0]!) : ex;
  }
  if (ex.kind !== 'load') return ex;
  const never = ex.guard.some((c) => c.kind === 'ge' && isNonNegative(add(negate(c.value), -1), ranges));
  if (never) return { kind: 'const', dtype: ex.dtype, value: ex.fill };
  return { ...ex, guard: ex.guard.filter((c) => !(c.kind === 'ge' && isNonNegative(c.value, ranges))) };
}

/** The stage with an axis split that is divided by a constant, which divides its extent. */
function splitAxis(stage: MapStage, others: Ranges): MapStage {
  const [axis] = stage.axes;
  const extent = axis && asConstant(axis.extent);
  if (!axis || extent === undefined) return stage;
  const polys = polysOfStores(stage.stores);
  const by = polys.flatMap((p) => divisorsOf(p, axis.name)).find((d) => d < extent && extent % d === 0);
  if (by === undefined) return stage;
  const [high, low]: [Axis, Axis] = [
    { name: `${axis.name} div ${by}`, extent: constant(extent / by) },
    { name: `${axis.name} mod ${by}`, extent: constant(by) },
  ];
  const ranges = new Map([...others, ...[high, low].map((a) => [a.name, a.extent] as const)]);
  const whole = add(scale(symbol(high.name), by), symbol(low.name));
  const map = (p: Poly): Poly =>
    mentions(p, axis.name) ? substitute(p, (s) => (s === axis.name ? whole : undefined), ranges) : p;
  const mapEx = exMapper(map);
  return { ...stage, axes: [high, low], stores: stage.stores.map((s) => mapStore(map, mapEx, s)) };
}

/** Constants by which the axis alone is divided. */
const divisorsOf = (p: Poly, axis: string): number[] =>
  p.terms.flatMap((t) =>
    t.factors.flatMap((f) => {
      if (f.kind !== 'div' && f.kind !== 'mod') return [];
      const atom = soleAtom(f.a);
      const by = asConstant(f.b);
      return atom?.kind === 'symbol' && atom.name === axis && by !== undefined ? [by] : [];
    }),
  );
