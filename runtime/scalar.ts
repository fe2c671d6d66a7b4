/**
 * The meaning of every scalar and reduce operation, as JavaScript expressions over float64: f32 values keep float64
 * precision, f16 is rounded after each operation (`rounded`), i32 and u32 wrap exactly, bool is 0 or 1. The reference interpreter is printed from this table.
 */
import type { PlanDType } from '../compiler/plan.ts';
import { roundToHalf } from '../compiler/plan.ts';

/** An expression of the operands (their names), given the operands' dtype and the result's. */
type Row = (operands: readonly string[], dtype: PlanDType, result: PlanDType) => string;

const isFloat = (t: PlanDType): boolean => t === 'f32' || t === 'f16';

/** Wraps an integer expression into its dtype; floats stay. */
const wrap = (code: string, t: PlanDType): string =>
  t === 'i32' ? `((${code}) | 0)` : t === 'u32' ? `((${code}) >>> 0)` : `(${code})`;

const infix =
  (operator: string): Row =>
  ([a, b], t) =>
    wrap(`${a} ${operator} ${b}`, t);
const call =
  (name: string): Row =>
  (operands) =>
    `${name}(${operands.join(', ')})`;
const compare =
  (operator: string): Row =>
  ([a, b]) =>
    `(${a} ${operator} ${b} ? 1 : 0)`;

export const scalarRows: Readonly<Record<string, Row>> = {
  neg: ([a], t) => wrap(`-${a}`, t),
  abs: ([a], t) => wrap(`Math.abs(${a})`, t),
  exp: call('Math.exp'),
  log: call('Math.log'),
  sqrt: call('Math.sqrt'),
  sin: call('Math.sin'),
  cos: call('Math.cos'),
  tanh: call('Math.tanh'),
  sigmoid: ([a]) => `(1 / (1 + Math.exp(-${a})))`,
  erf: call('helpers.erf'),
  floor: call('Math.floor'),
  round: call('helpers.round'),
  not: ([a], t) => (t === 'bool' ? `(1 - ${a})` : wrap(`~${a}`, t)),
  cast: ([a], from, to) => castRow(a ?? '', from, to),
  add: infix('+'),
  sub: infix('-'),
  mul: ([a, b], t) => (isFloat(t) ? `(${a} * ${b})` : wrap(`Math.imul(${a}, ${b})`, t)),
  div: ([a, b], t) => (isFloat(t) ? `(${a} / ${b})` : wrap(`Math.floor(${a} / ${b})`, t)),
  mod: ([a, b], t) => wrap(`${a} - ${b} * Math.floor(${a} / ${b})`, t),
  pow: call('Math.pow'),
  max: call('Math.max'),
  min: call('Math.min'),
  lt: compare('<'),
  le: compare('<='),
  eq: compare('==='),
  and: infix('&'),
  or: infix('|'),
  xor: infix('^'),
  shl: infix('<<'),
  shr: ([a, b], t) => (t === 'u32' ? `(${a} >>> ${b})` : `(${a} >> ${b})`),
  where: ([c, a, b]) => `(${c} ? ${a} : ${b})`,
};

/** What an operation gives, as a value of its dtype: binary16 is emulated. */
export const rounded = (code: string, t: PlanDType): string => (t === 'f16' ? `helpers.half(${code})` : code);

function castRow(a: string, from: PlanDType, to: PlanDType): string {
  if (to === 'bool') return `(${a} !== 0 ? 1 : 0)`;
  if (isFloat(to)) return a;
  return isFloat(from) ? `helpers.${to === 'u32' ? 'toU32' : 'toI32'}(${a})` : wrap(a, to);
}

/** `accumulator` joined with `value`. */
export const reduceRows: Readonly<
  Record<string, (accumulator: string, value: string, dtype: PlanDType) => string>
> = {
  sum: (a, v, t) => wrap(`${a} + ${v}`, t),
  prod: (a, v, t) => (isFloat(t) ? `(${a} * ${v})` : wrap(`Math.imul(${a}, ${v})`, t)),
  max: (a, v) => `Math.max(${a}, ${v})`,
  min: (a, v) => `Math.min(${a}, ${v})`,
};

/** What a reduction starts from. */
export function reduceStart(fn: string, t: PlanDType): number {
  if (fn === 'sum') return 0;
  if (fn === 'prod') return 1;
  const ends = {
    f32: [-Infinity, Infinity],
    f16: [-Infinity, Infinity],
    i32: [-0x80000000, 0x7fffffff],
    u32: [0, 0xffffffff],
    bool: [0, 1],
  };
  const [least, most] = ends[t] as [number, number];
  return fn === 'max' ? least : most;
}

const clamp = (x: number, low: number, high: number): number =>
  Number.isNaN(x) ? 0 : Math.trunc(Math.min(Math.max(x, low), high)) + 0;

/** What the printed expressions may call. */
export const helpers = {
  erf,
  /** Halves go to the even neighbour. */
  round: (x: number): number => {
    const low = Math.floor(x);
    const part = x - low;
    return part < 0.5 || (part === 0.5 && low % 2 === 0) ? low : low + 1;
  },
  half: roundToHalf,
  toI32: (x: number): number => clamp(x, -0x80000000, 0x7fffffff),
  toU32: (x: number): number => clamp(x, 0, 0xffffffff),
  outside: (what: string): never => {
    throw new Error(`the reference interpreter read out of bounds: ${what}`);
  },
} as const;

/**
 * The error function to about 1e-15: below 2.5 the series of Abramowitz & Stegun 7.1.6, above it the continued
 * fraction 7.1.14 of erfc.
 */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(a)) return NaN;
  if (a > 6) return Math.sign(x);
  const scaled = Math.exp(-a * a) / Math.sqrt(Math.PI);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * a * a) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(x) * 2 * scaled * sum;
  }
  let fraction = a;
  for (let k = 60; k >= 1; k--) fraction = a + k / 2 / fraction;
  return Math.sign(x) * (1 - scaled / fraction);
}
