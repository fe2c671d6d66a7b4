/** Four neighbouring elements in one access: where that can be proved possible, and the stores of four points. */
import type { Axis, Ex, LoadEx, Store } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, linearIn, symbolsOf } from '../../shape/poly.ts';
import type { Emitter } from './emitter.ts';
import { storageType, vectorType } from './print.ts';
import { loadsIn } from '../../kernel/walk.ts';
import { operationsIn } from './walk.ts';

export const LANES = 4;
export const components = ['x', 'y', 'z', 'w'] as const;

/** `p` is a multiple of four, whatever its symbols are. */
export const isFourfold = (p: Poly): boolean => p.terms.every((t) => t.coefficient % LANES === 0);

/** The points of the axis come in whole groups of four, and each group's first offset is a multiple of four, the others follow it. */
function isAligned(offset: Poly, axis: Axis): boolean {
  const linear = linearIn(offset, axis.name);
  return (
    linear !== undefined &&
    asConstant(linear.coefficient) === 1 &&
    isFourfold(linear.rest) &&
    isFourfold(axis.extent)
  );
}

/** What is read at four points in line along the axis can be read at once. */
export const isVectorLoad = ({ dtype, data, guard, offset }: LoadEx, axis: Axis): boolean =>
  dtype !== 'bool' &&
  data.length === 0 &&
  guard.every((c) => !symbolsOf(c.value).has(axis.name)) &&
  isAligned(offset, axis);

/** What is stored at four points in line along the axis can be stored at once: all of it, or none. */
export const areVectorStores = (stores: readonly Store[], axis: Axis): boolean =>
  stores.every((s) => s.value.dtype !== 'bool' && isAligned(s.offset, axis)) &&
  operationsIn(stores.map((s) => s.value)) < Infinity;

/** The loads under `stores` that read four elements at once along the axis. */
export const vectorLoadsOf = (stores: readonly Store[], axis: Axis): LoadEx[] =>
  stores.flatMap((s) => loadsIn(s.value)).filter((load) => isVectorLoad(load, axis));

/**
 * An expression at four points in line along `axis`, which is bound to the first of them, as a vector. Every load in it is
 * of a buffer of vectors.
 */
export function vectorValue(ex: Ex, emitter: Emitter, axis: Axis): string {
  if (ex.kind === 'load') return emitter.vectorLoad(ex).code;
  const points = atFourPoints([ex], loadsIn(ex), emitter, axis);
  return `${vectorType(ex.dtype)}(${points.map(([code]) => code).join(', ')})`;
}

/**
 * Writes the stores of four points in line along `axis`, which is bound to the first of them. All values are computed
 * before the first is stored. `bindPoint` binds what else differs from point to point.
 */
export function writeVectorStores(
  stores: readonly Store[],
  emitter: Emitter,
  axis: Axis,
  bindPoint?: (scope: Emitter, lane: number) => void,
): void {
  const { kernel, vectors } = emitter.shader;
  const loads = vectorLoadsOf(stores, axis).filter((load) => vectors.has(load.buffer));
  const values = atFourPoints(
    stores.map((s) => s.value),
    loads,
    emitter,
    axis,
    bindPoint,
  );
  stores.forEach((store, i) => {
    const dtype = kernel.buffers[store.buffer]!.dtype;
    const lanes = values.map((of) => of[i]!).join(', ');
    const at = emitter.poly(store.offset).code;
    emitter.block.add(
      `${emitter.shader.group(store.buffer, at)} = ${vectorType(storageType(dtype))}(${lanes});`,
    );
  });
}

/** The values at each of four points; `loads` are read four elements at once. */
function atFourPoints(
  values: readonly Ex[],
  loads: readonly LoadEx[],
  emitter: Emitter,
  axis: Axis,
  bindPoint: (scope: Emitter, lane: number) => void = () => undefined,
): string[][] {
  // Named here and not further out, where more invocations may pass.
  const groups = loads.map((load) => ({ load, name: emitter.block.name(emitter.vectorLoad(load).code) }));
  return components.map((component, lane) => {
    const scope = emitter.fork();
    scope.shiftAxis(axis, lane);
    for (const { load, name } of groups) scope.bindValue(load, `${name}.${component}`);
    bindPoint(scope, lane);
    return values.map((v) => scope.named(scope.value(v)).code);
  });
}
