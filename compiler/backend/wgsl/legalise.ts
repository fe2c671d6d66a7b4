/**
 * What each scalar operation becomes in WGSL: an operation that WGSL has (`native`, printed by print.ts) or one of
 * our own functions (helpers.ts) where WGSL lacks it or leaves too much open.
 */
import type { DType, ReduceOp, ScalarOp } from '../../ir/ops.ts';
import type { HelperName } from './helpers.ts';
import type { Native } from './print.ts';

export type Target = { readonly native: Native } | { readonly helper: HelperName };

const native = (op: Native): Target => ({ native: op });
const helper = (name: HelperName): Target => ({ helper: name });

/** `result`: dtype of the result; `operand`: of the first operand. */
type Rule = (result: DType, operand: DType) => Target;

const always = (op: Native): Rule => {
  const target = native(op);
  return () => target;
};
const helped = (name: HelperName): Rule => {
  const target = helper(name);
  return () => target;
};

const casts: { readonly [To in DType]: Rule } = {
  f32: always('f32'),
  i32: always('i32'),
  u32: always('u32'),
  bool: always('bool'),
  f16: always('f16'),
};

/** One row per scalar operation. */
const rules: { readonly [Op in ScalarOp]: Rule } = {
  // WGSL has no unary minus on u32.
  neg: (result) => (result === 'u32' ? native('negU32') : native('neg')),
  abs: (result) => (result === 'u32' ? native('same') : native('abs')),
  exp: always('exp'),
  log: always('log'),
  sqrt: always('sqrt'),
  // The built-ins promise too little, and less the larger the operand.
  sin: helped('nn_sin'),
  cos: helped('nn_cos'),
  // The built-in overflows for large operands on some drivers, and cancels for small ones.
  tanh: helped('nn_tanh'),
  sigmoid: helped('nn_sigmoid'),
  erf: helped('nn_erf'),
  floor: always('floor'),
  // Half to even, as ours.
  round: always('round'),
  not: (result) => (result === 'bool' ? native('notBool') : native('notBits')),
  cast: (result, operand) => casts[result](result, operand),
  add: always('add'),
  sub: always('sub'),
  mul: always('mul'),
  // `/` truncates integers, and gives the dividend when dividing by 0.
  div: (result) =>
    result === 'i32' ? helper('nn_div') : result === 'u32' ? helper('nn_div_u32') : native('div'),
  mod: (result) =>
    result === 'i32' ? helper('nn_mod') : result === 'u32' ? native('rem') : helper('nn_mod_f32'),
  // The built-in is exp2(y * log2(x)): undefined for x < 0, and inexact for small whole exponents.
  pow: helped('nn_pow'),
  max: always('max'),
  min: always('min'),
  lt: (_, operand) => native(operand === 'bool' ? 'ltBool' : 'lt'),
  le: (_, operand) => native(operand === 'bool' ? 'leBool' : 'le'),
  eq: always('eq'),
  and: (result) => native(result === 'bool' ? 'andBool' : 'and'),
  or: (result) => native(result === 'bool' ? 'orBool' : 'or'),
  xor: (result) => native(result === 'bool' ? 'ne' : 'xor'),
  shl: always('shl'),
  shr: always('shr'),
  where: always('where'),
};

/** What WGSL computes in f16 to the last bit; the others are computed in f32 and rounded. */
const exactInHalf: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  ...(['neg', 'abs', 'floor', 'round', 'cast', 'add', 'sub', 'mul'] as const),
  ...(['max', 'min', 'lt', 'le', 'eq', 'where'] as const),
]);

/** Whether the operation is computed in f32 between a conversion of its operands and one of its result. */
export const isWidened = (op: ScalarOp, result: DType): boolean => result === 'f16' && !exactInHalf.has(op);

export const legalise = (op: ScalarOp, result: DType, operand: DType): Target => rules[op](result, operand);

const combiners: { readonly [Op in ReduceOp]: { readonly number: Native; readonly bool: Native } } = {
  sum: { number: 'add', bool: 'orBool' },
  prod: { number: 'mul', bool: 'andBool' },
  max: { number: 'max', bool: 'orBool' },
  min: { number: 'min', bool: 'andBool' },
};

/** How two partial results of a reduction are put together; on bool, max is `or` and min is `and`. */
export const combinerOf = (op: ReduceOp, dtype: DType): Native =>
  dtype === 'bool' ? combiners[op].bool : combiners[op].number;
