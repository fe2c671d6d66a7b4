/** Subscripts become views: `x[b, i + 1]`, `x[:, 2:-1]`, `table[tokens[b], d]`, `sizes[0]`. */
import type { Expr, Index, Slice, Spread, Subscript } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { toTensor } from './arithmetic.ts';
import type { Node } from '../ir/graph.ts';
import { dataIndex, indexAt, rangesOf, resultIndex } from '../ir/indices.ts';
import type { Condition, Poly } from '../shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  floorDivide,
  isNonNegative,
  multiply,
  one,
  subtract,
  zero,
} from '../shape/poly.ts';
import { describe } from './describe.ts';
import { extreme, indexBinding } from './indices.ts';
import { also, at, fail } from './report.ts';
import {
  castTo,
  extents,
  itersIn,
  overResult,
  rangesOfIters,
  show,
  showAll,
  spreadTo,
  stepsIn,
  union,
  viewOf,
} from './tensor.ts';
import type { Context, ListValue, TensorValue, Value } from './values.ts';
import { poison, restOf, tensor } from './values.ts';

/** What one subscript does to its dimension. */
type Item =
  | { readonly kind: 'point'; readonly poly: Poly; readonly guard: readonly Condition[] }
  | { readonly kind: 'data'; readonly tensor: TensorValue }
  | { readonly kind: 'slice'; readonly start: Poly; readonly step: Poly; readonly size: Poly };

export function index(ctx: Context, expr: Index): Value {
  const base = ctx.memo?.bases.get(expr.base) ?? ctx.session.run.evaluate(ctx, expr.base);
  if (base.kind === 'poison') return poison;
  if (base.kind === 'list') return element(ctx, base, expr);
  const found = base.kind === 'record' ? toTensor(ctx, base) : base;
  if (found?.kind !== 'tensor') {
    return fail(
      ctx,
      'E0402',
      { what: 'what has subscripts', expected: 'a tensor or a list', found: describe(base), help: undefined },
      at(expr.base.span, describe(base)),
    );
  }
  const items = itemsOf(ctx, found, expr);
  return items ? viewBy(ctx, found, items) : poison;
}

/** `sizes[0]`, `sizes[-1]`, `sizes[1:]` */
function element(ctx: Context, list: ListValue, expr: Index): Value {
  const [s, more] = expr.subscripts;
  const n = list.items.length;
  if (!s || more || s.kind === 'spread') {
    return fail(
      ctx,
      'E0402',
      {
        what: 'the subscript of a list',
        expected: 'one position',
        found: `${expr.subscripts.length} subscripts`,
        help: undefined,
      },
      at(expr.span, 'a list'),
    );
  }
  if (s.kind === 'slice') {
    const [start, stop] = [s.start && position(ctx, s.start), s.stop && position(ctx, s.stop)];
    return s.step
      ? fail(ctx, 'E0412', { what: 'a list slice with a step', help: undefined }, at(s.step.span, 'step'))
      : { kind: 'list', items: list.items.slice(start, stop) };
  }
  const i = position(ctx, s);
  if (i === undefined) return poison;
  const found = list.items.at(i);
  return found ?? fail(ctx, 'E0410', { index: i, length: n }, at(s.span, `${i} of ${n}`));
}

function position(ctx: Context, e: Expr): number | undefined {
  const v = ctx.session.run.evaluate(ctx, e);
  const n = v.kind === 'int' ? asConstant(v.poly) : undefined;
  if (n === undefined && v.kind !== 'poison')
    fail(ctx, 'E0401', { what: 'a position in a list', help: undefined }, at(e.span, describe(v)));
  return n;
}

// ---------------------------------------------------------------- what each subscript says

function itemsOf(ctx: Context, base: TensorValue, expr: Index): Item[] | undefined {
  const rest = restOf(base);
  const parts: Part[] = [];
  for (const s of expr.subscripts) {
    const expanded = expand(ctx, s);
    if (!expanded) return undefined;
    parts.push(...expanded);
  }
  if (parts.length > rest.length) {
    fail(
      ctx,
      'E0311',
      { given: parts.length, rank: rest.length, dims: showAll(rest) },
      at(expr.span, `${parts.length} subscripts`),
      also(expr.base.span, `[${showAll(rest).join(', ')}]`),
    );
    return undefined;
  }
  const items = rest.map((size, i) => {
    const part = parts[i];
    if (!part) return whole(size);
    return 'value' in part ? pointOf(ctx, part.value, size, part.span) : sliceOf(ctx, part, size);
  });
  return items.every((i) => i !== undefined) ? items : undefined;
}

const whole = (size: Poly): Item => ({ kind: 'slice', start: zero, step: one, size });

type Part = Slice | { readonly value: Value; readonly span: Span };

/** One subscript as what it says about each of its dimensions. */
function expand(ctx: Context, s: Subscript): readonly Part[] | undefined {
  if (s.kind === 'slice') return [s];
  if (s.kind !== 'spread') return [{ value: ctx.session.run.evaluate(ctx, s), span: s.span }];
  return spreadPoints(ctx, s);
}

function spreadPoints(ctx: Context, s: Spread): readonly Part[] | undefined {
  const binding = ctx.scope.lookup(s.name.name);
  if (binding?.what === indexBinding && binding.value.kind === 'list') {
    return binding.value.items.map((value) => ({ value, span: s.span }));
  }
  fail(ctx, 'E0320', { name: s.name.name }, at(s.span, 'bound by nothing'));
  return undefined;
}

function pointOf(ctx: Context, given: Value, size: Poly, span: Span): Item | undefined {
  const value = given.kind === 'record' ? (toTensor(ctx, given) ?? given) : given;
  if (value.kind === 'poison') return undefined;
  if (value.kind === 'int') {
    const n = asConstant(value.poly);
    const p = n !== undefined && n < 0 ? add(size, n) : value.poly;
    const guard = bounds(ctx, p, size, span);
    return guard && { kind: 'point', poly: p, guard };
  }
  if (value.kind !== 'tensor') {
    fail(
      ctx,
      'E0402',
      {
        what: 'a subscript',
        expected: 'a whole number, an index or an i32 tensor',
        found: describe(value),
        help: undefined,
      },
      at(span, describe(value)),
    );
    return undefined;
  }
  const { dtype } = value.node;
  if (dtype !== 'i32' && dtype !== 'u32') {
    fail(ctx, 'E0303', { what: 'a subscript', expected: 'i32', found: dtype }, at(span, describe(value)));
    return undefined;
  }
  return { kind: 'data', tensor: castTo(ctx.session.graph, value, 'i32') };
}

/**
 * Proves `0 <= p < size`. Where that follows only from the condition of an enclosing `if`, the conditions that have
 * to guard the access come back; where it does not follow at all, the mistake is reported.
 */
function bounds(ctx: Context, p: Poly, size: Poly, span: Span): Condition[] | undefined {
  const iters = itersIn(ctx.session, p, size, ...ctx.assumed);
  const sizes = iters.flatMap((i) => i.extent ?? []);
  const steps = stepsIn(ctx.session, p, ...ctx.assumed, ...sizes);
  const ranges = new Map([...steps, ...rangesOfIters(iters)]);
  const above = subtract(subtract(size, one), p);
  const guard: Condition[] = [];
  for (const q of [p, above]) {
    if (isNonNegative(q, ranges)) continue;
    if (q === above && ctx.memo?.proved.has(`${p.key} < ${size.key}`)) continue;
    if (!ctx.assumed.some((a) => isNonNegative(subtract(q, a), ranges))) {
      const ends = (['least', 'most'] as const).map((which) => extreme(ctx, p, which));
      const [least, most] = ends.map((e) => (e ? show(e) : 'unknown'));
      fail(
        ctx,
        'E0309',
        { subscript: show(p), size: show(size), least: least!, most: most! },
        at(span, `from ${least} to ${most}, in a dimension of ${show(size)}`),
      );
      return undefined;
    }
    guard.push({ kind: 'ge', value: q });
  }
  return guard;
}

function sliceOf(ctx: Context, s: Slice, size: Poly): Item | undefined {
  const read = (e: Expr | undefined, otherwise: Poly): Poly | undefined => {
    if (!e) return otherwise;
    const v = ctx.session.run.evaluate(ctx, e);
    if (v.kind === 'int') {
      const n = asConstant(v.poly);
      return n !== undefined && n < 0 && e !== s.step ? add(size, n) : v.poly;
    }
    if (v.kind !== 'poison')
      fail(ctx, 'E0401', { what: 'the end of a slice', help: undefined }, at(e.span, describe(v)));
    return undefined;
  };
  const [start, stop, step] = [read(s.start, zero), read(s.stop, size), read(s.step, one)];
  if (!start || !stop || !step) return undefined;
  const steps = stepsIn(ctx.session, start, stop);
  const ranges = new Map([...steps, ...rangesOfIters(itersIn(ctx.session, start, stop, size))]);
  const inside = [start, subtract(subtract(stop, start), one), subtract(size, stop)].every((p) =>
    isNonNegative(p, ranges),
  );
  if (!inside || !isNonNegative(subtract(step, one), ranges)) {
    const least = show(start);
    const most = show(subtract(stop, one));
    fail(
      ctx,
      'E0309',
      { subscript: `${show(start)}:${show(stop)}`, size: show(size), least, most },
      at(s.span, `from ${least} to ${most}, in a dimension of ${show(size)}`),
    );
    return undefined;
  }
  return { kind: 'slice', start, step, size: floorDivide(add(subtract(stop, start), step, -1), step) };
}

// ---------------------------------------------------------------- the view

/** Dimensions that a data subscript gives to the result: those of its tensor. */
const kept = (item: Item): readonly Poly[] =>
  item.kind === 'slice' ? [item.size] : item.kind === 'data' ? restOf(item.tensor) : [];

function viewBy(ctx: Context, base: TensorValue, items: readonly Item[]): TensorValue {
  const { graph } = ctx.session;
  const polys = items.flatMap((i) =>
    i.kind === 'point'
      ? [i.poly, ...i.guard.map((g) => g.value)]
      : i.kind === 'slice'
        ? [i.start, i.step, i.size]
        : [],
  );
  const iters = union(
    base.iters,
    itersIn(ctx.session, ...polys),
    ...items.map((i) => (i.kind === 'data' ? i.tensor.iters : [])),
  );
  const shape = [...extents(iters), ...items.flatMap(kept)];
  const ranges = rangesOf(shape);
  const data: Node[] = [];
  let next = iters.length;
  const over = (p: Poly): Poly => overResult(p, iters, ranges);
  const expressions = items.map((item) => {
    if (item.kind === 'point') return over(item.poly);
    const first = next;
    next += kept(item).length;
    if (item.kind === 'slice') {
      const i = asConstant(item.size) === 1 ? constant(0) : resultIndex(first);
      return over(add(item.start, multiply(item.step, i)));
    }
    data.push(placed(ctx, item.tensor, iters, shape, first));
    return dataIndex(data.length - 1);
  });
  const lead = base.iters.map((i) => indexAt(iters.indexOf(i), shape));
  const guard = items.flatMap((i) =>
    i.kind === 'point' ? i.guard.map((g): Condition => ({ kind: g.kind, value: over(g.value) })) : [],
  );
  return tensor(viewOf(graph, base.node, shape, [...lead, ...expressions], { guard, data }), iters);
}

/** A data subscript at every element of the result; its own dimensions are those from `first` on. */
function placed(
  ctx: Context,
  t: TensorValue,
  iters: TensorValue['iters'],
  shape: readonly Poly[],
  first: number,
): Node {
  const index = [
    ...t.iters.map((i) => indexAt(iters.indexOf(i), shape)),
    ...restOf(t).map((_, k) => indexAt(first + k, shape)),
  ];
  return restOf(t).length === 0
    ? spreadOver(ctx, t, iters, shape)
    : viewOf(ctx.session.graph, t.node, shape, index);
}

const spreadOver = (
  ctx: Context,
  t: TensorValue,
  iters: TensorValue['iters'],
  shape: readonly Poly[],
): Node => {
  const lead = spreadTo(ctx.session.graph, t, iters, []);
  return viewOf(
    ctx.session.graph,
    lead,
    shape,
    lead.shape.map((_, i) => indexAt(i, shape)),
  );
};
