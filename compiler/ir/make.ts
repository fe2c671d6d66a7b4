/** Short names for building element-wise expressions in rules; all operands have one shape. */
import type { Graph, Node } from './graph.ts';
import type { ScalarOp } from './ops.ts';

export interface Maker {
  readonly graph: Graph;
  /** `fn` over nodes of one shape; numbers stand for constants of the shape and dtype of the first node. */
  readonly map: (fn: ScalarOp, ...operands: readonly (Node | number)[]) => Node;
  /** `condition ? a : b` */
  readonly where: (condition: Node, a: Node | number, b: Node | number) => Node;
}

export function maker(graph: Graph): Maker {
  const fill = (x: Node | number, like: Node): Node =>
    typeof x === 'number' ? graph.full(x, like.dtype, like.shape) : x;
  const firstNode = (xs: readonly (Node | number)[]): Node => {
    const found = xs.find((x) => typeof x !== 'number');
    if (found === undefined || typeof found === 'number')
      throw new Error('a map needs a node among its operands');
    return found;
  };
  return {
    graph,
    map: (fn, ...operands) => {
      const like = firstNode(operands);
      return graph.map(
        fn,
        operands.map((x) => fill(x, like)),
      );
    },
    where: (condition, a, b) => {
      const like = firstNode([a, b]);
      return graph.map('where', [condition, fill(a, like), fill(b, like)]);
    },
  };
}

/** The number when every element of `node` is that constant. */
export function constantValue(node: Node): number | undefined {
  if (node.op === 'const') return node.value;
  const [x] = node.inputs;
  return node.op === 'view' && node.guard.length === 0 && node.inputs.length === 1 && x
    ? constantValue(x)
    : undefined;
}
