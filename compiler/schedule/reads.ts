/**
 * Looks through what is inlined: which stored (or locally reduced) values a node reads, at which indices.
 */
import type { Graph, Node } from '../ir/graph.ts';
import { atIndices, indexAt } from '../ir/indices.ts';
import type { Poly } from '../shape/poly.ts';
import { isUnit } from '../ir/dependence.ts';
import { one, symbol, zero } from '../shape/poly.ts';

export { Dependence, isUnit } from '../ir/dependence.ts';

/** One read of `source` by a node: the index of each dimension of `source` over the reader's `$i`. */
export interface Read {
  readonly source: Node;
  readonly index: readonly Poly[];
}

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
  const found: Read[] = [];
  // What is used several times is looked through once: else the work would double with every repetition of `z * z`.
  const seen = new Map<Node, (readonly Poly[])[]>();
  const visit = (n: Node, indices: readonly Poly[]): void => {
    if (n.op === 'const' || n.op === 'index') return;
    const before = seen.get(n);
    if (before?.some((b) => isSame(b, indices))) return;
    if (before) before.push(indices);
    else seen.set(n, [indices]);
    if (isSource(n) || n.op === 'leaf') found.push({ source: n, index: indices });
    else expand(n, indices, visit);
  };
  const shape = iterationShape(node);
  if (node.op === 'reduce' || node.op === 'scatter') for (const x of operands) visit(x, ownIndices(shape));
  else expand(node, ownIndices(shape), visit);
  return found;
}

const isSame = (a: readonly Poly[], b: readonly Poly[]): boolean =>
  a === b || (a.length === b.length && a.every((p, i) => p.key === b[i]?.key));

function expand(n: Node, indices: readonly Poly[], visit: (n: Node, indices: readonly Poly[]) => void): void {
  if (n.op === 'view') {
    const [x, ...data] = n.inputs;
    if (x)
      visit(
        x,
        n.index.map((e) => atIndices(e, indices)),
      );
    for (const d of data) visit(d, indices);
    return;
  }
  // A contraction that is computed where it is read: its summed axes have names of their own.
  const inner =
    n.op === 'reduce' && n.inputs[0]
      ? n.inputs[0].shape.slice(n.shape.length).map((d, i) => (isUnit(d) ? zero : symbol(`^${n.id}_${i}`)))
      : [];
  for (const x of n.inputs) visit(x, [...indices, ...inner]);
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

/** What a chain of views reads. */
export function baseOf(node: Node): Node {
  let n = node;
  while (n.op === 'view' && n.inputs[0]) n = n.inputs[0];
  return n;
}
