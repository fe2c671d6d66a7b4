/** The rewriting passes of the compiler. */
import type { Computation } from '../ir/graph.ts';
import { algebra } from './algebra.ts';
import type { AnyRule, Counts } from './engine.ts';
import { rewrite } from './engine.ts';
import { reductions } from './reductions.ts';
import { views } from './views.ts';

/** Every rule that keeps values. */
export const rules: readonly AnyRule[] = [...algebra, ...views, ...reductions];

/** Once gradients are taken, a stop is its operand. */
export const stops: readonly AnyRule[] = [{ name: 'stop', op: 'stop', apply: (node) => node.inputs[0] }];

export interface Simplified {
  readonly computation: Computation;
  /** How often each rule was applied. */
  readonly counts: Counts;
}

/** Applies all rules to a fixpoint. */
export const simplify = (computation: Computation): Simplified => rewrite(computation, rules);

/** Takes the stops away; only after the last gradient. */
export const removeStops = (computation: Computation): Simplified => rewrite(computation, stops);
