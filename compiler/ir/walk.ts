/** Walks over nodes: what some roots need, who reads what, the same with other nodes in places. */
import type { Graph, Node, Scan } from './graph.ts';

/** Every node that the roots need, operands before users. */
export function topological(roots: readonly Node[]): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  const enter = (node: Node): void => {
    if (!seen.has(node)) {
      seen.add(node);
      stack.push({ node, next: 0 });
    }
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const input = top.node.inputs[top.next++];
      if (input) enter(input);
      else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}

/** The nodes of the list that have a node among their operands, in its order. */
export function usersOf(nodes: readonly Node[]): ReadonlyMap<Node, readonly Node[]> {
  const users = new Map<Node, Node[]>();
  for (const node of nodes)
    for (const x of new Set(node.inputs)) {
      const list = users.get(x);
      if (list) list.push(node);
      else users.set(x, [node]);
    }
  return users;
}

/** Every node that the roots need, those in the bodies of scans too. */
export function withBodies(roots: readonly Node[]): Node[] {
  const found = new Set<Node>();
  const visit = (list: readonly Node[]): void => {
    const fresh = topological(list).filter((n) => !found.has(n));
    for (const n of fresh) found.add(n);
    for (const n of fresh) {
      if (n.op === 'scan') visit(n.next);
      if (n.op === 'part' && n.result.kind === 'each') visit([n.result.value]);
    }
  };
  visit(roots);
  return [...found];
}

/** The nodes of the body of `scan` that are kept of each iteration, in the order of the parts. */
export function eachOf(scan: Scan, nodes: readonly Node[]): readonly Node[] {
  const values = nodes.flatMap((n) =>
    n.op === 'part' && n.inputs[0] === scan && n.result.kind === 'each' ? [n.result.value] : [],
  );
  return [...new Set(values)];
}

/** `roots` with some nodes put in the place of others; the bodies of scans are closed and stay. */
export function replaced(graph: Graph, roots: readonly Node[], by: ReadonlyMap<Node, Node>): readonly Node[] {
  const done = new Map(by);
  const renew = (n: Node): Node => done.get(n) ?? n;
  for (const node of topological(roots))
    if (!done.has(node)) done.set(node, graph.withInputs(node, node.inputs.map(renew)));
  return roots.map(renew);
}
