/** Rows kernels in the form that code is made of: axes merged as far as no index expression tells them apart, small ones written out. */
import type { Axis, Ex, LoadEx, Reduction, RowsKernel, Stage } from '../../kernel/kernel.ts';
import { polysOf, polysOfStores } from '../../kernel/walk.ts';
import { exMapper, mapStore } from '../../kernel/rebuild.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, constant, mapGuard, substitute } from '../../shape/poly.ts';
import { mergeAxes } from './transform.ts';

/** A serial stage: in the order of its axes, the element at `at` (its guard holding) += value. */
export interface ScatterStage {
  readonly kind: 'scatter';
  readonly axes: readonly Axis[];
  readonly at: LoadEx;
  readonly value: Ex;
}

export type AnyStage = Stage | ScatterStage;
/** A rows kernel in which scattering may stand beside the other stages. */
export type RowsLike = Omit<RowsKernel, 'stages'> & { readonly stages: readonly AnyStage[] };

function stagePolys(stage: AnyStage): Poly[] {
  if (stage.kind === 'scatter') return [...polysOf(stage.at), ...polysOf(stage.value)];
  if (stage.kind === 'reduce') return stage.reductions.flatMap((r) => polysOf(r.value));
  return polysOfStores(stage.stores);
}

function mapStage<S extends AnyStage>(stage: S, axes: readonly Axis[], map: (p: Poly) => Poly): S;
function mapStage(stage: AnyStage, axes: readonly Axis[], map: (p: Poly) => Poly): AnyStage {
  const mapEx = exMapper(map);
  if (stage.kind === 'scatter')
    return { ...stage, axes, at: mapEx(stage.at) as LoadEx, value: mapEx(stage.value) };
  const live = stage.live && { live: mapGuard(stage.live, map) };
  if (stage.kind === 'map')
    return { ...stage, axes, stores: stage.stores.map((s) => mapStore(map, mapEx, s)), ...live };
  return {
    ...stage,
    axes,
    reductions: stage.reductions.map((r) => ({ ...r, value: mapEx(r.value) })),
    ...live,
  };
}

/** Merges the axes of the grid and those of every stage. What is live has no say in it. */
export function normalise(k: RowsLike): RowsLike {
  const grid = mergeAxes(k.grid, k.stages.flatMap(stagePolys));
  const stages = k.stages.map((s) => mapStage(s, s.axes, grid.map));
  return {
    ...k,
    grid: grid.axes,
    stages: stages.map((s) => {
      const inner = mergeAxes(s.axes, stagePolys(s));
      return mapStage(s, inner.axes, inner.map);
    }),
  };
}

/** Replaces small constant inner axes by one copy of the code for each index. */
export function writeOut(k: RowsKernel, limit: number): RowsKernel {
  return { ...k, stages: k.stages.map((s) => writeOutStage(s, limit)) };
}

function writeOutStage(stage: Stage, limit: number): Stage {
  const extents = stage.axes.map((a) => asConstant(a.extent));
  const total = extents.reduce<number>((p, e) => p * (e ?? Infinity), 1);
  if (stage.axes.length === 0 || !(total >= 1 && total <= limit)) return stage;
  const copies = Array.from({ length: total }, (_, i) => {
    const at = new Map<string, Poly>();
    let rest = i;
    for (let a = stage.axes.length - 1; a >= 0; a--) {
      at.set(stage.axes[a]!.name, constant(rest % extents[a]!));
      rest = Math.floor(rest / extents[a]!);
    }
    return mapStage(stage, [], (p) => substitute(p, (s) => at.get(s)));
  });
  if (stage.kind === 'map')
    return { ...stage, axes: [], stores: copies.flatMap((c) => (c.kind === 'map' ? c.stores : [])) };
  const reductions = stage.reductions.map((r, i): Reduction => {
    const values = copies.map((c) => (c.kind === 'reduce' ? c.reductions[i]!.value : r.value));
    return { ...r, value: values.reduce((sum, value) => combine(r, sum, value)) };
  });
  return { ...stage, axes: [], reductions };
}

const combineOp = { sum: 'add', prod: 'mul', max: 'max', min: 'min' } as const;
const combineBool = { sum: 'or', prod: 'and', max: 'or', min: 'and' } as const;

const combine = (r: Reduction, a: Ex, b: Ex): Ex => ({
  kind: 'op',
  fn: r.dtype === 'bool' ? combineBool[r.fn] : combineOp[r.fn],
  dtype: r.dtype,
  args: [a, b],
});
