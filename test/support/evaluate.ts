/** Runs graphs on the reference interpreter in float64. */
import type { Computation, Graph, Node } from '../../compiler/ir/graph.ts';
import { toGraphData } from '../../compiler/ir/serialise.ts';
import { evaluateGraph } from '../../runtime/interpret.ts';
import type { Dims } from '../../runtime/device.ts';

export type Values = ReadonlyMap<string, Float64Array>;

/** Outputs of a computation by name, given its leaves by name. */
export function evaluate(computation: Computation, dims: Dims, values: Values): Map<string, Float64Array> {
  const { outputs, updates } = evaluateGraph(toGraphData(computation), dims, (role, name) => {
    const value = values.get(name);
    if (!value) throw new Error(`no value for ${role} ${name}`);
    return value;
  });
  return new Map([...outputs, ...updates]);
}

/** The values of nodes, in their order. */
export function evaluateNodes(
  graph: Graph,
  nodes: readonly Node[],
  dims: Dims = {},
  values: Values = new Map(),
): Float64Array[] {
  const outputs = nodes.map((node, i) => ({ name: `${i}`, node }));
  const found = evaluate({ name: 'nodes', graph, outputs, updates: [] }, dims, values);
  return nodes.map((_, i) => found.get(`${i}`) ?? new Float64Array());
}

export const valuesOf = (values: Readonly<Record<string, readonly number[]>>): Values =>
  new Map(Object.entries(values).map(([name, v]) => [name, Float64Array.from(v)]));
