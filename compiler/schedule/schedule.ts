/**
 * Graph -> kernels: which values share a kernel, in which order the kernels run, where each value lives. The steps:
 * `prepare` (operands of contractions become plain reads), `findSignificant` (what is more than an inlined
 * expression), `cluster` (what shares a kernel), `order` (execution, in-place updates, lifetimes), `lower` (kernels).
 */
import type { Computation, Node } from '../ir/graph.ts';
import { Outside } from '../ir/outside.ts';
import { flopsOf } from '../kernel/flops.ts';
import { zero } from '../shape/poly.ts';
import { cluster, membersOf, type Cluster, type Clustering, type Member } from './cluster.ts';
import { foldSums } from './fold.ts';
import { scheduleLoop, type Loop } from './loops.ts';
import { lowerCluster, lowerCopy } from './lower.ts';
import { nest, nestedIn } from './nested.ts';
import { order, type Ordered } from './order.ts';
import { prepare, type Prepared } from './prepare.ts';
import { relocate } from './relocate.ts';
import type { Scheduled, ScheduledKernel, ScheduledLoop } from './scheduled.ts';
import { splitContractions } from './split.ts';
import { findSignificant, type Significant } from './significant.ts';
import { takesBuffer, type Target } from './target.ts';

export type { Buffer, Scheduled, ScheduledKernel, ScheduledLoop } from './scheduled.ts';

export const schedule = (computation: Computation, target: Target): Scheduled =>
  splitContractions(scheduleWith(computation, target, new Names()), target);

function scheduleWith(computation: Computation, target: Target, names: Names): Scheduled {
  const outside = new Outside();
  const prepared = nest(prepare(computation, target, outside), target);
  const significant = findSignificant(prepared, target);
  const { clustering, bodies, ordered } = arrange(prepared, significant, target, names);
  const kernels: ScheduledKernel[] = [];
  const loops: ScheduledLoop[] = [];
  for (const c of ordered.clusters) {
    const loop = bodies.get(c);
    if (loop) {
      const places = ordered.loops.get(c) ?? [];
      const begin = kernels.length;
      for (const k of loop.body.kernels)
        kernels.push({ ...k, kernel: relocate(k.kernel, (b) => places[b] ?? missing(b)) });
      loops.push({ begin, end: kernels.length, dim: loop.dim, count: loop.scan.extent });
      for (const l of loop.body.loops) loops.push({ ...l, begin: begin + l.begin, end: begin + l.end });
      continue;
    }
    const kernel = lowerCluster(
      c,
      names.of(c),
      notesOf(c, clustering, significant, prepared),
      clustering,
      ordered,
      outside,
    );
    kernels.push({ kernel, flops: flopsOf(kernel) });
  }
  const leaves = new Map(ordered.buffers.flatMap((b, i) => (b.leaf ? [[b.leaf, i] as const] : [])));
  for (const copy of ordered.copies) {
    const [from, to] = [ordered.home.get(copy.from), leaves.get(copy.to)];
    if (from === undefined || to === undefined)
      throw new Error(`the new value of ${copy.to.name} has no buffer`);
    kernels.push({
      kernel: lowerCopy(names.unique(`copy_${copy.to.name}`), copy.from, from, to),
      flops: zero,
    });
  }
  const outputs = prepared.computation.outputs.map((o) => ({ ...o, buffer: outputBuffer(o.node, ordered) }));
  return { kernels, buffers: ordered.buffers, outputs, loops };
}

interface Arranged {
  readonly clustering: Clustering;
  readonly bodies: ReadonlyMap<Cluster, Loop>;
  readonly ordered: Ordered;
}

/**
 * What shares a kernel, and in which order. Only the order tells which updates happen in place; where one that does not
 * makes a kernel touch too many buffers, its last value begins a kernel of its own.
 */
function arrange(prepared: Prepared, significant: Significant, target: Target, names: Names): Arranged {
  const apart = new Set<Node>();
  for (;;) {
    const clustered = cluster(prepared, significant, target, apart);
    const clustering = foldSums(clustered, prepared, target);
    const bodies = scheduleLoops(prepared, clustering, names, (body) => scheduleWith(body, target, names));
    const ordered = order(prepared, clustering, (c) => bodies.get(c));
    const full = clustering.clusters.filter(
      (c) =>
        c.kind !== 'loop' &&
        c.members.length > 1 &&
        buffersOf(c, clustering, ordered, target) > target.maxBuffers,
    );
    if (full.length === 0) return { clustering, bodies, ordered };
    for (const { members } of full) apart.add((members.at(-1) as Member).node);
  }
}

/** How many buffers the kernel of a cluster touches. */
function buffersOf(c: Cluster, { of }: Clustering, ordered: Ordered, target: Target): number {
  const touched = new Set<number | undefined>();
  for (const { node, reads } of membersOf(c)) {
    for (const { source } of reads)
      if (of.get(source) !== c && takesBuffer(source, target)) touched.add(ordered.home.get(source));
    for (const b of ordered.destinations.get(node) ?? []) touched.add(b);
  }
  touched.delete(undefined);
  return touched.size;
}

const missing = (buffer: number): never => {
  throw new Error(`buffer ${buffer} of a loop has no place`);
};

/** The bodies of the loops among the clusters. */
function scheduleLoops(
  { computation }: Prepared,
  { clusters, isSource }: Clustering,
  names: Names,
  run: (body: Computation) => Scheduled,
): ReadonlyMap<Cluster, Loop> {
  const loops = new Map<Cluster, Loop>();
  for (const c of clusters) {
    const [first, ...rest] = c.members.map((m) => m.node);
    if (first?.op !== 'scan') continue;
    const parts = rest.filter((n) => n.op === 'part');
    loops.set(c, scheduleLoop(computation.graph, first, parts, `%${names.unique('loop')}`, isSource, run));
  }
  return loops;
}

/** The host reads the buffer of the value's own, which lives to the end of the run. */
function outputBuffer(
  node: Node,
  ordered: { readonly destinations: ReadonlyMap<Node, readonly number[]> },
): number {
  const at = ordered.destinations.get(node)?.at(-1);
  if (at === undefined) throw new Error(`an output has no buffer (${node.op} ${node.id})`);
  return at;
}

/** Names of kernels from what they compute: `conv_relu`, `sum_where`; unique by a number. */
class Names {
  private readonly counts = new Map<string, number>();

  of(c: Cluster): string {
    const first = c.members.find((m) => m.node.op === 'reduce') ?? c.members[0];
    const last = c.members.at(-1);
    const word = (n: Node | undefined): string =>
      n?.op === 'map' || n?.op === 'reduce' ? n.fn : (n?.op ?? '');
    const head = c.kind === 'contract' ? 'contract' : word(first?.node);
    const tail = last && last !== first && last.node.op === 'map' ? `_${last.node.fn}` : '';
    return this.unique(head + tail);
  }

  unique(wanted: string): string {
    const name = wanted.replace(/[^A-Za-z0-9_]/g, '_');
    const n = (this.counts.get(name) ?? 0) + 1;
    this.counts.set(name, n);
    return `${name}_${n}`;
  }
}

function notesOf(c: Cluster, clustering: Clustering, significant: Significant, prepared: Prepared): string[] {
  const name = (n: Node): string =>
    `${n.op === 'map' || n.op === 'reduce' ? `${n.op} ${n.fn}` : n.op} #${n.id}`;
  const own = membersOf(c).map((m) => {
    const why = significant.reasons.get(m.node) ?? '';
    return `${name(m.node)}: ${why}${clustering.stored.has(m.node) ? '; stored' : '; kept in a register'}`;
  });
  const nested = new Set(membersOf(c).flatMap((m) => nestedIn(m.node, prepared)));
  return [
    ...own,
    ...[...nested].map((n) => `${name(n)}: a short contraction, computed again here; never stored`),
  ];
}
