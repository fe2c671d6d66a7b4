/**
 * Scalar operations on one value: a total table from operation to code. f32 is f32; i32 and u32 are i32; bool is an i32
 * of 0 or 1. Operands are cheap to repeat (a local or a constant).
 */
import type { ConstEx, OpEx, Reduction } from '../../kernel/kernel.ts';
import type { Code, F32, Func, I32, Module } from './encoder.ts';
import { choose, f32, i32, select } from './instr.ts';
import type { MathLibrary } from './math.ts';

export type DType = ConstEx['dtype'];
export type ScalarOp = OpEx['fn'];
export type ReduceOp = Reduction['fn'];

/** The Wasm type that holds a scalar of `dtype`. */
export function wasmType(dtype: DType): 'f32' | 'i32' {
  if (dtype === 'f16') throw new Error('f16 has no Wasm code yet');
  return dtype === 'f32' ? 'f32' : 'i32';
}

export const zeroOf = (dtype: DType): Code<'f32' | 'i32'> => scalarConst(0, dtype);

export function scalarConst(value: number, dtype: DType): Code<'f32' | 'i32'> {
  return wasmType(dtype) === 'f32'
    ? f32.const(value)
    : i32.const(dtype === 'bool' ? Number(value !== 0) : value | 0);
}

/** What a reduction of nothing gives, as bits for the accumulator. */
export function identity(fn: ReduceOp, dtype: DType): number {
  if (fn === 'sum') return 0;
  if (fn === 'prod') return 1;
  if (dtype === 'bool') return fn === 'max' ? 0 : 1;
  if (dtype === 'u32') return fn === 'max' ? 0 : -1;
  if (dtype === 'i32') return fn === 'max' ? -0x80000000 : 0x7fffffff;
  return fn === 'max' ? -Infinity : Infinity;
}

/** Division with the language's rounding and no traps; functions made when first used. */
export class IntegerLibrary {
  private readonly made = new Map<string, Func>();
  constructor(private readonly module: Module) {}

  /** Quotient towards minus infinity, wrapping; 0 for a divisor of 0. */
  floorDiv(a: I32, b: I32, isUnsigned: boolean): I32 {
    const known = b.constant;
    if (known !== undefined && known > 0) {
      if (isUnsigned) return known === 1 ? a : powerOfTwo(known) ? i32.shrU(a, log2(known)) : i32.divU(a, b);
      if (powerOfTwo(known)) return known === 1 ? a : i32.shrS(a, log2(known));
    }
    return this.call(isUnsigned ? 'divU' : 'divS', a, b);
  }

  /** a - b * floor(a / b); 0 for a divisor of 0. */
  floorMod(a: I32, b: I32, isUnsigned: boolean): I32 {
    const known = b.constant;
    if (known !== undefined && known > 0) {
      if (powerOfTwo(known)) return i32.and(a, i32.const(known - 1));
      if (isUnsigned) return i32.remU(a, b);
    }
    return this.call(isUnsigned ? 'modU' : 'modS', a, b);
  }

  private call(name: 'divU' | 'divS' | 'modU' | 'modS', a: I32, b: I32): I32 {
    return this.make(name).call('i32', a, b);
  }

  private make(name: 'divU' | 'divS' | 'modU' | 'modS'): Func {
    const known = this.made.get(name);
    if (known) return known;
    const f = this.module.func(
      `int.${name}`,
      [
        ['a', 'i32'],
        ['b', 'i32'],
      ],
      'i32',
    );
    this.made.set(name, f);
    const [a, b] = [f.param(0).get, f.param(1).get];
    f.body.push(
      ...(name === 'divU'
        ? divU(a, b)
        : name === 'modU'
          ? modU(a, b)
          : name === 'divS'
            ? divS(f, a, b)
            : modS(f, a, b)),
    );
    return f;
  }
}

const powerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;
const log2 = (n: number): I32 => i32.const(31 - Math.clz32(n));
const zero = i32.const(0);
const minusOne = i32.const(-1);

const divU = (a: I32, b: I32): Code[] => [choose(i32.eqz(b), [zero], [i32.divU(a, b)], 'i32')];
const modU = (a: I32, b: I32): Code[] => [choose(i32.eqz(b), [zero], [i32.remU(a, b)], 'i32')];

/** Division by 0 and by -1 (which traps for the least integer) apart. */
const signed = (b: I32, byZero: I32, byMinusOne: I32, otherwise: I32): Code[] => [
  choose(i32.eqz(b), [byZero], [choose(i32.eq(b, minusOne), [byMinusOne], [otherwise], 'i32')], 'i32'),
];

function divS(f: Func, a: I32, b: I32): Code[] {
  const q = f.local('i32', 'q');
  const inexact = i32.ne(i32.mul(q.tee(i32.divS(a, b)), b), a);
  const roundsDown = i32.and(inexact, i32.ltS(i32.xor(a, b), zero));
  return signed(
    b,
    zero,
    i32.sub(zero, a),
    choose(roundsDown, [i32.sub(q.get, i32.const(1))], [q.get], 'i32'),
  );
}

function modS(f: Func, a: I32, b: I32): Code[] {
  const r = f.local('i32', 'r');
  const wraps = i32.and(i32.ne(r.tee(i32.remS(a, b)), zero), i32.ltS(i32.xor(r.get, b), zero));
  return signed(b, zero, zero, choose(wraps, [i32.add(r.get, b)], [r.get], 'i32'));
}

export interface ScalarContext {
  readonly math: MathLibrary;
  readonly integers: IntegerLibrary;
}

/** Operands, their dtype, the result's dtype. */
type Row = (args: readonly Code[], from: DType, to: DType, context: ScalarContext) => Code<'f32' | 'i32'>;

const isFloat = (t: DType): boolean => wasmType(t) === 'f32';
const f = (args: readonly Code[], i: number): F32 => args[i] as F32;
const n = (args: readonly Code[], i: number): I32 => args[i] as I32;

const binary =
  (
    float: (a: F32, b: F32) => Code<'f32' | 'i32'>,
    signedOp: (a: I32, b: I32) => I32,
    unsignedOp = signedOp,
  ): Row =>
  (args, from) =>
    isFloat(from)
      ? float(f(args, 0), f(args, 1))
      : (from === 'i32' ? signedOp : unsignedOp)(n(args, 0), n(args, 1));

const noFloat = (): never => {
  throw new Error('a bit operation on floats');
};

const cast: Row = (args, from, to) => {
  if (isFloat(from)) {
    const x = f(args, 0);
    if (isFloat(to)) return x;
    return to === 'bool' ? f32.ne(x, f32.const(0)) : to === 'i32' ? i32.truncSatF32S(x) : i32.truncSatF32U(x);
  }
  const x = n(args, 0);
  if (isFloat(to)) return from === 'i32' ? f32.convertI32S(x) : f32.convertI32U(x);
  return to === 'bool' && from !== 'bool' ? i32.ne(x, zero) : x;
};

export const scalarRows: { readonly [Op in ScalarOp]: Row } = {
  neg: (args, from) => (isFloat(from) ? f32.neg(f(args, 0)) : i32.sub(zero, n(args, 0))),
  abs: (args, from) =>
    isFloat(from)
      ? f32.abs(f(args, 0))
      : from === 'i32'
        ? select(i32.ltS(n(args, 0), zero), i32.sub(zero, n(args, 0)), n(args, 0))
        : n(args, 0),
  exp: (args, _from, _to, { math }) => math.scalar('exp', f(args, 0)),
  log: (args, _from, _to, { math }) => math.scalar('log', f(args, 0)),
  sqrt: (args) => f32.sqrt(f(args, 0)),
  sin: (args, _from, _to, { math }) => math.scalar('sin', f(args, 0)),
  cos: (args, _from, _to, { math }) => math.scalar('cos', f(args, 0)),
  tanh: (args, _from, _to, { math }) => math.scalar('tanh', f(args, 0)),
  sigmoid: (args, _from, _to, { math }) => math.scalar('sigmoid', f(args, 0)),
  erf: (args, _from, _to, { math }) => math.scalar('erf', f(args, 0)),
  floor: (args) => f32.floor(f(args, 0)),
  round: (args) => f32.nearest(f(args, 0)),
  not: (args, from) => (from === 'bool' ? i32.eqz(n(args, 0)) : i32.xor(n(args, 0), minusOne)),
  cast,
  add: binary(f32.add, i32.add),
  sub: binary(f32.sub, i32.sub),
  mul: binary(f32.mul, i32.mul),
  div: (args, from, _to, { integers }) =>
    isFloat(from)
      ? f32.div(f(args, 0), f(args, 1))
      : integers.floorDiv(n(args, 0), n(args, 1), from !== 'i32'),
  mod: (args, from, _to, { integers }) =>
    isFloat(from)
      ? f32.sub(f(args, 0), f32.mul(f(args, 1), f32.floor(f32.div(f(args, 0), f(args, 1)))))
      : integers.floorMod(n(args, 0), n(args, 1), from !== 'i32'),
  pow: (args, _from, _to, { math }) => math.pow(f(args, 0), f(args, 1)),
  max: binary(
    f32.max,
    (a, b) => select(i32.gtS(a, b), a, b),
    (a, b) => select(i32.gtU(a, b), a, b),
  ),
  min: binary(
    f32.min,
    (a, b) => select(i32.ltS(a, b), a, b),
    (a, b) => select(i32.ltU(a, b), a, b),
  ),
  lt: binary(f32.lt, i32.ltS, i32.ltU),
  le: binary(f32.le, i32.leS, i32.leU),
  eq: binary(f32.eq, i32.eq),
  and: binary(noFloat, i32.and),
  or: binary(noFloat, i32.or),
  xor: binary(noFloat, i32.xor),
  shl: (args) => i32.shl(n(args, 0), n(args, 1)),
  shr: (args, from) => (from === 'i32' ? i32.shrS : i32.shrU)(n(args, 0), n(args, 1)),
  where: (args) => select(n(args, 0), args[1] as Code<'f32' | 'i32'>, args[2] as Code<'f32' | 'i32'>),
};

/** Accumulates `value` into `sum`. */
export const scalarReduce: {
  readonly [Op in ReduceOp]: (sum: Code, value: Code, dtype: DType) => Code<'f32' | 'i32'>;
} = {
  sum: (sum, value, dtype) =>
    isFloat(dtype) ? f32.add(sum as F32, value as F32) : i32.add(sum as I32, value as I32),
  prod: (sum, value, dtype) =>
    isFloat(dtype) ? f32.mul(sum as F32, value as F32) : i32.mul(sum as I32, value as I32),
  max: (sum, value, dtype) => scalarRows.max([sum, value], dtype, dtype, noContext),
  min: (sum, value, dtype) => scalarRows.min([sum, value], dtype, dtype, noContext),
};

/** max and min need no library. */
const noContext = {} as ScalarContext;
