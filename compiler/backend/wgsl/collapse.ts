/** Neighbouring axes that every access runs through as one become one: fewer divisions, and whole groups of four where each alone has none. */
import type { Axis, Ex, Store } from '../../kernel/kernel.ts';
import { exRebuilder } from '../../kernel/rebuild.ts';
import type { Poly } from '../../shape/poly.ts';
import { equal, linearIn, mapGuard, multiply, substitute, symbolsOf, zero } from '../../shape/poly.ts';

export interface Points {
  readonly axes: readonly Axis[];
  readonly stores: readonly Store[];
}

export function collapse({ axes, stores }: Points): Points {
  let made: Points = { axes, stores };
  for (let i = axes.length - 2; i >= 0; i--) {
    const [outer, inner] = [made.axes[i]!, made.axes[i + 1]!];
    if (!polysOf(made.stores).every((p) => isOneStep(p, outer, inner))) continue;
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

/** Every index expression and condition of the stores. */
function polysOf(stores: readonly Store[]): Poly[] {
  const found = stores.map((s) => s.offset);
  const visit = exRebuilder((ex) => {
    if (ex.kind === 'load') found.push(ex.offset, ...ex.guard.map((c) => c.value));
    if (ex.kind === 'index') found.push(ex.value);
    return ex;
  });
  for (const s of stores) visit(s.value);
  return found;
}

/** The axis at 0: its points are counted by another. */
function withoutAxis(stores: readonly Store[], name: string): Store[] {
  const at = (p: Poly): Poly => substitute(p, (s) => (s === name ? zero : undefined));
  const ex = exRebuilder((e): Ex => {
    if (e.kind === 'load') return { ...e, offset: at(e.offset), guard: mapGuard(e.guard, at) };
    return e.kind === 'index' ? { ...e, value: at(e.value) } : e;
  });
  return stores.map((s) => ({ ...s, offset: at(s.offset), value: ex(s.value) }));
}
