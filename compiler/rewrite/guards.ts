/** A choice by indices between what a view reads and a constant is a guarded view: what is not chosen is never read. */
import type { Node, View } from '../ir/graph.ts';
import type { Condition } from '../ir/indices.ts';
import { constantValue } from '../ir/make.ts';
import { constant, subtract } from '../shape/poly.ts';
import type { Poly } from '../shape/poly.ts';
import type { Rule, RuleContext } from './engine.ts';

/** An index or a whole constant as an expression over the result's indices. */
function polyOf(x: Node | undefined): Poly | undefined {
  if (x?.op === 'index') return x.value;
  const value = x?.dtype === 'i32' ? constantValue(x) : undefined;
  return value === undefined ? undefined : constant(value);
}

/** What must hold for a comparison of indices to come out as `wanted`; undefined when no guard says that. */
function conditionsOf(test: Node | undefined, wanted: boolean): readonly Condition[] | undefined {
  if (test?.op !== 'map') return undefined;
  const [left, right] = test.inputs;
  if (test.fn === 'not') return conditionsOf(left, !wanted);
  if (test.fn === (wanted ? 'and' : 'or')) {
    const [a, b] = [conditionsOf(left, wanted), conditionsOf(right, wanted)];
    return a && b && [...a, ...b];
  }
  const [i, j] = [polyOf(left), polyOf(right)];
  if (!i || !j) return undefined;
  if (test.fn === 'eq') return wanted ? [{ kind: 'eq', value: subtract(i, j) }] : undefined;
  if (test.fn !== 'lt' && test.fn !== 'le') return undefined;
  // i < j; not i < j is j <= i.
  const [small, large] = wanted ? [i, j] : [j, i];
  const strict = (test.fn === 'lt') === wanted;
  return [{ kind: 'ge', value: subtract(subtract(large, small), strict ? 1 : 0) }];
}

function guarded(
  view: View,
  more: readonly Condition[],
  fill: number,
  { graph }: RuleContext,
): Node | undefined {
  const [x, ...data] = view.inputs;
  const misses = view.guard.length > 0 || data.length > 0;
  if (!x || (misses && !Object.is(view.fill, fill))) return undefined;
  return graph.view(x, view.shape, view.index, { guard: [...view.guard, ...more], fill, data });
}

/** `if i < n then x[…] else 0`, and the other way round. */
export const guards: readonly Rule<'map'>[] = [
  {
    name: 'where of indices is a guard',
    op: 'map',
    apply: (node, context) => {
      if (node.fn !== 'where') return undefined;
      const [test, a, b] = node.inputs;
      for (const [view, other, wanted] of [
        [a, b, true],
        [b, a, false],
      ] as const) {
        const fill = other && constantValue(other);
        const conditions = view?.op === 'view' && fill !== undefined ? conditionsOf(test, wanted) : undefined;
        const made =
          conditions && view?.op === 'view' && fill !== undefined
            ? guarded(view, conditions, fill, context)
            : undefined;
        if (made) return made;
      }
      return undefined;
    },
  },
];
