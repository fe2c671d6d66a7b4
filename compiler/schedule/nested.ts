/**
 * Contractions inside expressions. A short sum of products may make something far larger than what it is made of (the
 * scores of attention: every query times every key). Where only reductions along its rows and contractions read it, each
 * of them computes it again, tile by tile, and it is never stored, nor is anything element-wise that is made of it.
 */
import type { Node } from '../ir/graph.ts';
import { topological, usersOf } from '../ir/walk.ts';
import { isFloat } from '../ir/ops.ts';
import { asConstant, asSymbol, multiply, one, type Poly } from '../shape/poly.ts';
import type { Contraction } from './contract.ts';
import { operandsOf, rootsOf, type Prepared } from './prepare.ts';
import { isUnit, iterationShape, readsOf } from './reads.ts';
import { decide } from './significant.ts';
import { takesBuffer, type Target } from './target.ts';

/** Results along the other side of a contraction that reads nested ones: more would compute these several times. */
const widestSide = 128;

/** `prepared` with `inlined`: the contractions that are computed where they are read, and what is made of them. */
export function nest(prepared: Prepared, target: Target): Prepared {
  if (target.nestedDepth === 0) return prepared;
  const search = new Search(prepared, target);
  for (const left = search.candidates(); ; left.pop()) {
    const inlined = search.regionOf(left);
    const forced = new Map([...prepared.forced].filter(([n]) => !inlined.has(n)));
    const trial = { ...prepared, forced, inlined };
    // Those that were made last are given up first: the scores before the gradients that are made of them.
    if (left.length === 0 || fits(trial, target)) return trial;
  }
}

/** Whether every kernel that reads nested contractions gets along with the buffers that it may touch. */
function fits(prepared: Prepared, target: Target): boolean {
  if (target.maxBuffers === Infinity) return true;
  const { reasons, order } = decide(prepared);
  return order.every((node) => {
    if (!readsNested(node, prepared)) return true;
    const reads = readsOf(node, (n) => reasons.has(n), operandsOf(node, prepared));
    const sources = new Set(reads.map((r) => r.source).filter((n) => takesBuffer(n, target)));
    return sources.size < target.maxBuffers;
  });
}

/** The nested contractions that the kernel of `node` computes. */
export function nestedIn(node: Node, prepared: Pick<Prepared, 'contractions' | 'inlined'>): readonly Node[] {
  const { contractions, inlined } = prepared;
  const found = new Set<Node>();
  const seen = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n) || !inlined.has(n)) return;
    seen.add(n);
    if (contractions.has(n)) found.add(n);
    operandsOf(n, prepared).forEach(visit);
  };
  operandsOf(node, prepared).forEach(visit);
  return [...found];
}

const readsNested = (node: Node, prepared: Prepared): boolean =>
  operandsOf(node, prepared).some((x) => prepared.inlined.has(x));

const size = (extents: readonly Poly[]): number => asConstant(multiply(one, ...extents)) ?? Infinity;

class Search {
  private readonly users: ReadonlyMap<Node, readonly Node[]>;
  private readonly roots: ReadonlySet<Node>;
  private readonly nodes: readonly Node[];
  /** The contractions that read a product. */
  private readonly readers = new Map<Node, Node[]>();

  constructor(
    private readonly prepared: Prepared,
    private readonly target: Target,
  ) {
    const roots = rootsOf(prepared.computation);
    this.nodes = topological(roots);
    this.roots = new Set(roots);
    this.users = usersOf(this.nodes);
    for (const node of this.nodes) {
      const [product] = node.inputs;
      if (product && prepared.contractions.has(node))
        this.readers.set(product, [...(this.readers.get(product) ?? []), node]);
    }
  }

  /** Contractions that may be nested, operands before users. */
  candidates(): Node[] {
    const found: Node[] = [];
    const outer = new Set<Node>();
    for (const node of this.nodes) {
      const contraction = this.prepared.contractions.get(node);
      if (!contraction || outer.has(node) || !this.isWorthwhile(node, contraction)) continue;
      const exits = this.exitsOf(node);
      if (!exits?.every((exit) => this.isAligned(node, contraction, exit))) continue;
      found.push(node);
      for (const exit of exits) outer.add(exit);
    }
    return found;
  }

  /** The contractions and everything element-wise that is made of them. */
  regionOf(contractions: readonly Node[]): ReadonlySet<Node> {
    const region = new Set<Node>();
    const visit = (n: Node): void => {
      if (region.has(n)) return;
      region.add(n);
      for (const user of this.users.get(n) ?? [])
        if (isElementwise(user) && !this.readers.has(user)) visit(user);
    };
    contractions.forEach(visit);
    return region;
  }

  /**
   * Few products for each element, more elements than both operands have, and no operand a parameter: the activations of
   * a layer are as many as its inputs, and are stored.
   */
  private isWorthwhile(node: Node, { m, n, k, a, b }: Contraction): boolean {
    const [product] = node.inputs;
    const space = iterationShape(node);
    const extent = (axes: readonly number[]): number => size(axes.map((i) => space[i] ?? one));
    const depth = extent(k);
    const grows = depth * (1 / extent(m) + 1 / extent(n)) < 1;
    const isOwn =
      product !== undefined && (this.users.get(product) ?? []).length === 1 && !this.roots.has(product);
    return depth <= this.target.nestedDepth && grows && isOwn && ![a, b].some(readsParameter);
  }

  /** The reductions and contractions that read it; undefined when something else does. */
  private exitsOf(node: Node): readonly Node[] | undefined {
    const exits = new Set<Node>();
    for (const n of this.regionOf([node])) {
      if (this.roots.has(n)) return undefined;
      for (const user of this.users.get(n) ?? []) {
        const readers = this.readers.get(user);
        if (readers) {
          if (this.roots.has(user) || (this.users.get(user) ?? []).length > readers.length) return undefined;
          for (const r of readers) exits.add(r);
        } else if (user.op === 'reduce') exits.add(user);
        else if (!isElementwise(user) || !isContinuous(user, n)) return undefined;
      }
    }
    return [...exits];
  }

  /**
   * Each axis of the contraction is one of the reader, on the same side of everything: one of its sides is what the reader
   * sums over, the other is among the results, and its batch is the reader's.
   */
  private isAligned(node: Node, { batch, m, n }: Contraction, exit: Node): boolean {
    const outer = this.prepared.contractions.get(exit);
    const space = iterationShape(exit);
    const rank = exit.shape.length;
    const isStop = (x: Node): boolean =>
      x === node || x.op === 'reduce' || x.op === 'scatter' || x.op === 'part';
    const from = (operand: Node): readonly (readonly Poly[])[] =>
      readsOf(exit, isStop, [operand]).flatMap((r) => (r.source === node ? [r.index] : []));
    const operands = operandsOf(exit, this.prepared).map(from);
    if (operands.filter((reads) => reads.length > 0).length !== 1) return false;
    const side = operands[0]?.length ? outer?.m : outer?.n;
    const [summed, kept, shared] = outer
      ? [outer.k, side ?? [], outer.batch]
      : [
          space.flatMap((_, i) => (i >= rank ? [i] : [])),
          space.flatMap((_, i) => (i < rank ? [i] : [])),
          undefined,
        ];
    const other = outer ? size((operands[0]?.length ? outer.n : outer.m).map((i) => space[i] ?? one)) : 1;
    const among = (axes: readonly (number | undefined)[], role: readonly number[]): boolean =>
      axes.every((i) => i !== undefined && role.includes(i));
    return (
      other <= widestSide &&
      operands.flat().every((index) => {
        const places = index.map((e, i) => (isUnit(node.shape[i]) ? undefined : axisOf(e)));
        const big = places.filter((p, i) => p !== undefined || !isUnit(node.shape[i]));
        const at = (axes: readonly number[]): readonly (number | undefined)[] => axes.map((i) => places[i]);
        const split = (s: readonly number[], t: readonly number[]): boolean =>
          among(at(s), summed) && among(at(t), kept);
        return (
          new Set(big).size === big.length && among(at(batch), shared ?? kept) && (split(m, n) || split(n, m))
        );
      })
    );
  }
}

function axisOf(index: Poly): number | undefined {
  const name = asSymbol(index);
  return name?.startsWith('$') ? Number(name.slice(1)) : undefined;
}

const isElementwise = (n: Node): boolean => n.op === 'map' || n.op === 'view' || n.op === 'stop';

/**
 * Rounding may differ from kernel to kernel, so nothing nested may be asked whether it equals something (the place of a
 * maximum), nor decide what is read.
 */
function isContinuous(user: Node, node: Node): boolean {
  if (user.op === 'view') return !user.inputs.slice(1).includes(node);
  return !(user.op === 'map' && user.fn === 'eq' && isFloat(node.dtype));
}

function readsParameter(operand: Node): boolean {
  let n = operand;
  while ((n.op === 'view' || (n.op === 'map' && n.fn === 'cast')) && n.inputs[0]) n = n.inputs[0];
  return n.op === 'leaf' && n.role === 'param';
}
