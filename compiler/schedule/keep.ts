/**
 * What the tail of a reduction keeps for its readers: of the values that are read outside of it, those to store, from which the
 * others are computed again where they are read. A minimum cut between what cannot be computed again (the reduction, costly
 * functions) and what is read outside; what is on the readers' side of it leaves the tail.
 */
import type { Node } from '../ir/graph.ts';
import { isCostly } from '../ir/graph.ts';
import { asConstant } from '../shape/poly.ts';
import { Flow } from './flow.ts';
import { baseOf } from './reads.ts';

export interface Tails {
  /** Topological. */
  readonly nodes: readonly Node[];
  /** The reduction whose tail a value is part of. */
  readonly anchors: Map<Node, Node>;
  readonly users: ReadonlyMap<Node, readonly Node[]>;
  /** Values that are stored whatever happens. */
  readonly isStored: (n: Node) => boolean;
  /** Values that a reader may not compute again, as it reads them several times. */
  readonly isRepeated: (n: Node) => boolean;
}

/** Takes the values that are computed again out of their tails. */
export function releaseRecomputed(tails: Tails): void {
  const groups = new Map<Node, Node[]>();
  for (const node of tails.nodes) {
    const anchor = tails.anchors.get(node);
    if (!anchor) continue;
    const group = groups.get(anchor);
    if (group) group.push(node);
    else groups.set(anchor, [node]);
  }
  const recomputed = [...groups.values()].flatMap((group) => recomputedOf(group, tails));
  for (const node of recomputed) tails.anchors.delete(node);
}

/** Vertices of the source and the sink; a member has two more, between which lies the price of storing it. */
const source = 0;
const sink = 1;
const before = (member: number): number => 2 + 2 * member;
const after = (member: number): number => 3 + 2 * member;

function recomputedOf(group: readonly Node[], { anchors, users, isStored, isRepeated }: Tails): Node[] {
  const isOutside = (user: Node, node: Node): boolean => anchors.get(user) !== anchors.get(node);
  const isNeeded = (n: Node): boolean => (users.get(n) ?? []).some((u) => isOutside(u, n));
  if (!group.some((n) => n.op === 'map' && isNeeded(n) && !isStored(n))) return [];
  const members = group.filter((n) => !isStored(n));
  const index = new Map(members.map((n, i) => [n, i]));
  const flow = new Flow(2 + 2 * members.length);
  members.forEach((node, i) => {
    flow.edge(before(i), after(i), storing * sizeOf(node));
    if (isNeeded(node)) flow.edge(after(i), sink, Infinity);
    const again = node.op === 'map' && !isCostly(node) && !isRepeated(node);
    flow.edge(source, before(i), again ? recomputing(node, index) : Infinity);
    if (!again) return;
    for (const x of new Set(node.inputs)) {
      const from = index.get(x);
      if (from !== undefined) flow.edge(after(from), before(i), Infinity);
    }
  });
  flow.run(source, sink);
  const reading = flow.reaching(sink);
  return members.filter((_, i) => reading.has(before(i)));
}

/** In elements moved: written and read. */
const storing = 2;
/** An operation on an element, compared with moving one. */
const operation = 0.1;

/** What it takes to compute an element-wise value where it is read: its operation, and reading what its tail does not hold. */
function recomputing(node: Node, index: ReadonlyMap<Node, number>): number {
  const size = sizeOf(node);
  const reads = [...new Set(node.inputs.map(baseOf))].filter((x) => !index.has(x) && isLarge(x, size));
  return size * (operation + reads.length);
}

const isLarge = (n: Node, size: number): boolean =>
  n.op !== 'const' && n.op !== 'index' && 2 * sizeOf(n) > size;

/** Dimensions that are bound later count as this. */
const guess = 64;
const sizeOf = (n: Node): number => n.shape.reduce((v, d) => v * (asConstant(d) ?? guess), 1);
