/** Rewriting inside of loops: the body of each scan as a computation of its own, and without what nobody asks for. */
import type { Computation, Graph, Leaf, Node, Part, Scan } from '../ir/graph.ts';
import { eachOf, replaced, topological } from '../ir/walk.ts';
import { constantValue } from '../ir/make.ts';

/** The same computation when nothing changes. */
export function inLoops(computation: Computation, pass: (body: Computation) => Computation): Computation {
  const { graph, outputs, updates } = computation;
  const order = topological([...outputs.map((o) => o.node), ...updates.map((u) => u.value)]);
  const scans = order.filter((n): n is Scan => n.op === 'scan');
  if (scans.length === 0) return computation;
  const renewed = new Map<Node, Node>();
  const renew = (n: Node): Node => renewed.get(n) ?? n;
  for (const node of order) {
    if (renewed.has(node)) continue;
    if (node.op === 'scan') {
      const parts = order.filter((n): n is Part => n.op === 'part' && n.inputs[0] === node);
      const inputs = node.inputs.map(renew);
      for (const [part, made] of graph.from(graph.originsOf(node), () =>
        rewriteLoop(graph, node, inputs, parts, pass),
      ))
        renewed.set(part, made);
    } else renewed.set(node, graph.withInputs(node, node.inputs.map(renew)));
  }
  if (order.every((n) => n.op === 'scan' || renew(n) === n)) return computation;
  return {
    ...computation,
    outputs: outputs.map((o) => ({ ...o, node: renew(o.node) })),
    updates: updates.map((u) => ({ ...u, value: renew(u.value) })),
  };
}

/** The parts of the scan as parts of one with a rewritten body. */
function rewriteLoop(
  graph: Graph,
  scan: Scan,
  inputs: readonly Node[],
  parts: readonly Part[],
  pass: (body: Computation) => Computation,
): Map<Part, Node> {
  const each = eachOf(scan, parts);
  const roots = [...scan.next, ...each].map((node, i) => ({ name: `${i}`, node }));
  const body = pass({ name: 'body', graph, outputs: roots, updates: [] }).outputs.map((o) => o.node);
  const next = body.slice(0, scan.next.length);
  const values = body.slice(scan.next.length);
  const used = usedCarries(scan, next, values, parts);
  const place = new Map<Node, Node>();
  const kept = { carry: [] as Leaf[], slice: [] as Leaf[], capture: [] as Leaf[] };
  const operands: Node[] = [];
  const reached = new Set(topological([...next.filter((_, k) => used.has(k)), ...values]));
  const keep = (role: keyof typeof kept, leaf: Leaf, input: Node | undefined, isUsed: boolean): void => {
    const constant = input && role !== 'carry' ? constantValue(input) : undefined;
    if (!isUsed || !input) return;
    if (constant !== undefined) {
      place.set(leaf, graph.full(constant, leaf.dtype, leaf.shape));
      return;
    }
    const made = graph.leaf('bound', `${role} ${kept[role].length}`, leaf.dtype, leaf.shape);
    place.set(leaf, made);
    kept[role].push(made);
    operands.push(input);
  };
  const [c, s] = [scan.carries.length, scan.slices.length];
  scan.carries.forEach((l, k) => keep('carry', l, inputs[k], used.has(k)));
  scan.slices.forEach((l, k) => keep('slice', l, inputs[c + k], reached.has(l)));
  scan.captures.forEach((l, k) => keep('capture', l, inputs[c + s + k], reached.has(l)));
  const numbers = [...used].sort((a, b) => a - b);
  const fresh = replaced(graph, [...numbers.map((k) => next[k] as Node), ...values], place);
  const made = graph.scan(
    scan.extent,
    { carries: kept.carry, slices: kept.slice, captures: kept.capture, next: fresh.slice(0, numbers.length) },
    operands,
  );
  return new Map(
    parts.map((p) => {
      const { result } = p;
      const value = result.kind === 'each' ? fresh[numbers.length + each.indexOf(result.value)] : undefined;
      if (result.kind === 'each')
        return [p, graph.part(made, { kind: 'each', value: value as Node })] as const;
      return [p, graph.part(made, { kind: result.kind, carry: numbers.indexOf(result.carry) })] as const;
    }),
  );
}

/** Carries that are asked for, or that those need. */
function usedCarries(
  scan: Scan,
  next: readonly Node[],
  values: readonly Node[],
  parts: readonly Part[],
): Set<number> {
  const used = new Set(parts.flatMap((p) => (p.result.kind === 'each' ? [] : [p.result.carry])));
  for (;;) {
    const reached = new Set(topological([...values, ...next.filter((_, k) => used.has(k))]));
    const more = scan.carries.flatMap((l, k) => (reached.has(l) && !used.has(k) ? [k] : []));
    if (more.length === 0) return used;
    for (const k of more) used.add(k);
  }
}
