/** Which inputs select by their values, and among how many: the runtime checks data against it. */
import type { Computation, Node } from './ir/graph.ts';
import { topological } from './ir/walk.ts';
import { dataIndex, resultIndex } from './ir/indices.ts';
import type { DataInfo } from './plan.ts';
import type { Poly } from './shape/poly.ts';
import { asConstant, equal, substitute } from './shape/poly.ts';

/**
 * For each input whose values select along a dimension, as a subscript (`logits[n, label[n]]`) or compared with an index
 * (`i == label[n]`): the size of the smallest such dimension, where it is known. What lies outside selects nothing,
 * so a wrong label would go unseen.
 */
export function inputLimits(computation: Computation): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  const roots = [...computation.outputs.map((o) => o.node), ...computation.updates.map((u) => u.value)];
  for (const node of topological(roots)) {
    for (const [input, dimension] of selections(node)) {
      const name = inputOf(input);
      const limit = dimension && asConstant(dimension);
      if (name !== undefined && limit !== undefined)
        limits.set(name, Math.min(limit, limits.get(name) ?? Infinity));
    }
  }
  return limits;
}

/** The data sources of a task with the limits that its computations set to their fields. */
export function withLimits(
  data: readonly DataInfo[],
  computations: Readonly<Record<string, Computation>>,
): readonly DataInfo[] {
  const limits = new Map<string, number>();
  for (const computation of Object.values(computations))
    for (const [name, limit] of inputLimits(computation))
      limits.set(name, Math.min(limit, limits.get(name) ?? Infinity));
  return data.map((source) => {
    const fields = Object.entries(source.fields).map(([name, field]) => {
      const limit = limits.get(name);
      return [name, limit === undefined ? field : { ...field, limit }] as const;
    });
    return { ...source, fields: Object.fromEntries(fields) };
  });
}

/** Pairs of what selects and the dimension it selects in. */
function selections(node: Node): (readonly [Node, Poly | undefined])[] {
  if (node.op === 'view') {
    const [x, ...data] = node.inputs;
    return data.flatMap((selector, k) =>
      node.index.flatMap((index, i) =>
        equal(index, dataIndex(k)) ? [[selector, x?.shape[i]] as const] : [],
      ),
    );
  }
  if (node.op !== 'map' || node.fn !== 'eq') return [];
  const [a, b] = node.inputs;
  if (!a || !b) return [];
  return [
    [a, comparedDimension(b)],
    [b, comparedDimension(a)],
  ];
}

/** The dimension over which a node counts: its element at index $k is $k itself. */
function comparedDimension(node: Node): Poly | undefined {
  const value = indexValue(node);
  if (!value) return undefined;
  return node.shape.find((_, k) => equal(value, resultIndex(k)));
}

/** The value of a node that is an index, repeated or reordered by views. */
function indexValue(node: Node): Poly | undefined {
  if (node.op === 'index') return node.value;
  const [x] = node.inputs;
  if (!x || !isRearrangement(node) || node.op !== 'view') return undefined;
  const value = indexValue(x);
  return value && substitute(value, (name) => node.index.find((_, k) => name === `$${k}`));
}

const isRearrangement = (node: Node): boolean =>
  node.op === 'view' && node.inputs.length === 1 && node.guard.length === 0;

/** The input whose values a node has, repeated or reordered. */
function inputOf(node: Node): string | undefined {
  for (let at: Node | undefined = node; at; at = at.inputs[0]) {
    if (at.op === 'leaf') return at.role === 'input' ? at.name : undefined;
    if (at.op !== 'stop' && !isRearrangement(at)) return undefined;
  }
  return undefined;
}
