/** A Computation as text a person can read: one node a line, operands before users. */
import type { Poly } from '../shape/poly.ts';
import { format } from '../shape/poly.ts';
import type { Computation, Condition, Node } from './graph.ts';
import { topological } from './graph.ts';

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
export function printComputation({ name, outputs, updates }: Computation): string {
  const nodes = topological([...outputs.map((o) => o.node), ...updates.map((u) => u.value)]);
  const names = namesOf(nodes);
  const nameOf = (node: Node): string => names.get(node) ?? '?';
  return [
    name,
    ...nodes.map((node) => `  ${nameOf(node)} = ${printNode(node, nameOf)}`),
    ...outputs.map((o) => `  out ${o.name} = ${nameOf(o.node)}`),
    ...updates.map((u) => `  ${u.leaf.name}' = ${nameOf(u.value)}`),
    '',
  ].join('\n');
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
  return `${printType(node)} ${printOperation(node, nameOf)}`;
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
  }
}

const printIndex = (index: readonly Poly[]): string => index.map(format).join(', ');
const printCondition = (c: Condition): string => `${format(c.value)} ${c.kind === 'ge' ? '>=' : '=='} 0`;
