/**
 * Rules about views: a chain of views becomes one; a view of an expression that only exists to be viewed (every
 * operand is itself a view, a constant or an index) moves to the operands, so that loads end up at the leaves and the
 * expression takes the shape of its user. An expression that is computed for its own sake (an activation) stays whole,
 * to be computed once.
 */
import type { Graph, MapNode, Node, View } from '../ir/graph.ts';
import { atIndices, indexAt } from '../ir/indices.ts';
import { constantValue } from '../ir/make.ts';
import type { ScalarOp } from '../ir/ops.ts';
import type { Condition, Poly } from '../shape/poly.ts';
import {
  add,
  equal,
  isNonNegative,
  mapGuard,
  multiply,
  negate,
  one,
  substitute,
  subtract,
  symbol,
  symbolsOf,
} from '../shape/poly.ts';
import type { Rule } from './engine.ts';
import { foldScalar } from '../ir/fold.ts';

/** A view without its operand: how to read something of the operand's shape. */
export type Reading = Pick<View, 'shape' | 'index' | 'guard'> & { readonly data: readonly Node[] };

const readingOf = (view: View): Reading => ({
  shape: view.shape,
  index: view.index,
  guard: view.guard,
  data: view.inputs.slice(1),
});

const holdsData = (e: Poly): boolean => [...symbolsOf(e)].some((s) => s.startsWith('@'));

/** Whether nothing is left out: no guard, and no data that may miss. */
const isTotal = (r: Reading): boolean => r.guard.length === 0 && !r.index.some(holdsData);

/** `outer` of `inner` as one view, when their fills allow. `fill` is the outer view's. */
export function compose(graph: Graph, inner: View, outer: Reading, fill: number): Node | undefined {
  const [x, ...innerData] = inner.inputs;
  if (!x) return undefined;
  const innerTotal = isTotal(readingOf(inner));
  const outerTotal = isTotal(outer);
  if (!innerTotal && !outerTotal && !Object.is(inner.fill, fill)) return undefined;
  const base = outer.data.length;
  const by = (name: string): Poly | undefined => {
    if (name.startsWith('$')) return outer.index[Number(name.slice(1))];
    return name.startsWith('@') ? symbol(`@${base + Number(name.slice(1))}`) : undefined;
  };
  // Where data of the outer view leaves the inner result the fill is read: a condition once the inner result is gone.
  const missed = outer.index.flatMap((e, i): Condition[] => {
    const extent = inner.shape[i] ?? one;
    if (!holdsData(e) || survives(inner, i, x.shape, extent)) return [];
    return [
      { kind: 'ge', value: e },
      { kind: 'ge', value: subtract(subtract(extent, one), e) },
    ];
  });
  const data = innerData.map((d) =>
    graph.view(d, outer.shape, outer.index, { guard: outer.guard, data: outer.data }),
  );
  const index = inner.index.map((e) => substitute(e, by));
  const guard = [...outer.guard, ...missed, ...mapGuard(inner.guard, (e) => substitute(e, by))];
  const chosen = outerTotal ? inner.fill : fill;
  return graph.view(x, outer.shape, index, { guard, fill: chosen, data: [...outer.data, ...data] });
}

/** Index i of the inner result indexes a dimension of its operand of the same extent: a miss is still a miss. */
const survives = (inner: View, i: number, shape: readonly Poly[], extent: Poly): boolean =>
  inner.index.some((e, k) => equal(e, indexAt(i, inner.shape)) && equal(shape[k] ?? one, extent));

/**
 * `node` read through `r`, the reading moved to its operands. Outside the reading the value is `fill`, or anything when
 * `fill` is undefined. Undefined when that cannot be arranged.
 */
export function pushed(
  graph: Graph,
  node: Node,
  r: Reading,
  fill: number | undefined,
  memo: Memo = new Map(),
): Node | undefined {
  const key = `${node.id} ${fill}`;
  if (!memo.has(key)) memo.set(key, pushedAnew(graph, node, r, fill, memo));
  return memo.get(key);
}

/** What an operand became, by its number and fill: expressions share operands. */
type Memo = Map<string, Node | undefined>;

function pushedAnew(
  graph: Graph,
  node: Node,
  r: Reading,
  fill: number | undefined,
  memo: Memo,
): Node | undefined {
  const value = constantValue(node);
  if (value !== undefined)
    return fill === undefined || isTotal(r) || Object.is(value, fill)
      ? graph.full(value, node.dtype, r.shape)
      : undefined;
  if (node.op === 'index') return pushedIndex(graph, node.value, r, fill);
  if (node.op === 'view')
    return compose(graph, node, r, fill ?? node.fill) ?? direct(graph, node, r, fill ?? 0);
  return node.op === 'map' ? pushedMap(graph, node, r, fill, memo) : direct(graph, node, r, fill ?? 0);
}

const direct = (graph: Graph, node: Node, r: Reading, fill: number): Node =>
  graph.view(node, r.shape, r.index, { guard: r.guard, fill, data: r.data });

function pushedIndex(graph: Graph, value: Poly, r: Reading, fill: number | undefined): Node | undefined {
  const at = atIndices(value, r.index);
  if (holdsData(at)) return undefined;
  return fill === undefined || isTotal(r) ? graph.index(at, r.shape) : undefined;
}

function pushedMap(
  graph: Graph,
  node: MapNode,
  r: Reading,
  fill: number | undefined,
  memo: Memo,
): Node | undefined {
  const total = isTotal(r);
  for (const fills of total || fill === undefined
    ? [node.inputs.map(() => undefined)]
    : fillsFor(node, fill)) {
    const operands = node.inputs.map((x, i) => pushed(graph, x, r, fills[i], memo));
    if (operands.every((x) => x !== undefined)) return graph.map(node.fn, operands, node.dtype);
  }
  return undefined;
}

/** Fills of the operands for which the operation gives `fill`; undefined stands for anything. */
function fillsFor(node: MapNode, fill: number): (number | undefined)[][] {
  if (node.fn === 'where') return [[undefined, fill, fill]];
  const candidates = node.inputs.map((x) => {
    const value = constantValue(x);
    return value !== undefined
      ? [value]
      : [...new Set([fill, 0, 1])].filter((v) => x.dtype !== 'bool' || v === 0 || v === 1);
  });
  const all = candidates.reduce<number[][]>(
    (rows, c) => rows.flatMap((row) => c.map((v) => [...row, v])),
    [[]],
  );
  const from = node.inputs[0]?.dtype ?? node.dtype;
  return all.filter((values) => Object.is(foldScalar(node.fn, values, from, node.dtype), fill)).slice(0, 4);
}

/** Operations that may be computed again for every element read; others only when a view does not repeat them. */
const cheap: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  'neg',
  'abs',
  'not',
  'cast',
  'add',
  'sub',
  'mul',
  'max',
  'min',
  'lt',
  'le',
  'eq',
  'and',
  'or',
  'xor',
  'where',
  'floor',
]);

/**
 * Made of views, constants and indices only, through cheap operations. What windows pass over is computed once, if it is more
 * than that: tensors side by side, or a sum whose elements were put elsewhere.
 */
function existsToBeViewed(node: Node, repeated: boolean, seen = new Set<Node>()): boolean {
  if (node.op === 'view') return !(repeated && isRearranged(node));
  if (node.op !== 'map') return node.op === 'index';
  if (repeated && isConcatenation(node)) return false;
  if (seen.has(node)) return true;
  seen.add(node);
  return (!repeated || cheap.has(node.fn)) && node.inputs.every((x) => existsToBeViewed(x, repeated, seen));
}

/** A sum of guarded parts, as the gradient of a tensor that was cut: for several readers it is put together once. */
const joins = (node: MapNode): boolean =>
  node.fn === 'add' &&
  node.inputs.every((x) => (x.op === 'view' && x.guard.length > 0) || (x.op === 'map' && joins(x)));

/** A choice by indices between two tensors. */
const isConcatenation = ({ fn, inputs: [test, ...parts] }: MapNode): boolean =>
  fn === 'where' && isOfIndices(test) && parts.every((x) => constantValue(x) === undefined);

const isOfIndices = (node: Node | undefined): boolean =>
  node?.op === 'index' ||
  (node !== undefined && constantValue(node) !== undefined) ||
  (node?.op === 'map' && node.inputs.every((x) => isOfIndices(x)));

/** Every element of something computed, elsewhere. */
const isRearranged = ({ guard, inputs: [x, ...data], shape }: View): boolean =>
  guard.length === 0 && data.length === 0 && x?.op === 'reduce' && equal(elements(shape), elements(x.shape));

const elements = (shape: readonly Poly[]): Poly => multiply(...shape, 1);

/** Whether reading through `r` may read an element of `shape` several times. */
const repeats = (r: Reading, shape: readonly Poly[]): boolean =>
  !isNonNegative(subtract(elements(shape), elements(r.shape)), new Map());

export const views: readonly [Rule<'view'>, ...Rule<'view'>[]] = [
  {
    name: 'view of a view',
    op: 'view',
    apply: (node, { graph }) => {
      const [x] = node.inputs;
      return x?.op === 'view' ? compose(graph, x, readingOf(node), node.fill) : undefined;
    },
  },
  {
    name: 'view of a constant or index',
    op: 'view',
    apply: (node, { graph }) => {
      const [x] = node.inputs;
      if (x?.op === 'const')
        return isTotal(readingOf(node)) && node.index.length === 0 && node.inputs.length === 1
          ? undefined
          : pushed(graph, x, readingOf(node), node.fill);
      return x?.op === 'index' ? pushed(graph, x, readingOf(node), node.fill) : undefined;
    },
  },
  {
    name: 'view of an expression of views',
    op: 'view',
    apply: (node, { graph, uses }) => {
      const [x] = node.inputs;
      if (x?.op !== 'map') return undefined;
      const r = readingOf(node);
      if (uses(x) > 1 && isTotal(r) && joins(x)) return undefined;
      return existsToBeViewed(x, repeats(r, x.shape)) ? pushed(graph, x, r, node.fill) : undefined;
    },
  },
  {
    name: 'view of part of a sum',
    op: 'view',
    apply: (node, { graph, uses }) => {
      const [sum] = node.inputs;
      const [x] = sum?.inputs ?? [];
      if (sum?.op !== 'reduce' || sum.fn !== 'sum' || !x || uses(sum) > 1 || node.inputs.length > 1)
        return undefined;
      if (node.guard.length > 0 && node.fill !== 0) return undefined;
      // What nobody reads is not added up.
      const unread = add(elements(sum.shape), negate(elements(node.shape)), -1);
      if (!isNonNegative(unread, new Map())) return undefined;
      const shape = [...node.shape, ...x.shape.slice(sum.shape.length)];
      const summed = x.shape.slice(sum.shape.length).map((_, i) => indexAt(node.shape.length + i, shape));
      const part = graph.view(x, shape, [...node.index, ...summed], { guard: node.guard });
      return graph.reduce('sum', part, sum.count);
    },
  },
  {
    name: 'view with unused data',
    op: 'view',
    apply: (node, { graph }) => {
      const [x, ...data] = node.inputs;
      const used = new Set(
        [...node.index, ...node.guard.map((c) => c.value)].flatMap((e) => [...symbolsOf(e)]),
      );
      const kept = data.map((_, i) => i).filter((i) => used.has(`@${i}`));
      if (!x || kept.length === data.length) return undefined;
      const rename = (e: Poly): Poly =>
        substitute(e, (s) =>
          s.startsWith('@') ? symbol(`@${kept.indexOf(Number(s.slice(1)))}`) : undefined,
        );
      return graph.view(x, node.shape, node.index.map(rename), {
        guard: mapGuard(node.guard, rename),
        fill: node.fill,
        data: kept.flatMap((i) => data[i] ?? []),
      });
    },
  },
];
