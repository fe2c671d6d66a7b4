/** The tensor IR's vocabulary. Every table about operations is total over these unions. */

/**
 * `f16`: every operation rounds its result to binary16. Sums and products over dimensions, and scatters, exist in f32
 * only (`Graph` computes those of f16 in f32 and rounds once); not every device has it.
 */
export type DType = 'f32' | 'i32' | 'u32' | 'bool' | 'f16';

/**
 * Scalar operations, applied element by element. Integers wrap; `div` and `mod` round towards minus infinity
 * on integers (`mod` on floats too), an integer `div` or `mod` by 0 gives 0, `div` on floats is IEEE; `round` takes
 * halves to the even neighbour; `and or xor not shl shr` act on the bits of u32 and i32 and are logical on bool, shift
 * amounts count modulo 32; comparisons give bool; `cast` converts to the node's dtype: float to int truncates and
 * saturates, NaN gives 0; anything but 0 is true.
 */
export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'floor'
  | 'round'
  | 'not'
  | 'cast';
export type BinaryOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'mod'
  | 'pow'
  | 'max'
  | 'min'
  | 'lt'
  | 'le'
  | 'eq'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shr';
/** `where(condition, then, else)` */
export type ScalarOp = UnaryOp | BinaryOp | 'where';

export type ReduceOp = 'sum' | 'prod' | 'max' | 'min';

interface ScalarRow {
  readonly arity: 1 | 2 | 3;
  /** Dtype of the result from those of the operands; undefined when the operation does not exist for them. */
  readonly result: (operands: readonly DType[]) => DType | undefined;
}

export const isFloat = (t: DType | undefined): boolean => t === 'f32' || t === 'f16';
const isNumber = (t: DType | undefined): boolean => t !== 'bool' && t !== undefined;
const same =
  (accept: (t: DType | undefined) => boolean) =>
  ([t, ...rest]: readonly DType[]): DType | undefined =>
    accept(t) && rest.every((r) => r === t) ? t : undefined;
const compare = ([a, b]: readonly DType[]): DType | undefined => (a === b ? 'bool' : undefined);
const float1: ScalarRow = { arity: 1, result: same(isFloat) };
const number2: ScalarRow = { arity: 2, result: same(isNumber) };
const bits2: ScalarRow = { arity: 2, result: same((t) => !isFloat(t)) };

/** Arity and dtype rule of every scalar operation. `cast` may go anywhere; its result is stated by the node. */
export const scalarOps: { readonly [Op in ScalarOp]: ScalarRow } = {
  neg: { arity: 1, result: same(isNumber) },
  abs: { arity: 1, result: same(isNumber) },
  exp: float1,
  log: float1,
  sqrt: float1,
  sin: float1,
  cos: float1,
  tanh: float1,
  sigmoid: float1,
  erf: float1,
  floor: float1,
  round: float1,
  not: { arity: 1, result: same((t) => !isFloat(t)) },
  cast: { arity: 1, result: ([t]) => t },
  add: number2,
  sub: number2,
  mul: number2,
  div: number2,
  mod: number2,
  pow: { arity: 2, result: same(isFloat) },
  max: number2,
  min: number2,
  lt: { arity: 2, result: compare },
  le: { arity: 2, result: compare },
  eq: { arity: 2, result: compare },
  and: bits2,
  or: bits2,
  xor: bits2,
  shl: { arity: 2, result: same((t) => t === 'u32' || t === 'i32') },
  shr: { arity: 2, result: same((t) => t === 'u32' || t === 'i32') },
  where: { arity: 3, result: ([c, a, b]) => (c === 'bool' && a === b ? a : undefined) },
};

const costly: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  'exp',
  'log',
  'sin',
  'cos',
  'tanh',
  'sigmoid',
  'erf',
  'pow',
]);

/** Takes as long as many operations: better read than computed again. */
export const isCostlyOp = (fn: ScalarOp): boolean => costly.has(fn);

/** Least and greatest value of a dtype. */
const ends: { readonly [T in DType]: readonly [number, number] } = {
  f32: [-Infinity, Infinity],
  f16: [-Infinity, Infinity],
  i32: [-0x80000000, 0x7fffffff],
  u32: [0, 0xffffffff],
  bool: [0, 1],
};

/** What a reduction of nothing gives, and starts from: 0, 1, or the end of the dtype's range. */
export function identityOf(op: ReduceOp, dtype: DType): number {
  const [least, most] = ends[dtype];
  return op === 'sum' ? 0 : op === 'prod' ? 1 : op === 'max' ? least : most;
}
