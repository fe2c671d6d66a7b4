/**
 * The matrices of Winograd's minimal filtering over the points 0, 1, -1 and infinity (Lavin & Gray 2016, section 4), and code
 * that multiplies vectors by them. A filter g of r taps over d gives m results: A ((G g) * (B d)), four products instead of m r.
 */
import type { V128 } from '../encoder.ts';
import { f32x4 } from '../instr.ts';

export type Matrix = readonly (readonly number[])[];

/** Four inputs, for both F(2, 3) and F(3, 2). */
export const B: Matrix = [
  [1, 0, -1, 0],
  [0, 1, 1, 0],
  [0, -1, 1, 0],
  [0, 1, 0, -1],
];

/** Three taps, two results. */
export const F23: { readonly G: Matrix; readonly A: Matrix } = {
  G: [
    [1, 0, 0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0, 0, 1],
  ],
  A: [
    [1, 1, 1, 0],
    [0, 1, -1, -1],
  ],
};

/** Two taps, three results. The halves of G are in A, which is used once for a sum of many products. */
export const F32: { readonly G: Matrix; readonly A: Matrix } = {
  G: [
    [1, 0],
    [1, 1],
    [1, -1],
    [0, 1],
  ],
  A: [
    [1, 0.5, 0.5, 0],
    [0, 0.5, -0.5, 0],
    [0, 0.5, 0.5, -1],
  ],
};

/** A value kept in a local, so that it is cheap to repeat. */
export type Keep = (value: V128) => V128;

/** The sum of a row: numbers of one size are added before they are scaled. */
function dot(row: readonly number[], values: readonly V128[]): V128 {
  let total: V128 | undefined;
  for (const size of new Set(row.map(Math.abs).filter((c) => c !== 0))) {
    const of = (c: number): V128[] => row.flatMap((d, i) => (d === c ? [values[i]!] : []));
    const [plus, minus] = [of(size), of(-size)];
    const join = (v: V128[]): V128 => v.reduce((a, b) => f32x4.add(a, b));
    const scaled = (v: V128): V128 => (size === 1 ? v : f32x4.mul(v, f32x4.splatConst(size)));
    if (plus.length > 0) total = total ? f32x4.add(total, scaled(join(plus))) : scaled(join(plus));
    if (minus.length > 0) total = f32x4.sub(total ?? f32x4.splatConst(0), scaled(join(minus)));
  }
  return total!;
}

/** matrix * values */
export const times = (matrix: Matrix, values: readonly V128[], keep: Keep): V128[] =>
  matrix.map((row) => keep(dot(row, values)));

const transposed = <T>(rows: readonly (readonly T[])[]): T[][] =>
  rows[0]!.map((_, j) => rows.map((row) => row[j]!));

/** matrix * values * transposed matrix, for a grid of values. */
export const around = (matrix: Matrix, grid: readonly (readonly V128[])[], keep: Keep): V128[][] =>
  down(matrix, grid, keep).map((row) => times(matrix, row, keep));

/** matrix * values, column by column. */
export const down = (matrix: Matrix, grid: readonly (readonly V128[])[], keep: Keep): V128[][] =>
  transposed(transposed(grid).map((column) => times(matrix, column, keep)));
