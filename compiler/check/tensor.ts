/** Views and element-wise operations on tensors that may carry indices of an index equation in front. */
import type { DType, ScalarOp } from '../ir/ops.ts';
import type { Graph, Node } from '../ir/graph.ts';
import { sameShape } from '../ir/graph.ts';
import { atIndices, indexAt, rangesOf } from '../ir/indices.ts';
import { inHalf } from '../ir/precision.ts';
import type { Condition, Poly, Ranges } from '../shape/poly.ts';
import { asConstant, equal, format, mapGuard, simplify, substitute, symbolsOf } from '../shape/poly.ts';
import type { Context, Iter, Session, TensorValue } from './values.ts';
import { restOf, tensor } from './values.ts';

/** How large an index is; evaluation begins only after every range is known. */
export function extentOf(iter: Iter): Poly {
  if (!iter.extent) throw new Error(`the range of ${iter.name} was not inferred`);
  return iter.extent;
}

export const extents = (iters: readonly Iter[]): readonly Poly[] => iters.map(extentOf);

/** In the order in which the indices were written. */
export const inOrder = (a: Iter, b: Iter): number => a.order - b.order || a.id - b.id;

/** Indices of both, outermost first. */
export function union(...lists: readonly (readonly Iter[])[]): readonly Iter[] {
  const all = new Map(lists.flat().map((i) => [i.id, i]));
  return [...all.values()].sort(inOrder);
}

/** The indices that a polynomial mentions. */
export function itersIn(session: Session, ...polys: readonly Poly[]): readonly Iter[] {
  const names = new Set<string>();
  for (const p of polys) symbolsOf(p, names);
  return union([...names].flatMap((name) => session.iters.get(name) ?? []));
}

/** Ranges of indices, for proofs about polynomials over them. */
export const rangesOfIters = (iters: readonly Iter[]): Ranges =>
  new Map(iters.flatMap((i) => (i.extent ? [[i.symbol, i.extent] as const] : [])));

/** Steps of scans that polynomials mention, and how many there are. */
export function stepsIn(session: Session, ...polys: readonly Poly[]): Ranges {
  const names = new Set<string>();
  for (const p of polys) symbolsOf(p, names);
  return new Map([...session.loops].flatMap(([s, l]) => (names.has(s) ? [[s, l.extent] as const] : [])));
}

/** A polynomial as the user wrote its names. */
export const show = (p: Poly): string => format(p).replace(/\$?([^\s·$]+)·\d+/g, '$1');
export const showAll = (ps: readonly Poly[]): string[] => ps.map(show);

/** Rewrites indices to result indices: the i-th of `iters` is `$i`. */
export function overResult(p: Poly, iters: readonly Iter[], ranges: Ranges): Poly {
  const shape = extents(iters);
  return simplify(
    substitute(p, (name) => {
      const at = iters.findIndex((i) => i.symbol === name);
      return at < 0 ? undefined : indexAt(at, shape);
    }),
    ranges,
  );
}

/** A view; of a view without data it is one view. */
export function viewOf(
  graph: Graph,
  x: Node,
  shape: readonly Poly[],
  index: readonly Poly[],
  options: {
    readonly guard?: readonly Condition[];
    readonly fill?: number;
    readonly data?: readonly Node[];
  } = {},
): Node {
  const plain = (options.guard ?? []).length === 0 && (options.data ?? []).length === 0;
  if (!plain || x.inputs.length > 1 || (x.op !== 'view' && x.op !== 'index'))
    return graph.view(x, shape, index, options);
  const ranges = rangesOf(shape);
  const through = (p: Poly): Poly => simplify(atIndices(p, index), ranges);
  if (x.op === 'index') return graph.index(through(x.value), shape);
  const [inner] = x.inputs;
  if (!inner) return x;
  return graph.view(inner, shape, x.index.map(through), {
    guard: mapGuard(x.guard, through),
    fill: x.fill,
  });
}

/** The tensor repeated over more indices and to a larger shape, trailing dimensions aligned. */
export function spreadTo(graph: Graph, t: TensorValue, iters: readonly Iter[], rest: readonly Poly[]): Node {
  const shape = [...extents(iters), ...rest];
  const own = restOf(t);
  const index = [
    ...t.iters.map((i) =>
      indexAt(
        iters.findIndex((j) => j.id === i.id),
        shape,
      ),
    ),
    ...own.map((d, i) =>
      asConstant(d) === 1 ? indexAt(0, [d]) : indexAt(shape.length - own.length + i, shape),
    ),
  ];
  return viewOf(graph, t.node, shape, index);
}

/** The shape to which tensors of these shapes are repeated; undefined where they do not fit. */
export function broadcastShape(shapes: readonly (readonly Poly[])[]): readonly Poly[] | undefined {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result: Poly[] = [];
  for (let i = 0; i < rank; i++) {
    let dim: Poly | undefined;
    for (const shape of shapes) {
      const d = shape[shape.length - rank + i];
      if (!d || (dim && asConstant(d) === 1)) continue;
      if (!dim || asConstant(dim) === 1) dim = d;
      else if (!equal(dim, d)) return undefined;
    }
    if (dim) result.push(dim);
  }
  return result;
}

/** `fn` applied element by element to operands whose shapes fit (see `broadcastShape`). */
export function mapTensors(graph: Graph, fn: ScalarOp, operands: readonly TensorValue[]): TensorValue {
  const iters = union(...operands.map((t) => t.iters));
  const rest = broadcastShape(operands.map(restOf));
  if (!rest) throw new Error(`${fn}: shapes do not fit`);
  return tensor(
    graph.map(
      fn,
      operands.map((t) => spreadTo(graph, t, iters, rest)),
    ),
    iters,
  );
}

export const castTo = (graph: Graph, t: TensorValue, dtype: DType): TensorValue =>
  t.node.dtype === dtype ? t : tensor(castNode(graph, t.node, dtype), t.iters);

/** Constants are converted while compiling, below their broadcasts. */
function castNode(graph: Graph, node: Node, dtype: DType): Node {
  if (node.op === 'const') return graph.constant(convert(node.value, dtype), dtype);
  return graph.map('cast', [node], dtype);
}

/** The value after a cast, as the IR defines it. */
export function convert(value: number, dtype: DType): number {
  switch (dtype) {
    case 'bool':
      return value === 0 ? 0 : 1;
    case 'i32':
      return Math.trunc(value) | 0;
    case 'u32':
      return Math.trunc(value) >>> 0;
    case 'f16':
    case 'f32':
      return value;
  }
}

/** Moves the tensor's dimensions `axes` to the end, in that order, keeping the others. */
export function moveLast(graph: Graph, t: TensorValue, axes: readonly number[]): Node {
  const rest = restOf(t);
  const kept = rest.map((_, i) => i).filter((i) => !axes.includes(i));
  const order = [...t.iters.map((_, i) => i), ...[...kept, ...axes].map((a) => a + t.iters.length)];
  return permuted(graph, t.node, order);
}

/** result[$0, …] = x with dimension `order[i]` of `x` at place i. */
export function permuted(graph: Graph, x: Node, order: readonly number[]): Node {
  const shape = order.map((a) => x.shape[a]!);
  return viewOf(
    graph,
    x,
    shape,
    x.shape.map((_, a) => indexAt(order.indexOf(a), shape)),
  );
}

/** Reduces away the indices `bound`, of which the tensor may lack some (it is then repeated over them). */
export function reduceIters(
  graph: Graph,
  fn: 'sum' | 'prod' | 'max' | 'min',
  t: TensorValue,
  bound: readonly Iter[],
): TensorValue {
  const all = union(t.iters, bound);
  const rest = restOf(t);
  const full = tensor(spreadTo(graph, t, all, rest), all);
  const kept = all.filter((i) => !bound.includes(i));
  const place = (i: Iter): number => all.indexOf(i);
  const order = [...kept.map(place), ...rest.map((_, i) => all.length + i), ...bound.map(place)];
  return tensor(graph.reduce(fn, permuted(graph, full.node, order), bound.length), kept);
}

/** A sum of products in the precision that was asked for. */
export function inPrecision({ session: { graph }, mixed }: Context, t: TensorValue): TensorValue {
  return mixed ? tensor(inHalf(graph, t.node, [mixed]), t.iters) : t;
}

/** Whether two tensors have one shape and the same indices. */
export const alike = (a: TensorValue, b: TensorValue): boolean =>
  a.iters.length === b.iters.length &&
  a.iters.every((i, k) => i === b.iters[k]) &&
  sameShape(a.node.shape, b.node.shape);
