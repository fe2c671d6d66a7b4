/** Neighbouring axes that every access runs through as one become one: fewer divisions, and whole groups of four where each alone has none. */
import type { Axis, Store } from '../../kernel/kernel.ts';
import { exMapper, mapStore } from '../../kernel/rebuild.ts';
import { polysOfStores } from '../../kernel/walk.ts';
import type { Poly } from '../../shape/poly.ts';
import { equal, linearIn, multiply, substitute, symbolsOf, zero } from '../../shape/poly.ts';

export interface Points {
  readonly axes: readonly Axis[];
  readonly stores: readonly Store[];
}

export function collapse({ axes, stores }: Points): Points {
  let made: Points = { axes, stores };
  for (let i = axes.length - 2; i >= 0; i--) {
    const [outer, inner] = [made.axes[i]!, made.axes[i + 1]!];
    if (!polysOfStores(made.stores).every((p) => isOneStep(p, outer, inner))) continue;
    const merged = { name: inner.name, extent: multiply(outer.extent, inner.extent) };
    made = {
      axes: made.axes.toSpliced(i, 2, merged),
      stores: withoutAxis(made.stores, outer.name),
    };
  }
  return made;
}

/** A step along `outer` is as many along `inner` as that has points. */
function isOneStep(p: Poly, outer: Axis, inner: Axis): boolean {
  const names = symbolsOf(p);
  if (!names.has(outer.name) && !names.has(inner.name)) return true;
  const [o, i] = [linearIn(p, outer.name), linearIn(p, inner.name)];
  return o !== undefined && i !== undefined && equal(o.coefficient, multiply(i.coefficient, inner.extent));
}

/** The axis at 0: its points are counted by another. */
function withoutAxis(stores: readonly Store[], name: string): Store[] {
  const at = (p: Poly): Poly => substitute(p, (s) => (s === name ? zero : undefined));
  const mapEx = exMapper(at);
  return stores.map((s) => mapStore(at, mapEx, s));
}
