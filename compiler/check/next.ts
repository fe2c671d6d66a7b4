/** The next value of a state. */
import type { Equation } from '../../grammar/syntax.ts';
import { select, toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { at, fail } from './report.ts';
import { show, spreadTo } from './tensor.ts';
import type { Context, Value } from './values.ts';
import { poison, restOf, tensor } from './values.ts';

/**
 * What `m' = …` gives a state: a tensor of its dtype and shape. Where the equation has a condition on tensors that does not
 * hold, the state stays.
 */
export function nextValue(ctx: Context, current: Value, value: Value, e: Equation): Value {
  if (current.kind !== 'tensor' || value.kind === 'poison') return poison;
  const { graph } = ctx.session;
  const { dtype } = current.node;
  const found = toTensor(ctx, value, dtype);
  if (!found)
    return fail(
      ctx,
      'E0402',
      {
        what: `the next value of \`${e.target.name}\``,
        expected: 'a tensor',
        found: describe(value),
        help: undefined,
      },
      at(e.value.span, describe(value)),
    );
  if (found.node.dtype !== dtype)
    return fail(
      ctx,
      'E0303',
      { what: `the next value of \`${e.target.name}\``, expected: dtype, found: found.node.dtype },
      at(e.value.span, describe(found)),
    );
  const [now, next] = [restOf(current).map(show), restOf(found).map(show)];
  if (next.length > 0 && now.join() !== next.join()) {
    return fail(
      ctx,
      'E0304',
      { name: `${e.target.name}'`, dims: next, declared: now },
      at(e.value.span, describe(found)),
    );
  }
  const whole = tensor(spreadTo(graph, found, [], restOf(current)));
  const condition = e.when && ctx.session.run.evaluate(ctx, e.when);
  if (condition?.kind !== 'tensor') return whole;
  return select(ctx, condition, whole, current, {
    whole: e.span,
    op: e.span,
    operands: [e.when!.span, e.value.span, e.target.span],
  });
}
