/**
 * Folds sums over one operand of a contraction into its kernel: the gradient of a bias reads what the gradient of its
 * weight reads, so the kernel that loads it can add it up on the way.
 */
import type { Node, Reduce } from '../ir/graph.ts';
import { asConstant, equal, one, substitute, symbol, zero, type Poly } from '../shape/poly.ts';
import { bigAxes, reaches, touchedBuffers, type Cluster, type Clustering } from './cluster.ts';
import type { Prepared } from './prepare.ts';
import { isUnit, iterationShape } from './reads.ts';
import type { Target } from './target.ts';

/** Changes the clusters in place: those that are folded leave the list. */
export function foldSums(clustering: Clustering, prepared: Prepared, target: Target): Clustering {
  const touched = touchedBuffers(clustering, prepared, target);
  // Neither may need the other.
  const fit = (home: Cluster, c: Cluster): boolean =>
    home !== c && !reaches(home, c) && !reaches(c, home) && touched([home, c]) <= target.maxBuffers;
  const folded = new Set<Cluster>();
  for (const c of clustering.clusters) {
    const reduce = lonelySum(c);
    if (!reduce) continue;
    const [home] = clustering.clusters.flatMap((d) => {
      const side = sideOf(d, reduce);
      return side && fit(d, c) ? [{ d, side }] : [];
    });
    if (!home) continue;
    fold(c, home.d, home.side, clustering);
    folded.add(c);
  }
  if (folded.size === 0) return clustering;
  const of = new Map([...clustering.of].map(([n, c]) => [n, c.foldedInto ?? c]));
  return { ...clustering, of, clusters: clustering.clusters.filter((c) => !folded.has(c)) };
}

/** The sum of a cluster that is one sum and values made of it, all on the sum's grid. */
function lonelySum(c: Cluster): Reduce | undefined {
  const sums = c.members.flatMap((m) => (m.node.op === 'reduce' ? [m.node] : []));
  const [sum] = sums;
  const isFlat = c.members.every((m) => m.gridAxes.length === bigAxes(m.node.shape).length);
  if (c.kind !== 'rows' || sums.length !== 1 || c.grid.length === 0 || !isFlat) return undefined;
  return sum?.fn === 'sum' && sum.dtype === 'f32' ? sum : undefined;
}

/** On which side of the contraction stands what is summed, its own axes being that side's and the summed ones k. */
function sideOf(c: Cluster, sum: Reduce): 'm' | 'n' | undefined {
  const { contraction } = c;
  const [x] = sum.inputs;
  if (!contraction || contraction.batch.length > 0 || c.sums || !x) return undefined;
  const rank = sum.shape.length;
  const axes = bigAxes(x.shape);
  // A kernel without rows would not store the sums either.
  const hasRows = (side: 'm' | 'n'): boolean =>
    (side === 'm' ? contraction.n : contraction.m).every(
      (a) => asConstant(spaceOf(c)[a] ?? one) !== undefined,
    );
  const wanted = readThrough(
    x,
    axes.filter((a) => a < rank),
    axes.filter((a) => a >= rank),
  );
  return (['m', 'n'] as const).find(
    (side) =>
      hasRows(side) &&
      same(
        wanted,
        readThrough(side === 'm' ? contraction.a : contraction.b, contraction[side], contraction.k),
      ),
  );
}

const spaceOf = (c: Cluster): readonly Poly[] => (c.members[0] ? iterationShape(c.members[0].node) : []);

interface PlainRead {
  readonly source: Node;
  readonly index: readonly Poly[];
  /** Of the outer axes, then of the summed ones. */
  readonly extents: readonly Poly[];
}

/** What a view reads, over the outer axes `o0 …` and the summed ones `k0 …`; undefined where it has conditions. */
function readThrough(x: Node, outer: readonly number[], summed: readonly number[]): PlainRead | undefined {
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
    index = source.index.map((e) =>
      substitute(e, (s) => (s.startsWith('$') ? at[Number(s.slice(1))] : undefined)),
    );
    source = inner;
  }
  return { source, index: index.map((e) => substitute(e, (s) => names.get(s))), extents };
}

const same = (a: PlainRead | undefined, b: PlainRead | undefined): boolean =>
  a !== undefined &&
  b !== undefined &&
  a.source === b.source &&
  a.index.length === b.index.length &&
  a.index.every((e, i) => equal(e, b.index[i] ?? one)) &&
  a.extents.length === b.extents.length &&
  a.extents.every((e, i) => equal(e, b.extents[i] ?? one));

function fold(c: Cluster, home: Cluster, side: 'm' | 'n', { clusters }: Clustering): void {
  home.sums = { side, cluster: c };
  c.foldedInto = home;
  for (const before of c.after) home.after.add(before);
  for (const other of clusters) if (other.after.delete(c)) other.after.add(home);
  home.after.delete(home);
}
