/** The rewriting passes of the compiler. */
import type { Computation } from '../ir/graph.ts';
import { algebra } from './algebra.ts';
import type { AnyRule, Counts } from './engine.ts';
import { rewrite } from './engine.ts';
import { guards } from './guards.ts';
import { inLoops } from './loops.ts';
import { reductions } from './reductions.ts';
import { views } from './views.ts';

/** Every rule that keeps values. */
export const rules: readonly AnyRule[] = [...algebra, ...guards, ...views, ...reductions];

/** Once gradients are taken, a stop is its operand. */
export const stops: readonly AnyRule[] = [{ name: 'stop', op: 'stop', apply: (node) => node.inputs[0] }];

export interface Simplified {
  readonly computation: Computation;
  /** How often each rule was applied. */
  readonly counts: Counts;
}

/** Applies all rules to a fixpoint, in the bodies of loops too. */
export const simplify = (computation: Computation): Simplified => everywhere(computation, rules);

/** Takes the stops away; only after the last gradient. */
export const removeStops = (computation: Computation): Simplified => everywhere(computation, stops);

/** Both at once: what a computation goes through when its gradients are taken. */
export const finish = (computation: Computation): Simplified => everywhere(computation, [...stops, ...rules]);

/** What leaves a loop because nobody asks for it may be simplified further outside. */
function everywhere(computation: Computation, list: readonly AnyRule[]): Simplified {
  const counts = new Map<string, number>();
  const run = (c: Computation): Computation => {
    const outer = rewrite(c, list);
    for (const [name, n] of outer.counts) counts.set(name, (counts.get(name) ?? 0) + n);
    const made = inLoops(outer.computation, run);
    return made === outer.computation ? made : run(made);
  };
  return { computation: run(computation), counts };
}
