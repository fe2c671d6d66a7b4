/** What a row of the gradient table sees. */
import type { Graph, Node } from '../ir/graph.ts';
import type { Maker } from '../ir/make.ts';
import { maker } from '../ir/make.ts';

export interface Context {
  readonly make: Maker;
  /** Gradient of the loss with respect to the result, of its shape. */
  readonly g: Node;
  /** Operands of the operation. */
  readonly x: readonly [Node, ...Node[]];
  /** Its result. */
  readonly y: Node;
}

/** The gradient with respect to one operand, of that operand's shape. */
export type Partial = (c: Context) => Node;

/** For `node` with gradient `g`. */
export const contextOf = (graph: Graph, node: Node, g: Node): Context => {
  const [first, ...rest] = node.inputs;
  if (!first) throw new Error(`${node.op} has no operand`);
  return { make: maker(graph), g, x: [first, ...rest], y: node };
};
