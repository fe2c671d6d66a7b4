/** How much arithmetic a kernel is. */
import { add, constant, multiply, one, scale, zero, type Poly } from '../shape/poly.ts';
import type { Axis, Ex, Kernel, Store } from './kernel.ts';

/** Operations on floats and integers; an expression that is used twice counts once, a multiply-add two, a sum's add one. */
export function flopsOf(k: Kernel): Poly {
  switch (k.kind) {
    case 'contract': {
      const results = points(k.batch, k.m, k.n);
      const product = scale(multiply(results, points(k.k)), 2);
      const { sums = [] } = k;
      const folded = sums.length === 0 ? zero : multiply(points(k.n), points(k.k));
      const parts = k.parts ? [k.parts.axis] : [];
      const tails = [
        multiply(results, points(parts), operationsOf(valuesOf(k.stores))),
        multiply(points(k.n, parts), operationsOf(valuesOf(sums))),
        nested(k.a, points(k.batch, k.m, k.k)),
        nested(k.b, points(k.batch, k.n, k.k)),
      ];
      return add(product, folded, ...tails);
    }
    case 'rows':
      return add(
        ...k.stages.map((s) => {
          const each =
            s.kind === 'map'
              ? operationsOf(valuesOf(s.stores))
              : add(operationsOf(s.reductions.map((r) => r.value)), s.reductions.length);
          return multiply(points(k.grid, s.axes), each);
        }),
      );
    case 'scatter':
      return multiply(points(k.grid, k.axes), add(operationsOf([k.value]), 1));
  }
}

const points = (...roles: readonly (readonly Axis[])[]): Poly =>
  multiply(one, ...roles.flat().map((a) => a.extent));
const valuesOf = (stores: readonly Store[]): Ex[] => stores.map((s) => s.value);

/** An operand that is made of contractions is computed for each of its elements; a few operations on loads do not count. */
function nested(operand: Ex, elements: Poly): Poly {
  return hasDot(operand) ? multiply(elements, operationsOf([operand])) : zero;
}

/** Whether the kernel computes contractions inside its expressions. */
export function hasNested(k: Kernel): boolean {
  switch (k.kind) {
    case 'contract':
      return [k.a, k.b, ...valuesOf([...k.stores, ...(k.sums ?? [])])].some((ex) => hasDot(ex));
    case 'rows':
      return k.stages.some((s) =>
        (s.kind === 'map' ? valuesOf(s.stores) : s.reductions.map((r) => r.value)).some((ex) => hasDot(ex)),
      );
    case 'scatter':
      return hasDot(k.value);
  }
}

/** Some contraction is computed inside the expression. */
function hasDot(ex: Ex, seen = new Set<Ex>()): boolean {
  if (seen.has(ex)) return false;
  seen.add(ex);
  return ex.kind === 'dot' || (ex.kind === 'op' && ex.args.some((arg) => hasDot(arg, seen)));
}

function operationsOf(values: readonly Ex[]): Poly {
  const seen = new Set<Ex>();
  let count: Poly = zero;
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind === 'dot') {
      const each = add(operationsOf([ex.a, ex.b]), 2);
      count = add(count, multiply(points(ex.axes), each));
    }
    if (ex.kind !== 'op') return;
    count = add(count, constant(1));
    ex.args.forEach(visit);
  };
  values.forEach(visit);
  return count;
}
