/**
 * Puts clusters in an order of execution, decides which new values of kept tensors are written in place, and
 * gives every stored value its buffer with the dispatches between which it lives.
 */
import type { Graph, Leaf, Node, Origin, Scan } from '../ir/graph.ts';
import type { DType } from '../ir/ops.ts';
import { equal, multiply, type Poly } from '../shape/poly.ts';
import { bigAxes, membersOf, type Cluster, type Clustering, type Member } from './cluster.ts';
import { placesOf, type Loop } from './loops.ts';
import type { Prepared } from './prepare.ts';
import { ownIndices } from './reads.ts';
import type { Place } from './relocate.ts';
import type { Buffer } from './scheduled.ts';

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
  /** Where each buffer of a loop's body stands. */
  readonly loops: ReadonlyMap<Cluster, readonly Place[]>;
}

/** `loopOf`: the loop of a cluster that is one, its body scheduled. */
export function order(
  prepared: Prepared,
  clustering: Clustering,
  loopOf: (c: Cluster) => Loop | undefined,
): Ordered {
  const { inPlace, copies } = decideUpdates(prepared, clustering);
  const outputs = new Set(prepared.computation.outputs.map((o) => o.node));
  const sorted = sort(clustering.clusters);
  const clusters = updatesEarly(sorted, (c) => {
    const stored = membersOf(c).flatMap(({ node }) => (clustering.stored.has(node) ? [node] : []));
    return c.kind !== 'loop' && stored.every((n) => inPlace.has(n) && !outputs.has(n));
  });
  const widths = clusters.map((c) => loopOf(c)?.body.kernels.length ?? 1);
  const count = widths.reduce((a, b) => a + b, 0);
  const table = new BufferTable(prepared.computation.graph, count + copies.length, firstValues(clusters));
  const loops = new Map<Cluster, readonly Place[]>();

  let at = 0;
  clusters.forEach((c, i) => {
    const loop = loopOf(c);
    // What a loop touches, it touches in every iteration.
    const end = at + (widths[i] ?? 1) - 1;
    for (const m of membersOf(c))
      for (const r of m.reads) {
        if (r.source.op === 'leaf') for (const time of [at, end]) table.touchLeaf(r.source, time);
        if (clustering.of.get(r.source) !== c) table.touch(r.source, end);
      }
    if (loop) loops.set(c, table.loop(loop, at, end, outputs));
    else
      for (const m of membersOf(c))
        if (clustering.stored.has(m.node))
          table.write(m.node, inPlace.get(m.node) ?? [], at, outputs.has(m.node));
    at = end + 1;
  });
  copies.forEach((copy, i) => table.copy(copy, count + i));
  const { buffers, home, destinations } = table;
  return { clusters, copies, buffers, home, destinations, loops };
}

interface Carry {
  readonly scan: Scan;
  readonly carry: number;
}

/** Which carries begin with a node; such nodes are made for this (see `LoopOperands`). */
function firstValues(clusters: readonly Cluster[]): ReadonlyMap<Node, readonly Carry[]> {
  const found = new Map<Node, Carry[]>();
  for (const { members } of clusters)
    for (const { node } of members)
      if (node.op === 'scan')
        node.inputs.slice(0, node.carries.length).forEach((x, carry) => {
          found.set(x, [...(found.get(x) ?? []), { scan: node, carry }]);
        });
  return found;
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
    origins?: readonly Origin[];
  }[] = [];
  readonly home = new Map<Node, number>();
  readonly destinations = new Map<Node, number[]>();
  private readonly leaves = new Map<Leaf, number>();
  private readonly end: number;
  private readonly firstValues: ReadonlyMap<Node, readonly Carry[]>;
  private readonly carries = new Map<string, number>();

  constructor(
    private readonly graph: Graph,
    count: number,
    firstValues: ReadonlyMap<Node, readonly Carry[]>,
  ) {
    this.end = count - 1;
    this.firstValues = firstValues;
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
    for (const { scan, carry } of this.firstValues.get(node) ?? []) targets.push(this.carry(scan, carry, at));
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

  /** The buffer of a carry: of all its values where its history is asked for. The first value is written to its start. */
  private carry(scan: Scan, carry: number, at: number): number {
    const key = `${scan.id} ${carry}`;
    const known = this.carries.get(key);
    if (known !== undefined) return known;
    const leaf = scan.carries[carry] as Leaf;
    const id = this.add(`carry ${carry} of loop ${scan.id}`, leaf, undefined, at, at);
    this.carries.set(key, id);
    return id;
  }

  loop(loop: Loop, at: number, end: number, outputs: ReadonlySet<Node>): readonly Place[] {
    const { scan, parts } = loop;
    const lasting = (id: number, until: number): number => {
      const buffer = this.buffers[id];
      if (buffer) buffer.last = Math.max(buffer.last, until);
      return id;
    };
    scan.carries.forEach((_, k) => lasting(this.carry(scan, k, at), end));
    for (const part of parts) {
      const until = outputs.has(part) ? this.end : end;
      const { result } = part;
      const id =
        result.kind === 'each'
          ? this.add(`part ${part.id}`, part, undefined, at, until)
          : lasting(this.carry(scan, result.carry, at), until);
      const buffer = this.buffers[id];
      if (buffer) buffer.size = sizeOf(part.shape);
      this.home.set(part, id);
      this.destinations.set(part, [id]);
    }
    return placesOf(loop, {
      home: (node) => {
        const found = this.home.get(node);
        if (found === undefined) throw new Error(`${node.op} ${node.id} is read in a loop but has no buffer`);
        return found;
      },
      carry: (s, k) => this.carry(s, k, at),
      scratch: (b) => this.buffers.push({ ...b, first: at + b.first, last: at + b.last }) - 1,
    });
  }

  private add(name: string, node: Node, leaf: Leaf | undefined, first: number, last: number): number {
    const origins = this.graph.originsOf(node);
    const { dtype, shape } = node;
    return this.buffers.push({ name, dtype, size: sizeOf(shape), leaf, first, last, origins }) - 1;
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

/**
 * Every update as soon as what it needs is there: it takes no memory, and may be the last to read a gradient and an
 * activation, which would otherwise all wait for the end.
 */
function updatesEarly(sorted: readonly Cluster[], isUpdate: (c: Cluster) => boolean): readonly Cluster[] {
  const placed = new Set<Cluster>();
  const waiting = new Set(sorted.filter(isUpdate));
  const missing = new Map(sorted.map((c) => [c, new Set([...c.after].filter((d) => d !== c))]));
  const followers = new Map<Cluster, Cluster[]>();
  for (const c of sorted)
    for (const before of c.after) followers.set(before, [...(followers.get(before) ?? []), c]);
  const place = (c: Cluster): void => {
    placed.add(c);
    for (const next of followers.get(c) ?? []) {
      missing.get(next)?.delete(c);
      if (waiting.has(next) && !placed.has(next) && missing.get(next)?.size === 0) place(next);
    }
  };
  for (const c of sorted) if (!placed.has(c)) place(c);
  return [...placed];
}

/**
 * To so many kept tensors a kernel writes one value (zeros for the states of an optimizer); the others are copied. A
 * kernel touches at most 8 buffers on a GPU.
 */
const mostHomes = 6;

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
    const room = (inPlace.get(value)?.length ?? 0) < mostHomes;
    const fits =
      writer &&
      room &&
      writer.kind !== 'loop' &&
      readsOwnElement(writer, leaf, value) &&
      !others.some((c) => needs(c, writer));
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
    for (const m of membersOf(c))
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
  const readers = membersOf(c).filter((m) => m.reads.some((r) => r.source === leaf));
  const target = membersOf(c).find((m) => m.node === value);
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
