/**
 * Recognises contractions: a sum over products in which each side varies along result axes that the other does not.
 * Matrix products, convolutions (forward and both gradients) and attention are all of this form.
 */
import type { Graph, Node, Reduce, View } from '../ir/graph.ts';
import {
  add,
  type Condition,
  equal,
  isBetween,
  isNonNegative,
  negate,
  one,
  simplify,
  subtract,
  substitute,
  zero,
  type Poly,
  type Ranges,
} from '../shape/poly.ts';
import { rangesOf, resultIndex } from '../ir/indices.ts';
import type { Dependence } from './reads.ts';
import { isUnit } from './reads.ts';

/** Axis numbers of the product's iteration space by role; `a` and `b` are the operands, on that space. */
export interface Contraction {
  readonly batch: readonly number[];
  readonly m: readonly number[];
  readonly n: readonly number[];
  readonly k: readonly number[];
  readonly a: Node;
  readonly b: Node;
  /** Conditions over the iteration space: where one fails, the product counts nothing (see `ContractKernel`). */
  readonly live: readonly Condition[];
}

/** The roles, with the innermost result axis on the side of `n`; undefined when it is no contraction. */
export function recognise(graph: Graph, node: Node, dependence: Dependence): Contraction | undefined {
  const product = node.inputs[0];
  if (node.op !== 'reduce' || node.fn !== 'sum' || !product || node.dtype !== 'f32') return undefined;
  const factors = shedGuards(graph, factorsOf(product));
  if (factors.length < 2) return undefined;
  const rank = node.shape.length;
  const result = (x: Node): Set<number> => new Set([...dependence.axesOf(x)].filter((i) => i < rank));
  const first = factors.reduce((best, f) => (result(f).size > result(best).size ? f : best));
  const left = result(first);
  const as = factors.filter((f) => [...result(f)].every((i) => left.has(i)));
  const bs = factors.filter((f) => !as.includes(f));
  if (bs.length === 0) return splitEqual(graph, node, factors, dependence);
  return assign(graph, node, as, bs, dependence);
}

/** All factors vary along the same result axes, or nested ones: take the two with the smallest overlap. */
function splitEqual(
  graph: Graph,
  node: Reduce,
  factors: readonly Node[],
  dependence: Dependence,
): Contraction | undefined {
  for (const [i, f] of factors.entries()) {
    const rest = factors.filter((_, j) => j !== i);
    const found = assign(graph, node, [f], rest, dependence);
    if (found) return found;
  }
  return undefined;
}

function assign(
  graph: Graph,
  node: Reduce,
  as: readonly Node[],
  bs: readonly Node[],
  dependence: Dependence,
): Contraction | undefined {
  const product = (xs: readonly Node[]): Node => xs.reduce((x, y) => graph.map('mul', [x, y]));
  const [a, b] = graph.from(graph.originsOf(node), () => [product(as), product(bs)] as const);
  const [ofA, ofB] = [dependence.axesOf(a), dependence.axesOf(b)];
  const rank = node.shape.length;
  const shape = node.inputs[0]?.shape ?? [];
  const axes = shape.flatMap((d, i) => (isUnit(d) ? [] : [i]));
  const roles = { batch: [] as number[], m: [] as number[], n: [] as number[], k: [] as number[] };
  for (const i of axes) {
    if (i >= rank) roles.k.push(i);
    else if (ofA.has(i) && ofB.has(i)) roles.batch.push(i);
    else if (ofA.has(i)) roles.m.push(i);
    else if (ofB.has(i)) roles.n.push(i);
    else return undefined;
  }
  if (roles.m.length === 0 || roles.n.length === 0 || roles.k.length === 0) return undefined;
  if (!roles.k.some((i) => ofA.has(i) && ofB.has(i))) return undefined;
  const swap = Math.max(...roles.m) > Math.max(...roles.n);
  const live: readonly Condition[] = [];
  return swap ? { ...roles, m: roles.n, n: roles.m, a: b, b: a, live } : { ...roles, a, b, live };
}

/**
 * A condition that two factors share makes the product zero by either of them: it is dropped where the read stays in
 * bounds without it, so that the weights of a convolution's gradient do not vary with the position.
 */
function shedGuards(graph: Graph, factors: readonly Node[]): readonly Node[] {
  const kept = [...factors];
  factors.forEach((f, i) => {
    if (f.op !== 'view' || f.guard.length === 0 || f.fill !== 0 || !inBounds(f)) return;
    const others = kept
      .filter((_, j) => j !== i)
      .flatMap((g) => (g.op === 'view' && g.fill === 0 ? g.guard : []));
    const guard = f.guard.filter((c) => !others.some((d) => d.kind === c.kind && equal(d.value, c.value)));
    if (guard.length === f.guard.length) return;
    const [x, ...data] = f.inputs;
    if (x)
      kept[i] = graph.from(graph.originsOf(f), () =>
        graph.view(x, f.shape, f.index, { guard, fill: 0, data }),
      );
  });
  return kept;
}

/** Every index stays inside the operand wherever the guard would not. */
function inBounds(view: View): boolean {
  const ranges = rangesOf(view.shape);
  const shape = view.inputs[0]?.shape ?? [];
  return view.index.every((e, i) => isBetween(e, zero, shape[i] ?? one, ranges));
}

function factorsOf(node: Node): readonly Node[] {
  return node.op === 'map' && node.fn === 'mul' ? node.inputs.flatMap(factorsOf) : [node];
}

/**
 * A guarded view whose conditions are just the bounds of affine indices, as an unguarded view of a copy that has the
 * operand's halo around it. Undefined when the guard says more.
 */
export function withHalo(graph: Graph, node: Node): { readonly copy: Node; readonly view: Node } | undefined {
  const x = node.inputs[0];
  if (node.op !== 'view' || !x || node.guard.length === 0 || node.inputs.length > 1) return undefined;
  if (node.guard.some((c) => c.kind === 'eq')) return undefined;
  const ranges = rangesOf(node.shape);
  const bounds = node.index.map((e) => extremes(e, ranges));
  const lows: Poly[] = [];
  const sizes: Poly[] = [];
  for (const b of bounds) {
    if (!b) return undefined;
    lows.push(b.low);
    sizes.push(add(subtract(b.high, b.low), one));
  }
  const implied = new Set(
    node.index.flatMap((e, i) => [e.key, subtract(subtract(x.shape[i] ?? one, one), e).key]),
  );
  if (!node.guard.every((c) => implied.has(c.value.key))) return undefined;
  return graph.from(graph.originsOf(node), () => {
    const index = lows.map((low, i) => add(low, isUnit(sizes[i]) ? 0 : resultIndex(i)));
    const copyRanges = rangesOf(sizes);
    const guard = index
      .flatMap((e, i) => [e, subtract(subtract(x.shape[i] ?? one, one), e)])
      .filter((e) => !isNonNegative(e, copyRanges))
      .map((value) => ({ kind: 'ge' as const, value }));
    const copy = graph.view(x, sizes, index, { guard, fill: node.fill });
    return {
      copy,
      view: graph.view(
        copy,
        node.shape,
        node.index.map((e, i) => simplify(subtract(e, lows[i] ?? 0), ranges)),
      ),
    };
  });
}

/** Least and greatest value of an expression that is affine in its index variables. */
function extremes(e: Poly, ranges: Ranges): { low: Poly; high: Poly } | undefined {
  if (e.terms.some((t) => t.factors.some((f) => f.kind !== 'symbol'))) return undefined;
  let low = e;
  let high = e;
  for (const [name, extent] of ranges) {
    const last = subtract(extent, one);
    const at = (p: Poly, value: Poly | number): Poly =>
      substitute(p, (s) => (s === name ? add(value) : undefined));
    const slope = subtract(at(e, 1), at(e, 0));
    if (slope.terms.length === 0) continue;
    if (isNonNegative(slope, ranges)) [low, high] = [at(low, 0), at(high, last)];
    else if (isNonNegative(negate(slope), ranges)) [low, high] = [at(low, last), at(high, 0)];
    else return undefined;
  }
  return { low, high };
}
