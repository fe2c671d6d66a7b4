/**
 * Gathers significant values into clusters, each of which becomes one kernel: a contraction with its element-wise
 * tail, a scatter, or rows (reductions and maps that share the same grid).
 */
import type { Node, Reduce } from '../ir/graph.ts';
import { equal, asSymbol, type Poly } from '../shape/poly.ts';
import type { Contraction } from './contract.ts';
import type { Prepared } from './prepare.ts';
import { operandsOf, rootsOf } from './prepare.ts';
import { isUnit, readsOf, type Read } from './reads.ts';
import type { Significant } from './significant.ts';
import { takesBuffer, type Target } from './target.ts';

/** A value of a cluster. `gridAxes[i]` is the axis of the value (of its result) that runs along grid axis i. */
export interface Member {
  readonly node: Node;
  readonly gridAxes: readonly number[];
  readonly reads: readonly Read[];
}

export interface Cluster {
  readonly kind: 'contract' | 'rows' | 'scatter' | 'loop';
  readonly id: number;
  /** Extents of the grid (axes of size 1 left out). */
  readonly grid: readonly Poly[];
  readonly members: Member[];
  readonly contraction: Contraction | undefined;
  /** Clusters that must run before. */
  readonly after: Set<Cluster>;
  /** Sums over the operand on one side of the contraction that its kernel takes along (see `foldSums`). */
  sums?: { readonly side: 'm' | 'n'; readonly cluster: Cluster };
  foldedInto?: Cluster;
}

/** Its own members and those of what is folded into it. */
export const membersOf = (c: Cluster): readonly Member[] =>
  c.sums ? [...c.members, ...c.sums.cluster.members] : c.members;

export interface Clustering {
  /** In the order of creation, which is not yet an order of execution. */
  readonly clusters: readonly Cluster[];
  readonly of: ReadonlyMap<Node, Cluster>;
  /** Values that need a buffer. */
  readonly stored: ReadonlySet<Node>;
  readonly isSource: (n: Node) => boolean;
}

/** `apart`: values that are known to need kernels of their own; more of them are added. */
export function cluster(
  prepared: Prepared,
  significant: Significant,
  target: Target,
  apart: Set<Node>,
): Clustering {
  for (;;) {
    const found = clusterWith(prepared, significant, target, apart);
    const full = target.maxBuffers === Infinity ? [] : overfull(found, prepared, target);
    if (full.length === 0) return found;
    for (const node of full) apart.add(node);
  }
}

/**
 * Where a value joins a kernel it is not known yet what of that kernel others will read. The last members of those that
 * came to touch too many buffers, to be given kernels of their own.
 */
function overfull(found: Clustering, prepared: Prepared, target: Target): readonly Node[] {
  const touched = touchedBuffers(found, prepared, target);
  return found.clusters.flatMap((c): Node[] => {
    const last = c.members.at(-1);
    if (c.kind === 'loop' || !last || c.members.length < 2) return [];
    return touched([c]) > target.maxBuffers ? [last.node] : [];
  });
}

/** How many buffers one kernel of these clusters would touch; a new value that only its leaf takes needs none of its own. */
export function touchedBuffers(
  { clusters, of, stored }: Clustering,
  { computation: { updates, outputs } }: Prepared,
  target: Target,
): (group: readonly Cluster[]) => number {
  const elsewhere = new Set(outputs.map((o) => o.node));
  for (const c of clusters)
    for (const m of c.members) for (const r of m.reads) if (of.get(r.source) !== c) elsewhere.add(r.source);
  const leavesOf = new Map<Node, Node[]>();
  for (const u of updates) leavesOf.set(u.value, [...(leavesOf.get(u.value) ?? []), u.leaf]);
  return (group) => {
    const inside = (n: Node): boolean => group.some((c) => of.get(n) === c);
    const members = group.flatMap((c) => c.members);
    const read = members
      .flatMap((m) => m.reads.map((r) => r.source))
      .filter((n) => !inside(n) && takesBuffer(n, target));
    const written = members.flatMap(({ node }): Node[] => {
      if (!stored.has(node)) return [];
      const leaves = leavesOf.get(node) ?? [];
      return leaves.length > 0 && !elsewhere.has(node) ? leaves : [...leaves, node];
    });
    return new Set([...read, ...written]).size;
  };
}

/** `apart`: values that begin a kernel of their own. */
function clusterWith(
  prepared: Prepared,
  significant: Significant,
  target: Target,
  apart: ReadonlySet<Node>,
): Clustering {
  const clusters: Cluster[] = [];
  const of = new Map<Node, Cluster>();
  const isSource = (n: Node): boolean => significant.reasons.has(n);
  const roots = new Set(rootsOf(prepared.computation));

  const near = new Neighbours(of);

  const place = (node: Node): void => {
    if (node.op === 'part') {
      const loop = of.get(node.inputs[0] as Node);
      loop?.members.push({ node, gridAxes: bigAxes(node.shape), reads: [] });
      if (loop) of.set(node, loop);
      return;
    }
    const reads = readsOf(node, isSource, operandsOf(node, prepared));
    const home = apart.has(node)
      ? undefined
      : findHome(node, reads, { near, of, prepared, significant, target });
    const made = home ?? { cluster: create(node, clusters.length, prepared), gridAxes: bigAxes(node.shape) };
    if (!home) clusters.push(made.cluster);
    made.cluster.members.push({ node, gridAxes: made.gridAxes, reads });
    of.set(node, made.cluster);
    near.add(made.cluster, reads);
    for (const r of reads) {
      const from = of.get(r.source);
      if (from && from !== made.cluster) made.cluster.after.add(from);
    }
  };
  for (const node of significant.order) if (node.op !== 'leaf') place(node);

  const stored = new Set<Node>();
  for (const c of clusters)
    for (const m of c.members) {
      if (roots.has(m.node) || m.node.op === 'scatter' || m.node.op === 'part') stored.add(m.node);
      if (m.node.op !== 'reduce' && c.kind === 'rows' && m.gridAxes.length < bigAxes(m.node.shape).length)
        stored.add(m.node);
      for (const r of m.reads)
        if (of.get(r.source) !== undefined && of.get(r.source) !== c) stored.add(r.source);
    }
  return { clusters, of, stored, isSource };
}

/** Axes of size other than 1. */
export const bigAxes = (shape: readonly Poly[]): number[] => shape.flatMap((d, i) => (isUnit(d) ? [] : [i]));

function create(node: Node, id: number, prepared: Prepared): Cluster {
  const contraction = prepared.contractions.get(node);
  const kind = contraction
    ? 'contract'
    : node.op === 'scatter'
      ? 'scatter'
      : node.op === 'scan'
        ? 'loop'
        : 'rows';
  const grid = bigAxes(node.shape).map((i) => node.shape[i] as Poly);
  return { kind, id, grid, members: [], contraction, after: new Set() };
}

/** Where a value may find a home, so that not every cluster has to be asked. */
class Neighbours {
  private readonly readers = new Map<Node, Set<Cluster>>();
  private readonly scalars = new Set<Cluster>();

  constructor(private readonly of: ReadonlyMap<Node, Cluster>) {}

  add(c: Cluster, reads: readonly Read[]): void {
    if (c.grid.length === 0) this.scalars.add(c);
    for (const { source } of reads) {
      const known = this.readers.get(source);
      if (known) known.add(c);
      else this.readers.set(source, new Set([c]));
    }
  }

  /** The clusters that make something it reads, that read something it reads, or are as scalar; the latest first. */
  around(node: Node, reads: readonly Read[]): Cluster[] {
    const found = new Set<Cluster>(bigAxes(node.shape).length === 0 ? this.scalars : []);
    for (const { source } of reads) {
      const maker = this.of.get(source);
      if (maker) found.add(maker);
      for (const c of this.readers.get(source) ?? []) found.add(c);
    }
    return [...found].sort((a, b) => b.id - a.id);
  }
}

interface Context {
  readonly near: Neighbours;
  readonly of: ReadonlyMap<Node, Cluster>;
  readonly prepared: Prepared;
  readonly significant: Significant;
  readonly target: Target;
}

interface Home {
  readonly cluster: Cluster;
  readonly gridAxes: readonly number[];
}

/** The existing cluster that may take `node` in, the latest first. */
function findHome(node: Node, reads: readonly Read[], context: Context): Home | undefined {
  const { of, prepared, significant } = context;
  if (prepared.contractions.has(node) || ['scatter', 'scan', 'leaf'].includes(node.op)) return undefined;
  const anchor = significant.anchors.get(node);
  const home = anchor && anchor !== node ? of.get(anchor) : undefined;
  const gridAxes = home?.members.find((m) => m.node === anchor)?.gridAxes ?? [];
  if (home && isLocal(reads, gridAxes, home, of) && joins(node, reads, home, context))
    return { cluster: home, gridAxes };
  for (const c of context.near.around(node, reads)) {
    if (c.kind !== 'rows' || c === home) continue;
    const gridAxes = gridAxesIn(node, reads, c, of);
    if (gridAxes && joins(node, reads, c, context)) return { cluster: c, gridAxes };
  }
  return undefined;
}

/** No cycle would come to be, and the kernel would not touch too many buffers. */
function joins(
  node: Node,
  reads: readonly Read[],
  c: Cluster,
  { of, target, prepared, significant }: Context,
): boolean {
  for (const r of reads) {
    const from = of.get(r.source);
    if (from && from !== c && reaches(from, c)) return false;
  }
  if (target.maxBuffers === Infinity) return true;
  const touched = new Set<Node>();
  for (const m of [...c.members, { node, reads }]) {
    for (const r of m.reads)
      if (of.get(r.source) !== c && takesBuffer(r.source, target)) touched.add(r.source);
    for (const b of buffersWritten(m.node, prepared, significant)) touched.add(b);
  }
  return touched.size <= target.maxBuffers;
}

/** A new value of a kept leaf goes to the leaf; what only its own kernel reads goes nowhere. */
function buffersWritten(
  node: Node,
  { computation, forced }: Prepared,
  { anchors, exits }: Significant,
): Node[] {
  const leaves = computation.updates.filter((u) => u.value === node).map((u) => u.leaf);
  const isOutput = computation.outputs.some((o) => o.node === node);
  const isOwn =
    isOutput || exits.has(node) || forced.has(node) || (leaves.length === 0 && !anchors.has(node));
  return isOwn ? [...leaves, node] : leaves;
}

/** Whether `from` needs `to`. */
export function reaches(from: Cluster, to: Cluster, seen = new Set<Cluster>()): boolean {
  if (from === to) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return [...from.after].some((c) => reaches(c, to, seen));
}

/** How the axes of `node` run along the grid of `c`, if everything it reads there belongs to its own grid point. */
function gridAxesIn(
  node: Node,
  reads: readonly Read[],
  c: Cluster,
  of: ReadonlyMap<Node, Cluster>,
): readonly number[] | undefined {
  const inside = reads.filter((r) => of.get(r.source) === c);
  const axes = bigAxes(node.shape);
  const found = inside.length > 0 ? agreed(inside, c) : sharesWork(node, reads, c) ? axes : undefined;
  if (!found || new Set(found).size !== found.length || found.length !== c.grid.length) return undefined;
  if (!found.every((q, a) => axes.includes(q) && equal(node.shape[q] as Poly, c.grid[a] as Poly)))
    return undefined;
  const isWhole = found.length === axes.length;
  if (node.op === 'reduce' || c.grid.length === 0 || inside.length === 0) return isWhole ? found : undefined;
  return found;
}

/** Everything read inside the cluster is read at the reader's own grid point. */
function isLocal(
  reads: readonly Read[],
  gridAxes: readonly number[],
  c: Cluster,
  of: ReadonlyMap<Node, Cluster>,
): boolean {
  const inside = reads.filter((r) => of.get(r.source) === c);
  return agreed(inside, c)?.every((axis, i) => axis === gridAxes[i]) ?? inside.length === 0;
}

/** The axis of the reader along each grid axis, when all reads agree on one. */
function agreed(inside: readonly Read[], c: Cluster): readonly number[] | undefined {
  let found: readonly number[] | undefined;
  for (const r of inside) {
    const member = c.members.find((m) => m.node === r.source);
    const axes = member?.gridAxes.map((g) => ownAxis(r.index[g]));
    if (!axes || axes.some((a) => a === undefined)) return undefined;
    if (found && axes.some((a, i) => a !== found?.[i])) return undefined;
    found = axes as number[];
  }
  return found;
}

function ownAxis(index: Poly | undefined): number | undefined {
  const name = index && asSymbol(index);
  return name?.startsWith('$') ? Number(name.slice(1)) : undefined;
}

/** Independent values go together when they have the same grid and read something in common (scalars always). */
function sharesWork(node: Node, reads: readonly Read[], c: Cluster): boolean {
  const axes = bigAxes(node.shape);
  if (axes.length !== c.grid.length) return false;
  const hasReduction = c.members.some((m) => m.node.op === 'reduce');
  if (axes.length === 0) return hasReduction === (node.op === 'reduce') || c.members.length > 0;
  if (hasReduction !== (node.op === 'reduce')) return false;
  if (node.op === 'reduce' && !sameSpace(node, c)) return false;
  return c.members.some((m) =>
    m.reads.some((r) => reads.some((s) => s.source === r.source && s.source.shape.length > 0)),
  );
}

function sameSpace(node: Reduce, c: Cluster): boolean {
  const space = node.inputs[0]?.shape ?? [];
  return c.members.some(
    (m) =>
      m.node.op === 'reduce' &&
      m.node.inputs[0]?.shape.length === space.length &&
      m.node.inputs[0].shape.every((d, i) => equal(d, space[i] as Poly)),
  );
}
