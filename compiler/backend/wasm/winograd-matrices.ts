/**
 * The matrices of Winograd's minimal filtering over the points 0, 1, -1 and infinity (Lavin & Gray 2016, section 4), and code
 * that multiplies vectors by them. A filter g of r taps over d gives m results: A ((G g) * (B d)), four products instead of m r.
 */
import type { V128 } from './encoder.ts';
import { f32x4 } from './instr.ts';

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

/** Two taps, three results. */
export const F32: { readonly G: Matrix; readonly A: Matrix } = {
  G: [
    [1, 0],
    [0.5, 0.5],
    [0.5, -0.5],
    [0, 1],
  ],
  A: [
    [1, 1, 1, 0],
    [0, 1, -1, 0],
    [0, 1, 1, -1],
  ],
};

/** A value kept in a local, so that it is cheap to repeat. */
export type Keep = (value: V128) => V128;

/** matrix * values. The non-zero numbers of a row have one size. */
export function times(matrix: Matrix, values: readonly V128[], keep: Keep): V128[] {
  return matrix.map((row) => {
    const terms = row.flatMap((c, i) => (c === 0 ? [] : [{ c, value: values[i]! }]));
    const [first, ...rest] = terms.toSorted((s, t) => Math.sign(t.c) - Math.sign(s.c));
    if (!first || first.c < 0 || rest.some((t) => Math.abs(t.c) !== first.c))
      throw new Error('a row begins with a positive number and its numbers have one size');
    const sum = rest.reduce((v, t) => (t.c > 0 ? f32x4.add : f32x4.sub)(v, t.value), first.value);
    return keep(first.c === 1 ? sum : f32x4.mul(sum, f32x4.splatConst(first.c)));
  });
}

const transposed = <T>(rows: readonly (readonly T[])[]): T[][] =>
  rows[0]!.map((_, j) => rows.map((row) => row[j]!));

/** matrix * values * transposed matrix, for a grid of values. */
export const around = (matrix: Matrix, grid: readonly (readonly V128[])[], keep: Keep): V128[][] =>
  down(matrix, grid, keep).map((row) => times(matrix, row, keep));

/** matrix * values, column by column. */
export const down = (matrix: Matrix, grid: readonly (readonly V128[])[], keep: Keep): V128[][] =>
  transposed(transposed(grid).map((column) => times(matrix, column, keep)));
