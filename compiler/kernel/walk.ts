/** Questions about expressions, for every device. */
import type { Ex, LoadEx, Stage } from './kernel.ts';

/** Every load under `root`, outer ones first, each once. */
export function loadsIn(root: Ex): LoadEx[] {
  const loads: LoadEx[] = [];
  const seen = new Set<Ex>();
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind === 'load') loads.push(ex);
    if (ex.kind === 'op') ex.args.forEach(visit);
    if (ex.kind === 'dot') [ex.a, ex.b].forEach(visit);
    if (ex.kind === 'load' || ex.kind === 'index') for (const { value } of ex.data) visit(value);
  };
  visit(root);
  return loads;
}

/** What a stage computes. */
export const rootsOf = (stage: Stage): readonly Ex[] =>
  stage.kind === 'map' ? stage.stores.map((s) => s.value) : stage.reductions.map((r) => r.value);
