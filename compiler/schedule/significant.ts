/**
 * Decides which values are more than an inlined expression: reductions, what must be stored, and where the
 * element-wise tail of a reduction ends. Everything else is recomputed where it is read.
 */
import type { Node } from '../ir/graph.ts';
import { isCostly } from '../ir/graph.ts';
import { topological, usersOf } from '../ir/walk.ts';
import { isNonNegative, multiply, one, subtract, type Poly } from '../shape/poly.ts';
import { releaseRecomputed } from './keep.ts';
import { isUnit, readsOf } from './reads.ts';
import { takesBuffer, type Target } from './target.ts';
import { operandsOf, rootsOf, type Prepared } from './prepare.ts';

export interface Significant {
  /** Why each value stands for itself. */
  readonly reasons: ReadonlyMap<Node, string>;
  /** The reduction whose kernel an element-wise value may end, for values at identical indices. */
  readonly anchors: ReadonlyMap<Node, Node>;
  /** Reductions and values of their tails that are read outside of the tail. */
  readonly exits: ReadonlySet<Node>;
  /** Topological. */
  readonly order: readonly Node[];
}

export function findSignificant(prepared: Prepared, target: Target): Significant {
  const forced = new Map(prepared.forced);
  for (;;) {
    const found = decide({ ...prepared, forced });
    const split = target.maxBuffers === Infinity ? undefined : tooWide(found, prepared, target);
    if (!split) return found;
    forced.set(split, 'its user would read too many buffers');
  }
}

/** A value to store because something that inlines it reads more than `most` buffers. */
function tooWide(found: Significant, prepared: Prepared, target: Target): Node | undefined {
  const most = target.maxBuffers - 1;
  const isSource = (n: Node): boolean => found.reasons.has(n);
  const width = (n: Node): number =>
    new Set(
      readsOf(n, isSource, operandsOf(n, prepared)).flatMap((r) =>
        takesBuffer(r.source, target) ? [r.source] : [],
      ),
    ).size;
  for (const node of found.order) {
    if (node.op === 'leaf' || node.op === 'scan' || width(node) <= most) continue;
    const inlined = inlinedBy(operandsOf(node, prepared), isSource).filter((n) => n.op === 'map');
    const fitting = inlined
      .map((n) => ({ n, width: width(n) }))
      .filter((c) => c.width > 1 && c.width <= most);
    const [widest] = fitting.sort((a, b) => b.width - a.width);
    if (widest) return widest.n;
  }
  return undefined;
}

/** What is computed where it is read, down to what stands in memory. */
function inlinedBy(operands: readonly Node[], isSource: (n: Node) => boolean): readonly Node[] {
  const found = new Set<Node>();
  const visit = (n: Node): void => {
    if (isSource(n) || found.has(n)) return;
    found.add(n);
    n.inputs.forEach(visit);
  };
  operands.forEach(visit);
  return [...found];
}

/** Without regard to what a kernel may touch. */
export function decide(prepared: Prepared): Significant {
  const roots = rootsOf(prepared.computation);
  const nodes = topological(roots);
  const anchors = findAnchors(nodes);
  for (const node of prepared.inlined) anchors.delete(node);
  const users = usersOf(nodes);
  const reasons = new Map<Node, string>();
  const rootSet = new Set(roots);
  releaseRecomputed({
    nodes,
    anchors,
    users,
    isStored: (n) => rootSet.has(n) || prepared.forced.has(n),
    isRepeated: (n) => !isCast(n) && (users.get(n) ?? []).some((u) => repeats(u, n)),
  });
  const costlyInside = new Set<Node>();
  for (const node of nodes) {
    if (prepared.inlined.has(node)) continue;
    const own = users.get(node) ?? [];
    let reason = reasonFor(node, rootSet, prepared, anchors, own);
    if (!reason && own.some((u) => repeats(u, node)) && isLong(node, (n) => reasons.has(n)))
      reason = 'long to compute, and read several times';
    if (isCostly(node) || node.inputs.some((x) => costlyInside.has(x))) costlyInside.add(node);
    if (!reason && node.op === 'map' && costlyInside.has(node) && own.some((u) => pads(u, node)))
      reason = 'costly, and a part of something larger';
    if (reason) reasons.set(node, reason);
    // What stands in memory is read, not computed again.
    if (reason || node.op === 'leaf') costlyInside.delete(node);
  }
  const leaves = (n: Node): boolean => (users.get(n) ?? []).some((u) => anchors.get(u) !== anchors.get(n));
  const exits = new Set(nodes.filter((n) => anchors.has(n) && leaves(n)));
  return { reasons, anchors, exits, order: nodes.filter((n) => reasons.has(n)) };
}

function reasonFor(
  node: Node,
  roots: ReadonlySet<Node>,
  prepared: Prepared,
  anchors: ReadonlyMap<Node, Node>,
  users: readonly Node[],
): string | undefined {
  if (node.op === 'reduce')
    return prepared.contractions.has(node) ? 'a contraction' : `a ${node.fn} reduction`;
  if (node.op === 'scatter') return 'a scatter';
  if (node.op === 'scan') return 'a loop';
  if (node.op === 'part') return 'a result of a loop';
  if (roots.has(node)) return 'a result';
  if (node.op === 'leaf' || node.op === 'const') return undefined;
  const forced = prepared.forced.get(node);
  if (forced) return forced;
  const anchor = anchors.get(node);
  if (anchor && users.some((u) => anchors.get(u) !== anchor))
    return 'read outside the element-wise tail of its reduction';
  if (users.length > 1 && isCostly(node) && users.some((u) => spreads(u, node)))
    return 'costly and read by several';
  return undefined;
}

/** The user reads elements of `node` more than once. */
function spreads(user: Node, node: Node): boolean {
  if (user.op !== 'view') return false;
  const size = (n: Node): number => n.shape.filter((d) => !isUnit(d)).length;
  return size(user) > size(node);
}

/** Converted wherever it is read: in memory stands the narrower. */
const isCast = (n: Node): boolean => n.op === 'map' && n.fn === 'cast';

/** The user is a view that reads every element several times (not only along further axes). */
function repeats(user: Node, node: Node): boolean {
  if (user.op !== 'view' || node.op !== 'map' || user.inputs[0] !== node) return false;
  const points = (n: Node): Poly => multiply(one, ...n.shape);
  return (
    node.shape.some((d) => !isUnit(d)) && !isNonNegative(subtract(points(node), points(user)), new Map())
  );
}

/** Operations from which on it is cheaper to store a value than to compute it a second time (random numbers). */
const long = 24;

/** Whether an element takes so many operations from what stands in memory. */
function isLong(node: Node, isStored: (n: Node) => boolean): boolean {
  const seen = new Set<Node>();
  let operations = 0;
  const visit = (n: Node): void => {
    if (operations >= long || seen.has(n) || (n !== node && isStored(n))) return;
    seen.add(n);
    // What is the same for all elements is computed once.
    if (n.op === 'map' && n.shape.some((d) => !isUnit(d))) operations++;
    if (n.op === 'map' || n.op === 'view') n.inputs.forEach(visit);
  };
  visit(node);
  return operations >= long;
}

/** The user computes `node` for some of its elements only, but may have to evaluate it for all (gates side by side). */
const pads = (user: Node, node: Node): boolean =>
  user.op === 'view' && user.guard.length > 0 && user.inputs[0] === node;

/**
 * An element-wise node belongs to the tail of the latest reduction that one of its operands is the tail of, if no
 * other operand needs that reduction to be finished first.
 */
function findAnchors(nodes: readonly Node[]): Map<Node, Node> {
  const anchors = new Map<Node, Node>();
  const reach = new Reach(nodes);
  for (const node of nodes) {
    if (node.op === 'reduce') anchors.set(node, node);
    if (node.op !== 'map') continue;
    const candidates = [...new Set(node.inputs.flatMap((x) => anchors.get(x) ?? []))].sort(
      (a, b) => reach.position(b) - reach.position(a),
    );
    const anchor = candidates.find((a) =>
      node.inputs.every((x) => anchors.get(x) === a || !reach.reaches(x, a)),
    );
    if (anchor) anchors.set(node, anchor);
  }
  return anchors;
}

/** Which reductions a node needs, as bit sets. */
class Reach {
  private readonly index = new Map<Node, number>();
  private readonly sets = new Map<Node, Uint32Array>();

  constructor(nodes: readonly Node[]) {
    for (const n of nodes) if (n.op === 'reduce') this.index.set(n, this.index.size);
    const words = (this.index.size + 31) >> 5;
    for (const n of nodes) {
      const set = new Uint32Array(words);
      for (const x of n.inputs) this.sets.get(x)?.forEach((w, i) => (set[i] = (set[i] ?? 0) | w));
      const own = this.index.get(n);
      if (own !== undefined) set[own >> 5] = (set[own >> 5] ?? 0) | (1 << (own & 31));
      this.sets.set(n, set);
    }
  }

  position(reduce: Node): number {
    return this.index.get(reduce) ?? -1;
  }

  reaches(node: Node, reduce: Node): boolean {
    const i = this.position(reduce);
    return (((this.sets.get(node)?.[i >> 5] ?? 0) >>> (i & 31)) & 1) === 1;
  }
}
