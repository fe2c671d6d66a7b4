/** Rules about reductions: what does not depend on the reduced indices leaves, what pins an index is put in. */
import type { Graph, Node, Reduce } from '../ir/graph.ts';
import { indexAt, rangesOf } from '../ir/indices.ts';
import type { Maker } from '../ir/make.ts';
import type { ReduceOp } from '../ir/ops.ts';
import type { Condition, Poly } from '../shape/poly.ts';
import {
  asConstant,
  constant,
  equal,
  isBetween,
  linearIn,
  mapGuard,
  negate,
  one,
  subtract,
  substitute,
  symbolsOf,
  zero,
} from '../shape/poly.ts';
import type { Rule } from './engine.ts';
import { identityOf } from '../ir/ops.ts';
import { factorise, product } from './product.ts';
import { everyNth } from './strides.ts';
import { constantValue } from '../ir/make.ts';

type Apply = (node: Reduce, x: Node, make: Maker, uses: (node: Node) => number) => Node | undefined;

const rule = (name: string, fns: readonly ReduceOp[], apply: Apply): Rule<'reduce'> => ({
  name,
  op: 'reduce',
  apply: (node, { make, uses }) => {
    const [x] = node.inputs;
    return x && fns.includes(node.fn) ? apply(node, x, make, uses) : undefined;
  },
});

const every: readonly ReduceOp[] = ['sum', 'prod', 'max', 'min'];

/** The reduced dimensions of the operand, by position. */
const reducedAxes = (node: Reduce, x: Node): number[] =>
  x.shape.map((_, i) => i).slice(x.shape.length - node.count);

/** `node` without dimension `axis`, at `at` there; `at` is over the remaining indices. Outside `guard` it is 0. */
function fixAxis(graph: Graph, node: Node, axis: number, at: Poly, guard: readonly Condition[] = []): Node {
  const shape = node.shape.filter((_, i) => i !== axis);
  const index = node.shape.map((_, i) => (i === axis ? at : indexAt(i < axis ? i : i - 1, shape)));
  return graph.view(node, shape, index, { guard });
}

/** `node` without dimensions it is the same along; undefined when it depends on one of them. */
function without(graph: Graph, node: Node, axes: readonly number[]): Node | undefined {
  if (!axes.every((a) => isSameAlong(node, a))) return undefined;
  return axes.toSorted((a, b) => b - a).reduce((x, a) => dropAxis(graph, x, a), node);
}

/** Proved not to depend on an index, by how it is built. */
function isSameAlong(node: Node, axis: number, seen = new Set<Node>()): boolean {
  if (seen.has(node)) return true;
  seen.add(node);
  const name = `$${axis}`;
  switch (node.op) {
    case 'const':
      return true;
    case 'index':
      return !symbolsOf(node.value).has(name);
    case 'map':
      return node.inputs.every((x) => isSameAlong(x, axis, seen));
    case 'view': {
      const used = [...node.index, ...node.guard.map((c) => c.value)].some((e) => symbolsOf(e).has(name));
      return !used && node.inputs.slice(1).every((d) => isSameAlong(d, axis, seen));
    }
    default:
      return false;
  }
}

function dropAxis(graph: Graph, node: Node, axis: number, memo = new Map<Node, Node>()): Node {
  const dropped = memo.get(node) ?? dropAxisAnew(graph, node, axis, memo);
  memo.set(node, dropped);
  return dropped;
}

function dropAxisAnew(graph: Graph, node: Node, axis: number, memo: Map<Node, Node>): Node {
  const shape = node.shape.filter((_, i) => i !== axis);
  const rename = (e: Poly): Poly =>
    substitute(e, (s) => {
      const i = s.startsWith('$') ? Number(s.slice(1)) : -1;
      return i > axis ? indexAt(i - 1, shape) : undefined;
    });
  switch (node.op) {
    case 'index':
      return graph.index(rename(node.value), shape);
    case 'map':
      return graph.map(
        node.fn,
        node.inputs.map((x) => dropAxis(graph, x, axis, memo)),
        node.dtype,
      );
    case 'view': {
      const [x, ...data] = node.inputs;
      if (!x) return node;
      return graph.view(x, shape, node.index.map(rename), {
        guard: mapGuard(node.guard, rename),
        fill: node.fill,
        data: data.map((d) => dropAxis(graph, d, axis, memo)),
      });
    }
    default:
      return node;
  }
}

/** A dimension as a number of the dtype, of any shape. */
function extentOf(graph: Graph, extent: Poly, like: Node): Node {
  const size = asConstant(extent);
  if (size !== undefined) return graph.full(size, like.dtype, like.shape);
  return graph.map('cast', [graph.index(extent, like.shape)], like.dtype);
}

/**
 * sum(c * x / d) = c * sum(x) / d for c and d that do not depend on the reduced indices. A quotient that others read too (the
 * result of a softmax) stays whole.
 */
function factorOut(node: Reduce, x: Node, make: Maker, uses: (node: Node) => number): Node | undefined {
  const { graph } = make;
  if (x.op !== 'map') return undefined;
  const axes = reducedAxes(node, x);
  const isKept = (f: Node): boolean => f !== x && f.op === 'map' && f.fn === 'div' && uses(f) > 1;
  const { factors, divisors, negative } = factorise(x, isKept);
  const split = (nodes: readonly Node[]): { out: Node[]; inside: Node[] } => {
    const out = nodes.map((f) => without(graph, f, axes));
    return { out: out.filter((f) => f !== undefined), inside: nodes.filter((_, i) => out[i] === undefined) };
  };
  const [up, down] = [split(factors), split(divisors)];
  if (up.out.length === 0 && down.out.length === 0 && !negative) return undefined;
  if (up.inside.length === 0) return undefined;
  const top = product(make, up.inside);
  const bottom = product(make, down.inside);
  if (!top) return undefined;
  const sum = graph.reduce('sum', bottom ? make.map('div', top, bottom) : top, node.count);
  const scaled = up.out.reduce((a, b) => make.map('mul', a, b), sum);
  const divided = down.out.reduce((a, b) => make.map('div', a, b), scaled);
  return negative ? make.map('neg', divided) : divided;
}

/** sum over k of (x if k == e else 0) is x at k = e, where e is in range; `-k >= 0` says k == 0. */
function substitutePinned(node: Reduce, x: Node, make: Maker): Node | undefined {
  const { factors, divisors, negative } = factorise(x);
  if (divisors.length > 0) return undefined;
  for (const factor of factors) {
    if (factor.op !== 'view' || factor.fill !== 0) continue;
    for (const axis of reducedAxes(node, x))
      for (const c of factor.guard) {
        const at = c.kind === 'eq' ? solvedFor(c.value, axis) : isFirstOnly(c.value, axis) ? zero : undefined;
        if (!at) continue;
        const sum = pinned(make, node, factors, axis, at);
        return sum && negative ? make.map('neg', sum) : sum;
      }
  }
  return undefined;
}

/** Not negative where the index is 0 only. */
function isFirstOnly(p: Poly, axis: number): boolean {
  const linear = linearIn(p, `$${axis}`);
  const by = linear && asConstant(linear.coefficient);
  return by !== undefined && by < 0 && asConstant(linear!.rest) === 0;
}

/** The value of the index at which `p` is 0, over the other indices; no data. */
function solvedFor(p: Poly, axis: number): Poly | undefined {
  const linear = linearIn(p, `$${axis}`);
  const c = linear && asConstant(linear.coefficient);
  if (!linear || (c !== 1 && c !== -1) || [...symbolsOf(p)].some((s) => s.startsWith('@'))) return undefined;
  return c === 1 ? negate(linear.rest) : linear.rest;
}

/** The sum of the product with an index put in. */
function pinned(
  make: Maker,
  node: Reduce,
  factors: readonly Node[],
  axis: number,
  at: Poly,
): Node | undefined {
  const { graph } = make;
  const [{ shape: full } = { shape: [] }] = factors;
  const shape = full.filter((_, i) => i !== axis);
  const value = substitute(at, (s) => {
    const i = s.startsWith('$') ? Number(s.slice(1)) : -1;
    return i > axis ? indexAt(i - 1, shape) : undefined;
  });
  const guard = [value, subtract(subtract(full[axis] ?? one, one), value)].map((p): Condition => ({
    kind: 'ge',
    value: p,
  }));
  const body = product(
    make,
    factors.map((f) => fixAxis(graph, f, axis, value, guard)),
  );
  return body && graph.reduce(node.fn, body, node.count - 1);
}

/**
 * sum(a * b), both read under the same guard with fill 0: one guard is enough. Only where `b` is read from a leaf, in
 * bounds without its guard: weights and inputs are finite, or the network has failed already.
 */
function guardOnce(node: Reduce, x: Node, make: Maker): Node | undefined {
  const { factors, divisors, negative } = factorise(x);
  if (divisors.length > 0 || factors.length < 2) return undefined;
  for (const [i, factor] of factors.entries()) {
    if (!factors.some((other, k) => k !== i && isGuardedBy(other, factor))) continue;
    const bare = withoutGuard(make.graph, factor);
    const body = bare && product(make, factors.with(i, bare));
    if (!body) continue;
    const sum = make.graph.reduce('sum', body, node.count);
    return negative ? make.map('neg', sum) : sum;
  }
  return undefined;
}

/** The view of a leaf without its guard, if it reads in bounds all the same. */
function withoutGuard(graph: Graph, node: Node): Node | undefined {
  if (node.op !== 'view' || node.guard.length === 0 || node.inputs.length > 1) return undefined;
  const [x] = node.inputs;
  const ranges = rangesOf(node.shape);
  const inside = node.index.every((e, i) => isBetween(e, zero, x?.shape[i] ?? one, ranges));
  return x?.op === 'leaf' && inside ? graph.view(x, node.shape, node.index) : undefined;
}

/** `other` is 0 wherever a condition of `node` fails. */
const isGuardedBy = (other: Node, node: Node): boolean =>
  other.op === 'view' &&
  node.op === 'view' &&
  node.guard.length > 0 &&
  other.fill === 0 &&
  node.fill === 0 &&
  node.guard.every((c) => other.guard.some((d) => c.kind === d.kind && equal(c.value, d.value)));

export const reductions: readonly Rule<'reduce'>[] = [
  rule('reduce over one', every, (node, x, { graph }) => {
    const axis = reducedAxes(node, x).find((a) => asConstant(x.shape[a] ?? one) === 1);
    if (axis === undefined) return undefined;
    return graph.reduce(node.fn, fixAxis(graph, x, axis, constant(0)), node.count - 1);
  }),
  rule('reduce of a reduce', every, (node, x, { graph }, uses) => {
    if (x.op !== 'reduce' || x.fn !== node.fn || uses(x) > 1) return undefined;
    const [inner] = x.inputs;
    return inner && graph.reduce(node.fn, inner, node.count + x.count);
  }),
  rule('sum of the same', ['sum'], (node, x, make) => {
    const axis = reducedAxes(node, x).find((a) => isSameAlong(x, a));
    if (axis === undefined) return undefined;
    const sum = make.graph.reduce('sum', dropAxis(make.graph, x, axis), node.count - 1);
    return make.map('mul', sum, extentOf(make.graph, x.shape[axis] ?? one, sum));
  }),
  rule('max of the same', ['max', 'min'], (node, x, { graph }) => {
    const axis = reducedAxes(node, x).find(
      (a) => isSameAlong(x, a) && (asConstant(x.shape[a] ?? one) ?? 0) >= 1,
    );
    return axis === undefined ? undefined : graph.reduce(node.fn, dropAxis(graph, x, axis), node.count - 1);
  }),
  rule('reduce of the identity', ['sum', 'prod'], (node, x, { graph }) =>
    constantValue(x) === identityOf(node.fn, node.dtype)
      ? graph.full(identityOf(node.fn, node.dtype), node.dtype, node.shape)
      : undefined,
  ),
  rule('sum of a pinned index', ['sum'], substitutePinned),
  rule('sum over every n-th index', ['sum'], everyNth),
  rule('one guard for a product', ['sum'], guardOnce),
  rule('factor out of a sum', ['sum'], factorOut),
];
