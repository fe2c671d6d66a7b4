/** The printer: one line of WGSL for each operation that WGSL has, constants, and types. */
import type { DType } from '../../ir/ops.ts';
import { roundToHalf } from '../../plan.ts';

/** Operations with a direct WGSL spelling. Operands come ready to be embedded; results are too. */
export const natives = {
  same: (a: string) => a,
  neg: (a: string) => `(-${a})`,
  negU32: (a: string) => `(~${a} + 1u)`,
  abs: (a: string) => `abs(${a})`,
  exp: (a: string) => `exp(${a})`,
  log: (a: string) => `log(${a})`,
  sqrt: (a: string) => `sqrt(${a})`,
  floor: (a: string) => `floor(${a})`,
  round: (a: string) => `round(${a})`,
  notBool: (a: string) => `(!${a})`,
  notBits: (a: string) => `(~${a})`,
  f32: (a: string) => `f32(${a})`,
  f16: (a: string) => `f16(${a})`,
  i32: (a: string) => `i32(${a})`,
  u32: (a: string) => `u32(${a})`,
  bool: (a: string) => `bool(${a})`,
  add: (a: string, b: string) => `(${a} + ${b})`,
  sub: (a: string, b: string) => `(${a} - ${b})`,
  mul: (a: string, b: string) => `(${a} * ${b})`,
  div: (a: string, b: string) => `(${a} / ${b})`,
  rem: (a: string, b: string) => `(${a} % ${b})`,
  max: (a: string, b: string) => `max(${a}, ${b})`,
  min: (a: string, b: string) => `min(${a}, ${b})`,
  lt: (a: string, b: string) => `(${a} < ${b})`,
  le: (a: string, b: string) => `(${a} <= ${b})`,
  eq: (a: string, b: string) => `(${a} == ${b})`,
  ne: (a: string, b: string) => `(${a} != ${b})`,
  ltBool: (a: string, b: string) => `(!${a} & ${b})`,
  leBool: (a: string, b: string) => `(!${a} | ${b})`,
  and: (a: string, b: string) => `(${a} & ${b})`,
  or: (a: string, b: string) => `(${a} | ${b})`,
  xor: (a: string, b: string) => `(${a} ^ ${b})`,
  andBool: (a: string, b: string) => `(${a} & ${b})`,
  orBool: (a: string, b: string) => `(${a} | ${b})`,
  // A shift counts modulo 32.
  shl: (a: string, b: string) => `(${a} << (u32(${b}) & 31u))`,
  shr: (a: string, b: string) => `(${a} >> (u32(${b}) & 31u))`,
  where: (c: string, a: string, b: string) => `select(${b}, ${a}, ${c})`,
} satisfies Readonly<Record<string, (...args: string[]) => string>>;

export type Native = keyof typeof natives;

export function printNative(op: Native, args: readonly string[]): string {
  const row: (...args: string[]) => string = natives[op];
  return row(...args);
}

/** Type of a value in an expression. */
export const valueType = (dtype: DType): string => dtype;

/** Type of four values together. */
export const vectorType = (type: string): string => `vec4<${type}>`;

/** Type of an element in a buffer; bool is u32 0 or 1 there. */
export const storageType = (dtype: DType): string => (dtype === 'bool' ? 'u32' : valueType(dtype));

/** A finite constant, or undefined for what no WGSL constant expression may be (infinities, NaN). */
export function printConstant(dtype: DType, value: number): string | undefined {
  switch (dtype) {
    case 'bool':
      return value !== 0 ? 'true' : 'false';
    case 'u32':
      return `${value >>> 0}u`;
    case 'i32':
      // The least i32 has no literal: its digits alone are out of range.
      return (value | 0) === -0x80000000 ? 'i32(-2147483648)' : wrapNegative(value | 0, 'i');
    case 'f32':
      return Number.isFinite(Math.fround(value)) ? printFloat(Math.fround(value)) : undefined;
    case 'f16':
      return Number.isFinite(roundToHalf(value)) ? printHalf(roundToHalf(value)) : undefined;
  }
}

const wrapNegative = (value: number, suffix: string): string =>
  value < 0 ? `(${value}${suffix})` : `${value}${suffix}`;

const MOST = (2 - 2 ** -23) * 2 ** 127;

/** The shortest decimal that is this f16. */
function printHalf(value: number): string {
  if (Object.is(value, -0)) return '(-0h)';
  for (let digits = 1; digits <= 5; digits++) {
    const short = Number(value.toPrecision(digits));
    if (roundToHalf(short) === value && Math.abs(short) <= 65504) return wrapNegative(short, 'h');
  }
  return wrapNegative(value, 'h');
}

/** The shortest decimal that is this f32. */
function printFloat(value: number): string {
  if (Object.is(value, -0)) return '(-0f)';
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    // WGSL refuses a decimal beyond the largest f32, though it would round to it.
    if (Math.fround(short) === value && Math.abs(short) <= MOST) return wrapNegative(short, 'f');
  }
  return wrapNegative(value, 'f');
}
