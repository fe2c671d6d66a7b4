/** Gradients of reductions. `x: [outer…, reduced…]`, result and its gradient: `[outer…]`. */
import type { Graph, Node, Reduce } from '../ir/graph.ts';
import { indexAt, resultIndex } from '../ir/indices.ts';
import type { Poly } from '../shape/poly.ts';
import { add, multiply, zero } from '../shape/poly.ts';
import type { Context } from './context.ts';

const reduceOf = (c: Context): Reduce => {
  if (c.y.op !== 'reduce') throw new Error('not a reduction');
  return c.y;
};

/** A value of the result repeated over the reduced dimensions. */
const spread = (graph: Graph, value: Node, shape: readonly Poly[]): Node =>
  graph.broadcast(
    value,
    shape,
    value.shape.map((_, i) => i),
  );

/** Every element gets the gradient of its sum. */
export const sumGradient = ({ make, g, x: [x] }: Context): Node => spread(make.graph, g, x.shape);

/** Row-major position within the dimensions from `first` on. */
function position(shape: readonly Poly[], first: number, indices: (i: number) => Poly): Poly {
  return shape.slice(first).reduce((at, d, k) => add(multiply(at, d), indices(first + k)), zero);
}

/** The first element in index order that equals the maximum (minimum) gets everything: PyTorch's rule. */
export function selectGradient(c: Context): Node {
  const { make, g, x } = c;
  const { graph } = make;
  const [operand] = x;
  const { count } = reduceOf(c);
  const { shape } = operand;
  const at = graph.index(
    position(shape, shape.length - count, (i) => indexAt(i, shape)),
    shape,
  );
  const attained = make.map('eq', operand, spread(graph, c.y, shape));
  const none = graph.full(0x7fffffff, 'i32', shape);
  const first = graph.reduce('min', make.where(attained, at, none), count);
  return make.where(make.map('eq', at, spread(graph, first, shape)), spread(graph, g, shape), 0);
}

/**
 * The product of all the others: for each element a product over all elements with its own replaced by 1. Quadratic
 * in the number of elements reduced, but right where elements are 0, and differentiable again.
 */
export function prodGradient(c: Context): Node {
  const { make, g, x } = c;
  const { graph } = make;
  const [operand] = x;
  const { count } = reduceOf(c);
  const { shape } = operand;
  const outer = shape.length - count;
  const square = [...shape, ...shape.slice(outer)];
  const other = (i: number): Poly => (i < outer ? indexAt(i, square) : indexAt(i + count, square));
  const all = graph.view(
    operand,
    square,
    shape.map((_, i) => other(i)),
  );
  const own = graph.index(
    position(shape, outer, (i) => resultIndex(i)),
    square,
  );
  const theirs = graph.index(
    position(shape, outer, (i) => resultIndex(i + count)),
    square,
  );
  const others = graph.reduce('prod', make.where(make.map('eq', own, theirs), 1, all), count);
  return make.map('mul', spread(graph, g, shape), others);
}
