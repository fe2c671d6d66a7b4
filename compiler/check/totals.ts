/**
 * `total(x)`: in a `metric` the sum of `x` over the batches of the epoch or evaluation so far, so that a quotient of sums is that
 * of the whole data; elsewhere `x` of the batch alone. The runtime sets the sums (role `metric`) to zero when a pass begins.
 */
import { Args } from './builtin-args.ts';
import { at, fail } from './report.ts';
import { makeEntry, sizesOf } from './storage.ts';
import { castTo } from './tensor.ts';
import type { BuiltinValue } from './values.ts';
import { poison, tensor } from './values.ts';

export const total: BuiltinValue['run'] = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const given = args.good ? args.tensor('x') : undefined;
  if (!given) return poison;
  const { graph, tensors } = ctx.session;
  const x = castTo(graph, given, 'f32');
  if (!ctx.totals) return x;
  if (x.iters.length > 0) {
    const help = 'give it a name in an equation of its own';
    return fail(ctx, 'E0412', { what: '`total` inside index notation', help }, at(call.span, 'here'));
  }
  const { metric, updates } = ctx.totals;
  const path = `metrics/${metric}/${updates.length + 1}`;
  const shape = sizesOf(ctx, x.node.shape, path, call.span);
  if (!shape) return poison;
  const initial = graph.full(0, 'f32', x.node.shape);
  const known = tensors.get(path);
  const entry =
    known?.initial === initial
      ? known
      : makeEntry(ctx, { path, role: 'metric', dtype: 'f32', shape, initial, span: call.span });
  const value = graph.map('add', [entry.leaf, x.node]);
  updates.push({ leaf: entry.leaf, value });
  return tensor(value);
};
