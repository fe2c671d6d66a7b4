/** Reverse-mode differentiation, graph to graph: one walk from the loss to the leaves, the rows say the rest. */
import type { Graph, Node, Part, Scan } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
import { contextOf } from './context.ts';
import { FactoredGradients } from './factored.ts';
import type { GradientRules } from './rules.ts';
import { gradientRules, rowOf } from './rules.ts';
import { scanGradient } from './scan.ts';

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
  const seeds = new Map([[loss, [graph.constant(1, loss.dtype)]]]);
  const adjoints = walk(graph, seeds, order, active, rules);
  const gradients = wrt.map((w) => adjoints.get(w) ?? graph.full(0, w.dtype, w.shape));
  const problems = wrt.flatMap((w) => (adjoints.has(w) ? [] : [explain(order, w, rules)]));
  return { gradients, problems };
}

const isFloat = (node: Node): boolean => node.dtype === 'f32' || node.dtype === 'f16';

/** Whether a gradient flows from a node to its k-th operand. */
function flows(rules: GradientRules, node: Node, k: number): boolean {
  const x = node.inputs[k];
  if (!x || !isFloat(node) || !isFloat(x)) return false;
  return node.op === 'scan' || node.op === 'part' || Boolean(rowOf(rules, node)[k]);
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

/**
 * Adds up gradients from `seeds` (gradients given for nodes of `order`) backwards, through what lies between them and one
 * of `wrt`; a node that no gradient reaches is not among the result.
 */
function walk(
  graph: Graph,
  seeds: ReadonlyMap<Node, readonly Node[]>,
  order: readonly Node[],
  active: ReadonlySet<Node>,
  rules: GradientRules,
): Map<Node, Node> {
  const contributions = new Map<Node, Node[]>([...seeds].map(([n, parts]) => [n, [...parts]]));
  const factored = new FactoredGradients(graph);
  const adjoints = new Map<Node, Node>();
  const loops = new Map<Scan, Map<Part, Node>>();
  const contribute = (x: Node, part: Node): void => {
    const known = contributions.get(x);
    if (known) known.push(part);
    else contributions.set(x, [part]);
  };
  for (const node of [...order].reverse()) {
    if (!active.has(node)) continue;
    graph.from(graph.originsOf(node), () => {
      if (node.op === 'scan') {
        const found = scanGradient(graph, node, loops.get(node) ?? new Map(), {
          wanted: node.inputs.map((x) => active.has(x)),
          backward: (given, roots, wrt) => {
            const inner = topological(roots);
            return walk(graph, given, inner, activeNodes(inner, new Set(wrt), rules), rules);
          },
        });
        found.forEach((part, k) => part && contribute(node.inputs[k] as Node, part));
        return;
      }
      const [part, ...others] = contributions.get(node) ?? [];
      if (!part) return;
      const g = factored.sum([part, ...others]);
      adjoints.set(node, g);
      if (node.op === 'part') {
        const [scan] = node.inputs;
        if (scan?.op === 'scan') loops.set(scan, (loops.get(scan) ?? new Map<Part, Node>()).set(node, g));
        return;
      }
      node.inputs.forEach((x, k) => {
        const partial = active.has(x) && flows(rules, node, k) ? rowOf(rules, node)[k] : undefined;
        if (partial) contribute(x, factored.contribution(partial(contextOf(graph, node, g)), g));
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
