/** Questions about expressions, for every device. */
import type { Poly } from '../shape/poly.ts';
import type { Ex, LoadEx, Stage, Store } from './kernel.ts';

const none: readonly Ex[] = [];

/** What an expression is made of directly. */
export function partsOf(ex: Ex): readonly Ex[] {
  if (ex.kind === 'op') return ex.args;
  if (ex.kind === 'dot') return [ex.a, ex.b];
  if ((ex.kind !== 'load' && ex.kind !== 'index') || ex.data.length === 0) return none;
  return ex.data.map((d) => d.value);
}

/** How often everything under these roots is used, as a root or part of something else. */
export function usesIn(roots: readonly Ex[]): ReadonlyMap<Ex, number> {
  const uses = new Map<Ex, number>();
  const visit = (ex: Ex): void => {
    const before = uses.get(ex) ?? 0;
    uses.set(ex, before + 1);
    if (before === 0) partsOf(ex).forEach(visit);
  };
  roots.forEach(visit);
  return uses;
}

/** Every load under `root`, outer ones first, each once. */
export const loadsIn = (root: Ex): LoadEx[] =>
  [...usesIn([root]).keys()].filter((ex): ex is LoadEx => ex.kind === 'load');

function ownPolys(ex: Ex): readonly Poly[] {
  if (ex.kind === 'load') return [ex.offset, ...ex.guard.map((c) => c.value)];
  return ex.kind === 'index' ? [ex.value] : [];
}

/** Every index expression under `root`, those of its conditions and data too. */
export const polysOf = (root: Ex): Poly[] => [...usesIn([root]).keys()].flatMap(ownPolys);

/** The same of stores, their places included. */
export const polysOfStores = (stores: readonly Store[]): Poly[] =>
  stores.flatMap((s) => [s.offset, ...polysOf(s.value)]);

/** What a stage computes. */
export const rootsOf = (stage: Stage): readonly Ex[] =>
  stage.kind === 'map' ? stage.stores.map((s) => s.value) : stage.reductions.map((r) => r.value);
