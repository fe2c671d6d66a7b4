/** The WebAssembly instructions in use, as typed functions from operands to code. */
import type { Code, CodeType, F32, F64, I32, Local, Stmt, V128, ValueType } from './encoder.ts';
import { instruction, signed, unsigned } from './encoder.ts';

type Op1<A extends ValueType, R extends ValueType> = (a: Code<A>) => Code<R>;
type Op2<A extends ValueType, B extends ValueType, R extends ValueType> = (a: Code<A>, b: Code<B>) => Code<R>;

const op1 =
  <A extends ValueType, R extends ValueType>(result: R, text: string, ...bytes: number[]): Op1<A, R> =>
  (a) =>
    instruction(result, text, bytes, [a]);
const op2 =
  <A extends ValueType, B extends ValueType, R extends ValueType>(
    result: R,
    text: string,
    ...bytes: number[]
  ): Op2<A, B, R> =>
  (a, b) =>
    instruction(result, text, bytes, [a, b]);

const simd = (code: number): number[] => [0xfd, ...unsigned(code)];
const v1 = (text: string, code: number): Op1<'v128', 'v128'> => op1('v128', text, ...simd(code));
const v2 = (text: string, code: number): Op2<'v128', 'v128', 'v128'> => op2('v128', text, ...simd(code));
const vShift = (text: string, code: number): Op2<'v128', 'i32', 'v128'> => op2('v128', text, ...simd(code));

const i32op = (text: string, code: number): Op2<'i32', 'i32', 'i32'> => op2('i32', `i32.${text}`, code);
const f32op = (text: string, code: number): Op2<'f32', 'f32', 'f32'> => op2('f32', `f32.${text}`, code);
const f32test = (text: string, code: number): Op2<'f32', 'f32', 'i32'> => op2('i32', `f32.${text}`, code);
const f64op = (text: string, code: number): Op2<'f64', 'f64', 'f64'> => op2('f64', `f64.${text}`, code);
const f64test = (text: string, code: number): Op2<'f64', 'f64', 'i32'> => op2('i32', `f64.${text}`, code);

const immediate = (offset: number): { text: string; bytes: number[] } => ({
  text: offset === 0 ? '' : ` offset=${offset}`,
  bytes: [2, ...unsigned(offset)],
});

function loadOp<T extends ValueType>(type: T, text: string, ...opcode: number[]) {
  return (address: I32, offset = 0): Code<T> => {
    const at = immediate(offset);
    return instruction(type, text + at.text, [...opcode, ...at.bytes], [address]);
  };
}

function storeOp<T extends ValueType>(text: string, ...opcode: number[]) {
  return (address: I32, value: Code<T>, offset = 0): Stmt => {
    const at = immediate(offset);
    return instruction('void', text + at.text, [...opcode, ...at.bytes], [address, value]);
  };
}

const makeI32 = (value: number): I32 => ({
  ...instruction('i32', `i32.const ${value}`, [0x41, ...signed(value)]),
  constant: value,
});
const smallest = -16;
const small = Array.from({ length: 272 }, (_, i) => makeI32(i + smallest));
const i32const = (value: number): I32 => small[(value | 0) - smallest] ?? makeI32(value | 0);

const rawAdd = i32op('add', 0x6a);
const rawSub = i32op('sub', 0x6b);
const rawMul = i32op('mul', 0x6c);
const rawShl = i32op('shl', 0x74);

export const i32 = {
  const: i32const,
  load: loadOp('i32', 'i32.load', 0x28),
  store: storeOp<'i32'>('i32.store', 0x36),
  eqz: op1<'i32', 'i32'>('i32', 'i32.eqz', 0x45),
  eq: i32op('eq', 0x46),
  ne: i32op('ne', 0x47),
  ltS: i32op('lt_s', 0x48),
  ltU: i32op('lt_u', 0x49),
  gtS: i32op('gt_s', 0x4a),
  gtU: i32op('gt_u', 0x4b),
  leS: i32op('le_s', 0x4c),
  leU: i32op('le_u', 0x4d),
  geS: i32op('ge_s', 0x4e),
  geU: i32op('ge_u', 0x4f),
  /** Folds constants; address arithmetic is full of them. */
  add: (a: I32, b: I32): I32 =>
    a.constant !== undefined && b.constant !== undefined
      ? i32const(a.constant + b.constant)
      : a.constant === 0
        ? b
        : b.constant === 0
          ? a
          : rawAdd(a, b),
  sub: (a: I32, b: I32): I32 =>
    a.constant !== undefined && b.constant !== undefined
      ? i32const(a.constant - b.constant)
      : b.constant === 0
        ? a
        : rawSub(a, b),
  /** Folds constants and turns powers of two into shifts. */
  mul: (a: I32, b: I32): I32 => {
    const [x, c] = a.constant === undefined ? [a, b.constant] : [b, a.constant];
    if (c === undefined) return rawMul(a, b);
    if (x.constant !== undefined) return i32const(Math.imul(x.constant, c));
    if (c === 1) return x;
    if (c === 0) return i32const(0);
    return c > 0 && (c & (c - 1)) === 0 ? rawShl(x, i32const(31 - Math.clz32(c))) : rawMul(x, i32const(c));
  },
  divS: i32op('div_s', 0x6d),
  divU: i32op('div_u', 0x6e),
  remS: i32op('rem_s', 0x6f),
  remU: i32op('rem_u', 0x70),
  and: i32op('and', 0x71),
  or: i32op('or', 0x72),
  xor: i32op('xor', 0x73),
  shl: rawShl,
  shrS: i32op('shr_s', 0x75),
  shrU: i32op('shr_u', 0x76),
  truncSatF32S: op1<'f32', 'i32'>('i32', 'i32.trunc_sat_f32_s', 0xfc, 0),
  truncSatF32U: op1<'f32', 'i32'>('i32', 'i32.trunc_sat_f32_u', 0xfc, 1),
  truncSatF64S: op1<'f64', 'i32'>('i32', 'i32.trunc_sat_f64_s', 0xfc, 2),
  reinterpretF32: op1<'f32', 'i32'>('i32', 'i32.reinterpret_f32', 0xbc),
};

export const i64 = {
  extendI32S: op1<'i32', 'i64'>('i64', 'i64.extend_i32_s', 0xac),
  /** Shifts left by a constant number of bits. */
  shl: (a: Code<'i64'>, bits: number): Code<'i64'> =>
    instruction(
      'i64',
      'i64.shl',
      [0x86],
      [a, instruction('i64', `i64.const ${bits}`, [0x42, ...signed(bits)])],
    ),
};

export const f32 = {
  const: (value: number): F32 => instruction('f32', `f32.const ${value}`, [0x43, ...floatBytes(value)]),
  load: loadOp('f32', 'f32.load', 0x2a),
  store: storeOp<'f32'>('f32.store', 0x38),
  eq: f32test('eq', 0x5b),
  ne: f32test('ne', 0x5c),
  lt: f32test('lt', 0x5d),
  gt: f32test('gt', 0x5e),
  le: f32test('le', 0x5f),
  ge: f32test('ge', 0x60),
  abs: op1<'f32', 'f32'>('f32', 'f32.abs', 0x8b),
  neg: op1<'f32', 'f32'>('f32', 'f32.neg', 0x8c),
  floor: op1<'f32', 'f32'>('f32', 'f32.floor', 0x8e),
  nearest: op1<'f32', 'f32'>('f32', 'f32.nearest', 0x90),
  sqrt: op1<'f32', 'f32'>('f32', 'f32.sqrt', 0x91),
  add: f32op('add', 0x92),
  sub: f32op('sub', 0x93),
  mul: f32op('mul', 0x94),
  div: f32op('div', 0x95),
  min: f32op('min', 0x96),
  max: f32op('max', 0x97),
  convertI32S: op1<'i32', 'f32'>('f32', 'f32.convert_i32_s', 0xb2),
  convertI32U: op1<'i32', 'f32'>('f32', 'f32.convert_i32_u', 0xb3),
  demote: op1<'f64', 'f32'>('f32', 'f32.demote_f64', 0xb6),
  reinterpretI32: op1<'i32', 'f32'>('f32', 'f32.reinterpret_i32', 0xbe),
};

export const f64 = {
  const: (value: number): F64 =>
    instruction('f64', `f64.const ${value}`, [0x44, ...new Uint8Array(new Float64Array([value]).buffer)]),
  eq: f64test('eq', 0x61),
  lt: f64test('lt', 0x63),
  abs: op1<'f64', 'f64'>('f64', 'f64.abs', 0x99),
  neg: op1<'f64', 'f64'>('f64', 'f64.neg', 0x9a),
  floor: op1<'f64', 'f64'>('f64', 'f64.floor', 0x9c),
  nearest: op1<'f64', 'f64'>('f64', 'f64.nearest', 0x9e),
  add: f64op('add', 0xa0),
  sub: f64op('sub', 0xa1),
  mul: f64op('mul', 0xa2),
  div: f64op('div', 0xa3),
  min: f64op('min', 0xa4),
  max: f64op('max', 0xa5),
  convertI32S: op1<'i32', 'f64'>('f64', 'f64.convert_i32_s', 0xb7),
  promote: op1<'f32', 'f64'>('f64', 'f64.promote_f32', 0xbb),
  reinterpretI64: op1<'i64', 'f64'>('f64', 'f64.reinterpret_i64', 0xbf),
};

function floatBytes(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}

const constantBytes = (values: Float32Array | Int32Array | Float64Array, text: string): V128 =>
  instruction('v128', `v128.const ${text}`, [...simd(0x0c), ...new Uint8Array(values.buffer)]);

export const v128 = {
  load: loadOp('v128', 'v128.load', ...simd(0x00)),
  loadSplat: loadOp('v128', 'v128.load32_splat', ...simd(0x09)),
  loadZero: loadOp('v128', 'v128.load32_zero', ...simd(0x5c)),
  store: storeOp<'v128'>('v128.store', ...simd(0x0b)),
  /** `into` with its lane `lane` replaced from memory. */
  loadLane: (address: I32, into: V128, lane: number, offset = 0): V128 => {
    const at = immediate(offset);
    return instruction(
      'v128',
      `v128.load32_lane${at.text} ${lane}`,
      [...simd(0x54 + 2), ...at.bytes, lane],
      [address, into],
    );
  },
  storeLane: (address: I32, value: V128, lane: number, offset = 0): Stmt => {
    const at = immediate(offset);
    return instruction(
      'void',
      `v128.store32_lane${at.text} ${lane}`,
      [...simd(0x5a), ...at.bytes, lane],
      [address, value],
    );
  },
  /** The first two lanes. */
  storePair: (address: I32, value: V128, offset = 0): Stmt => {
    const at = immediate(offset);
    return instruction(
      'void',
      `v128.store64_lane${at.text} 0`,
      [...simd(0x5b), ...at.bytes, 0],
      [address, value],
    );
  },
  /** Four 32-bit lanes picked from the eight of `a` (0 to 3) and `b` (4 to 7). */
  shuffle: (a: V128, b: V128, lanes: readonly [number, number, number, number]): V128 =>
    instruction(
      'v128',
      `i8x16.shuffle (32x4 ${lanes.join(' ')})`,
      [...simd(0x0d), ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => lane * 4 + byte))],
      [a, b],
    ),
  not: v1('v128.not', 0x4d),
  and: v2('v128.and', 0x4e),
  /** a & ~b */
  andNot: v2('v128.andnot', 0x4f),
  or: v2('v128.or', 0x50),
  xor: v2('v128.xor', 0x51),
  /** Bits of `a` where `mask` is set, else of `b`. */
  select: (mask: V128, a: V128, b: V128): V128 =>
    instruction('v128', 'v128.bitselect', simd(0x52), [a, b, mask]),
  anyTrue: op1<'v128', 'i32'>('i32', 'v128.any_true', ...simd(0x53)),
};

export const i32x4 = {
  const: (a: number, b: number, c: number, d: number): V128 =>
    constantBytes(new Int32Array([a, b, c, d]), `i32x4 ${a} ${b} ${c} ${d}`),
  splatConst: (n: number): V128 => constantBytes(new Int32Array([n, n, n, n]), `i32x4 ${n} ${n} ${n} ${n}`),
  splat: op1<'i32', 'v128'>('v128', 'i32x4.splat', ...simd(0x11)),
  extract: (a: V128, lane: number): I32 =>
    instruction('i32', `i32x4.extract_lane ${lane}`, [...simd(0x1b), lane], [a]),
  replace: (a: V128, lane: number, value: I32): V128 =>
    instruction('v128', `i32x4.replace_lane ${lane}`, [...simd(0x1c), lane], [a, value]),
  eq: v2('i32x4.eq', 0x37),
  ne: v2('i32x4.ne', 0x38),
  ltS: v2('i32x4.lt_s', 0x39),
  ltU: v2('i32x4.lt_u', 0x3a),
  leS: v2('i32x4.le_s', 0x3d),
  leU: v2('i32x4.le_u', 0x3e),
  geS: v2('i32x4.ge_s', 0x3f),
  abs: v1('i32x4.abs', 0xa0),
  neg: v1('i32x4.neg', 0xa1),
  allTrue: op1<'v128', 'i32'>('i32', 'i32x4.all_true', ...simd(0xa3)),
  shl: vShift('i32x4.shl', 0xab),
  shrS: vShift('i32x4.shr_s', 0xac),
  shrU: vShift('i32x4.shr_u', 0xad),
  add: v2('i32x4.add', 0xae),
  sub: v2('i32x4.sub', 0xb1),
  mul: v2('i32x4.mul', 0xb5),
  minS: v2('i32x4.min_s', 0xb6),
  minU: v2('i32x4.min_u', 0xb7),
  maxS: v2('i32x4.max_s', 0xb8),
  maxU: v2('i32x4.max_u', 0xb9),
  truncSatS: v1('i32x4.trunc_sat_f32x4_s', 0xf8),
  truncSatU: v1('i32x4.trunc_sat_f32x4_u', 0xf9),
  truncSatF64S: v1('i32x4.trunc_sat_f64x2_s_zero', 0xfc),
};

export const f32x4 = {
  splatConst: (x: number): V128 => constantBytes(new Float32Array([x, x, x, x]), `f32x4 ${x} ${x} ${x} ${x}`),
  splat: op1<'f32', 'v128'>('v128', 'f32x4.splat', ...simd(0x13)),
  extract: (a: V128, lane: number): F32 =>
    instruction('f32', `f32x4.extract_lane ${lane}`, [...simd(0x1f), lane], [a]),
  replace: (a: V128, lane: number, value: F32): V128 =>
    instruction('v128', `f32x4.replace_lane ${lane}`, [...simd(0x20), lane], [a, value]),
  eq: v2('f32x4.eq', 0x41),
  ne: v2('f32x4.ne', 0x42),
  lt: v2('f32x4.lt', 0x43),
  gt: v2('f32x4.gt', 0x44),
  le: v2('f32x4.le', 0x45),
  ge: v2('f32x4.ge', 0x46),
  floor: v1('f32x4.floor', 0x68),
  nearest: v1('f32x4.nearest', 0x6a),
  abs: v1('f32x4.abs', 0xe0),
  neg: v1('f32x4.neg', 0xe1),
  sqrt: v1('f32x4.sqrt', 0xe3),
  add: v2('f32x4.add', 0xe4),
  sub: v2('f32x4.sub', 0xe5),
  mul: v2('f32x4.mul', 0xe6),
  div: v2('f32x4.div', 0xe7),
  min: v2('f32x4.min', 0xe8),
  max: v2('f32x4.max', 0xe9),
  /** b < a ? b : a, one instruction on x86; a NaN `a` stays. */
  pmin: v2('f32x4.pmin', 0xea),
  /** a < b ? b : a */
  pmax: v2('f32x4.pmax', 0xeb),
  convertS: v1('f32x4.convert_i32x4_s', 0xfa),
  convertU: v1('f32x4.convert_i32x4_u', 0xfb),
  demoteZero: v1('f32x4.demote_f64x2_zero', 0x5e),
  /** a * b + c, fused or not as the machine likes. */
  relaxedMadd: (a: V128, b: V128, c: V128): V128 =>
    instruction('v128', 'f32x4.relaxed_madd', simd(0x105), [a, b, c]),
  /** c - a * b */
  relaxedNmadd: (a: V128, b: V128, c: V128): V128 =>
    instruction('v128', 'f32x4.relaxed_nmadd', simd(0x106), [a, b, c]),
};

export const f64x2 = {
  splatConst: (x: number): V128 => constantBytes(new Float64Array([x, x]), `f64x2 ${x} ${x}`),
  promoteLow: v1('f64x2.promote_low_f32x4', 0x5f),
  nearest: v1('f64x2.nearest', 0x94),
  add: v2('f64x2.add', 0xf0),
  sub: v2('f64x2.sub', 0xf1),
  mul: v2('f64x2.mul', 0xf2),
};

// ---------------------------------------------------------------- control

/** condition ? a : b, both evaluated. */
export const select = <T extends 'i32' | 'f32' | 'f64'>(condition: I32, a: Code<T>, b: Code<T>): Code<T> =>
  instruction(a.type, 'select', [0x1b], [a, b, condition]);

export const block = (...body: readonly Code[]): Stmt => instruction('void', 'block', [0x02], [], [body]);
export const loop = (...body: readonly Code[]): Stmt => instruction('void', 'loop', [0x03], [], [body]);
export const br = (depth: number): Stmt => instruction('void', `br ${depth}`, [0x0c, ...unsigned(depth)]);
export const brIf = (depth: number, condition: I32): Stmt =>
  instruction('void', `br_if ${depth}`, [0x0d, ...unsigned(depth)], [condition]);

/** Runs `then` or `otherwise`; a constant condition is decided here. */
export function when(condition: I32, then: readonly Code[], otherwise: readonly Code[] = []): Stmt[] {
  if (condition.constant !== undefined) return [...(condition.constant ? then : otherwise)] as Stmt[];
  if (then.length === 0 && otherwise.length === 0) return [];
  return [instruction('void', 'if', [0x04], [condition], otherwise.length > 0 ? [then, otherwise] : [then])];
}

/** Value of one of two bodies, each ending in an expression; only the chosen one runs. */
export const choose = <T extends ValueType>(
  condition: I32,
  then: readonly Code[],
  otherwise: readonly Code[],
  type: T,
): Code<T> => instruction(type, 'if', [0x04], [condition], [then, otherwise]);

export const minI32 = (a: I32, b: I32): I32 =>
  a.constant !== undefined && b.constant !== undefined
    ? i32const(Math.min(a.constant, b.constant))
    : select(i32.ltS(a, b), a, b);
export const maxI32 = (a: I32, b: I32): I32 =>
  a.constant !== undefined && b.constant !== undefined
    ? i32const(Math.max(a.constant, b.constant))
    : select(i32.gtS(a, b), a, b);

/** for (i = from; i < to; i += step), signed. `to` is evaluated each time: pass a local or a constant. */
export function forLoop(i: Local<'i32'>, from: I32, to: I32, step: number, body: readonly Code[]): Stmt[] {
  return [
    i.set(from),
    ...when(i32.ltS(i.get, to), [
      loop(...body, i.set(i32.add(i.get, i32const(step))), brIf(0, i32.ltS(i.get, to))),
    ]),
  ];
}

/** A statement list from code whose last entry may be of any void kind. */
export type Body = Stmt[];
export type { CodeType };
