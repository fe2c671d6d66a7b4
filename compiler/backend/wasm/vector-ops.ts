/**
 * Scalar operations on four lanes: a total table from operation to code. f32, i32 and u32 fill the lanes; bool is a mask
 * (all bits set or none), which selects and logical operations take as it is. Operands are cheap to repeat.
 */
import type { Code, F32, I32, V128 } from './encoder.ts';
import { f32x4, i32, i32x4, v128 } from './instr.ts';
import type { MathName } from './math.ts';
import type { DType, ReduceOp, ScalarContext, ScalarOp } from './scalar-ops.ts';
import { scalarRows, wasmType } from './scalar-ops.ts';

export interface VectorContext extends ScalarContext {
  /** The scalar operand when all lanes are equal. */
  readonly uniform: readonly (Code | undefined)[];
  readonly elementary: (name: MathName, x: V128) => V128;
}

type Row = (args: readonly V128[], from: DType, to: DType, context: VectorContext) => V128;

const isFloat = (t: DType): boolean => wasmType(t) === 'f32';
const at = (args: readonly V128[], i: number): V128 => args[i] as V128;
const ones = i32x4.splatConst(-1);

export function vectorConst(value: number, dtype: DType): V128 {
  if (isFloat(dtype)) return f32x4.splatConst(value);
  return dtype === 'bool' ? i32x4.splatConst(value !== 0 ? -1 : 0) : i32x4.splatConst(value | 0);
}

/** Four lanes of a scalar; a bool becomes a mask. */
export function splat(value: Code, dtype: DType): V128 {
  if (isFloat(dtype)) return f32x4.splat(value as F32);
  const lanes = i32x4.splat(value as I32);
  return dtype === 'bool' ? i32x4.neg(lanes) : lanes;
}

/** Lane `lane` as a scalar. */
export function extract(value: V128, lane: number, dtype: DType): Code<'f32' | 'i32'> {
  if (isFloat(dtype)) return f32x4.extract(value, lane);
  const bits = i32x4.extract(value, lane);
  return dtype === 'bool' ? i32.and(bits, i32.const(1)) : bits;
}

/** As it stands in memory: bool is 0 or 1. */
export const toMemory = (value: V128, dtype: DType): V128 =>
  dtype === 'bool' ? v128.and(value, i32x4.splatConst(1)) : value;
export const fromMemory = (value: V128, dtype: DType): V128 =>
  dtype === 'bool' ? i32x4.ne(value, i32x4.splatConst(0)) : value;

/** A vector of four scalars of `dtype`. */
export function fromLanes(lanes: readonly Code[], dtype: DType): V128 {
  if (isFloat(dtype)) {
    const [first, ...rest] = lanes as F32[];
    return rest.reduce((v, x, i) => f32x4.replace(v, i + 1, x), f32x4.splat(first as F32));
  }
  const [first, ...rest] = lanes as I32[];
  const bits = rest.reduce((v, x, i) => i32x4.replace(v, i + 1, x), i32x4.splat(first as I32));
  return dtype === 'bool' ? i32x4.neg(bits) : bits;
}

/** Lane by lane, where there is no vector instruction. */
const lanewise =
  (op: ScalarOp): Row =>
  (args, from, to, context) =>
    fromLanes(
      [0, 1, 2, 3].map((lane) =>
        scalarRows[op](
          args.map((arg, i) =>
            context.uniform[i]?.constant !== undefined
              ? (context.uniform[i] as Code)
              : extract(arg, lane, from),
          ),
          from,
          to,
          context,
        ),
      ),
      to,
    );

type Two = (a: V128, b: V128) => V128;
const binary =
  (float: Two, signed: Two, unsigned: Two = signed, mask: Two = unsigned): Row =>
  (args, from) =>
    (isFloat(from) ? float : from === 'i32' ? signed : from === 'u32' ? unsigned : mask)(
      at(args, 0),
      at(args, 1),
    );

const noFloat = (): never => {
  throw new Error('a bit operation on floats');
};

const cast: Row = (args, from, to) => {
  const x = at(args, 0);
  if (from === to) return x;
  if (isFloat(from)) {
    if (to === 'bool') return f32x4.ne(x, f32x4.splatConst(0));
    return to === 'i32' ? i32x4.truncSatS(x) : i32x4.truncSatU(x);
  }
  if (from === 'bool') return v128.and(x, isFloat(to) ? f32x4.splatConst(1) : i32x4.splatConst(1));
  if (isFloat(to)) return from === 'i32' ? f32x4.convertS(x) : f32x4.convertU(x);
  return to === 'bool' ? i32x4.ne(x, i32x4.splatConst(0)) : x;
};

const shift =
  (op: 'shl' | 'shr', signed: (a: V128, count: I32) => V128, unsigned: (a: V128, count: I32) => V128): Row =>
  (args, from, to, context) => {
    const count = context.uniform[1];
    if (!count) return lanewise(op)(args, from, to, context);
    return (from === 'i32' ? signed : unsigned)(at(args, 0), count as I32);
  };

const division =
  (op: 'div' | 'mod', float: Two, pow2: (a: V128, n: number, signed: boolean) => V128): Row =>
  (args, from, to, context) => {
    if (isFloat(from)) return float(at(args, 0), at(args, 1));
    const divisor = context.uniform[1]?.constant ?? 0;
    const isPower = divisor > 0 && (divisor & (divisor - 1)) === 0;
    return isPower ? pow2(at(args, 0), divisor, from === 'i32') : lanewise(op)(args, from, to, context);
  };

export const vectorRows: { readonly [Op in ScalarOp]: Row } = {
  neg: (args, from) => (isFloat(from) ? f32x4.neg : i32x4.neg)(at(args, 0)),
  abs: (args, from) =>
    isFloat(from) ? f32x4.abs(at(args, 0)) : from === 'i32' ? i32x4.abs(at(args, 0)) : at(args, 0),
  exp: (args, _from, _to, context) => context.elementary('exp', at(args, 0)),
  log: (args, _from, _to, context) => context.elementary('log', at(args, 0)),
  sqrt: (args) => f32x4.sqrt(at(args, 0)),
  sin: (args, _from, _to, context) => context.elementary('sin', at(args, 0)),
  cos: (args, _from, _to, context) => context.elementary('cos', at(args, 0)),
  tanh: (args, _from, _to, context) => context.elementary('tanh', at(args, 0)),
  sigmoid: (args, _from, _to, context) => context.elementary('sigmoid', at(args, 0)),
  erf: (args, _from, _to, context) => context.elementary('erf', at(args, 0)),
  floor: (args) => f32x4.floor(at(args, 0)),
  round: (args) => f32x4.nearest(at(args, 0)),
  not: (args) => v128.not(at(args, 0)),
  cast,
  add: binary(f32x4.add, i32x4.add),
  sub: binary(f32x4.sub, i32x4.sub),
  mul: binary(f32x4.mul, i32x4.mul),
  div: division('div', f32x4.div, (a, n, signed) => {
    const bits = i32.const(31 - Math.clz32(n));
    return signed ? i32x4.shrS(a, bits) : i32x4.shrU(a, bits);
  }),
  mod: division(
    'mod',
    (a, b) => f32x4.sub(a, f32x4.mul(b, f32x4.floor(f32x4.div(a, b)))),
    (a, n) => v128.and(a, i32x4.splatConst(n - 1)),
  ),
  pow: lanewise('pow'),
  max: binary(f32x4.max, i32x4.maxS, i32x4.maxU),
  min: binary(f32x4.min, i32x4.minS, i32x4.minU),
  lt: binary(f32x4.lt, i32x4.ltS, i32x4.ltU, (a, b) => v128.andNot(b, a)),
  le: binary(f32x4.le, i32x4.leS, i32x4.leU, (a, b) => v128.or(b, v128.not(a))),
  eq: binary(f32x4.eq, i32x4.eq),
  and: binary(noFloat, v128.and),
  or: binary(noFloat, v128.or),
  xor: binary(noFloat, v128.xor),
  shl: shift('shl', i32x4.shl, i32x4.shl),
  shr: shift('shr', i32x4.shrS, i32x4.shrU),
  where: (args) => v128.select(at(args, 0), at(args, 1), at(args, 2)),
};

/** Accumulates `value` into `sum`. */
export const vectorReduce: { readonly [Op in ReduceOp]: (sum: V128, value: V128, dtype: DType) => V128 } = {
  sum: (sum, value, dtype) => (isFloat(dtype) ? f32x4.add : i32x4.add)(sum, value),
  prod: (sum, value, dtype) => (isFloat(dtype) ? f32x4.mul : i32x4.mul)(sum, value),
  max: (sum, value, dtype) =>
    (isFloat(dtype) ? f32x4.max : dtype === 'i32' ? i32x4.maxS : dtype === 'u32' ? i32x4.maxU : v128.or)(
      sum,
      value,
    ),
  min: (sum, value, dtype) =>
    (isFloat(dtype) ? f32x4.min : dtype === 'i32' ? i32x4.minS : dtype === 'u32' ? i32x4.minU : v128.and)(
      sum,
      value,
    ),
};

export { ones as allLanes };
