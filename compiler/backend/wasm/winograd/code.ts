/** What the emitters of transformed convolutions share. */
import { storeAll } from '../contract/epilogue.ts';
import type { Axis, Store } from '../../../kernel/kernel.ts';
import type { Func, I32, Local, Stmt, V128 } from '../encoder.ts';
import { i32, minI32, v128 } from '../instr.ts';
import type { Bounds, Loops } from '../loops.ts';
import type { Lowering } from '../lower.ts';
import type { Part } from '../parts.ts';
import type { Grid } from './matrices.ts';

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Variables by their names. */
export const locals = <N extends string>(f: Func, ...names: readonly N[]): Record<N, Local<'i32'>> =>
  Object.fromEntries(names.map((n) => [n, f.local('i32', n)])) as Record<N, Local<'i32'>>;

/** A function's first parameters by their names. */
export const params = <N extends string>(f: Func, ...names: readonly N[]): Record<N, I32> =>
  Object.fromEntries(names.map((n, i) => [n, f.param(i).get])) as Record<N, I32>;

const interleave = (x: V128, y: V128): V128[] => [
  v128.shuffle(x, y, [0, 4, 1, 5]),
  v128.shuffle(x, y, [2, 6, 3, 7]),
];

/** Two or four columns of four elements each as rows, one after the other. */
export function alternate(columns: readonly V128[], keep: (v: V128) => V128): V128[] {
  const [a, b, c, d] = columns;
  if (!c || !d) return interleave(a!, b!);
  const [ab, cd] = [interleave(a!, b!).map(keep), interleave(c, d).map(keep)];
  return ab.flatMap((low, i) => [
    v128.shuffle(low, cd[i]!, [0, 1, 4, 5]),
    v128.shuffle(low, cd[i]!, [2, 3, 6, 7]),
  ]);
}

export const advance = (l: Local<'i32'>, by: number | I32): Stmt =>
  l.set(i32.add(l.get, typeof by === 'number' ? i32.const(by) : by));

export const sum = (...terms: readonly I32[]): I32 => terms.reduce((x, y) => i32.add(x, y));

/** Keeps values in locals that `code` sets. */
export const keeper =
  (f: Func, code: Stmt[]) =>
  (value: V128): V128 => {
    const local = f.local('v128');
    code.push(local.set(value));
    return local.get;
  };

/** Bytes of a grid in memory. */
export const gridFloats = 36 * 4;

/**
 * A grid of values: in locals, or those of large patches at `room`. V8 runs all loads between two stores first; where these do
 * not fit into registers, it would store what it loaded.
 */
export function gridOf(room: I32, size: number, keep: (v: V128) => V128, push: (s: Stmt) => void): Grid {
  if (size > 4) {
    const at = (i: number, j: number): number => 16 * (size * i + j);
    return {
      put: (i, j, value) => push(v128.store(room, value, at(i, j))),
      get: (i, j) => keep(v128.load(room, at(i, j))),
    };
  }
  return inLocals();
}

/** A grid whose values were kept before. */
export function inLocals(): Grid {
  const rows: V128[][] = [];
  return { put: (i, j, value) => void ((rows[i] ??= [])[j] = value), get: (i, j) => rows[i]![j]! };
}

/** The part `index` of `parts` nearly equal ones of `total` indices. */
export function evenly(lower: Lowering, index: I32, total: I32, parts: I32): Part {
  const { integers } = lower.env;
  const least = lower.keep(integers.floorDiv(total, parts, true));
  const larger = lower.keep(integers.floorMod(total, parts, true));
  const first = i32.add(i32.mul(index, least), lower.keep(minI32(index, larger)));
  return { first: lower.keep(first), size: lower.keep(i32.add(least, i32.ltS(index, larger))) };
}

export interface Run {
  readonly stores: readonly Store[];
  readonly axis: Axis;
  readonly bounds: Bounds;
  /** Where the result at index 0 of the axis would lie; they follow each other. */
  readonly from: I32;
  /** Vectors at once. */
  readonly copies: number;
}

/** The stores over results along one axis. */
export function storeRun(lower: Lowering, loops: Loops, { stores, axis, bounds, from, copies }: Run): void {
  loops.vector(axis, bounds, copies, (vectors) => {
    const at = lower.keep(i32.add(from, i32.mul(lower.index(axis.name), i32.const(4))));
    storeAll(stores, lower, at, vectors);
  });
}
