/** How much arithmetic a kernel is. */
import { add, multiply, one, scale, zero, type Poly } from '../shape/poly.ts';
import type { Axis, Ex, Kernel, Store } from './kernel.ts';

/** Operations on floats and integers; an expression that is used twice counts once, a multiply-add two, a sum's add one. */
export function flopsOf(k: Kernel): Poly {
  switch (k.kind) {
    case 'contract': {
      const results = points(k.batch, k.m, k.n);
      const product = scale(multiply(results, points(k.k)), 2);
      const { sums = [] } = k;
      const folded = sums.length === 0 ? zero : multiply(points(k.n), points(k.k));
      const tails = [
        scale(results, operationsOf(valuesOf(k.stores))),
        scale(points(k.n), operationsOf(valuesOf(sums))),
      ];
      return add(product, folded, ...tails);
    }
    case 'rows':
      return add(
        ...k.stages.map((s) => {
          const each =
            s.kind === 'map'
              ? operationsOf(valuesOf(s.stores))
              : operationsOf(s.reductions.map((r) => r.value)) + s.reductions.length;
          return scale(points(k.grid, s.axes), each);
        }),
      );
    case 'scatter':
      return scale(points(k.grid, k.axes), operationsOf([k.value]) + 1);
  }
}

const points = (...roles: readonly (readonly Axis[])[]): Poly =>
  multiply(one, ...roles.flat().map((a) => a.extent));
const valuesOf = (stores: readonly Store[]): Ex[] => stores.map((s) => s.value);

function operationsOf(values: readonly Ex[]): number {
  const seen = new Set<Ex>();
  let count = 0;
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind !== 'op') return;
    count++;
    ex.args.forEach(visit);
  };
  values.forEach(visit);
  return count;
}
