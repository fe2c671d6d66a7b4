/** Which inputs are used as subscripts, and of how large a dimension: the runtime checks data against it. */
import type { Computation, Node, View } from './ir/graph.ts';
import { dataIndex, topological } from './ir/graph.ts';
import { asConstant, equal } from './shape/poly.ts';

/**
 * For each input of which a value selects an element (`logits[n, label[n]]`): the size of the smallest dimension it
 * selects in, where that is known. Outside of it a view reads its fill, so a wrong label would go unseen.
 */
export function inputLimits(computation: Computation): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  const roots = [...computation.outputs.map((o) => o.node), ...computation.updates.map((u) => u.value)];
  for (const node of topological(roots)) {
    if (node.op !== 'view') continue;
    for (const [name, limit] of limitsOf(node))
      limits.set(name, Math.min(limit, limits.get(name) ?? Infinity));
  }
  return limits;
}

function limitsOf(view: View): [string, number][] {
  const [x, ...data] = view.inputs;
  return view.index.flatMap((index, dimension): [string, number][] => {
    const selector = data.findIndex((_, k) => equal(index, dataIndex(k)));
    const name = selector < 0 ? undefined : inputOf(data[selector]);
    const limit = x?.shape[dimension] && asConstant(x.shape[dimension]);
    return name !== undefined && limit !== undefined ? [[name, limit]] : [];
  });
}

/** The input whose values a node has, repeated or reordered. */
function inputOf(node: Node | undefined): string | undefined {
  for (let at = node; at; at = at.inputs[0]) {
    if (at.op === 'leaf') return at.role === 'input' ? at.name : undefined;
    const same = at.op === 'stop' || (at.op === 'view' && at.inputs.length === 1 && at.guard.length === 0);
    if (!same) return undefined;
  }
  return undefined;
}
