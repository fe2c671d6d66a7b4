/** Work written out point by point: expressions at a given point, and grid points of a row kernel that one invocation takes together. */
import { exMapper, exRebuilder, mapStore } from '../../kernel/rebuild.ts';
import type { Axis, Ex, RowsKernel, Stage, Store } from '../../kernel/kernel.ts';
import { loadsIn, rootsOf } from '../../kernel/walk.ts';
import { add, asConstant, constant, floorDivide, scale, substitute, symbol } from '../../shape/poly.ts';
import type { Poly, Ranges } from '../../shape/poly.ts';
import { countOf, lastOf } from './axes.ts';
import { range } from './tile.ts';
import { operationsIn } from './walk.ts';

/** What becomes of an axis at a point; undefined: it stays. */
export type Point = (name: string) => Poly | undefined;

/** An expression at a point. `ranges` are those of the axes that stay. */
export function exAt(ex: Ex, place: Point, ranges: Ranges): Ex {
  return exMapper((p) => substitute(p, place, ranges))(ex);
}

export function storesAt(stores: readonly Store[], place: Point, ranges: Ranges): Store[] {
  const at = (p: Poly): Poly => substitute(p, place, ranges);
  const mapEx = exMapper(at);
  return stores.map((s) => mapStore(at, mapEx, s));
}

/** The coordinates of all points, the last axis fastest. */
export const coordinates = (extents: readonly number[]): number[][] =>
  extents.reduce<number[][]>((all, n) => all.flatMap((c) => range(n).map((i) => [...c, i])), [[]]);

/** Every point of axes of constant extents. */
export function placesOf(axes: readonly Axis[]): Point[] {
  return coordinates(axes.map((a) => asConstant(a.extent) ?? 0)).map((c) => {
    const places = new Map(axes.map((a, i) => [a.name, constant(c[i]!)]));
    return (name) => places.get(name);
  });
}

/** More loads and operations than that are not written out. */
const MOST = 96;

/** Loads and operations at one point. */
const sizeOf = (roots: readonly Ex[]): number =>
  1 + operationsIn(roots) + roots.reduce((sum, root) => sum + loadsIn(root).length, 0);

/** The stage's points, if they are few enough to be written out. */
export function fewPlaces({ axes, ...stage }: Stage): Point[] | undefined {
  const points = asConstant(countOf(axes));
  const isShort = points !== undefined && points <= 16;
  return isShort && points * sizeOf(rootsOf({ axes, ...stage } as Stage)) <= MOST
    ? placesOf(axes)
    : undefined;
}

/** How many neighbours along an axis one invocation takes: what divides the extent and stays short. */
export function neighboursOf(extent: Poly, roots: readonly Ex[], repeats = 1): number {
  const size = sizeOf(roots) * repeats;
  const divides = (n: number): boolean => extent.terms.every((t) => t.coefficient % n === 0);
  return [8, 6, 5, 4, 3, 2].find((n) => n * size <= MOST && divides(n)) ?? 1;
}

/** `axis` in groups of neighbours, and the places of those within a group. */
export function grouped(
  axis: Axis,
  neighbours: number,
): { readonly axis: Axis; readonly places: readonly Point[] } {
  return {
    axis: { ...axis, extent: floorDivide(axis.extent, constant(neighbours)) },
    places: range(neighbours).map(
      (i) => (name) => (name === axis.name ? add(scale(symbol(axis.name), neighbours), i) : undefined),
    ),
  };
}

/** The same kernel with neighbouring grid points computed one after the other as one, as far as the text stays short. */
export function inGroups(kernel: RowsKernel): RowsKernel {
  const last = lastOf(kernel.grid);
  if (!last) return kernel;
  const roots = kernel.stages.flatMap(rootsOf);
  const longest = Math.max(...kernel.stages.map((s) => asConstant(countOf(s.axes)) ?? Infinity));
  const neighbours = longest <= 16 ? neighboursOf(last.extent, roots, longest) : 1;
  if (neighbours === 1) return kernel;
  const { axis, places } = grouped(last, neighbours);
  const grid = kernel.grid.map((a) => (a === last ? axis : a));
  const stages = places.flatMap((place, i) => kernel.stages.map((s) => stageAt(s, place, grid, `~${i}`)));
  return { ...kernel, grid, stages };
}

/** A stage at one of the neighbours; what it reduces has a name of its own. */
function stageAt(stage: Stage, place: Point, grid: readonly Axis[], suffix: string): Stage {
  const ranges = new Map([...grid, ...stage.axes].map((a) => [a.name, a.extent]));
  const renamed = exRebuilder((ex) => (ex.kind === 'local' ? { ...ex, name: `${ex.name}${suffix}` } : ex));
  if (stage.kind === 'map') {
    const stores = storesAt(stage.stores, place, ranges).map((s) => ({ ...s, value: renamed(s.value) }));
    return { ...stage, stores };
  }
  const reductions = stage.reductions.map((r) => ({
    ...r,
    name: `${r.name}${suffix}`,
    value: renamed(exAt(r.value, place, ranges)),
  }));
  return { ...stage, reductions };
}
