/**
 * Gradients of element-wise chains in the form base * factor, where the factor is made of values of the way forward alone. Only
 * the factor has to be kept for the way back: of a gelu its derivative, not the values that the chain rule, taken step by
 * step, multiplies the gradient with.
 */
import type { Graph, Node } from '../ir/graph.ts';

interface Factored {
  readonly base: Node;
  /** None is 1. */
  readonly factor: Node | undefined;
}

export class FactoredGradients {
  /** Of the gradients and contributions so far that have a factor. */
  private readonly known = new Map<Node, Factored>();

  constructor(private readonly graph: Graph) {}

  private of(node: Node): Factored {
    return this.known.get(node) ?? { base: node, factor: undefined };
  }

  private joined(base: Node, factor: Node): Node {
    const node = this.graph.map('mul', [base, factor]);
    this.known.set(node, { base, factor });
    return node;
  }

  /** What a node with gradient `g` contributes to one of its operands: `part`, with all factors of `g` in one product. */
  contribution(part: Node, g: Node): Node {
    const step = part === g ? undefined : this.step(part, g);
    if (!step) return part;
    const { base, factor } = this.of(g);
    return this.joined(base, factor ? this.graph.map('mul', [factor, step]) : step);
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
    const add = (a: Node, b: Node): Node => this.graph.map('add', [a, b]);
    const split = parts.map((part) => this.of(part));
    const { base } = this.of(parts[0]);
    if (parts.length === 1 || split.some((f) => f.base !== base)) return parts.reduce(add);
    const one = this.graph.full(1, base.dtype, base.shape);
    return this.joined(base, split.map((f) => f.factor ?? one).reduce(add));
  }
}
