/** A node of a loop's body for all iterations at once: the same operations with one more dimension in front. */
import type { Poly } from '../shape/poly.ts';
import { add, mapGuard, one, substitute, subtract, symbolsOf, zero } from '../shape/poly.ts';
import type { Graph, Node } from './graph.ts';
import { indexAt, resultIndex } from './indices.ts';

export interface IndexMeaning {
  readonly symbol: string;
  /** Its value in iteration i: `i`, or backwards `extent - 1 - i`. */
  readonly at: (iteration: Poly) => Poly;
}

/** One value for all iterations, or (`lifted`) one for each, `[extent, …]`. */
export interface Lifted {
  readonly node: Node;
  readonly lifted: boolean;
}

/** Symbols of iterations (`$` and no number) in the index expressions of the node itself. */
export function iterationsIn(n: Node): readonly string[] {
  const names = new Set<string>();
  if (n.op === 'index') symbolsOf(n.value, names);
  if (n.op === 'view' || n.op === 'scatter') for (const e of n.index) symbolsOf(e, names);
  if (n.op === 'view') for (const c of n.guard) symbolsOf(c.value, names);
  return [...names].filter((s) => /^\$\D/.test(s));
}

export const mentions = (n: Node, symbol: string): boolean => iterationsIn(n).includes(symbol);

/** `extent` parts of `x` along its first dimension, from the given one on. */
export function leading(graph: Graph, x: Node, extent: Poly, start: Poly | number): Node {
  const shape = [extent, ...x.shape.slice(1)];
  const own = shape.map((_, i) => indexAt(i, shape));
  const [first, ...rest] = own;
  return graph.view(x, shape, [add(first ?? zero, start), ...rest]);
}

/** The parts of `x` along its first dimension, the last one first. */
export function flipped(graph: Graph, x: Node): Node {
  const [extent, ...rest] = x.shape;
  if (!extent) throw new Error('a scalar has no parts');
  const last = subtract(extent, one);
  return graph.view(x, x.shape, [
    subtract(last, indexAt(0, x.shape)),
    ...rest.map((_, i) => indexAt(i + 1, x.shape)),
  ]);
}

export class Lift {
  private readonly graph: Graph;
  private readonly extent: Poly;
  private readonly index: IndexMeaning | undefined;
  private readonly given: (n: Node) => Lifted | undefined;
  private readonly done = new Map<Node, Lifted>();

  /** `given` says what a node is outside of the loop; undefined: what its operation gives. */
  constructor(
    graph: Graph,
    extent: Poly,
    index: IndexMeaning | undefined,
    given: (n: Node) => Lifted | undefined,
  ) {
    this.graph = graph;
    this.extent = extent;
    this.index = index;
    this.given = given;
  }

  /** Undefined where a loop inside stands in the way. */
  value(node: Node): Lifted | undefined {
    const seen = this.done.get(node);
    if (seen) return seen;
    const made = this.given(node) ?? this.graph.from(this.graph.originsOf(node), () => this.operation(node));
    if (made) this.done.set(node, made);
    return made;
  }

  /** `[extent, …]` */
  full(node: Node): Node {
    const found = this.value(node);
    if (!found) throw new Error(`a ${node.op} cannot be computed for all iterations at once`);
    return found.lifted ? found.node : this.spread(found.node);
  }

  /** The sum over the iterations; a sum in each becomes one sum. */
  sum(node: Node): Node {
    const { graph, extent } = this;
    const inner = node.op === 'reduce' && node.fn === 'sum' && !this.given(node) ? node : undefined;
    const x = this.full(inner?.inputs[0] ?? node);
    const rank = node.shape.length;
    const shape = [...x.shape.slice(1, rank + 1), extent, ...x.shape.slice(rank + 1)];
    const index = x.shape.map((_, i) => indexAt(i === 0 ? rank : i <= rank ? i - 1 : i, shape));
    return graph.reduce('sum', graph.view(x, shape, index), (inner?.count ?? 0) + 1);
  }

  private spread(node: Node): Node {
    const shape = [this.extent, ...node.shape];
    const [x] = node.inputs;
    // One view, so that its gradient is one sum.
    if (node.op === 'view' && x && node.inputs.length === 1) {
      const guard = mapGuard(node.guard, (p) => this.shift(p));
      const index = node.index.map((e) => this.shift(e));
      return this.graph.view(x, shape, index, { guard, fill: node.fill });
    }
    return this.graph.broadcast(
      node,
      shape,
      node.shape.map((_, i) => i + 1),
    );
  }

  private operation(node: Node): Lifted | undefined {
    const operands = node.inputs.map((x) => this.value(x));
    if (operands.some((o) => o === undefined)) return undefined;
    const inputs = operands as readonly Lifted[];
    const named = this.index !== undefined && mentions(node, this.index.symbol);
    if (!named && !inputs.some((o) => o.lifted)) {
      const same = inputs.map((o) => o.node);
      return { node: this.graph.withInputs(node, same), lifted: false };
    }
    if (node.op === 'scan' || node.op === 'part') return undefined;
    return { node: this.lifted(node, inputs), lifted: true };
  }

  private lifted(node: Node, inputs: readonly Lifted[]): Node {
    const { graph } = this;
    const all = inputs.map((o) => (o.lifted ? o.node : undefined));
    const full = (i: number): Node => all[i] ?? this.spread((inputs[i] as Lifted).node);
    const shape = [this.extent, ...node.shape];
    switch (node.op) {
      case 'map':
        return graph.map(
          node.fn,
          inputs.map((_, i) => full(i)),
          node.dtype,
        );
      case 'stop':
        return graph.stop(full(0));
      case 'reduce':
        return graph.reduce(node.fn, full(0), node.count);
      case 'index':
        return graph.index(this.shift(node.value), shape);
      case 'view': {
        const x = inputs[0] as Lifted;
        const own = node.index.map((e) => this.shift(e));
        const guard = mapGuard(node.guard, (p) => this.shift(p));
        const data = inputs.slice(1).map((_, i) => full(i + 1));
        const index = x.lifted ? [indexAt(0, shape), ...own] : own;
        return graph.view(x.node, shape, index, { guard, fill: node.fill, data });
      }
      case 'scatter': {
        const x = full(0);
        const data = inputs.slice(1).map((_, i) => full(i + 1));
        return graph.scatter(x, data, [indexAt(0, x.shape), ...node.index.map((e) => this.shift(e))], shape);
      }
      default:
        throw new Error(`a ${node.op} cannot be computed for all iterations at once`);
    }
  }

  /** Result indices move by one; the iteration is the first. */
  private shift(p: Poly): Poly {
    const first = indexAt(0, [this.extent]);
    return substitute(p, (s) => {
      if (s === this.index?.symbol) return this.index.at(first);
      return /^\$\d/.test(s) ? resultIndex(Number(s.slice(1)) + 1) : undefined;
    });
  }
}
