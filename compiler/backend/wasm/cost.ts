/** Which axis to run along in vectors: a rough count of instructions an element, by how the memory accesses vary. */
import type { Axis, Ex, RowsKernel, Stage } from '../../kernel/kernel.ts';
import { isCostlyOp } from '../../ir/ops.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, linearIn, multiply, one, scale } from '../../shape/poly.ts';
import { mentions } from './transform.ts';

interface Work {
  /** Offsets read and written. */
  readonly offsets: readonly Poly[];
  readonly ops: number;
}

function countOf(exs: readonly Ex[], stores: readonly Poly[]): Work {
  const seen = new Set<Ex>();
  const offsets: Poly[] = [...stores];
  let ops = 0;
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind === 'load') {
      offsets.push(ex.offset);
      ops += 2 * ex.guard.length;
    }
    if (ex.kind === 'load' || ex.kind === 'index') for (const d of ex.data) visit(d.value);
    if (ex.kind === 'op') {
      ops += isCostlyOp(ex.fn) ? 20 : 1;
      ex.args.forEach(visit);
    }
  };
  exs.forEach(visit);
  return { offsets, ops };
}

/** Every element twice: the only part that varies is (axis + ...) div 2. */
function isHalved(p: Poly, axis: string): boolean {
  const varying = p.terms.flatMap((t) => (mentions({ terms: [t], key: t.key }, axis) ? [t] : []));
  const [atom] = varying[0]?.factors ?? [];
  return (
    varying.length === 1 &&
    varying[0]?.factors.length === 1 &&
    atom?.kind === 'div' &&
    asConstant(atom.b) === 2
  );
}

/** Instructions for four elements along `axis`. */
function vectorCost(work: Work, axis: string): number {
  const access = (p: Poly): number => {
    if (!mentions(p, axis)) return 0.5;
    const step = linearIn(p, axis);
    const by = step && asConstant(step.coefficient);
    return by === 1 ? 1 : by === 2 ? 3 : step ? 7 : isHalved(p, axis) ? 4 : 12;
  };
  return work.ops + work.offsets.reduce((sum, p) => sum + access(p), 0);
}

const scalarCost = (work: Work): number => work.ops + 1.5 * work.offsets.length + 1;

/** Cost of one element when `axis` has that extent: whole vectors, then a scalar tail. */
function perElement(work: Work, axis: Axis): number {
  const extent = asConstant(axis.extent);
  if (extent === undefined) return vectorCost(work, axis.name) / 4;
  if (extent === 0) return 0;
  const tail = extent % 4;
  return (((extent - tail) / 4) * vectorCost(work, axis.name) + tail * scalarCost(work)) / extent;
}

function stageWork(stage: Stage): Work {
  return stage.kind === 'reduce'
    ? countOf(
        stage.reductions.map((r) => r.value),
        [],
      )
    : countOf(
        stage.stores.map((s) => s.value),
        stage.stores.map((s) => s.offset),
      );
}

/** An extent as a number; dimensions that are bound later count as 64. */
const volume = (axes: readonly Axis[]): number => axes.reduce((v, a) => v * (asConstant(a.extent) ?? 64), 1);

/** Cost of the whole kernel at one grid point, with the vectors along this grid axis. */
export const gridCost = (k: RowsKernel, axis: Axis): number =>
  k.stages.reduce((sum, s) => sum + perElement(stageWork(s), axis) * volume(s.axes), 0);

/** The cheapest inner axis of a stage, and its cost at one grid point. */
export function innerChoice(stage: Stage): { readonly axis: Axis | undefined; readonly cost: number } {
  const work = stageWork(stage);
  let best: Axis | undefined;
  let cost = scalarCost(work) * volume(stage.axes);
  for (const axis of stage.axes) {
    const horizontal = stage.kind === 'reduce' ? 12 * stage.reductions.length : 0;
    const found = perElement(work, axis) * volume(stage.axes) + horizontal;
    if (found <= cost) [best, cost] = [axis, found];
  }
  return { axis: best, cost };
}

export const innerCost = (k: RowsKernel): number => k.stages.reduce((sum, s) => sum + innerChoice(s).cost, 0);

/** Operations of a matrix product that take as long as an instruction here (measured: exp and tanh in an LSTM's gates). */
const operationsPerInstruction = 10;

/** How long a kernel takes: as long as so many operations of a matrix product, roughly. */
export function workOf(k: RowsKernel): Poly {
  const cost = Math.min(innerCost(k), ...k.grid.map((axis) => gridCost(k, axis)));
  return scale(multiply(one, ...k.grid.map((a) => a.extent)), Math.ceil(operationsPerInstruction * cost));
}

/** Whether four copies of the code in a loop are worth their size. */
export const isLight = (stage: Stage): boolean => stageWork(stage).ops <= 12;
