/** Functions on shapes: reshape, transpose, concat, pad, range, and static ones about sizes. */
import type { Node } from '../ir/graph.ts';
import { indexAt, rangesOf, resultIndex } from '../ir/indices.ts';
import type { Condition, Poly } from '../shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  divideExact,
  equal,
  floorDivide,
  floorMod,
  multiply,
  one,
  simplify,
  subtract,
  zero,
} from '../shape/poly.ts';
import { numberOf, toTensor } from './arithmetic.ts';
import { Args } from './builtin-args.ts';
import { at, fail } from './report.ts';
import { castTo, extents, permuted, showAll, union, viewOf, broadcastShape, spreadTo } from './tensor.ts';
import type { BuiltinCall, BuiltinValue, Context, TensorValue, Value } from './values.ts';
import { int, poison, restOf, tensor } from './values.ts';

type Run = BuiltinValue['run'];

/** `f(x, a, b, c)` as `f(x, (a, b, c))`: the arguments from the second on become one list. */
function gathered(call: BuiltinCall): BuiltinCall {
  const [first, ...more] = call.args;
  if (!first || more.length < 2 || more.some((a) => a.name)) return call;
  const list: Value = { kind: 'list', items: more.map((a) => a.value) };
  return { ...call, args: [first, { name: undefined, value: list, span: more[0]!.span }] };
}

// ---------------------------------------------------------------- reshape

const reshape: Run = (ctx, call) => {
  const args = new Args(ctx, gathered(call), ['x', 'shape']);
  const [x, wanted] = args.good ? [args.tensor('x'), args.sizes('shape')] : [];
  if (!x || !wanted || !args.good) return poison;
  const from = restOf(x);
  const to = fillIn(from, wanted);
  if (!to)
    return fail(
      ctx,
      'E0313',
      { from: showAll(from), to: showAll(wanted) },
      at(call.span, `from [${showAll(from).join(', ')}] to [${showAll(wanted).join(', ')}]`),
    );
  return tensor(reshaped(ctx, x, to), x.iters);
};

/** The shape with `-1` solved for; nothing when the number of elements is another. */
function fillIn(from: readonly Poly[], wanted: readonly Poly[]): readonly Poly[] | undefined {
  const open = wanted.flatMap((d, i) => (asConstant(d) === -1 ? [i] : []));
  if (open.length > 1 || wanted.some((d, i) => !open.includes(i) && (asConstant(d) ?? 1) < 1))
    return undefined;
  const total = multiply(one, ...from);
  const known = multiply(one, ...wanted.filter((_, i) => !open.includes(i)));
  if (open.length === 0) return equal(total, known) ? wanted : undefined;
  const rest = divideExact(total, known);
  return rest && wanted.map((d, i) => (open.includes(i) ? rest : d));
}

/**
 * A view that keeps row-major order. Dimensions are matched in groups of equal size from the front, so that a batch
 * dimension is never part of a division.
 */
function reshaped(ctx: Context, x: TensorValue, to: readonly Poly[]): Node {
  const lead = x.iters.length;
  const from = restOf(x);
  const shape = [...extents(x.iters), ...to];
  const ranges = rangesOf(shape);
  const index: Poly[] = x.iters.map((_, i) => indexAt(i, shape));
  for (const group of groups(from, to)) {
    let position = zero;
    for (const j of group.to) position = add(multiply(position, to[j]!), indexAt(lead + j, shape));
    let inner = multiply(one, ...group.from.map((i) => from[i]!));
    const outermost = group.from[0];
    for (const i of group.from) {
      inner = divideExact(inner, from[i]!) ?? inner;
      const quotient = floorDivide(position, inner, ranges);
      // The first digit has nothing above it: the position is inside the group.
      const digit = i === outermost ? quotient : floorMod(quotient, from[i]!, ranges);
      index.push(asConstant(from[i]!) === 1 ? zero : simplify(digit, ranges));
    }
  }
  return viewOf(ctx.session.graph, x.node, shape, index);
}

interface Group {
  readonly from: number[];
  readonly to: number[];
}

/** The finest cut of both shapes into runs of equal size. */
function groups(from: readonly Poly[], to: readonly Poly[]): Group[] {
  const found: Group[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const group: Group = { from: [], to: [] };
    let [a, b] = [one, one];
    do {
      // Take from the side that is not yet a multiple of the other.
      if (j >= to.length || (i < from.length && !(divideExact(a, b) && !equal(a, b)))) {
        group.from.push(i);
        a = multiply(a, from[i++] ?? one);
      } else {
        group.to.push(j);
        b = multiply(b, to[j++] ?? one);
      }
    } while (!equal(a, b) && (i < from.length || j < to.length));
    found.push(group);
  }
  return found;
}

// ---------------------------------------------------------------- order of dimensions

/** `transpose(x)` exchanges the last two dimensions, `transpose(x, 0, 2, 1)` gives their new order. */
const transpose: Run = (ctx, call) => {
  const args = new Args(ctx, gathered(call), ['x', 'axes?']);
  const x = args.good ? args.tensor('x') : undefined;
  if (!x) return poison;
  const rank = restOf(x).length;
  const standard = [...Array(rank).keys()];
  if (!args.value('axes') && rank < 2)
    return fail(ctx, 'E0315', { axis: 1, rank, of: 'transpose' }, at(args.span('x'), `${rank} dimensions`));
  const axes = args.value('axes') ? args.axes('axes', x) : [...standard.slice(0, -2), rank - 1, rank - 2];
  if (!axes) return poison;
  if (axes.length !== rank) return args.refuse('axes', `all ${rank} axes in their new order`) ?? poison;
  const lead = x.iters.map((_, i) => i);
  return tensor(permuted(ctx.session.graph, x.node, [...lead, ...axes.map((a) => a + lead.length)]), x.iters);
};

// ---------------------------------------------------------------- concat and pad

/** `concat([a, b], axis: 0)`: a sum of guarded views would lose the dtype bool; it is a chain of selections. */
const concat: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['parts', 'axis?']);
  const list = args.value('parts');
  if (!args.good || !list) return poison;
  if (list.kind !== 'list' || list.items.length === 0)
    return args.refuse('parts', 'a list of tensors') ?? poison;
  const parts = list.items.map((v) => toTensor(ctx, v));
  if (list.items.some((v) => v.kind === 'poison')) return poison;
  const tensors = parts.filter((t) => t !== undefined);
  const [first] = tensors;
  if (tensors.length < parts.length || !first) return args.refuse('parts', 'a list of tensors') ?? poison;
  const [axis] = (args.value('axis') ? args.axes('axis', first) : [0]) ?? [];
  if (axis === undefined) return poison;
  if (restOf(first).length === 0)
    return fail(ctx, 'E0315', { axis: 0, rank: 0, of: 'concat' }, at(args.span('parts'), 'a scalar'));
  for (const t of tensors) {
    const fits =
      t.node.dtype === first.node.dtype &&
      restOf(t).length === restOf(first).length &&
      restOf(t).every((d, i) => i === axis || equal(d, restOf(first)[i]!));
    if (!fits) {
      const [left, right] = [first, t].map((y) => [y.node.dtype, ...showAll(restOf(y))]);
      return fail(
        ctx,
        'E0314',
        { op: 'concat', left: left!, right: right! },
        at(args.span('parts'), 'these do not fit'),
      );
    }
  }
  return joined(ctx, tensors, axis);
};

function joined(ctx: Context, parts: readonly TensorValue[], axis: number): Value {
  const { graph } = ctx.session;
  const iters = union(...parts.map((t) => t.iters));
  const first = parts[0]!;
  const sizes = parts.map((t) => restOf(t)[axis]!);
  const rest = restOf(first).map((d, i) => (i === axis ? add(...sizes) : d));
  const shape = [...extents(iters), ...rest];
  const at = iters.length + axis;
  const pieces: { readonly node: Node; readonly end: Poly }[] = [];
  let start = zero;
  for (const [i, t] of parts.entries()) {
    const x = spreadTo(graph, t, iters, restOf(t));
    const end = add(start, sizes[i]!);
    pieces.push({ node: shifted(ctx, x, shape, at, start, end), end });
    start = end;
  }
  const position = graph.index(indexAt(at, shape), shape);
  const node = pieces.reduceRight((later, piece) => {
    const edge = castTo(graph, toTensor(ctx, int(piece.end), 'i32')!, 'i32').node;
    const before = graph.map('lt', [position, viewOf(graph, edge, shape, [])]);
    return graph.map('where', [before, piece.node, later]);
  }, pieces.at(-1)!.node);
  return tensor(node, iters);
}

/** The tensor moved by `start` along dimension `at`; outside of it the fill, 0. */
function shifted(ctx: Context, x: Node, shape: readonly Poly[], at: number, start: Poly, end: Poly): Node {
  const i = indexAt(at, shape);
  const index = x.shape.map((d, k) =>
    k === at ? (asConstant(d) === 1 ? zero : subtract(i, start)) : indexAt(k, shape),
  );
  const guard: Condition[] = [
    { kind: 'ge', value: subtract(i, start) },
    { kind: 'ge', value: subtract(subtract(end, one), i) },
  ];
  return viewOf(ctx.session.graph, x, shape, index, { guard });
}

/** `pad(x, before, after, value: 0)`: the lists apply to the last dimensions; `after` is `before` when left out; less cuts off. */
const pad: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x', 'before', 'after?', 'value?']);
  const x = args.good ? args.tensor('x') : undefined;
  const before = args.good ? args.sizes('before') : undefined;
  const after = args.value('after') ? args.sizes('after') : before;
  const fill = args.value('value') ? numberOf(args.value('value')!) : 0;
  if (!args.good || !x || !before || !after) return poison;
  if (fill === undefined) return args.refuse('value', 'a number that is known while compiling') ?? poison;
  const rest = restOf(x);
  if (before.length > rest.length || after.length !== before.length) {
    return (
      args.refuse(
        args.value('after') ? 'after' : 'before',
        `at most ${rest.length} widths, as many as \`before\``,
      ) ?? poison
    );
  }
  const first = rest.length - before.length;
  const to = rest.map((d, i) => (i < first ? d : add(before[i - first]!, d, after[i - first]!)));
  if (to.some((d) => (asConstant(d) ?? 1) < 1))
    return args.refuse('before', 'widths that leave at least one element') ?? poison;
  return tensor(padded(ctx, x, to, [...rest.slice(0, first).map(() => zero), ...before], fill), x.iters);
};

function padded(
  ctx: Context,
  x: TensorValue,
  to: readonly Poly[],
  before: readonly Poly[],
  fill: number,
): Node {
  const shape = [...extents(x.iters), ...to];
  const lead = x.iters.length;
  const guard: Condition[] = [];
  const index = restOf(x).map((d, k) => {
    const i = subtract(indexAt(lead + k, shape), before[k]!);
    if (equal(d, to[k]!)) return i;
    guard.push({ kind: 'ge', value: i }, { kind: 'ge', value: subtract(subtract(d, one), i) });
    return asConstant(d) === 1 ? zero : i;
  });
  // A guard that holds everywhere is none: no padding on that side.
  const needed = guard.filter((c) => asConstant(c.value) === undefined || asConstant(c.value)! < 0);
  return viewOf(ctx.session.graph, x.node, shape, [...x.iters.map((_, i) => indexAt(i, shape)), ...index], {
    guard: needed,
    fill,
  });
}

// ---------------------------------------------------------------- made from sizes

/** `range(n)`: i32[n], 0 … n-1. */
const range: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['n']);
  const sizes = args.good ? args.sizes('n') : undefined;
  if (!sizes) return poison;
  const [n] = sizes;
  if (!n || sizes.length > 1 || (asConstant(n) ?? 1) < 1) return args.refuse('n', 'one size') ?? poison;
  return tensor(ctx.session.graph.index(asConstant(n) === 1 ? zero : resultIndex(0), [n]));
};

/** `full(shape, value)`: the value everywhere. */
const full: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['shape', 'value']);
  const [shape, value] = args.good ? [args.sizes('shape'), args.value('value')] : [];
  if (!shape || !value) return poison;
  const x = toTensor(ctx, value, value.kind === 'int' ? 'f32' : undefined);
  if (!x) return args.refuse('value', 'a number or a tensor') ?? poison;
  const to = broadcastShape([restOf(x), shape]);
  if (!to || to.length !== shape.length)
    return fail(
      ctx,
      'E0314',
      { op: 'full', left: showAll(shape), right: showAll(restOf(x)) },
      at(call.span, 'does not fit'),
    );
  return tensor(spreadTo(ctx.session.graph, x, x.iters, shape), x.iters);
};

/** `shape(x)`: its dimensions as a list. */
const shape: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const x = args.good ? args.tensor('x') : undefined;
  return x ? { kind: 'list', items: restOf(x).map((d) => int(d)) } : poison;
};

/** `dim(x, 0)` */
const dim: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x', 'axis']);
  const x = args.good ? args.tensor('x') : undefined;
  const [axis] = (x && args.axes('axis', x)) ?? [];
  return x && axis !== undefined ? int(restOf(x)[axis]!) : poison;
};

/** Number of elements of a list, or of the first dimension of a tensor. */
const len: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const v = args.value('x');
  if (!args.good || !v) return poison;
  if (v.kind === 'list') return int(constant(v.items.length));
  const [first] = v.kind === 'tensor' ? restOf(v) : [];
  return first ? int(first) : (args.refuse('x', 'a list') ?? poison);
};

/** Product of sizes: `size((c, h, w))`, or of a tensor's dimensions. */
const size: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const v = args.value('x');
  if (!args.good || !v) return poison;
  const sizes = v.kind === 'tensor' ? restOf(v) : args.sizes('x');
  return sizes ? int(multiply(one, ...sizes)) : poison;
};

export const shapeBuiltins: Readonly<Record<string, Run>> = {
  reshape,
  transpose,
  concat,
  pad,
  range,
  full,
  shape,
  dim,
  len,
  size,
};
