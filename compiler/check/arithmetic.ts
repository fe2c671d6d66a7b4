/** Operators on values: on static ones they give static ones, on tensors nodes. */
import type { BinaryOp } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { DType, ScalarOp } from '../ir/ops.ts';
import { isFloat, scalarOps } from '../ir/ops.ts';
import type { Poly } from '../shape/poly.ts';
import * as poly from '../shape/poly.ts';
import { describe } from './describe.ts';
import { also, at, fail } from './report.ts';
import { broadcastShape, castTo, extents, itersIn, mapTensors, overResult, showAll } from './tensor.ts';
import type { BoolValue, Context, FloatValue, IntValue, TensorValue, Value } from './values.ts';
import { int, poison, restOf, tensor } from './values.ts';
import { rangesOf } from '../ir/indices.ts';

export interface Place {
  readonly whole: Span;
  /** The operator. */
  readonly op: Span;
  readonly operands: readonly Span[];
}

type Numeric = IntValue | FloatValue;
export const isNumeric = (v: Value): v is Numeric => v.kind === 'int' || v.kind === 'float';

export const bool = (value: boolean): BoolValue => ({ kind: 'bool', value });
export const float = (value: number): FloatValue => ({ kind: 'float', value });

/** The number of a static value; undefined for a symbolic dimension. */
export function numberOf(v: Value): number | undefined {
  return v.kind === 'float' ? v.value : v.kind === 'int' ? poly.asConstant(v.poly) : undefined;
}

/** A static number or a dimension as a tensor; others become nothing. Records stand for their first output. */
export function toTensor(ctx: Context, v: Value, dtype?: DType): TensorValue | undefined {
  const { graph } = ctx.session;
  switch (v.kind) {
    case 'tensor':
      return v;
    case 'float':
      return tensor(graph.constant(v.value, dtype ?? 'f32'));
    case 'bool':
      return tensor(graph.constant(Number(v.value), 'bool'));
    case 'int': {
      const n = poly.asConstant(v.poly);
      if (n !== undefined) return tensor(graph.constant(n, dtype ?? 'i32'));
      const iters = itersIn(ctx.session, v.poly);
      const shape = extents(iters);
      const node = graph.index(overResult(v.poly, iters, rangesOf(shape)), shape);
      return dtype === undefined ? tensor(node, iters) : castTo(graph, tensor(node, iters), dtype);
    }
    case 'record': {
      const [first] = v.fields.values();
      return first && toTensor(ctx, first, dtype);
    }
    default:
      return undefined;
  }
}

// ---------------------------------------------------------------- static

/** Arithmetic on integers that may be dimensions; undefined when it has to become a tensor. */
function intArithmetic(ctx: Context, op: BinaryOp, a: Poly, b: Poly, place: Place): Value | undefined {
  const [n, m] = [poly.asConstant(a), poly.asConstant(b)];
  switch (op) {
    case '+':
      return int(poly.add(a, b));
    case '-':
      return int(poly.subtract(a, b));
    case '*':
      return int(poly.multiply(a, b));
    case 'div':
    case '%':
      if (m !== undefined && m <= 0) {
        return fail(
          ctx,
          'E0409',
          { what: `cannot divide by ${m}`, help: 'the divisor of `div` and `%` is positive' },
          at(place.operands[1]!, `this is ${m}`),
        );
      }
      return int(op === 'div' ? poly.floorDivide(a, b) : poly.floorMod(a, b));
    case '^':
      if (n === undefined || m === undefined) return m === 2 ? int(poly.multiply(a, a)) : undefined;
      return m >= 0 ? int(poly.constant(n ** m)) : float(n ** m);
    case '/':
      return n !== undefined && m !== undefined ? float(n / m) : undefined;
    default:
      return n !== undefined && m !== undefined ? compare(op, n, m) : compareDims(op, a, b);
  }
}

/** Comparisons of dimensions that hold whatever their size. */
function compareDims(op: BinaryOp, a: Poly, b: Poly): Value | undefined {
  const difference = poly.asConstant(poly.subtract(a, b));
  return difference === undefined ? undefined : compare(op, difference, 0);
}

function compare(op: BinaryOp, a: number, b: number): Value | undefined {
  switch (op) {
    case '==':
      return bool(a === b);
    case '!=':
      return bool(a !== b);
    case '<':
      return bool(a < b);
    case '<=':
      return bool(a <= b);
    case '>':
      return bool(a > b);
    case '>=':
      return bool(a >= b);
    default:
      return undefined;
  }
}

function floatArithmetic(op: BinaryOp, a: number, b: number): Value | undefined {
  switch (op) {
    case '+':
      return float(a + b);
    case '-':
      return float(a - b);
    case '*':
      return float(a * b);
    case '/':
      return float(a / b);
    case 'div':
      return float(Math.floor(a / b));
    case '%':
      return float(a - b * Math.floor(a / b));
    case '^':
      return float(a ** b);
    default:
      return compare(op, a, b);
  }
}

function staticBinary(ctx: Context, op: BinaryOp, a: Value, b: Value, place: Place): Value | undefined {
  if (a.kind === 'bool' && b.kind === 'bool') {
    if (op === 'and') return bool(a.value && b.value);
    if (op === 'or') return bool(a.value || b.value);
    if (op === '==' || op === '!=') return bool((a.value === b.value) === (op === '=='));
  }
  if (a.kind === 'string' && b.kind === 'string') {
    if (op === '+') return { kind: 'string', value: a.value + b.value };
    if (op === '==' || op === '!=') return bool((a.value === b.value) === (op === '=='));
  }
  if (a.kind === 'list' && b.kind === 'list' && op === '+')
    return { kind: 'list', items: [...a.items, ...b.items] };
  // `padding == "same"` where padding is a number: of different kinds, so not equal.
  const simple = (v: Value): boolean => ['int', 'float', 'bool', 'string', 'list'].includes(v.kind);
  if ((op === '==' || op === '!=') && simple(a) && simple(b) && !(isNumeric(a) && isNumeric(b))) {
    return bool((a.kind === b.kind && same(a, b)) === (op === '=='));
  }
  if (!isNumeric(a) || !isNumeric(b)) return undefined;
  if (a.kind === 'int' && b.kind === 'int') return wholeNumbers(ctx, op, a.poly, b.poly, place);
  const [x, y] = [numberOf(a), numberOf(b)];
  return x === undefined || y === undefined ? undefined : floatArithmetic(op, x, y);
}

/** Numbers too large to count exactly are an error, not a crash. */
function wholeNumbers(ctx: Context, op: BinaryOp, a: Poly, b: Poly, place: Place): Value | undefined {
  try {
    const v = intArithmetic(ctx, op, a, b, place);
    if (v?.kind !== 'int' || v.poly.terms.every((t) => Number.isSafeInteger(t.coefficient))) return v;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return fail(
    ctx,
    'E0409',
    { what: 'this whole number is too large', help: 'write it as a float: `1e20`' },
    at(place.whole, 'does not fit'),
  );
}

/** Equality of static values. */
export function same(a: Value, b: Value): boolean {
  if (a.kind === 'list' && b.kind === 'list')
    return a.items.length === b.items.length && a.items.every((x, i) => same(x, b.items[i] ?? poison));
  if (isNumeric(a) && isNumeric(b))
    return a.kind === 'int' && b.kind === 'int' ? poly.equal(a.poly, b.poly) : numberOf(a) === numberOf(b);
  return (a.kind === 'string' || a.kind === 'bool') && a.kind === b.kind && a.value === b.value;
}

// ---------------------------------------------------------------- tensors

/** The dtype in which operands meet: f32 wins over f16, both over integers; numbers written in the text adapt. */
function commonDType(
  values: readonly Value[],
  tensors: readonly (TensorValue | undefined)[],
): DType | undefined {
  const dtypes = new Set(
    tensors.flatMap((t, i) => (t && values[i]?.kind === 'tensor' ? [t.node.dtype] : [])),
  );
  if (dtypes.has('bool')) return dtypes.size === 1 ? 'bool' : undefined;
  if (dtypes.has('f32')) return 'f32';
  if (dtypes.has('f16')) return 'f16';
  if (values.some((v) => v.kind === 'float')) return 'f32';
  if (dtypes.has('u32')) return dtypes.has('i32') ? undefined : 'u32';
  return 'i32';
}

const scalarName: Readonly<Partial<Record<BinaryOp, ScalarOp>>> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  div: 'div',
  '%': 'mod',
  '^': 'pow',
  '==': 'eq',
  '!=': 'eq',
  '<': 'lt',
  '<=': 'le',
  '>': 'lt',
  '>=': 'le',
  and: 'and',
  or: 'or',
};

/** The operands as tensors of one dtype and fitting shapes; reports and gives nothing where there are none. */
export function meet(
  ctx: Context,
  name: string,
  values: readonly Value[],
  place: Place,
  needs?: DType,
): TensorValue[] | undefined {
  const first = values.map((v) => (v.kind === 'record' ? (toTensor(ctx, v) ?? v) : v));
  const tensors = first.map((v) => toTensor(ctx, v));
  const bad = tensors.findIndex((t) => t === undefined);
  if (bad >= 0) {
    const v = values[bad]!;
    if (!values.some((x) => x.kind === 'poison')) {
      fail(
        ctx,
        'E0402',
        {
          what: `an operand of \`${name}\``,
          expected: 'a number or a tensor',
          found: describe(v),
          help: helpFor(v),
        },
        at(place.operands[bad]!, describe(v)),
      );
    }
    return undefined;
  }
  const dtype = needs ?? commonDType(first, tensors);
  if (!dtype) {
    const dtypes = [...new Set(tensors.map((t) => t!.node.dtype))];
    fail(
      ctx,
      'E0316',
      { op: name, dtypes, help: 'convert one of them: `f32(…)`, `i32(…)`' },
      at(place.op, dtypes.join(' and ')),
      ...tensors.map((t, i) => also(place.operands[i]!, t!.node.dtype)),
    );
    return undefined;
  }
  const met = first.map((v) =>
    castTo(ctx.session.graph, toTensor(ctx, v, v.kind === 'bool' ? undefined : dtype)!, dtype),
  );
  const shapes = met.map(restOf);
  if (broadcastShape(shapes)) return met;
  const [left, right] = shapes.map((s) => showAll(s));
  fail(
    ctx,
    'E0314',
    { op: name, left: left ?? [], right: right ?? [] },
    at(place.op, 'these shapes do not fit'),
    ...shapes.map((s, i) => also(place.operands[i]!, `[${showAll(s).join(', ')}]`)),
  );
  return undefined;
}

const helpFor = (v: Value): string | undefined =>
  v.kind === 'instance' || v.kind === 'declaration'
    ? 'apply it to a tensor: `x |> …`'
    : v.kind === 'fn' || v.kind === 'builtin'
      ? 'call it'
      : undefined;

export function binary(ctx: Context, op: BinaryOp, a: Value, b: Value, place: Place): Value {
  if (a.kind === 'poison' || b.kind === 'poison') return poison;
  const known = staticBinary(ctx, op, a, b, place);
  if (known) return known;
  const { graph } = ctx.session;
  if (op === '^') return power(ctx, a, b, place);
  const operands = meet(ctx, op, [a, b], place, op === '/' ? floatOf(ctx, a, b) : undefined);
  const fn = scalarName[op];
  if (!operands || !fn) return poison;
  const [x, y] = op === '>' || op === '>=' ? [operands[1]!, operands[0]!] : [operands[0]!, operands[1]!];
  if (!scalarOps[fn].result([x.node.dtype, y.node.dtype])) {
    const help = x.node.dtype === 'bool' ? 'count it as numbers: `f32(…)`' : 'compare first: `x > 0`';
    return fail(ctx, 'E0316', { op, dtypes: [x.node.dtype], help }, at(place.op, x.node.dtype));
  }
  const result = mapTensors(graph, fn, [x, y]);
  if (op === '!=') return mapTensors(graph, 'not', [result]);
  return op === 'div' && isFloat(x.node.dtype) ? mapTensors(graph, 'floor', [result]) : result;
}

/** `/` on integers is division of their f32 values, on f16 alone it stays there; on bool it is refused by the operator's own rule. */
function floatOf(ctx: Context, ...values: readonly Value[]): DType | undefined {
  if (values.some((v) => toTensor(ctx, v)?.node.dtype === 'bool')) return undefined;
  const given = values.filter((v) => v.kind === 'tensor' || v.kind === 'record');
  const dtypes = new Set(given.map((v) => toTensor(ctx, v)?.node.dtype));
  return dtypes.has('f16') && !dtypes.has('f32') ? 'f16' : 'f32';
}

/** Small whole powers are products, exact for negative bases; 0.5 is the square root. */
function power(ctx: Context, a: Value, b: Value, place: Place): Value {
  const { graph } = ctx.session;
  const n = numberOf(b);
  const base = a.kind === 'tensor' || a.kind === 'record' || a.kind === 'int' ? toTensor(ctx, a) : undefined;
  if (base && base.node.dtype === 'bool')
    return fail(ctx, 'E0316', { op: '^', dtypes: ['bool'], help: undefined }, at(place.op, 'bool'));
  if (base && n !== undefined && Number.isInteger(n) && n >= 1 && n <= 4) {
    let result = base;
    for (let i = 1; i < n; i++) result = mapTensors(graph, 'mul', [result, base]);
    return result;
  }
  const operands = meet(ctx, '^', [a, b], place, floatOf(ctx, a, b) ?? 'f32');
  if (!operands) return poison;
  if (n === 0.5) return mapTensors(graph, 'sqrt', [operands[0]!]);
  return mapTensors(graph, 'pow', operands);
}

export function unary(ctx: Context, op: '-' | 'not', v: Value, place: Place): Value {
  if (v.kind === 'poison') return poison;
  if (op === 'not') {
    if (v.kind === 'bool') return bool(!v.value);
  } else {
    if (v.kind === 'int') return int(poly.negate(v.poly));
    if (v.kind === 'float') return float(-v.value);
  }
  const operands = meet(ctx, op, [v], place);
  if (!operands) return poison;
  const [x] = operands;
  const fn = op === '-' ? 'neg' : 'not';
  if (op === 'not' ? x!.node.dtype !== 'bool' : x!.node.dtype === 'bool') {
    return fail(
      ctx,
      'E0316',
      { op, dtypes: [x!.node.dtype], help: op === 'not' ? 'compare first: `x > 0`' : 'convert it: `f32(…)`' },
      at(place.op, x!.node.dtype),
    );
  }
  return mapTensors(ctx.session.graph, fn, [x!]);
}

/** `if c then a else b` with a tensor condition: element by element. */
export function select(ctx: Context, c: TensorValue, a: Value, b: Value, place: Place): Value {
  if (a.kind === 'poison' || b.kind === 'poison') return poison;
  const branches = meet(ctx, 'if', [a, b], { ...place, operands: place.operands.slice(1) });
  if (!branches) return poison;
  const all = [c, ...branches];
  const shapes = all.map(restOf);
  if (!broadcastShape(shapes)) {
    const [left, right] = [showAll(shapes[0]!), showAll(broadcastShape(shapes.slice(1)) ?? [])];
    return fail(
      ctx,
      'E0314',
      { op: 'if', left, right },
      at(place.operands[0]!, `the condition is [${left.join(', ')}]`),
      also(place.operands[1]!, `[${right.join(', ')}]`),
    );
  }
  return mapTensors(ctx.session.graph, 'where', all);
}
