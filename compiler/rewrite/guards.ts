/** A choice by indices between what a view reads and a constant is a guarded view: what is not chosen is never read. */
import type { Node, View } from '../ir/graph.ts';
import { constantValue } from '../ir/make.ts';
import { conditionsOf } from '../ir/outside.ts';
import type { Rule, RuleContext } from './engine.ts';
import type { Condition } from '../shape/poly.ts';

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
