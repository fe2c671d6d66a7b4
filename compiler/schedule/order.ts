/**
 * Puts clusters in an order of execution, decides which new values of kept tensors are written in place, and
 * gives every stored value its buffer with the dispatches between which it lives.
 */
import type { Leaf, Node } from '../ir/graph.ts';
import type { DType } from '../ir/ops.ts';
import { equal, multiply, type Poly } from '../shape/poly.ts';
import { bigAxes, type Cluster, type Clustering, type Member } from './cluster.ts';
import type { Prepared } from './prepare.ts';
import { ownIndices } from './reads.ts';

export interface Buffer {
  readonly name: string;
  readonly dtype: DType;
  /** Elements. */
  readonly size: Poly;
  /** The leaf that stands in it, for inputs, clocks and kept tensors. */
  readonly leaf: Leaf | undefined;
  /** Index of the first and last kernel that touches it; -1: written by the host before. */
  readonly first: number;
  readonly last: number;
}

/** Copies a buffer at the end of the run, where an update could not be made in place. */
export interface Copy {
  readonly from: Node;
  readonly to: Leaf;
}

export interface Ordered {
  readonly clusters: readonly Cluster[];
  readonly copies: readonly Copy[];
  readonly buffers: readonly Buffer[];
  /** Where a stored value or leaf is read from. */
  readonly home: ReadonlyMap<Node, number>;
  /** Every buffer that a stored value is written to. */
  readonly destinations: ReadonlyMap<Node, readonly number[]>;
}

export function order(prepared: Prepared, clustering: Clustering): Ordered {
  const { inPlace, copies } = decideUpdates(prepared, clustering);
  const clusters = sort(clustering.clusters);
  const table = new BufferTable(clusters.length + copies.length);
  const outputs = new Set(prepared.computation.outputs.map((o) => o.node));

  clusters.forEach((c, at) => {
    for (const m of c.members) {
      for (const r of m.reads) if (r.source.op === 'leaf') table.touchLeaf(r.source, at);
      for (const r of m.reads) if (clustering.of.get(r.source) !== c) table.touch(r.source, at);
    }
    for (const m of c.members)
      if (clustering.stored.has(m.node))
        table.write(m.node, inPlace.get(m.node) ?? [], at, outputs.has(m.node));
  });
  copies.forEach((copy, i) => table.copy(copy, clusters.length + i));
  return { clusters, copies, buffers: table.buffers, home: table.home, destinations: table.destinations };
}

const sizeOf = (shape: readonly Poly[]): Poly => multiply(...shape);

class BufferTable {
  readonly buffers: {
    name: string;
    dtype: DType;
    size: Poly;
    leaf: Leaf | undefined;
    first: number;
    last: number;
  }[] = [];
  readonly home = new Map<Node, number>();
  readonly destinations = new Map<Node, number[]>();
  private readonly leaves = new Map<Leaf, number>();
  private readonly end: number;

  constructor(count: number) {
    this.end = count - 1;
  }

  touch(node: Node, at: number): void {
    const buffer = this.buffers[this.home.get(node) ?? -1];
    if (buffer) buffer.last = Math.max(buffer.last, at);
  }

  touchLeaf(leaf: Leaf, at: number): number {
    const known = this.leaves.get(leaf);
    if (known !== undefined) {
      this.touch(leaf, at);
      return known;
    }
    const id = this.add(`${leaf.role} ${leaf.name}`, leaf, leaf, -1, at);
    this.leaves.set(leaf, id);
    this.home.set(leaf, id);
    return id;
  }

  write(node: Node, leaves: readonly Leaf[], at: number, isOutput: boolean): void {
    const targets = leaves.map((leaf) => this.touchLeaf(leaf, at));
    if (targets.length === 0 || isOutput)
      targets.push(this.add(`${node.op} ${node.id}`, node, undefined, at, isOutput ? this.end : at));
    const [first] = targets;
    if (first !== undefined) this.home.set(node, first);
    this.destinations.set(node, targets);
  }

  copy(copy: Copy, at: number): void {
    this.touch(copy.from, at);
    this.touchLeaf(copy.to, at);
  }

  private add(name: string, node: Node, leaf: Leaf | undefined, first: number, last: number): number {
    return this.buffers.push({ name, dtype: node.dtype, size: sizeOf(node.shape), leaf, first, last }) - 1;
  }
}

/** Execution order: what must run before comes before, otherwise the order of creation (forward, then backward). */
function sort(clusters: readonly Cluster[]): readonly Cluster[] {
  const sorted: Cluster[] = [];
  const seen = new Set<Cluster>();
  const visit = (c: Cluster): void => {
    if (seen.has(c)) return;
    seen.add(c);
    for (const before of [...c.after].sort((a, b) => a.id - b.id)) visit(before);
    sorted.push(c);
  };
  for (const c of clusters) visit(c);
  return sorted;
}

/** In place where every other reader of the old value can run before and the writer reads just its own element. */
function decideUpdates(
  prepared: Prepared,
  clustering: Clustering,
): { inPlace: Map<Node, Leaf[]>; copies: Copy[] } {
  const inPlace = new Map<Node, Leaf[]>();
  const copies: Copy[] = [];
  const readers = readersOf(clustering);
  for (const { leaf, value } of prepared.computation.updates) {
    const writer = clustering.of.get(value);
    const others = [...(readers.get(leaf) ?? [])].filter((c) => c !== writer);
    const fits = writer && readsOwnElement(writer, leaf, value) && !others.some((c) => needs(c, writer));
    if (writer && fits) {
      for (const c of others) writer.after.add(c);
      inPlace.set(value, [...(inPlace.get(value) ?? []), leaf]);
    } else copies.push({ from: value, to: leaf });
  }
  return { inPlace, copies };
}

function readersOf(clustering: Clustering): Map<Leaf, Set<Cluster>> {
  const readers = new Map<Leaf, Set<Cluster>>();
  for (const c of clustering.clusters)
    for (const m of c.members)
      for (const r of m.reads)
        if (r.source.op === 'leaf') readers.set(r.source, (readers.get(r.source) ?? new Set()).add(c));
  return readers;
}

function needs(c: Cluster, other: Cluster, seen = new Set<Cluster>()): boolean {
  if (c === other) return true;
  if (seen.has(c)) return false;
  seen.add(c);
  return [...c.after].some((d) => needs(d, other, seen));
}

function readsOwnElement(c: Cluster, leaf: Leaf, value: Node): boolean {
  const own = ownIndices(leaf.shape);
  const isTail = (m: Member): boolean =>
    m.node.op !== 'reduce' &&
    m.gridAxes.length === bigAxes(m.node.shape).length &&
    m.node.shape.length === leaf.shape.length;
  const readers = c.members.filter((m) => m.reads.some((r) => r.source === leaf));
  const target = c.members.find((m) => m.node === value);
  if (
    target &&
    readers.length === 1 &&
    readers[0] === target &&
    value.op !== 'reduce' &&
    value.op !== 'scatter'
  )
    return target.reads.every((r) => r.source !== leaf || r.index.every((e, i) => equal(e, own[i] as Poly)));
  return readers.every(
    (m) =>
      isTail(m) &&
      m.reads.every((r) => r.source !== leaf || r.index.every((e, i) => equal(e, own[i] as Poly))),
  );
}
