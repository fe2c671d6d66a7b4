/** Reductions: over indices (`sum(i) x[i]`) and over whole dimensions (`sum(x)`, `argmax(x, axis: 0)`). */
import type { Reducer, Reduction } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { rangesOf } from '../ir/indices.ts';
import type { Poly } from '../shape/poly.ts';
import { multiply, one, symbol } from '../shape/poly.ts';
import { describe } from './describe.ts';
import { newIter, scopeOf } from './indices.ts';
import { inferReduction } from './ranges.ts';
import { at, fail } from './report.ts';
import { toTensor } from './arithmetic.ts';
import {
  castTo,
  extentOf,
  extents,
  inPrecision,
  mapTensors,
  overResult,
  reduceIters,
  union,
  viewOf,
} from './tensor.ts';
import type { Context, Iter, TensorValue, Value } from './values.ts';
import { int, poison, restOf, tensor } from './values.ts';

export function reduction(ctx: Context, r: Reduction): Value {
  const inner = ctx.memo?.reductions.has(r) ? ctx : inferReduction(ctx, r);
  const bounds = inner?.memo?.reductions.get(r);
  if (!inner || !bounds) return poison;
  const body = ctx.session.run.evaluate({ ...inner, scope: scopeOf(ctx.scope, bounds) }, r.body);
  const iters = bounds.flatMap((b) => b.iters);
  return reduce(ctx, r.reducer, body, iters, r.body.span);
}

/** Reduces the indices away. */
export function reduce(
  ctx: Context,
  reducer: Reducer,
  body: Value,
  bound: readonly Iter[],
  span: Span,
): Value {
  if (body.kind === 'poison') return poison;
  const t = toTensor(ctx, body);
  if (!t)
    return fail(
      ctx,
      'E0402',
      {
        what: `the body of \`${reducer}\``,
        expected: 'a number or a tensor',
        found: describe(body),
        help: undefined,
      },
      at(span, describe(body)),
    );
  if (bound.length === 0 && reducer !== 'any' && reducer !== 'all') return t;
  const { graph } = ctx.session;
  switch (reducer) {
    case 'sum':
      return inPrecision(ctx, reduceIters(graph, 'sum', counted(ctx, t), bound));
    case 'prod':
      return reduceIters(graph, 'prod', counted(ctx, t), bound);
    case 'mean':
      return t.node.dtype === 'f16'
        ? castTo(graph, mean(ctx, tensor(graph.widened(t.node), t.iters), bound), 'f16')
        : mean(ctx, castTo(graph, t, 'f32'), bound);
    case 'max':
    case 'min':
      if (t.node.dtype === 'bool')
        return fail(
          ctx,
          'E0316',
          { op: reducer, dtypes: ['bool'], help: 'use `any` or `all`' },
          at(span, 'bool'),
        );
      return reduceIters(graph, reducer, t, bound);
    case 'argmax':
    case 'argmin':
      return argOf(ctx, reducer, t, bound, span);
    case 'any':
    case 'all':
      return truth(ctx, reducer, t, bound, span);
  }
}

/** What is true counts. */
const counted = (ctx: Context, t: TensorValue): TensorValue =>
  t.node.dtype === 'bool' ? castTo(ctx.session.graph, t, 'i32') : t;

function mean(ctx: Context, t: TensorValue, bound: readonly Iter[]): TensorValue {
  const { graph } = ctx.session;
  const count = toTensor(ctx, int(multiply(one, ...extents(bound))), 'f32')!;
  return mapTensors(graph, 'div', [reduceIters(graph, 'sum', t, bound), count]);
}

/** The first position of the extreme value: the least index at which the value equals it. */
function argOf(
  ctx: Context,
  reducer: 'argmax' | 'argmin',
  t: TensorValue,
  bound: readonly Iter[],
  span: Span,
): Value {
  const { graph } = ctx.session;
  const [iter] = bound;
  if (!iter || bound.length > 1) {
    return fail(
      ctx,
      'E0402',
      {
        what: `\`${reducer}\``,
        expected: 'given one index',
        found: `${bound.length} indices`,
        help: 'reshape the tensor first',
      },
      at(span, 'several indices'),
    );
  }
  if (t.node.dtype === 'bool')
    return fail(
      ctx,
      'E0316',
      { op: reducer, dtypes: ['bool'], help: 'convert it: `i32(…)`' },
      at(span, 'bool'),
    );
  const extreme = reduceIters(graph, reducer === 'argmax' ? 'max' : 'min', t, bound);
  const here = toTensor(ctx, int(symbol(iter.symbol)))!;
  const beyond = toTensor(ctx, int(extentOf(iter)), 'i32')!;
  const candidates = mapTensors(graph, 'where', [mapTensors(graph, 'eq', [t, extreme]), here, beyond]);
  return reduceIters(graph, 'min', candidates, bound);
}

function truth(
  ctx: Context,
  reducer: 'any' | 'all',
  t: TensorValue,
  bound: readonly Iter[],
  span: Span,
): Value {
  const { graph } = ctx.session;
  if (t.node.dtype !== 'bool')
    return fail(
      ctx,
      'E0316',
      { op: reducer, dtypes: [t.node.dtype], help: 'compare first: `x > 0`' },
      at(span, t.node.dtype),
    );
  const counted = reduceIters(graph, reducer === 'any' ? 'max' : 'min', castTo(graph, t, 'i32'), bound);
  return mapTensors(graph, 'lt', [tensor(graph.constant(0, 'i32')), counted]);
}

/** Reduces the dimensions `axes` (places in the tensor's own shape) away. */
export function reduceAxes(
  ctx: Context,
  reducer: Reducer,
  t: TensorValue,
  axes: readonly number[],
  span: Span,
): Value {
  const rest = restOf(t);
  const made = axes.map((a): Iter => {
    const iter = newIter(ctx, { name: `axis ${a}`, span });
    iter.extent = rest[a];
    return iter;
  });
  return reduce(ctx, reducer, iterate(ctx, t, axes, made), made, span);
}

/** The tensor with some of its dimensions turned into indices. */
function iterate(ctx: Context, t: TensorValue, axes: readonly number[], made: readonly Iter[]): TensorValue {
  const rest = restOf(t);
  const iters = union(t.iters, made);
  const left = rest.map((_, i) => i).filter((i) => !axes.includes(i));
  const shape = [...extents(iters), ...left.map((i) => rest[i]!)];
  const ranges = rangesOf(shape);
  const over = (p: Poly): Poly => overResult(p, iters, ranges);
  const index = [
    ...t.iters.map((i) => over(symbol(i.symbol))),
    ...rest.map((_, i) => {
      const a = axes.indexOf(i);
      return a >= 0 ? over(symbol(made[a]!.symbol)) : symbol(`$${iters.length + left.indexOf(i)}`);
    }),
  ];
  // A dimension of size 1 has the one index 0, so that equal views have equal keys.
  return tensor(
    viewOf(
      ctx.session.graph,
      t.node,
      shape,
      index.map((p) => single(p, shape)),
    ),
    iters,
  );
}

function single(p: Poly, shape: readonly Poly[]): Poly {
  const i = shape.findIndex((d, k) => p.key === `1*$${k}` && d.key === '1');
  return i < 0 ? p : multiply(0);
}
