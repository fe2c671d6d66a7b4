/**
 * Checks that a graph is well formed. It is run after every pass that makes nodes, so that a failure names the
 * guilty pass; a failure is always a bug of the compiler.
 */
import type { Condition, Poly } from '../shape/poly.ts';
import { asConstant, isNonNegative, subtract, symbolsOf, one } from '../shape/poly.ts';
import type { Computation, Node, Scan } from './graph.ts';
import { sameShape } from './graph.ts';
import { topological, withBodies } from './walk.ts';
import { rangesOf } from './indices.ts';
import { printNode } from './print.ts';
import { scalarOps } from './ops.ts';

/** A pass broke a rule of the graph. */
export class InvalidGraph extends Error {
  readonly pass: string;
  readonly node: Node | undefined;

  constructor(pass: string, reason: string, node?: Node) {
    const where = node ? `\n  ${printNode(node, (x) => `#${x.id}:${x.dtype}[${x.shape.length}]`)}` : '';
    super(`after ${pass}: ${reason}${where}`);
    this.name = 'InvalidGraph';
    this.pass = pass;
    this.node = node;
  }
}

/**
 * Throws InvalidGraph when `computation` is not well formed. `pass` is the pass that made it. Nodes never change, so those
 * in `known` are not looked at again; the others join them.
 */
export function verify(computation: Computation, pass: string, known = new Set<Node>()): void {
  const { outputs, updates } = computation;
  const roots = [...outputs.map((o) => o.node), ...updates.map((u) => u.value)];
  for (const node of withBodies(roots)) {
    if (known.has(node)) continue;
    for (const problem of problemsOf(node)) throw new InvalidGraph(pass, problem, node);
    known.add(node);
  }
  const loose = topological(roots).find((n) => n.op === 'leaf' && n.role === 'bound');
  if (loose) throw new InvalidGraph(pass, 'it belongs into the body of a scan', loose);
  for (const { leaf, value } of updates) {
    if (leaf.role === 'input' || leaf.role === 'clock')
      throw new InvalidGraph(pass, `${leaf.role} ${leaf.name} cannot be updated`);
    if (leaf.dtype !== value.dtype || !sameShape(leaf.shape, value.shape))
      throw new InvalidGraph(pass, `the new value of ${leaf.name} has another type`, value);
  }
  const twice = duplicate(updates.map((u) => u.leaf.name)) ?? duplicate(outputs.map((o) => o.name));
  if (twice !== undefined) throw new InvalidGraph(pass, `${twice} is given twice`);
}

const duplicate = (names: readonly string[]): string | undefined =>
  names.find((n, i) => names.indexOf(n) < i);

/** What is wrong with one node, its operands being right. */
export function problemsOf(node: Node): string[] {
  const foreign = node.shape
    .flatMap((d) => [...symbolsOf(d)])
    .filter((s) => s.startsWith('$') || s.startsWith('@'));
  const shape = foreign.map((s) => `its shape holds the index ${s}`);
  return [...shape, ...operationProblems(node)];
}

function operationProblems(node: Node): string[] {
  const [x, ...data] = node.inputs;
  switch (node.op) {
    case 'leaf':
      return node.inputs.length > 0 ? ['a leaf has no operands'] : [];
    case 'const':
      return node.shape.length > 0 ? ['a constant is a scalar'] : constProblems(node.dtype, node.value);
    case 'index':
      return [
        ...(node.dtype === 'i32' ? [] : ['an index is i32']),
        ...strangers([node.value], node.shape, 0),
      ];
    case 'map':
      return mapProblems(node);
    case 'stop':
      return x?.dtype === node.dtype && sameShape(x.shape, node.shape) ? [] : ['a stop keeps its type'];
    case 'reduce':
      return reduceProblems(node);
    case 'view': {
      const expressions = [...node.index, ...node.guard.map((c) => c.value)];
      return [
        ...(node.index.length === x?.shape.length ? [] : ['one index for each dimension of the operand']),
        ...(x?.dtype === node.dtype ? [] : ['a view keeps the dtype']),
        ...dataProblems(node.shape, data),
        ...strangers(expressions, node.shape, data.length),
        ...node.index.flatMap((e, i) => certainlyOutside(e, x?.shape[i], node)),
      ];
    }
    case 'scatter':
      return [
        ...(node.index.length === node.shape.length ? [] : ['one index for each dimension of the result']),
        ...(x?.dtype === node.dtype ? [] : ['a scatter keeps the dtype']),
        ...dataProblems(x?.shape ?? [], data),
        ...strangers(node.index, x?.shape ?? [], data.length),
      ];
    case 'scan':
      return scanProblems(node);
    case 'part': {
      if (x?.op !== 'scan') return ['it is a part of something that is no scan'];
      const { result } = node;
      if (result.kind === 'each') return bodyProblems(x, [result.value]);
      return x.carries[result.carry] ? [] : ['the scan has no such carry'];
    }
  }
}

function constProblems(dtype: Node['dtype'], value: number): string[] {
  if (dtype === 'i32' && value !== (value | 0)) return [`${value} is not an i32`];
  if (dtype === 'u32' && value !== value >>> 0) return [`${value} is not a u32`];
  return [];
}

function mapProblems(node: Node & { op: 'map' }): string[] {
  const row = scalarOps[node.fn];
  if (node.inputs.length !== row.arity) return [`${node.fn} takes ${row.arity} operands`];
  const result = row.result(node.inputs.map((x) => x.dtype));
  return [
    ...(node.fn === 'cast' || result === node.dtype
      ? []
      : [`${node.fn} gives ${result ?? 'nothing'}, not ${node.dtype}`]),
    ...(node.inputs.every((x) => sameShape(x.shape, node.shape))
      ? []
      : ['every operand has the shape of the result']),
  ];
}

function reduceProblems(node: Node & { op: 'reduce' }): string[] {
  const [x] = node.inputs;
  if (!x) return ['a reduction has an operand'];
  const rest = x.shape.slice(0, x.shape.length - node.count);
  return [
    ...(node.count >= 1 && node.count <= x.shape.length
      ? []
      : [`it reduces ${node.count} of ${x.shape.length} dimensions`]),
    ...(sameShape(rest, node.shape) ? [] : ['it keeps the leading dimensions']),
    ...(x.dtype === node.dtype ? [] : ['a reduction keeps the dtype']),
    ...((x.dtype === 'bool' || x.dtype === 'f16') && (node.fn === 'sum' || node.fn === 'prod')
      ? [`there is no ${node.fn} of ${x.dtype}`]
      : []),
  ];
}

function scanProblems(scan: Scan): string[] {
  const { carries, slices, captures, next, inputs, extent } = scan;
  const expected = [
    ...carries.map((l) => ({ leaf: l, shape: l.shape })),
    ...slices.map((l) => ({ leaf: l, shape: [extent, ...l.shape] })),
    ...captures.map((l) => ({ leaf: l, shape: l.shape })),
  ];
  const fits = (leaf: Node, shape: readonly Poly[], x: Node | undefined): boolean =>
    x?.dtype === leaf.dtype && sameShape(x.shape, shape);
  return [
    ...(expected.length === inputs.length && expected.every((e, i) => fits(e.leaf, e.shape, inputs[i]))
      ? []
      : ['its operands differ in type from the leaves of its body']),
    ...(next.length === carries.length && carries.every((c, i) => fits(c, c.shape, next[i]))
      ? []
      : ['each carry has a next value of its type']),
    ...bodyProblems(scan, next),
  ];
}

/** The body sees nothing but its own leaves. */
function bodyProblems({ carries, slices, captures }: Scan, roots: readonly Node[]): string[] {
  const own = new Set<Node>([...carries, ...slices, ...captures]);
  const foreign = topological(roots).filter((n) => n.op === 'leaf' && !own.has(n));
  return foreign.map((n) => `its body reads the leaf ${n.op === 'leaf' ? n.name : ''} from outside`);
}

const dataProblems = (shape: readonly Poly[], data: readonly Node[]): string[] =>
  data.every((d) => d.dtype === 'i32' && sameShape(d.shape, shape))
    ? []
    : ['data is i32 of the shape of the indices'];

/** Index variables that do not exist. */
function strangers(expressions: readonly Poly[], shape: readonly Poly[], data: number): string[] {
  const names = new Set(expressions.flatMap((e) => [...symbolsOf(e)]));
  const exists = (name: string): boolean => {
    if (name.startsWith('$')) return Number(name.slice(1)) < shape.length;
    return !name.startsWith('@') || Number(name.slice(1)) < data;
  };
  return [...names].filter((n) => !exists(n)).map((n) => `the index ${n} does not exist`);
}

/** Only what is proved wrong without a guard is refused: dimensions are bound later. */
function certainlyOutside(e: Poly, extent: Poly | undefined, node: Node & { op: 'view' }): string[] {
  const empty = node.shape.some((d) => asConstant(d) === 0);
  if (!extent || empty || node.guard.length > 0 || [...symbolsOf(e)].some((s) => s.startsWith('@')))
    return [];
  const ranges = rangesOf(node.shape);
  const wrong = isNonNegative(subtract(-1, e), ranges) || isNonNegative(subtract(e, extent), ranges);
  return wrong ? ['it reads out of bounds everywhere'] : [];
}

/** Conditions under which a view reads inside its operand that are neither proved nor among its guard's. */
export function unproved(node: Node & { op: 'view' }): Condition[] {
  const [x] = node.inputs;
  const ranges = rangesOf(node.shape);
  const exact = node.index.flatMap((e, i) => {
    if ([...symbolsOf(e)].some((s) => s.startsWith('@'))) return [];
    return [e, subtract(subtract(x?.shape[i] ?? one, one), e)];
  });
  const guarded = (p: Poly): boolean =>
    node.guard.some((c) => c.kind === 'ge' && isNonNegative(subtract(p, c.value), ranges));
  return exact
    .filter((p) => !isNonNegative(p, ranges) && !guarded(p))
    .map((value) => ({ kind: 'ge', value }));
}
