/**
 * Maps along a short axis that only chooses between parts, as the gradient of several things that were read side by side (the
 * gates of an LSTM): instead of computing every part for every index and keeping one, each index is written out.
 */
import type { Axis, ConstEx, Ex, MapStage, OpEx, RowsKernel, Store } from '../../kernel/kernel.ts';
import { exMapper, exRebuilder, mapStore } from '../../kernel/rebuild.ts';
import { loadsIn, rootsOf } from '../../kernel/walk.ts';
import type { ScalarOp } from '../../ir/ops.ts';
import type { Condition } from '../../shape/poly.ts';
import { asConstant, constant, substitute } from '../../shape/poly.ts';
import { mentions } from './transform.ts';

/** As many copies of the code are made at most. */
const mostChoices = 8;

/** The kernel without the axes that choose, if it is a map. */
export function writeOutChoices(k: RowsKernel): RowsKernel {
  const [stage, ...others] = k.stages;
  if (stage?.kind !== 'map' || stage.axes.length > 0 || others.length > 0) return k;
  const axis = k.grid.find((a) => isChoice(a, stage));
  if (!axis || k.grid.length < 2) return k;
  const copies = Array.from({ length: asConstant(axis.extent) ?? 0 }, (_, i) => at(stage, axis, i));
  return writeOutChoices({
    ...k,
    grid: k.grid.filter((a) => a !== axis),
    stages: [{ ...stage, stores: copies.flat() }],
  });
}

/** Values are compared with the index, which has few. */
function isChoice(axis: Axis, stage: MapStage): boolean {
  const extent = asConstant(axis.extent);
  if (extent === undefined || extent > mostChoices) return false;
  const compares = (c: Condition): boolean => c.kind === 'eq' && mentions(c.value, axis.name);
  return rootsOf(stage).some((root) => loadsIn(root).some((l) => l.guard.some(compares)));
}

/** The stores at one index. */
function at(stage: MapStage, axis: Axis, i: number): Store[] {
  const map = (p: Store['offset']): Store['offset'] =>
    substitute(p, (s) => (s === axis.name ? constant(i) : undefined));
  const [mapEx, fold] = [exMapper(map), exRebuilder(folded)];
  return stage.stores.map((s) => mapStore(map, (ex) => fold(mapEx(ex)), s));
}

const fixed = (ex: Ex, value: number): ConstEx => ({ kind: 'const', dtype: ex.dtype, value });

/** What is known once an index is: conditions, and what depends on them. */
function folded(ex: Ex): Ex {
  switch (ex.kind) {
    case 'load': {
      const guard = ex.guard.filter((c) => holds(c) !== true);
      return guard.some((c) => holds(c) === false) ? fixed(ex, ex.fill) : { ...ex, guard };
    }
    case 'index': {
      const value = asConstant(ex.value);
      return value === undefined ? ex : fixed(ex, value);
    }
    case 'op':
      return foldedOp(ex);
    default:
      return ex;
  }
}

function holds({ kind, value }: Condition): boolean | undefined {
  const known = asConstant(value);
  return known === undefined ? undefined : kind === 'eq' ? known === 0 : known >= 0;
}

const isConst = (ex: Ex | undefined): ex is ConstEx => ex?.kind === 'const';

const logical: Partial<Record<ScalarOp, (a: number, b: number) => boolean>> = {
  eq: (a, b) => a === b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
};

function foldedOp(ex: OpEx): Ex {
  const [a, b, c] = ex.args;
  if (ex.fn === 'where' && isConst(a)) return (a.value !== 0 ? b : c) ?? ex;
  const compare = logical[ex.fn];
  if (compare && isConst(a) && isConst(b)) return fixed(ex, Number(compare(a.value, b.value)));
  if (ex.dtype === 'bool' && (ex.fn === 'and' || ex.fn === 'or'))
    for (const [x, y] of [[a, b] as const, [b, a] as const])
      if (isConst(x) && y) return (x.value !== 0) === (ex.fn === 'and') ? y : x;
  if (ex.fn === 'add')
    for (const [x, y] of [[a, b] as const, [b, a] as const]) if (isConst(x) && x.value === 0 && y) return y;
  return ex;
}
