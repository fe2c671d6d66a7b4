/** Scalar operations on constants: what the compiler computes itself. Must agree with runtime/scalar.ts. */
import type { DType, ScalarOp } from './ops.ts';

type Fold = (values: readonly [number, number, number], dtype: DType, result: DType) => number | undefined;

const isFloat = (t: DType): boolean => t === 'f32' || t === 'f16';

/** Wraps an exact integer result into its dtype. */
const wrap = (v: number, t: DType): number => (t === 'i32' ? v | 0 : t === 'u32' ? v >>> 0 : v);

const arithmetic =
  (f: (a: number, b: number) => number): Fold =>
  ([a, b], t) =>
    wrap(f(a, b), t);
const test =
  (f: (a: number, b: number) => boolean): Fold =>
  ([a, b]) =>
    Number(f(a, b));

const table: { readonly [Op in ScalarOp]: Fold } = {
  neg: ([a], t) => wrap(-a, t),
  abs: ([a], t) => wrap(Math.abs(a), t),
  exp: ([a]) => Math.exp(a),
  log: ([a]) => Math.log(a),
  sqrt: ([a]) => Math.sqrt(a),
  sin: ([a]) => Math.sin(a),
  cos: ([a]) => Math.cos(a),
  tanh: ([a]) => Math.tanh(a),
  sigmoid: ([a]) => 1 / (1 + Math.exp(-a)),
  // JavaScript has none.
  erf: () => undefined,
  floor: ([a]) => Math.floor(a),
  round: ([a]) => roundToEven(a),
  not: ([a], t) => (t === 'bool' ? 1 - a : wrap(~a, t)),
  cast: ([a], from, to) => castValue(a, from, to),
  add: arithmetic((a, b) => a + b),
  sub: arithmetic((a, b) => a - b),
  mul: ([a, b], t) => (isFloat(t) ? a * b : wrap(Math.imul(a, b), t)),
  div: ([a, b], t) => (isFloat(t) ? a / b : wrap(Math.floor(a / b), t)),
  mod: arithmetic((a, b) => a - b * Math.floor(a / b)),
  pow: ([a, b]) => a ** b,
  max: arithmetic(Math.max),
  min: arithmetic(Math.min),
  lt: test((a, b) => a < b),
  le: test((a, b) => a <= b),
  eq: test((a, b) => a === b),
  and: arithmetic((a, b) => a & b),
  or: arithmetic((a, b) => a | b),
  xor: arithmetic((a, b) => a ^ b),
  shl: arithmetic((a, b) => a << b),
  shr: ([a, b], t) => (t === 'u32' ? a >>> b : a >> b),
  where: ([c, a, b]) => (c ? a : b),
};

function roundToEven(a: number): number {
  const low = Math.floor(a);
  return a - low < 0.5 || (a - low === 0.5 && low % 2 === 0) ? low : low + 1;
}

function castValue(a: number, from: DType, to: DType): number {
  if (to === 'bool') return Number(a !== 0);
  if (isFloat(to)) return a;
  if (!isFloat(from)) return wrap(a, to);
  const [low, high] = to === 'u32' ? [0, 0xffffffff] : [-0x80000000, 0x7fffffff];
  return Number.isNaN(a) ? 0 : Math.trunc(Math.min(Math.max(a, low), high)) + 0;
}

/** `fn` of constants of `dtype` (of the first operand), or undefined when the compiler cannot compute it. */
export function foldScalar(
  fn: ScalarOp,
  values: readonly number[],
  dtype: DType,
  result: DType,
): number | undefined {
  const [a = 0, b = 0, c = 0] = values;
  return table[fn]([a, b, c], fn === 'where' ? result : dtype, result);
}
