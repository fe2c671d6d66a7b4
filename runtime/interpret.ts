/**
 * The meaning of a Graph: every node as plain loops over float64. For each node that is kept in memory a JavaScript
 * function is printed (nested loops, one line per operation) and run; element-wise operations and views in between
 * are written into the loops of their user, so that no broadcast product ever stands in memory.
 */
import type { GraphData, GraphNode, Size } from '../compiler/plan.ts';
import type { Dims } from './device.ts';
import { helpers, reduceRows, reduceStart, rounded, scalarRows } from './scalar.ts';
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
    const { inputs, code } = new Printer(graph, shapes, dims, kept).step(i);
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

/** An integer expression of the printed code, and the least and greatest value it may have. */
interface Index {
  readonly code: string;
  readonly low: number;
  readonly high: number;
}

const literal = (n: number): Index => ({ code: n < 0 ? `(${n})` : `${n}`, low: n, high: n });

/** Prints the loops of one kept node. */
class Printer {
  private lines: string[] = [];
  private memo = new Map<string, string>();
  private readonly inputs: number[] = [];
  private names = 0;
  private readonly graph: GraphData;
  private readonly shapes: readonly (readonly number[])[];
  private readonly dims: Dims;
  private readonly kept: ReadonlySet<number>;

  constructor(
    graph: GraphData,
    shapes: readonly (readonly number[])[],
    dims: Dims,
    kept: ReadonlySet<number>,
  ) {
    this.graph = graph;
    this.shapes = shapes;
    this.dims = dims;
    this.kept = kept;
  }

  step(i: number): { inputs: readonly number[]; code: string } {
    const node = this.node(i);
    if (node.op === 'scatter') this.scatter(i, node);
    else if (node.op === 'reduce') this.reduce(i, node);
    else {
      this.lines.push('let at = 0;');
      this.loops(this.shape(i), (vars) => {
        const value = this.compute(i, node, vars);
        this.lines.push(`out[at++] = ${value};`);
      });
    }
    const arrays = this.inputs.map((_, k) => `const a${k} = inputs[${k}];`);
    return { inputs: this.inputs, code: [...arrays, ...this.lines].join('\n') };
  }

  private reduce(i: number, node: GraphNode): void {
    const [x = 0] = node.inputs;
    const inner = this.shape(x).slice(this.shape(i).length);
    this.lines.push('let at = 0;');
    this.loops(this.shape(i), (vars) => {
      this.lines.push(`let sum = ${number(reduceStart(node.fn ?? '', node.dtype))};`);
      this.loops(inner, (more) => {
        const value = this.value(x, [...vars, ...more]);
        this.lines.push(`sum = ${reduceRows[node.fn ?? '']?.('sum', value, node.dtype)};`);
      });
      this.lines.push('out[at++] = sum;');
    });
  }

  private scatter(i: number, node: GraphNode): void {
    const [x = 0, ...data] = node.inputs;
    const shape = this.shape(i);
    this.lines.push('out.fill(0);');
    this.loops(this.shape(x), (vars) => {
      const scope = this.scope(vars, data);
      const index = (node.index ?? []).map((e) => this.name(this.integer(e, scope)));
      const inside = index.flatMap((e, k) => outside(e, shape[k] ?? 0));
      this.block(inside, () => {
        const at = this.offset(index, shape);
        const sum = reduceRows.sum?.(`out[${at}]`, this.value(x, vars), node.dtype);
        this.lines.push(`out[${at}] = ${sum};`);
      });
    });
  }

  /** The value of a node at an index: read where it is kept, computed otherwise. */
  private value(i: number, vars: readonly Index[]): string {
    const key = `${i} ${vars.map((v) => v.code).join(',')}`;
    const known = this.memo.get(key);
    if (known !== undefined) return known;
    const node = this.node(i);
    const code = this.kept.has(i) ? this.load(i, vars) : this.compute(i, node, vars);
    const name = /^[\w.-]+$/.test(code) ? code : this.let(code);
    this.memo.set(key, name);
    return name;
  }

  private load(i: number, vars: readonly Index[]): string {
    let k = this.inputs.indexOf(i);
    if (k < 0) k = this.inputs.push(i) - 1;
    return `a${k}[${this.offset(vars, this.shape(i))}]`;
  }

  private compute(i: number, node: GraphNode, vars: readonly Index[]): string {
    switch (node.op) {
      case 'const':
        return number(numberOf(node.value));
      case 'index':
        return this.integer(node.index?.[0] ?? 0, this.scope(vars, [])).code;
      case 'map': {
        const from = this.node(node.inputs[0] ?? 0).dtype;
        const row = scalarRows[node.fn ?? ''];
        if (!row) throw new Error(`no scalar operation ${node.fn}`);
        const code = row(
          node.inputs.map((x) => this.value(x, vars)),
          from,
          node.dtype,
        );
        return rounded(code, node.dtype);
      }
      case 'view':
        return this.view(node, vars);
      case 'stop':
        return this.value(node.inputs[0] ?? 0, vars);
      default:
        return this.load(i, vars);
    }
  }

  private view(node: GraphNode, vars: readonly Index[]): string {
    const [x = 0, ...data] = node.inputs;
    const scope = this.scope(vars, data);
    const shape = this.shape(x);
    const guards = (node.guard ?? []).map(([kind, e]) => {
      const { code } = this.integer(e, scope);
      return kind === 'ge' ? `${code} >= 0` : `${code} === 0`;
    });
    const exact = (node.index ?? []).map((e) => !usesData(e));
    const read = (): string => {
      const index = (node.index ?? []).map((e) => this.name(this.integer(e, scope)));
      // An index of the program must be right inside its guard; an index from data may miss.
      const wrong = index.flatMap((e, k) => (exact[k] ? outside(e, shape[k] ?? 0) : []));
      if (wrong.length > 0)
        this.lines.push(`if (!(${wrong.join(' && ')})) helpers.outside(${JSON.stringify(describe(node))});`);
      const misses = index.flatMap((e, k) => (exact[k] ? [] : outside(e, shape[k] ?? 0)));
      if (misses.length === 0) return this.value(x, index);
      const result = this.let(number(numberOf(node.value)), 'let');
      this.block(misses, () => this.lines.push(`${result} = ${this.value(x, index)};`));
      return result;
    };
    if (guards.length === 0) return read();
    const result = this.let(number(numberOf(node.value)), 'let');
    this.block(guards, () => this.lines.push(`${result} = ${read()};`));
    return result;
  }

  /** What an index expression may name: result indices, data indices, dimensions. */
  private scope(vars: readonly Index[], data: readonly number[]): (name: string) => Index {
    const values = data.map((d) => ({ code: this.value(d, vars), low: -0x80000000, high: 0x7fffffff }));
    return (name) => {
      const local = name.startsWith('$')
        ? vars[Number(name.slice(1))]
        : name.startsWith('@')
          ? values[Number(name.slice(1))]
          : undefined;
      return local ?? literal(evalSize(name, this.dims));
    };
  }

  private integer(e: Size, scope: (name: string) => Index): Index {
    if (typeof e === 'number') return literal(e);
    if (typeof e === 'string') return scope(e);
    const [op, ...args] = e;
    return args.map((a) => this.integer(a, scope)).reduce((a, b) => combine(op, a, b));
  }

  private loops(extents: readonly number[], body: (vars: readonly Index[]) => void): void {
    const vars = extents.map((extent): Index => ({ code: `i${this.names++}`, low: 0, high: extent - 1 }));
    for (const v of vars) this.lines.push(`for (let ${v.code} = 0; ${v.code} <= ${v.high}; ${v.code}++) {`);
    const memo = this.memo;
    this.memo = new Map(memo);
    body(vars);
    this.memo = memo;
    this.lines.push('}'.repeat(vars.length));
  }

  private block(conditions: readonly string[], body: () => void): void {
    const memo = this.memo;
    this.memo = new Map(memo);
    this.lines.push(`if (${conditions.length === 0 ? 'true' : conditions.join(' && ')}) {`);
    body();
    this.lines.push('}');
    this.memo = memo;
  }

  private offset(index: readonly Index[], shape: readonly number[]): string {
    const terms = index
      .map((v, k) => [v.code, elements(shape.slice(k + 1))] as const)
      .filter(([code]) => code !== '0');
    return terms.length === 0
      ? '0'
      : terms.map(([code, stride]) => (stride === 1 ? code : `${code} * ${stride}`)).join(' + ');
  }

  private let(code: string, keyword = 'const'): string {
    const name = `t${this.names++}`;
    this.lines.push(`${keyword} ${name} = ${code};`);
    return name;
  }

  private name(v: Index): Index {
    return /^\w+$/.test(v.code) ? v : { ...v, code: this.let(v.code) };
  }

  private node(i: number): GraphNode {
    const node = this.graph.nodes[i];
    if (!node) throw new Error(`no node ${i}`);
    return node;
  }

  private shape(i: number): readonly number[] {
    return this.shapes[i] ?? [];
  }
}

const combine = (op: Exclude<Size, number | string>[0], a: Index, b: Index): Index => {
  const corners = (f: (x: number, y: number) => number): { low: number; high: number } => {
    const all = [f(a.low, b.low), f(a.low, b.high), f(a.high, b.low), f(a.high, b.high)];
    return { low: Math.min(...all), high: Math.max(...all) };
  };
  const simple = a.low >= 0 && b.low > 0;
  switch (op) {
    case '+':
      return { code: `(${a.code} + ${b.code})`, ...corners((x, y) => x + y) };
    case '*':
      return { code: `(${a.code} * ${b.code})`, ...corners((x, y) => x * y) };
    case 'div':
      return { code: `Math.floor(${a.code} / ${b.code})`, ...corners((x, y) => Math.floor(x / y)) };
    case 'mod': {
      const code = simple
        ? `(${a.code} % ${b.code})`
        : `(${a.code} - ${b.code} * Math.floor(${a.code} / ${b.code}))`;
      return { code, low: 0, high: Math.max(0, b.high - 1) };
    }
    case 'min':
    case 'max':
      return { code: `Math.${op}(${a.code}, ${b.code})`, ...corners(Math[op]) };
  }
};

/** Conditions that keep an index inside a dimension; none where its range shows it. */
function outside(e: Index, extent: number): string[] {
  const low = e.low >= 0 ? [] : [`${e.code} >= 0`];
  return e.high < extent ? low : [...low, `${e.code} < ${extent}`];
}

const usesData = (e: Size): boolean =>
  typeof e === 'string'
    ? e.startsWith('@')
    : typeof e !== 'number' && e.slice(1).some((a) => usesData(a as Size));

const describe = (node: GraphNode): string => JSON.stringify({ index: node.index, guard: node.guard });

const numberOf = (value: number | string | undefined): number => Number(value ?? 0);
const number = (v: number): string =>
  Object.is(v, -0) || v < 0 ? `(${Object.is(v, -0) ? '-0' : v})` : `${v}`;

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
