/** One node of a graph as JavaScript: nested loops, and in them a line for each operation that no array is kept of. */
import type { GraphData, GraphNode, Size } from '../compiler/plan.ts';
import type { Dims } from './device.ts';
import { reduceRows, reduceStart, rounded, scalarRows } from './scalar.ts';
import { elements, evalSize } from './size.ts';

/** A graph whose dimensions are bound. */
interface Given {
  readonly graph: GraphData;
  /** Of every node. */
  readonly shapes: readonly (readonly number[])[];
  readonly dims: Dims;
  /** The nodes that have an array. */
  readonly kept: ReadonlySet<number>;
}

/** The body of a function of `out`, `inputs` (the arrays of these nodes) and `helpers`. */
interface Printed {
  readonly inputs: readonly number[];
  readonly code: string;
}

/** The code that computes a kept node. */
export const printNode = (i: number, given: Given): Printed => new Printer(given).step(i);

/** An integer expression of the printed code, and the least and greatest value it may have. */
interface Index {
  readonly code: string;
  readonly low: number;
  readonly high: number;
}

const literal = (n: number): Index => ({ code: n < 0 ? `(${n})` : `${n}`, low: n, high: n });

class Printer {
  private lines: string[] = [];
  private memo = new Map<string, string>();
  private readonly inputs: number[] = [];
  private names = 0;
  private readonly given: Given;

  constructor(given: Given) {
    this.given = given;
  }

  step(i: number): Printed {
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
    const code = this.given.kept.has(i) ? this.load(i, vars) : this.compute(i, node, vars);
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
      return local ?? literal(evalSize(name, this.given.dims));
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
    const node = this.given.graph.nodes[i];
    if (!node) throw new Error(`no node ${i}`);
    return node;
  }

  private shape(i: number): readonly number[] {
    return this.given.shapes[i] ?? [];
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
