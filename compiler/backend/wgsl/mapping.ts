/** How the grid points and inner loops of a row kernel are spread over invocations. */
import type { Axis, RowsKernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, stepOf } from '../../shape/poly.ts';
import { countOf } from './axes.ts';
import type { WgslLimits } from './shader.ts';
import { loadsIn, rootsOf } from '../../kernel/walk.ts';

/** A workgroup is `columns` grid points by `lanes` invocations for each; both powers of two. */
export interface Mapping {
  readonly columns: number;
  readonly lanes: number;
}

/** From so many iterations an inner loop is shared by several invocations; symbolic ones may be as long. */
const LONG = 64;
/** Grid points so many keep a GPU busy with one invocation each. */
const MANY = 65536;

const size = (p: Poly): number => asConstant(p) ?? Infinity;

/** Invocations of a workgroup where each has a grid point of its own and few keep the device busy. */
const FEW = 16;

export function chooseMapping(kernel: RowsKernel, limits: WgslLimits, isSoftware = false): Mapping {
  if (isSoftware && (asConstant(countOf(kernel.grid)) ?? FEW) >= FEW) return { columns: FEW, lanes: 1 };
  const longest = Math.max(1, ...kernel.stages.map((s) => size(countOf(s.axes))));
  if (longest < LONG) return { columns: 64, lanes: 1 };
  const points = asConstant(countOf(kernel.grid));
  if (neighboursReadNeighbours(kernel) && (points === undefined || points >= 16))
    return points !== undefined && points >= MANY
      ? { columns: 64, lanes: 1 }
      : { columns: 16, lanes: limits.workgroupSize / 16 };
  const few = points !== undefined && points < 64;
  const lanes = longest <= 128 ? 64 : longest <= 512 ? 128 : longest < Infinity || few ? 256 : 64;
  return { columns: 1, lanes: Math.min(lanes, limits.workgroupSize) };
}

const last = (axes: readonly Axis[]): Axis | undefined => axes.findLast((a) => asConstant(a.extent) !== 1);

/** In every long reduction, the loads have stride 1 along the grid's last axis and not along the loop's. */
function neighboursReadNeighbours(kernel: RowsKernel): boolean {
  const column = last(kernel.grid);
  if (!column) return false;
  const long = kernel.stages.filter((s) => size(countOf(s.axes)) >= LONG);
  const loads = long.flatMap((stage) => {
    const inner = last(stage.axes);
    return rootsOf(stage).flatMap((root) => loadsIn(root).map((load) => ({ load, inner })));
  });
  const across = loads.filter(({ load }) => stepOf(load.offset, column.name) === 1);
  const along = loads.filter(
    ({ load, inner }) => inner !== undefined && stepOf(load.offset, inner.name) === 1,
  );
  return across.length > 0 && along.length === 0;
}
