/**
 * Looks through what is inlined: which stored (or locally reduced) values a node reads, at which indices, and on
 * which of its own axes its value depends.
 */
import type { Graph, Node } from '../ir/graph.ts';
import { indexAt } from '../ir/graph.ts';
import type { Poly } from '../shape/poly.ts';
import { asConstant, one, substitute, symbolsOf } from '../shape/poly.ts';

/** One read of `source` by a node: the index of each dimension of `source` over the reader's `$i`. */
export interface Read {
  readonly source: Node;
  readonly index: readonly Poly[];
}

/** Replaces `$0, $1, …` by the given expressions. */
export function atIndices(p: Poly, indices: readonly Poly[]): Poly {
  return substitute(p, (name) => (name.startsWith('$') ? indices[Number(name.slice(1))] : undefined));
}

export const isUnit = (d: Poly | undefined): boolean => d === undefined || asConstant(d) === 1;

/** Index of every axis of a shape, 0 for axes of size 1. */
export const ownIndices = (shape: readonly Poly[]): Poly[] => shape.map((_, i) => indexAt(i, shape));

/** The node whose elements `node`'s definition iterates over (for a reduction: its operand's). */
export const iterationShape = (node: Node): readonly Poly[] =>
  node.op === 'reduce' || node.op === 'scatter' ? (node.inputs[0]?.shape ?? []) : node.shape;

/**
 * Reads of the definition of `node` (of its operand for a reduction or scatter), looking through nodes for which
 * `isSource` is false. Indices are over the axes of `iterationShape(node)`. `operands`: what a reduction or scatter
 * is computed from, where that is not its inputs (see `operandsOf`).
 */
export function readsOf(
  node: Node,
  isSource: (n: Node) => boolean,
  operands: readonly Node[] = node.inputs,
): readonly Read[] {
  const found = new Map<string, Read>();
  const visit = (n: Node, indices: readonly Poly[]): void => {
    if (n.op === 'const' || n.op === 'index') return;
    if (isSource(n) || n.op === 'leaf') {
      const key = `${n.id} ${indices.map((p) => p.key).join(',')}`;
      if (!found.has(key)) found.set(key, { source: n, index: indices });
      return;
    }
    expand(n, indices, visit);
  };
  const shape = iterationShape(node);
  if (node.op === 'reduce' || node.op === 'scatter') for (const x of operands) visit(x, ownIndices(shape));
  else expand(node, ownIndices(shape), visit);
  return [...found.values()];
}

function expand(n: Node, indices: readonly Poly[], visit: (n: Node, indices: readonly Poly[]) => void): void {
  if (n.op === 'view') {
    const [x, ...data] = n.inputs;
    if (x)
      visit(
        x,
        n.index.map((e) => atIndices(e, indices)),
      );
    for (const d of data) visit(d, indices);
  } else for (const x of n.inputs) visit(x, indices);
}

/** Axes of `node` on which its value depends (an axis of size 1 never counts). Memoised per graph. */
export class Dependence {
  private readonly known = new Map<Node, ReadonlySet<number>>();

  axesOf(node: Node): ReadonlySet<number> {
    const seen = this.known.get(node);
    if (seen) return seen;
    const axes = this.compute(node);
    this.known.set(node, axes);
    return axes;
  }

  private compute(node: Node): ReadonlySet<number> {
    switch (node.op) {
      case 'const':
        return new Set();
      case 'index':
        return axesIn([node.value]);
      case 'map':
        return new Set(node.inputs.flatMap((x) => [...this.axesOf(x)]));
      case 'stop':
        return this.axesOf(node.inputs[0] as Node);
      case 'view': {
        const [x, ...data] = node.inputs;
        const inner = this.axesOf(x as Node);
        const used = node.index.filter((_, i) => inner.has(i));
        const deciding = [...used, ...node.guard.map((c) => c.value)];
        const own = axesIn(deciding);
        // A guard may ask the data where the index does not: `if idx[i] == j then y[j] else 0`.
        const byData = deciding.some((e) => [...symbolsOf(e)].some((s) => s.startsWith('@')));
        return new Set([...own, ...(byData ? data.flatMap((d) => [...this.axesOf(d)]) : [])]);
      }
      default:
        return new Set(node.shape.flatMap((d, i) => (isUnit(d) ? [] : [i])));
    }
  }
}

function axesIn(ps: readonly Poly[]): Set<number> {
  const names = new Set<string>();
  for (const p of ps) symbolsOf(p, names);
  return new Set([...names].filter((s) => s.startsWith('$')).map((s) => Number(s.slice(1))));
}

/** A view of `node` without the axes it does not depend on (they become size 1), and the view back. */
export function compact(
  graph: Graph,
  node: Node,
  axes: ReadonlySet<number>,
): { readonly small: Node; readonly full: Node } {
  const shape = node.shape.map((d, i) => (axes.has(i) ? d : one));
  const small = graph.view(node, shape, ownIndices(shape));
  return { small, full: small === node ? node : graph.view(small, node.shape, ownIndices(shape)) };
}
