/**
 * Makes a scan from a body that is written freely: it may name things outside, and the number of the iteration in index
 * expressions. What does not depend on the carries leaves the loop: before it, as one operation over all iterations
 * (`x[t] @ w` for every t at once), and behind it, where the loop itself does not need it.
 */
import type { Poly } from '../shape/poly.ts';
import { asConstant, linearIn, mapGuard, substitute, symbol } from '../shape/poly.ts';
import type { Graph, Leaf, Node, Scan } from './graph.ts';
import { topological } from './walk.ts';
import { dataIndex, indexAt } from './indices.ts';
import { iterationsIn, Lift, leading, mentions, type IndexMeaning } from './lift.ts';

export interface LoopSpec {
  readonly extent: Poly;
  readonly carries: readonly { readonly leaf: Leaf; readonly init: Node; readonly next: Node }[];
  /** Nodes of the body that stand for the part at the iteration of something outside: `[extent, …]`. */
  readonly slices?: ReadonlyMap<Node, Node>;
  /** Leaves of the body that stand for something outside. */
  readonly captures?: ReadonlyMap<Node, Node>;
  /** The symbol in index expressions that stands for the iteration, and what it is in iteration i. */
  readonly index?: IndexMeaning;
  /** Nodes with smaller numbers (`graph.mark` before the body) stand outside. */
  readonly since?: number;
}

export interface Loop {
  /** The value after the last iteration. */
  readonly final: (carry: Leaf) => Node;
  /** `[extent + 1, …]` */
  readonly history: (carry: Leaf) => Node;
  /** `[extent, …]`: one of the nodes that were asked for, in every iteration. */
  readonly each: (value: Node) => Node;
  /** One of the nodes that were asked for, summed over the iterations. */
  readonly sum: (value: Node) => Node;
}

/** `each` and `sums`: what will be asked of the loop. */
export function closeLoop(
  graph: Graph,
  spec: LoopSpec,
  each: readonly Node[] = [],
  sums: readonly Node[] = [],
): Loop {
  return new Closing(graph, spec).close(each, sums);
}

/** What a node of the body depends on: nothing inside, the iteration, or what earlier iterations did. */
type Dependence = 0 | 1 | 2;

class Closing {
  private readonly graph: Graph;
  private readonly spec: LoopSpec;
  private readonly carryOf: ReadonlyMap<Node, number>;
  private readonly known = new Map<Node, Dependence>();
  private readonly inside = new Map<Node, Node>();
  private readonly slices = new Map<Node, Leaf>();
  private readonly captures = new Map<Node, Leaf>();
  /** Nodes that the next carries are computed from, and that depend on the carries. */
  private readonly core: ReadonlySet<Node>;
  private readonly lift: Lift;
  /** Once the scan is made, what its nodes came to. */
  private scan: Scan | undefined;

  constructor(graph: Graph, spec: LoopSpec) {
    this.graph = graph;
    this.spec = spec;
    this.carryOf = new Map(spec.carries.map((c, i) => [c.leaf, i]));
    const nexts = topological(spec.carries.map((c) => c.next));
    this.core = new Set(nexts.filter((n) => this.dependence(n) === 2));
    this.lift = new Lift(graph, spec.extent, spec.index, (n) => this.outside(n));
  }

  close(each: readonly Node[], sums: readonly Node[]): Loop {
    const { graph, spec } = this;
    const running = new Map<Node, Leaf>();
    const kept = new Set<Node>();
    for (const v of each) for (const n of this.needed(v, false)) kept.add(n);
    for (const v of sums) {
      const needed = this.needed(v, true);
      if (this.dependence(v) === 2 && needed.includes(v)) running.set(v, graph.unbound(v.dtype, v.shape));
      else for (const n of needed) kept.add(n);
    }
    const carries = spec.carries.map((c) => ({ init: c.init, next: this.inner(c.next), like: c.leaf }));
    for (const n of kept) this.inner(n);
    const totals = [...running].map(([v, like], i) => {
      const leaf = this.carryLeaf(spec.carries.length + i, like);
      const init = graph.full(0, v.dtype, v.shape);
      return { init, next: graph.map('add', [leaf, this.inner(v)]), like };
    });
    const all = [...carries, ...totals];
    const body = {
      carries: all.map((c, i) => this.carryLeaf(i, c.like)),
      slices: [...this.slices.values()],
      captures: [...this.captures.values()],
      next: all.map((c) => c.next),
    };
    const inputs = [...all.map((c) => c.init), ...this.slices.keys(), ...this.captures.keys()];
    const scan = graph.scan(spec.extent, body, inputs);
    this.scan = scan;
    const place = (leaf: Leaf): number => all.findIndex((c) => c.like === leaf);
    return {
      final: (leaf) => graph.part(scan, { kind: 'final', carry: place(leaf) }),
      history: (leaf) => graph.part(scan, { kind: 'history', carry: place(leaf) }),
      each: (v) => this.lift.full(v),
      sum: (v) => {
        const total = running.get(v);
        return total ? graph.part(scan, { kind: 'final', carry: place(total) }) : this.lift.sum(v);
      },
    };
  }

  private carryLeaf(i: number, like: Leaf): Leaf {
    return this.graph.leaf('bound', `carry ${i}`, like.dtype, like.shape);
  }

  private dependence(node: Node): Dependence {
    const seen = this.known.get(node);
    if (seen !== undefined) return seen;
    // Operands first, without recursion: bodies can be deep.
    const isOuter = (n: Node): boolean => this.isGiven(n) || n.id < (this.spec.since ?? 0);
    const stack = [node];
    const entered = new Set<Node>();
    while (stack.length > 0) {
      const n = stack[stack.length - 1] as Node;
      if (this.known.has(n)) stack.pop();
      else if (isOuter(n) || entered.has(n)) {
        this.known.set(n, this.own(n, isOuter(n)));
        stack.pop();
      } else {
        entered.add(n);
        stack.push(...n.inputs);
      }
    }
    return this.known.get(node) ?? 0;
  }

  private isGiven(n: Node): boolean {
    const { slices, captures } = this.spec;
    return this.carryOf.has(n) || Boolean(slices?.has(n)) || Boolean(captures?.has(n));
  }

  private own(n: Node, isOuter: boolean): Dependence {
    if (this.carryOf.has(n)) return 2;
    if (this.spec.slices?.has(n)) return 1;
    if (isOuter) return 0;
    const inputs = n.inputs.map((x) => this.known.get(x) ?? 0);
    return Math.max(0, this.namesIteration(n) ? 1 : 0, ...inputs) as Dependence;
  }

  private namesIteration(n: Node): boolean {
    return this.spec.index !== undefined && mentions(n, this.spec.index.symbol);
  }

  /** Whether it names the iteration of a loop around this one, which means nothing inside. */
  private namesOuter(n: Node): boolean {
    return iterationsIn(n).some((s) => s !== this.spec.index?.symbol);
  }

  /** What a node that is not computed in the loop is outside: one value, or one for every iteration. */
  private outside(n: Node): { node: Node; lifted: boolean } | undefined {
    const slice = this.spec.slices?.get(n);
    if (slice) return { node: slice, lifted: true };
    const captured = this.spec.captures?.get(n);
    if (captured) return { node: captured, lifted: false };
    const d = this.dependence(n);
    if (d === 0 && !this.spec.captures) return { node: n, lifted: false };
    const { scan } = this;
    if (!scan || (d < 2 && !this.isKept.has(n))) return undefined;
    const carry = this.carryOf.get(n);
    const next = this.spec.carries.findIndex((c) => c.next === n);
    const at = carry ?? next;
    if (at >= 0) {
      const history = this.graph.part(scan, { kind: 'history', carry: at });
      return {
        node: leading(this.graph, history, this.spec.extent, carry === undefined ? 1 : 0),
        lifted: true,
      };
    }
    const inner = this.inside.get(n);
    if (!inner || !this.isKept.has(n)) return undefined;
    return { node: this.graph.part(scan, { kind: 'each', value: inner }), lifted: true };
  }

  private readonly isKept = new Set<Node>();

  /**
   * The nodes whose values of all iterations `v` is computed from behind the loop. `v` itself where that is not possible,
   * or, unless `always`, where it is not worth it: nothing but element-wise work on several values.
   */
  private needed(v: Node, always: boolean): readonly Node[] {
    if (this.dependence(v) < 2) {
      if (this.lift.value(v)) return [];
      this.isKept.add(v);
      return [v];
    }
    const found = new Set<Node>();
    let possible = true;
    let heavy = false;
    const seen = new Set<Node>();
    const visit = (n: Node): void => {
      if (seen.has(n) || this.dependence(n) < 2) return;
      seen.add(n);
      if (this.carryOf.has(n) || this.spec.carries.some((c) => c.next === n)) return;
      // A view in the loop only says how something is read, perhaps many times over: it is read again.
      if (this.core.has(n) && n.op !== 'view') {
        found.add(n);
        return;
      }
      if (n.op === 'scan' || n.op === 'part') possible = false;
      if (n.op === 'reduce' || n.op === 'scatter') heavy = true;
      n.inputs.forEach(visit);
    };
    visit(v);
    const behind = possible && (always || heavy || found.size <= 1);
    const result = behind ? [...found] : [v];
    if (behind || !always) for (const n of result) this.isKept.add(n);
    return result;
  }

  // -------------------------------------------------------------- the closed body

  private inner(node: Node): Node {
    const seen = this.inside.get(node);
    if (seen) return seen;
    const made = this.graph.from(this.graph.originsOf(node), () => this.makeInner(node));
    this.inside.set(node, made);
    return made;
  }

  private makeInner(node: Node): Node {
    const { spec } = this;
    const carry = this.carryOf.get(node);
    if (carry !== undefined) return this.carryLeaf(carry, node as Leaf);
    const slice = spec.slices?.get(node);
    if (slice) return this.slice(slice);
    const captured = spec.captures?.get(node);
    if (captured) return this.capture(captured);
    const d = this.dependence(node);
    const isHeavy = ['leaf', 'reduce', 'scatter', 'part', 'scan'].includes(node.op);
    if (d === 0) {
      const isFixed = this.namesOuter(node);
      if (node.op === 'const' || (node.op === 'index' && !isFixed)) return node;
      const isOwn = node.op === 'view' || node.id >= (spec.since ?? 0);
      if (isOwn && !isHeavy && !isFixed) return this.rebuild(node);
      const outer = this.lift.value(node);
      return outer && !outer.lifted ? this.capture(outer.node) : this.rebuild(node);
    }
    if (d === 1 && (isHeavy || this.namesIteration(node) || this.namesOuter(node))) {
      if (node.op === 'index' && !this.namesOuter(node))
        return this.counted(node.value, node.shape) ?? this.sliceOf(node);
      return this.sliceOf(node);
    }
    if (d === 2 && (this.namesIteration(node) || this.namesOuter(node))) return this.byData(node);
    return this.rebuild(node);
  }

  private rebuild(node: Node): Node {
    return this.graph.withInputs(
      node,
      node.inputs.map((x) => this.inner(x)),
    );
  }

  private sliceOf(node: Node): Node {
    const outer = this.lift.value(node);
    return outer ? this.slice(this.lift.full(node)) : this.rebuild(node);
  }

  private slice(outer: Node): Leaf {
    const known = this.slices.get(outer);
    if (known) return known;
    const leaf = this.graph.leaf('bound', `slice ${this.slices.size}`, outer.dtype, outer.shape.slice(1));
    this.slices.set(outer, leaf);
    return leaf;
  }

  private capture(outer: Node): Node {
    if (outer.op === 'const' || (outer.op === 'index' && !this.namesOuter(outer))) return outer;
    const known = this.captures.get(outer);
    if (known) return known;
    const leaf = this.graph.leaf('bound', `capture ${this.captures.size}`, outer.dtype, outer.shape);
    this.captures.set(outer, leaf);
    return leaf;
  }

  /** The number of the iteration (as the symbol means it), a scalar. */
  private counter(): Node {
    const { index, extent } = this.spec;
    if (!index) throw new Error('the loop has no index');
    return this.slice(this.graph.index(index.at(indexAt(0, [extent])), [extent]));
  }

  /** An index expression that is linear in the iteration, from the counter. */
  private counted(value: Poly, shape: readonly Poly[]): Node | undefined {
    const { graph, spec } = this;
    const linear = spec.index && linearIn(value, spec.index.symbol);
    const factor = linear && asConstant(linear.coefficient);
    if (!linear || factor === undefined) return undefined;
    const counter = graph.broadcast(this.counter(), shape, []);
    const scaled = factor === 1 ? counter : graph.map('mul', [counter, graph.full(factor, 'i32', shape)]);
    return linear.rest.terms.length === 0
      ? scaled
      : graph.map('add', [scaled, graph.index(linear.rest, shape)]);
  }

  /** A view or scatter of what the loop computes, at indices that name the iteration: the counter becomes its data. */
  private byData(node: Node): Node {
    const { graph, spec } = this;
    const inputs = node.inputs.map((x) => this.inner(x));
    const [x, ...data] = inputs;
    if ((node.op !== 'view' && node.op !== 'scatter') || !x) return this.rebuild(node);
    const over = node.op === 'view' ? node.shape : x.shape;
    const symbols = iterationsIn(node);
    const counters = symbols.map((s) =>
      s === spec.index?.symbol ? this.counter() : this.capture(graph.index(symbol(s), [])),
    );
    const all = [...data, ...counters.map((c) => graph.broadcast(c, over, []))];
    const by = (p: Poly): Poly =>
      substitute(p, (s) => (symbols.includes(s) ? dataIndex(data.length + symbols.indexOf(s)) : undefined));
    if (node.op === 'scatter') return graph.scatter(x, all, node.index.map(by), node.shape);
    const guard = mapGuard(node.guard, by);
    return graph.view(x, node.shape, node.index.map(by), { guard, fill: node.fill, data: all });
  }
}
