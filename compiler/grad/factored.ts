/**
 * Gradients of element-wise chains in the form base * factor, where the factor is made of values of the way forward alone. Only
 * the factor has to be kept for the way back: of a gelu its derivative, not the values that the chain rule, taken step by
 * step, multiplies the gradient with.
 */
import type { Graph, Node } from '../ir/graph.ts';

interface Factored {
  readonly base: Node;
  /** From the base on, in the order of the chain rule. None is 1. */
  readonly factors: readonly Node[];
}

export class FactoredGradients {
  /** Of the gradients and contributions so far that have a factor. */
  private readonly known = new Map<Node, Factored>();

  constructor(private readonly graph: Graph) {}

  private of(node: Node): Factored {
    return this.known.get(node) ?? { base: node, factors: [] };
  }

  private joined(base: Node, factors: readonly Node[]): Node {
    const node = this.multiply(base, this.product(factors));
    this.known.set(node, { base, factors });
    return node;
  }

  private multiply(a: Node, b: Node): Node {
    return this.graph.map('mul', [a, b]);
  }

  /** Of one factor or more. */
  private product(factors: readonly Node[]): Node {
    return factors.reduce((a, b) => this.multiply(a, b));
  }

  /** What a node with gradient `g` contributes to one of its operands: `part`, with all factors of `g` in one product. */
  contribution(part: Node, g: Node): Node {
    const step = part === g ? undefined : this.step(part, g);
    if (!step) return part;
    const { base, factors } = this.of(g);
    return this.joined(base, [...factors, step]);
  }

  /** The factor by which `part` is a multiple of `g`, if it is. */
  private step(part: Node, g: Node): Node | undefined {
    if (part.op !== 'map') return undefined;
    const [a, b] = part.inputs;
    if (part.fn === 'mul') return a === g ? (b === g ? undefined : b) : b === g ? a : undefined;
    const inner = part.fn === 'neg' && a ? this.step(a, g) : undefined;
    return inner && this.graph.map('neg', [inner]);
  }

  /** The gradient of a node, to which its users contributed `parts`: a sum of factors where all are multiples of one value. */
  sum(parts: readonly [Node, ...Node[]]): Node {
    const split = parts.map((part) => this.of(part));
    const { base } = this.of(parts[0]);
    if (parts.length === 1 || split.some((f) => f.base !== base))
      return parts.reduce((a, b) => this.graph.map('add', [a, b]));
    const products = split.map((f) => f.factors);
    return this.joined(base, [this.total(base, products)]);
  }

  /**
   * The sum of products, of which those that begin with the same factor are multiplied with it at once: the ways from a node to
   * the base that have their first steps in common.
   */
  private total(base: Node, products: readonly (readonly Node[])[]): Node {
    const groups = new Map<Node | undefined, (readonly Node[])[]>();
    for (const [first, ...rest] of products) groups.set(first, [...(groups.get(first) ?? []), rest]);
    const terms = [...groups].flatMap(([first, rests]) => {
      if (!first) return rests.map(() => this.graph.full(1, base.dtype, base.shape));
      const [rest] = rests as [readonly Node[]];
      return rests.length === 1
        ? this.product([first, ...rest])
        : this.multiply(first, this.total(base, rests));
    });
    return terms.reduce((a, b) => this.graph.map('add', [a, b]));
  }
}
