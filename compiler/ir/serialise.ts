/** A Computation as plain data: what the reference interpreter runs and a plan can carry. */
import type { GraphData, GraphNode, Size } from '../plan.ts';
import type { Atom, Condition, Poly } from '../shape/poly.ts';
import type { Computation, Node } from './graph.ts';
import { eachOf, topological } from './walk.ts';

/** The same integer expression in the plan's form. */
export function sizeOf(p: Poly): Size {
  const terms = p.terms.map((t): Size => {
    const factors = t.factors.map(atomSize);
    const all = t.coefficient === 1 && factors.length > 0 ? factors : [t.coefficient, ...factors];
    return nested('*', all);
  });
  return terms.length === 0 ? 0 : nested('+', terms);
}

const nested = (op: '+' | '*', args: readonly Size[]): Size => {
  const [only] = args;
  return args.length === 1 && only !== undefined ? only : [op, ...args];
};

const atomSize = (f: Atom): Size => (f.kind === 'symbol' ? f.name : [f.kind, sizeOf(f.a), sizeOf(f.b)]);

/** Every node that the outputs and updates need, operands before users. */
export const toGraphData = (computation: Computation): GraphData =>
  dataOf(computation.outputs, computation.updates);

function dataOf(outputs: Computation['outputs'], updates: Computation['updates']): GraphData {
  const nodes = topological([...outputs.map((o) => o.node), ...updates.map((u) => u.value)]);
  const numbers = new Map(nodes.map((node, i) => [node, i]));
  const numberOf = (node: Node): number => numbers.get(node) ?? -1;
  return {
    nodes: nodes.map((node) => nodeData(node, node.inputs.map(numberOf), nodes)),
    outputs: outputs.map(({ name, node }) => ({ name, node: numberOf(node) })),
    updates: updates.map(({ leaf, value }) => ({ path: leaf.name, node: numberOf(value) })),
  };
}

function nodeData(node: Node, inputs: readonly number[], all: readonly Node[]): GraphNode {
  const base = { op: node.op, dtype: node.dtype, shape: node.shape.map(sizeOf), inputs };
  switch (node.op) {
    case 'leaf':
      return { ...base, role: node.role, name: node.name };
    case 'const':
      return { ...base, value: number(node.value) };
    case 'index':
      return { ...base, index: [sizeOf(node.value)] };
    case 'map':
      return { ...base, fn: node.fn };
    case 'view':
      return {
        ...base,
        index: node.index.map(sizeOf),
        guard: node.guard.map(guardData),
        value: number(node.fill),
      };
    case 'reduce':
      return { ...base, fn: node.fn, count: node.count };
    case 'scatter':
      return { ...base, index: node.index.map(sizeOf) };
    case 'stop':
      return base;
    case 'scan': {
      const body = [
        ...node.next.map((n, i) => ({ name: `next ${i}`, node: n })),
        ...eachOf(node, all).map((n, i) => ({ name: `each ${i}`, node: n })),
      ];
      const data = dataOf(body, []);
      return {
        ...base,
        count: node.carries.length,
        slices: node.slices.length,
        index: [sizeOf(node.extent)],
        body: data,
      };
    }
    case 'part': {
      const { result } = node;
      const [scan] = node.inputs;
      const count =
        result.kind === 'each'
          ? scan?.op === 'scan'
            ? eachOf(scan, all).indexOf(result.value)
            : -1
          : result.carry;
      return { ...base, fn: result.kind, count };
    }
  }
}

const guardData = (c: Condition): readonly ['ge' | 'eq', Size] => [c.kind, sizeOf(c.value)];

/** JSON has no NaN, infinities or -0. */
const number = (v: number): number | string =>
  Number.isFinite(v) && !Object.is(v, -0) ? v : Object.is(v, -0) ? '-0' : String(v);
