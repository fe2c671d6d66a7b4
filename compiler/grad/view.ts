/** Gradients of views and scatters: each is the other's adjoint. */
import type { Graph, Node, View } from '../ir/graph.ts';
import { atIndices, indexAt, rangesOf } from '../ir/indices.ts';
import type { Condition, Poly } from '../shape/poly.ts';
import {
  asConstant,
  asSymbol,
  equal,
  isNonNegative,
  linearIn,
  mapGuard,
  one,
  substitute,
  subtract,
  symbolsOf,
  zero,
} from '../shape/poly.ts';
import type { Preimage } from './preimage.ts';
import { preimage } from './preimage.ts';
import type { Context } from './context.ts';

/**
 * gx[j] = sum of g over the result indices that read x[j]. Where the index expressions can be solved this is a guarded
 * view of `g`, reduced over the indices left free; an index by data that leaves nothing free becomes a mask (the
 * one-hot form); everything else is a scatter, which is always right.
 */
export function viewGradient({ make, g, x: [x], y }: Context): Node {
  const { graph } = make;
  if (y.op !== 'view') throw new Error('not a view');
  const data = y.inputs.slice(1);
  if (y.guard.some((c) => holdsData(c.value))) return scattered(graph, g, y);
  const exact = y.index.map((e, i) => ({ e, i })).filter(({ e }) => !holdsData(e));
  const solved = preimage({
    target: x.shape,
    source: y.shape,
    equations: exact.map(({ e, i }) => ({ left: e, right: indexAt(i, x.shape) })),
    guard: y.guard,
  });
  if (!solved) return scattered(graph, g, y);
  const ignored = ignoredAxes(y);
  if (data.length === 0 && ignored.length > 0 && solved.free.length === ignored.length && !isPlain(y))
    return inTwoSteps(graph, g, y, ignored);
  if (data.length === 0 || exact.length === y.index.length) return gathered(graph, g, x.shape, solved);
  return masked(make.where, graph, g, y, solved) ?? scattered(graph, g, y);
}

const holdsData = (e: Poly): boolean => [...symbolsOf(e)].some((s) => s.startsWith('@'));

/** The axes that neither the index nor the guard names: along them the view repeats. */
function ignoredAxes(y: View): number[] {
  const named = new Set([...y.index, ...y.guard.map((c) => c.value)].flatMap((e) => [...symbolsOf(e)]));
  return y.shape.flatMap((_, i) => (named.has(`$${i}`) ? [] : [i]));
}

/** Every dimension of the operand is read whole, in order, along an axis of its own. */
const isPlain = (y: View): boolean =>
  y.guard.length === 0 &&
  y.index.every((e, i) => {
    const extent = y.inputs[0]?.shape[i] ?? one;
    const axis = Number(asSymbol(e)?.slice(1) ?? NaN);
    return asConstant(extent) === 1 || equal(y.shape[axis] ?? zero, extent);
  });

/**
 * A view that repeats a slice or a reshape (a head of an attention): the sum over what it repeats first, in the shape in
 * which it was used, then the slice's own gradient. In one step the sum would run over an index such as
 * `head * width + i` taken apart again, and no longer be a matrix product.
 */
function inTwoSteps(graph: Graph, g: Node, y: View, ignored: readonly number[]): Node {
  const used = y.shape.map((_, i) => i).filter((i) => !ignored.includes(i));
  const order = [...used, ...ignored];
  const moved = order.map((i) => y.shape[i] ?? one);
  const turned = graph.view(
    g,
    moved,
    y.shape.map((_, i) => indexAt(order.indexOf(i), moved)),
  );
  const sum = graph.reduce('sum', turned, ignored.length);
  const shape = used.map((i) => y.shape[i] ?? one);
  const at = (p: Poly): Poly =>
    substitute(p, (s) => (s.startsWith('$') ? indexAt(used.indexOf(Number(s.slice(1))), shape) : undefined));
  const [x] = y.inputs;
  if (!x) throw new Error('a view has an operand');
  const solved = preimage({
    target: x.shape,
    source: shape,
    equations: y.index.map((e, i) => ({ left: at(e), right: indexAt(i, x.shape) })),
    guard: mapGuard(y.guard, at),
  });
  if (!solved) return scattered(graph, g, y);
  return gathered(graph, sum, x.shape, solved);
}

/** The view of `g` at the preimages, reduced over the free indices. */
function gathered(graph: Graph, g: Node, target: readonly Poly[], { index, free, guard }: Preimage): Node {
  const view = graph.view(g, [...target, ...free], index, { guard });
  return graph.reduce('sum', view, free.length);
}

/** where(data at the preimage == j, g at the preimage, 0), when every result index is known. */
function masked(
  where: Context['make']['where'],
  graph: Graph,
  g: Node,
  y: View,
  { index, free, guard }: Preimage,
): Node | undefined {
  const [x, ...data] = y.inputs;
  if (!x || free.length > 0) return undefined;
  let hit: Node | undefined;
  for (const [i, e] of y.index.entries()) {
    if (!holdsData(e)) continue;
    const [name] = [...symbolsOf(e)].filter((s) => s.startsWith('@'));
    const linear = name === undefined ? undefined : linearIn(e, name);
    const values = data[Number(name?.slice(1))];
    if (!linear || !values || asConstant(linear.coefficient) !== 1 || holdsData(linear.rest))
      return undefined;
    const rest = atIndices(linear.rest, index);
    const wanted = graph.index(subtract(indexAt(i, x.shape), rest), x.shape);
    const equal = graph.map('eq', [graph.view(values, x.shape, index, { guard }), wanted]);
    hit = hit ? graph.map('and', [hit, equal]) : equal;
  }
  return hit && where(hit, graph.view(g, x.shape, index, { guard }), 0);
}

/** Adds every element of `g`, where the guard holds, to the place it was read from. */
function scattered(graph: Graph, g: Node, y: View): Node {
  const [x, ...data] = y.inputs;
  if (!x) throw new Error('a view has an operand');
  const own = y.shape.map((_, i) => indexAt(i, y.shape));
  const dataOfGuard = y.guard.some((c) => holdsData(c.value)) ? data : [];
  const value = graph.view(g, y.shape, own, { guard: y.guard, data: dataOfGuard });
  return graph.scatter(value, data, y.index, x.shape);
}

/** gx[i] = gy[index of i], and 0 where the index leaves the result. */
export function scatterGradient({ make, g, x: [x, ...data], y }: Context): Node {
  if (y.op !== 'scatter') throw new Error('not a scatter');
  const ranges = rangesOf(x.shape);
  const inside = y.index.flatMap((e, i): Poly[] =>
    holdsData(e) ? [] : [e, subtract(subtract(y.shape[i] ?? one, one), e)],
  );
  const guard = inside
    .filter((p) => !isNonNegative(p, ranges))
    .map((value): Condition => ({ kind: 'ge', value }));
  const used = y.index.some(holdsData) ? data : [];
  return make.graph.view(g, x.shape, y.index, { guard, data: used });
}
