/**
 * Folds sums over one operand of a contraction into its kernel: the gradient of a bias reads what the gradient of its
 * weight reads, so the kernel that loads it can add it up on the way.
 */
import type { Node } from '../ir/graph.ts';
import { asConstant, one, substitute, symbol, zero, type Poly } from '../shape/poly.ts';
import { bigAxes, reaches, touchedBuffers, type Cluster, type Clustering } from './cluster.ts';
import type { Prepared } from './prepare.ts';
import { atIndices } from '../ir/indices.ts';
import { isUnit, iterationShape } from './reads.ts';
import type { Target } from './target.ts';

/** Changes the clusters in place: those that are folded leave the list. */
export function foldSums(clustering: Clustering, prepared: Prepared, target: Target): Clustering {
  const touched = touchedBuffers(clustering, prepared, target);
  // Neither may need the other.
  const fit = (home: Cluster, c: Cluster): boolean =>
    home !== c && !reaches(home, c) && !reaches(c, home) && touched([home, c]) <= target.maxBuffers;
  const homes = operandsByRead(clustering.clusters, target);
  const folded = new Set<Cluster>();
  for (const c of clustering.clusters) {
    const wanted = readOfSum(c);
    const home = wanted && homes.get(wanted)?.find(({ cluster }) => !cluster.sums && fit(cluster, c));
    if (!home) continue;
    fold(c, home.cluster, home.side, clustering);
    folded.add(c);
  }
  if (folded.size === 0) return clustering;
  const of = new Map([...clustering.of].map(([n, c]) => [n, c.foldedInto ?? c]));
  return { ...clustering, of, clusters: clustering.clusters.filter((c) => !folded.has(c)) };
}

/** What is summed by a cluster that is one sum and values made of it, all on the sum's grid. */
function readOfSum(c: Cluster): string | undefined {
  const sums = c.members.flatMap((m) => (m.node.op === 'reduce' ? [m.node] : []));
  const [sum] = sums;
  const [x] = sum?.inputs ?? [];
  const isFlat = c.members.every((m) => m.gridAxes.length === bigAxes(m.node.shape).length);
  if (c.kind !== 'rows' || sums.length !== 1 || c.grid.length === 0 || !isFlat) return undefined;
  if (!x || sum?.fn !== 'sum' || sum.dtype !== 'f32') return undefined;
  const axes = bigAxes(x.shape);
  const rank = sum.shape.length;
  return readThrough(
    x,
    axes.filter((a) => a < rank),
    axes.filter((a) => a >= rank),
  );
}

interface Operand {
  readonly cluster: Cluster;
  readonly side: 'm' | 'n';
}

/** The operands of contractions, by what they read over their own axes and the summed ones. */
function operandsByRead(
  clusters: readonly Cluster[],
  { foldSums: sides }: Target,
): ReadonlyMap<string, readonly Operand[]> {
  const found = new Map<string, Operand[]>();
  for (const cluster of clusters) {
    const { contraction, members } = cluster;
    if (!contraction || contraction.batch.length > 0 || !members[0]) continue;
    const space = iterationShape(members[0].node);
    // A kernel without rows would not store the sums either.
    const isFixed = (axes: readonly number[]): boolean =>
      axes.every((a) => asConstant(space[a] ?? one) !== undefined);
    for (const side of sides) {
      const [x, rows] = side === 'm' ? [contraction.a, contraction.n] : [contraction.b, contraction.m];
      const key = isFixed(rows) ? readThrough(x, contraction[side], contraction.k) : undefined;
      if (key !== undefined) found.set(key, [...(found.get(key) ?? []), { cluster, side }]);
    }
  }
  return found;
}

/**
 * What a view reads, over the outer axes `o0 …` and the summed ones `k0 …`, as a key: the same for equal reads over equal
 * extents. Undefined where the view has conditions or data.
 */
function readThrough(x: Node, outer: readonly number[], summed: readonly number[]): string | undefined {
  const names = new Map<string, Poly>([
    ...outer.map((a, i) => [`$${a}`, symbol(`o${i}`)] as const),
    ...summed.map((a, i) => [`$${a}`, symbol(`k${i}`)] as const),
  ]);
  const extents = [...outer, ...summed].map((a) => x.shape[a] ?? one);
  let source = x;
  let index: readonly Poly[] = x.shape.map((d, i) => (isUnit(d) ? zero : symbol(`$${i}`)));
  while (source.op === 'view') {
    const [inner] = source.inputs;
    if (!inner || source.inputs.length > 1 || source.guard.length > 0) return undefined;
    const at = index;
    index = source.index.map((e) => atIndices(e, at));
    source = inner;
  }
  const named = index.map((e) => substitute(e, (s) => names.get(s)));
  const keys = (ps: readonly Poly[]): string => ps.map((p) => p.key).join(',');
  return `${source.id} [${keys(named)}] over ${outer.length}: ${keys(extents)}`;
}

function fold(c: Cluster, home: Cluster, side: 'm' | 'n', { clusters }: Clustering): void {
  home.sums = { side, cluster: c };
  c.foldedInto = home;
  for (const before of c.after) home.after.add(before);
  for (const other of clusters) if (other.after.delete(c)) other.after.add(home);
  home.after.delete(home);
}
