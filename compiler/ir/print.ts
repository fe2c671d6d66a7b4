/** A Computation as text a person can read: one node a line, operands before users. */
import type { Condition, Poly } from '../shape/poly.ts';
import { format } from '../shape/poly.ts';
import type { Computation, Node, Scan } from './graph.ts';
import { eachOf, topological } from './walk.ts';

/**
 * ```text
 * train
 *   x      = input x f32[batch, 784]
 *   %3     = f32[batch, 500, 784] view x [$0, $2]
 *   logits = …
 *   out loss = %9
 *   fc1.weight' = %12
 * ```
 */
export const printComputation = ({ name, outputs, updates }: Computation): string =>
  [name, ...printLines(outputs, updates), ''].join('\n');

function printLines(outputs: Computation['outputs'], updates: Computation['updates']): string[] {
  const nodes = topological([...outputs.map((o) => o.node), ...updates.map((u) => u.value)]);
  const names = namesOf(nodes);
  const nameOf = (node: Node): string => names.get(node) ?? '?';
  return [
    ...nodes.flatMap((node) => [
      `  ${nameOf(node)} = ${printNode(node, nameOf)}`,
      ...(node.op === 'scan' ? printBody(node, nodes) : []),
    ]),
    ...outputs.map((o) => `  out ${o.name} = ${nameOf(o.node)}`),
    ...updates.map((u) => `  ${u.leaf.name}' = ${nameOf(u.value)}`),
  ];
}

/** The body of a scan: its own nodes, the next values of its carries, what is kept of each iteration. */
function printBody(scan: Scan, outside: readonly Node[]): string[] {
  const outputs = eachOf(scan, outside).map((node, i) => ({ name: `each ${i}`, node }));
  const updates = scan.carries.map((leaf, i) => ({ leaf, value: scan.next[i] ?? leaf }));
  return printLines(outputs, updates).map((line) => `  ${line}`);
}

/** Leaves by their name, other nodes by number, counted in this text so that it does not depend on dead nodes. */
function namesOf(nodes: readonly Node[]): Map<Node, string> {
  const names = new Map<Node, string>();
  let count = 0;
  for (const node of nodes) names.set(node, node.op === 'leaf' ? `${node.role}:${node.name}` : `%${count++}`);
  return names;
}

/** `f32[batch, 500]` */
export const printType = (node: Node): string => `${node.dtype}[${node.shape.map(format).join(', ')}]`;

/** One node without its name. */
export function printNode(node: Node, nameOf: (node: Node) => string): string {
  return node.op === 'scan'
    ? printOperation(node, nameOf)
    : `${printType(node)} ${printOperation(node, nameOf)}`;
}

function printOperation(node: Node, nameOf: (node: Node) => string): string {
  const operands = node.inputs.map(nameOf);
  switch (node.op) {
    case 'leaf':
      return `${node.role} ${node.name}`;
    case 'const':
      return `${Object.is(node.value, -0) ? '-0' : node.value}`;
    case 'index':
      return `index ${format(node.value)}`;
    case 'map':
      return `${node.fn} ${operands.join(', ')}`;
    case 'view': {
      const [x, ...data] = operands;
      const guard = node.guard.length === 0 ? '' : ` if ${node.guard.map(printCondition).join(' and ')}`;
      const by = data.length === 0 ? '' : ` by ${data.join(', ')}`;
      const fill = guard === '' && by === '' ? '' : ` else ${node.fill}`;
      return `view ${x}[${printIndex(node.index)}]${by}${guard}${fill}`;
    }
    case 'reduce':
      return `reduce ${node.fn} ${operands.join('')} over ${node.count}`;
    case 'scatter': {
      const [x, ...data] = operands;
      return `scatter ${x} to [${printIndex(node.index)}]${data.length === 0 ? '' : ` by ${data.join(', ')}`}`;
    }
    case 'stop':
      return `stop ${operands.join('')}`;
    case 'scan': {
      const roles = [...node.carries, ...node.slices, ...node.captures].map((l) => l.name);
      return `scan ${format(node.extent)} with ${operands.map((o, i) => `${roles[i] ?? ''} = ${o}`).join(', ')}`;
    }
    case 'part':
      return `${node.result.kind} ${node.result.kind === 'each' ? '' : `${node.result.carry} `}of ${operands.join('')}`;
  }
}

const printIndex = (index: readonly Poly[]): string => index.map(format).join(', ');
const printCondition = (c: Condition): string => `${format(c.value)} ${c.kind === 'ge' ? '>=' : '=='} 0`;
