/** Gradients by central differences in float64. */
import type { Graph, Leaf, Node } from '../../compiler/ir/graph.ts';
import { toGraphData } from '../../compiler/ir/serialise.ts';
import type { Dims } from '../../runtime/device.ts';
import { interpreter } from '../../runtime/interpret.ts';
import type { Values } from './evaluate.ts';

export const tolerance = { eps: 1e-6, atol: 1e-5, rtol: 1e-3 } as const;

export const isClose = (found: number, expected: number): boolean =>
  Math.abs(found - expected) <= tolerance.atol + tolerance.rtol * Math.abs(expected);

/** The loss as a function of the leaves' values. */
export function lossFunction(graph: Graph, loss: Node, dims: Dims): (values: Values) => number {
  const data = toGraphData({ name: 'loss', graph, outputs: [{ name: 'loss', node: loss }], updates: [] });
  const bound = interpreter(data, dims);
  const [output] = data.outputs;
  return (values) => {
    const value = bound.run((_role, name) => {
      const found = values.get(name);
      if (!found) throw new Error(`no value for ${name}`);
      return found;
    });
    return value(output?.node ?? 0)[0] ?? NaN;
  };
}

/** d loss / d leaf, element by element; undefined where the loss has a kink (the two sides disagree). */
export function finiteDifferences(
  f: (values: Values) => number,
  values: Values,
  leaf: Leaf,
): (number | undefined)[] {
  const x = values.get(leaf.name) ?? new Float64Array();
  const { eps } = tolerance;
  const middle = f(values);
  return [...x.keys()].map((i) => {
    const at = (delta: number): number => {
      const moved = x.slice();
      moved[i] = (x[i] ?? 0) + delta;
      return f(new Map(values).set(leaf.name, moved));
    };
    const [above, below] = [at(eps), at(-eps)];
    const [right, left] = [(above - middle) / eps, (middle - below) / eps];
    if (Math.abs(right - left) > 1e-3 * (1 + Math.abs(right) + Math.abs(left))) return undefined;
    return (above - below) / (2 * eps);
  });
}
