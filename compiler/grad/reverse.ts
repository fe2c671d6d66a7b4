/** Reverse-mode differentiation, graph to graph: one walk from the loss to the leaves, the rows say the rest. */
import type { Graph, Node } from '../ir/graph.ts';
import { topological } from '../ir/graph.ts';
import { contextOf } from './context.ts';
import type { GradientRules } from './rules.ts';
import { gradientRules, rowOf } from './rules.ts';

/**
 * Why a gradient is nothing but zero. `independent`: the loss does not use the value. `no-derivative`: every way from
 * the value to the loss passes something without a derivative, such as `node` (a comparison, a cast to an integer, a
 * rounding, a stop), or the value is an integer itself.
 */
export type GradientProblem =
  | { readonly kind: 'independent'; readonly wrt: Node }
  | { readonly kind: 'no-derivative'; readonly wrt: Node; readonly node: Node };

export interface Gradients {
  /** One for each `wrt`, of its shape and dtype; zero where a problem is reported. */
  readonly gradients: readonly Node[];
  readonly problems: readonly GradientProblem[];
}

/**
 * Gradients of `loss` (float, shape []) with respect to the nodes `wrt`, as nodes of the same graph: they can be
 * differentiated again. They inherit the origins of the nodes they are the gradients of.
 */
export function gradient(
  graph: Graph,
  loss: Node,
  wrt: readonly Node[],
  rules: GradientRules = gradientRules,
): Gradients {
  if (loss.shape.length > 0 || !isFloat(loss)) throw new Error('the loss must be a float scalar');
  const order = topological([loss]);
  const active = activeNodes(order, new Set(wrt), rules);
  const adjoints = walk(graph, loss, order, active, rules);
  const gradients = wrt.map((w) => adjoints.get(w) ?? graph.full(0, w.dtype, w.shape));
  const problems = wrt.flatMap((w) => (adjoints.has(w) ? [] : [explain(order, w, rules)]));
  return { gradients, problems };
}

const isFloat = (node: Node): boolean => node.dtype === 'f32' || node.dtype === 'f16';

/** Whether a gradient flows from a node to its k-th operand. */
function flows(rules: GradientRules, node: Node, k: number): boolean {
  const x = node.inputs[k];
  return isFloat(node) && x !== undefined && isFloat(x) && Boolean(rowOf(rules, node)[k]);
}

/** Nodes through which the loss depends differentiably on one of `wrt`. */
function activeNodes(order: readonly Node[], wrt: ReadonlySet<Node>, rules: GradientRules): Set<Node> {
  const active = new Set<Node>();
  for (const node of order) {
    const fed = node.inputs.some((x, k) => active.has(x) && flows(rules, node, k));
    if (fed || (wrt.has(node) && isFloat(node))) active.add(node);
  }
  return active;
}

function walk(
  graph: Graph,
  loss: Node,
  order: readonly Node[],
  active: ReadonlySet<Node>,
  rules: GradientRules,
): Map<Node, Node> {
  const contributions = new Map<Node, Node[]>([[loss, [graph.constant(1, loss.dtype)]]]);
  const adjoints = new Map<Node, Node>();
  for (const node of [...order].reverse()) {
    const parts = contributions.get(node);
    if (!parts || !active.has(node)) continue;
    graph.from(graph.originsOf(node), () => {
      const g = parts.reduce((a, b) => graph.map('add', [a, b]));
      adjoints.set(node, g);
      node.inputs.forEach((x, k) => {
        const partial = active.has(x) && flows(rules, node, k) ? rowOf(rules, node)[k] : undefined;
        if (!partial) return;
        const part = partial(contextOf(graph, node, g));
        const known = contributions.get(x);
        if (known) known.push(part);
        else contributions.set(x, [part]);
      });
    });
  }
  return adjoints;
}

/** Why no gradient reaches `wrt`. */
function explain(order: readonly Node[], wrt: Node, rules: GradientRules): GradientProblem {
  if (!order.includes(wrt)) return { kind: 'independent', wrt };
  if (!isFloat(wrt)) return { kind: 'no-derivative', wrt, node: wrt };
  const active = activeNodes(order, new Set([wrt]), rules);
  const cut = order.find((node) => !active.has(node) && node.inputs.some((x) => active.has(x)));
  return { kind: 'no-derivative', wrt, node: cut ?? wrt };
}
