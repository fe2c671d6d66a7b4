/**
 * The gradient of a scan is a scan over the same iterations backwards, whose carries are the gradients with respect to
 * the carries. What the forward loop computed is read where it was kept: the histories of its carries, and its
 * reductions and costly functions, iteration by iteration; element-wise work in between is done again.
 */
import type { Graph, Leaf, Node, Part, Scan } from '../ir/graph.ts';
import { isCostly } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
import { indexAt } from '../ir/indices.ts';
import { flipped, leading } from '../ir/lift.ts';
import { closeLoop } from '../ir/loop.ts';

export interface ScanContext {
  /** For each operand whether its gradient is asked for. */
  readonly wanted: readonly boolean[];
  /** Gradients given for nodes of the body, walked back to the nodes `wrt`. */
  readonly backward: (
    given: ReadonlyMap<Node, readonly Node[]>,
    roots: readonly Node[],
    wrt: readonly Node[],
  ) => ReadonlyMap<Node, Node>;
}

/** `parts`: gradients with respect to the results. A gradient for each operand that some gradient reaches. */
export function scanGradient(
  graph: Graph,
  scan: Scan,
  parts: ReadonlyMap<Part, Node>,
  context: ScanContext,
): readonly (Node | undefined)[] {
  return parts.size === 0 ? [] : new ScanGradient(graph, scan, context).run(parts);
}

const isFloat = (node: Node): boolean => node.dtype === 'f32' || node.dtype === 'f16';

class ScanGradient {
  private readonly graph: Graph;
  private readonly scan: Scan;
  private readonly context: ScanContext;
  /** Nodes of the new body that are given for each iteration. */
  private readonly slices = new Map<Node, Node>();
  /** Gradient with respect to each carry after an iteration, in the new body. */
  private readonly carried = new Map<number, Leaf>();
  private readonly initial = new Map<number, Node[]>();
  private readonly fromHistory = new Map<number, Node>();
  private readonly given = new Map<Node, Node[]>();

  constructor(graph: Graph, scan: Scan, context: ScanContext) {
    this.graph = graph;
    this.scan = scan;
    this.context = context;
  }

  run(parts: ReadonlyMap<Part, Node>): readonly (Node | undefined)[] {
    const { graph, scan, context } = this;
    for (const [part, g] of parts) this.start(part, g);
    this.keepForward();
    const leaves: readonly Leaf[] = [...scan.carries, ...scan.slices, ...scan.captures];
    const wrt = leaves.filter((l, k) => isFloat(l) && (k < scan.carries.length || context.wanted[k]));
    const found = this.fixpoint(wrt);
    const active = [...this.carried];
    const carries = active.map(([k, leaf]) => {
      const both = [found.get(leaves[k] as Leaf), this.fromHistory.get(k)].filter((n) => n !== undefined);
      return { leaf, init: this.sum(this.initial.get(k) ?? [], leaf), next: this.sum(both, leaf) };
    });
    const sliced = scan.slices.flatMap((l) => found.get(l) ?? []);
    const captured = scan.captures.flatMap((l) => found.get(l) ?? []);
    const count = scan.carries.length + scan.slices.length;
    const loop = closeLoop(
      graph,
      {
        extent: scan.extent,
        carries,
        slices: this.slices,
        captures: new Map(scan.captures.map((l, k) => [l, scan.inputs[count + k] as Node])),
      },
      sliced,
      captured,
    );
    return leaves.map((leaf, k) => {
      if (!context.wanted[k]) return undefined;
      const carry = this.carried.get(k);
      if (k < scan.carries.length) return carry && loop.final(carry);
      const g = found.get(leaf);
      if (!g) return undefined;
      return k < count ? flipped(graph, loop.each(g)) : loop.sum(g);
    });
  }

  private sum(terms: readonly Node[], like: Node): Node {
    const { graph } = this;
    if (terms.length === 0) return graph.full(0, like.dtype, like.shape);
    return terms.reduce((a, b) => graph.map('add', [a, b]));
  }

  private seed(node: Node, g: Node): void {
    this.given.set(node, [...(this.given.get(node) ?? []), g]);
  }

  /** A leaf of the new body for the part of `whole` at the iteration that is walked back over. */
  private sliceOf(whole: Node): Leaf {
    const leaf = this.graph.unbound(whole.dtype, whole.shape.slice(1));
    this.slices.set(leaf, flipped(this.graph, whole));
    return leaf;
  }

  private start({ result }: Part, g: Node): void {
    const { graph, scan } = this;
    if (result.kind === 'each') {
      this.seed(result.value, this.sliceOf(g));
      return;
    }
    const k = result.carry;
    const add = (first: Node): void => {
      this.carry(k);
      this.initial.set(k, [...(this.initial.get(k) ?? []), first]);
    };
    if (result.kind === 'final') return add(g);
    const own = g.shape.slice(1);
    const last = [scan.extent, ...own.map((_, i) => indexAt(i, own))];
    add(graph.view(g, own, last));
    this.fromHistory.set(k, this.sliceOf(leading(graph, g, scan.extent, 0)));
  }

  private carry(k: number): void {
    const like = this.scan.carries[k];
    const next = this.scan.next[k];
    if (!like || !next || this.carried.has(k)) return;
    const leaf = this.graph.unbound(like.dtype, like.shape);
    this.carried.set(k, leaf);
    this.seed(next, leaf);
  }

  /** What the new body reads of the forward loop. */
  private keepForward(): void {
    const { graph, scan } = this;
    const keep = (node: Node, whole: Node): void => {
      this.slices.set(node, flipped(graph, whole));
    };
    const count = scan.carries.length;
    scan.slices.forEach((l, k) => keep(l, scan.inputs[count + k] as Node));
    const history = (k: number): Node => graph.part(scan, { kind: 'history', carry: k });
    const moving = new Set<Node>(scan.carries);
    for (const node of topological([...scan.next, ...this.given.keys()])) {
      if (!node.inputs.some((x) => moving.has(x))) continue;
      moving.add(node);
      if (['reduce', 'scatter', 'part'].includes(node.op) || isCostly(node))
        keep(node, graph.part(scan, { kind: 'each', value: node }));
    }
    scan.next.forEach((n, k) => {
      if (moving.has(n)) keep(n, leading(graph, history(k), scan.extent, 1));
    });
    scan.carries.forEach((l, k) => keep(l, leading(graph, history(k), scan.extent, 0)));
  }

  /** A gradient that reaches a carry goes on into the iteration before: until no further carry is reached. */
  private fixpoint(wrt: readonly Node[]): ReadonlyMap<Node, Node> {
    for (;;) {
      const found = this.context.backward(this.given, [...this.scan.next, ...this.given.keys()], wrt);
      const reached = this.scan.carries.flatMap((l, k) => (found.has(l) && !this.carried.has(k) ? [k] : []));
      if (reached.length === 0) return found;
      reached.forEach((k) => this.carry(k));
    }
  }
}
