/**
 * The meaning of a Graph: every node as plain loops over float64. For each node that is kept in memory a JavaScript
 * function is printed (nested loops, one line per operation) and run; element-wise operations and views in between
 * are written into the loops of their user (`interpret-print.ts`), so that no broadcast product ever stands in memory.
 */
import type { GraphData, GraphNode } from '../compiler/plan.ts';
import type { Dims } from './device.ts';
import { printNode } from './interpret-print.ts';
import { helpers } from './scalar.ts';
import { elements, evalShape, evalSize } from './size.ts';

/** Where the values of leaves are; called anew at each run. */
export type LeafValues = (role: string, name: string) => Float64Array;

/** A graph whose dimensions are bound. */
export interface Interpreter {
  /** Evaluates every node and returns the values by node number; the arrays are overwritten by the next run. */
  run(leaves: LeafValues): (node: number) => Float64Array;
}

type StepFunction = (out: Float64Array, inputs: readonly Float64Array[], h: typeof helpers) => void;

type Values = Map<number, Float64Array>;

/** Computes one node, or a scan with its parts, and puts the results among the values. */
type Step = (values: Values) => void;

/** Prints and compiles the loops of `graph` for these dimensions. */
export function interpreter(graph: GraphData, dims: Dims): Interpreter {
  const shapes = graph.nodes.map((node) => evalShape(node.shape, dims));
  const kept = keptNodes(graph, shapes);
  const steps: Step[] = [];
  graph.nodes.forEach((node, i) => {
    if (!kept.has(i) || node.op === 'leaf' || node.op === 'part') return;
    if (node.op === 'scan') {
      steps.push(loop(graph, i, node, shapes, dims));
      return;
    }
    const { inputs, code } = printNode(i, { graph, shapes, dims, kept });
    const run = new Function('out', 'inputs', 'helpers', code) as StepFunction;
    const out = new Float64Array(elements(shapes[i] ?? []));
    steps.push((values) => {
      const operands = inputs.map((x) => valueIn(values, x));
      run(out, operands, helpers);
      values.set(i, out);
    });
  });
  return {
    run(leaves) {
      const values: Values = new Map();
      graph.nodes.forEach((node, i) => {
        if (node.op !== 'leaf') return;
        const value = leaves(node.role ?? '', node.name ?? '');
        const expected = elements(shapes[i] ?? []);
        if (value.length !== expected)
          throw new Error(`${node.role} ${node.name}: ${value.length} values instead of ${expected}`);
        values.set(i, value);
      });
      for (const step of steps) step(values);
      return (i) => valueIn(values, i);
    },
  };
}

function valueIn(values: Values, i: number): Float64Array {
  const value = values.get(i);
  if (!value) throw new Error(`node ${i} is not kept`);
  return value;
}

/** A scan: its body is run by an interpreter of its own, once for each iteration. */
function loop(
  graph: GraphData,
  at: number,
  node: GraphNode,
  shapes: readonly (readonly number[])[],
  dims: Dims,
): Step {
  const { body, count = 0, slices = 0, index = [] } = node;
  if (!body) throw new Error('a scan has a body');
  const inner = interpreter(body, dims);
  const times = evalSize(index[0] ?? 0, dims);
  const outputs = new Map(body.outputs.map((o) => [o.name, o.node]));
  const parts = graph.nodes.flatMap((p, i) =>
    p.op === 'part' && p.inputs[0] === at
      ? [{ i, kind: p.fn, which: p.count ?? 0, out: new Float64Array(elements(shapes[i] ?? [])) }]
      : [],
  );
  return (values) => {
    const given = node.inputs.map((x) => valueIn(values, x));
    let carries = given.slice(0, count);
    const record = (kind: string, t: number, value: (which: number) => Float64Array): void => {
      for (const p of parts) {
        if (p.kind !== kind) continue;
        const v = value(p.which);
        p.out.set(v, t * v.length);
      }
    };
    const carry = (k: number): Float64Array => carries[k] ?? nothing;
    record('history', 0, carry);
    for (let t = 0; t < times; t++) {
      const result = inner.run((_, name) => {
        const [role, number] = name.split(' ');
        const k = Number(number);
        if (role === 'carry') return carry(k);
        if (role === 'capture') return given[count + slices + k] ?? nothing;
        const whole = given[count + k] ?? nothing;
        return whole.subarray((t * whole.length) / times, ((t + 1) * whole.length) / times);
      });
      const output = (name: string): Float64Array => result(outputs.get(name) ?? -1);
      record('each', t, (k) => output(`each ${k}`));
      // The interpreter writes over its results in the next iteration.
      carries = carries.map((_, k) => output(`next ${k}`).slice());
      record('history', t + 1, carry);
    }
    record('final', 0, carry);
    for (const p of parts) values.set(p.i, p.out);
  };
}

const nothing = new Float64Array();

/** A broadcast product larger than this is recomputed by each user rather than stored. */
const largestKept = 1 << 22;

/**
 * Nodes that get an array: leaves, reductions, scatters, results, and maps that would be computed several times
 * (read by several loops, or repeated by a view).
 */
function keptNodes(graph: GraphData, shapes: readonly (readonly number[])[]): ReadonlySet<number> {
  const kept = new Set([...graph.outputs, ...graph.updates].map((r) => r.node));
  const uses = graph.nodes.map(() => 0);
  const size = (i: number): number => elements(shapes[i] ?? []);
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i];
    if (!node) continue;
    const computed = node.op === 'map' || node.op === 'stop';
    const often = computed && (uses[i] ?? 0) > (size(i) > largestKept ? 4 : 1);
    if (often || ownArray.has(node.op)) kept.add(i);
    if (node.op === 'scan') for (const x of node.inputs) kept.add(x);
    const times = kept.has(i) ? 1 : (uses[i] ?? 0);
    node.inputs.forEach((x, k) => {
      const repeats = node.op === 'view' && k === 0 && size(i) > size(x) ? 2 : 1;
      uses[x] = (uses[x] ?? 0) + times * repeats;
    });
  }
  keepDeepOnes(graph, kept);
  return kept;
}

const ownArray: ReadonlySet<string> = new Set(['leaf', 'reduce', 'scatter', 'scan', 'part']);

/** Expressions longer than this are cut, so that printing them does not exhaust the stack. */
const deepest = 200;

function keepDeepOnes(graph: GraphData, kept: Set<number>): void {
  const depths: number[] = [];
  graph.nodes.forEach((node, i) => {
    const depth = 1 + Math.max(0, ...node.inputs.map((x) => (kept.has(x) ? 0 : (depths[x] ?? 0))));
    if (depth > deepest) kept.add(i);
    depths.push(kept.has(i) ? 0 : depth);
  });
}

/** Runs a graph once. Convenient in tests; programs keep an `interpreter`. */
export function evaluateGraph(
  graph: GraphData,
  dims: Dims,
  leaves: LeafValues,
): {
  readonly outputs: ReadonlyMap<string, Float64Array>;
  readonly updates: ReadonlyMap<string, Float64Array>;
} {
  const values = interpreter(graph, dims).run(leaves);
  return {
    outputs: new Map(graph.outputs.map((o) => [o.name, values(o.node).slice()])),
    updates: new Map(graph.updates.map((u) => [u.path, values(u.node).slice()])),
  };
}
