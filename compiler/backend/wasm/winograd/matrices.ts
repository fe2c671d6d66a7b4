/**
 * The matrices of Winograd's minimal filtering (Lavin & Gray 2016, section 4), and code that multiplies vectors by them. A
 * filter g of r taps over d gives m results: A ((G g) * (B d)), m + r - 1 products instead of m r.
 */
import type { V128 } from '../encoder.ts';
import { f32x4 } from '../instr.ts';

export type Matrix = readonly (readonly number[])[];

export interface Filtering {
  readonly A: Matrix;
  readonly B: Matrix;
  readonly G: Matrix;
}

/** The coefficients of the product of (x - p), the constant first. */
const polynomial = (points: readonly number[]): number[] =>
  points.reduce<number[]>((c, p) => [...c, 0].map((_, i) => (c[i - 1] ?? 0) - p * (c[i] ?? 0)), [1]);

/**
 * Toom and Cook's algorithm for the product of two polynomials of `results` and `taps` terms, transposed: both are evaluated at
 * the points and at infinity. The divisors of the interpolation belong to what is transformed less often.
 */
function filtering(points: readonly number[], results: number, taps: number, divided: 'G' | 'A'): Filtering {
  const powers = (n: number, by: (p: number) => number): number[][] => [
    ...points.map((p) => range(n).map((i) => p ** i / by(p))),
    range(n).map((i) => (i === n - 1 ? 1 : 0)),
  ];
  const others = (p: number): number[] => points.filter((q) => q !== p);
  const divisor = (p: number): number => others(p).reduce((n, q) => n * (p - q), 1);
  const one = (): number => 1;
  return {
    A: transposed(powers(results, divided === 'A' ? divisor : one)),
    B: [...points.map((p) => [...polynomial(others(p)), 0]), polynomial(points)],
    G: powers(taps, divided === 'G' ? divisor : one),
  };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/**
 * For tiles of 2 and of 4. Of the points of the latter, 0, ±5/8, ±3/2, all powers are exact and differences neither small nor
 * large: a third of the error that 0, ±1, ±2 have.
 */
const pointsOf = { 2: [0, 1, -1], 4: [0, 0.625, -0.625, 1.5, -1.5] } as const;

/** Rows and columns of a tile of results. */
export type TileSize = keyof typeof pointsOf;
export const tileSizes: readonly TileSize[] = [2, 4];

/** Three taps, a tile of results. */
export const filterOver = (tile: TileSize): Filtering => filtering(pointsOf[tile], tile, 3, 'G');

/** A tile of the results' gradient as the taps, three results, which are summed over many tiles before A. */
export const filterBy = (tile: TileSize): Filtering => filtering(pointsOf[tile], 3, tile, 'A');

/** A value kept in a local, so that it is cheap to repeat. */
export type Keep = (value: V128) => V128;

// ---------------------------------------------------------------- code, of which fused multiply-adds are the unit

/** c * value + to */
function plus(to: V128, c: number, value: V128): V128 {
  if (c === 1) return f32x4.add(to, value);
  return c === -1 ? f32x4.sub(to, value) : f32x4.relaxedMadd(value, f32x4.splatConst(c), to);
}

const scaled = (c: number, value: V128): V128 => (c === 1 ? value : f32x4.mul(value, f32x4.splatConst(c)));

/** The sum of a row, beginning with a value that is only added if there is one. */
function dot(row: readonly number[], values: readonly V128[]): V128 {
  const used = range(row.length).filter((i) => row[i] !== 0);
  const first = used.find((i) => row[i] === 1) ?? used[0]!;
  return used
    .filter((i) => i !== first)
    .reduce((sum, i) => plus(sum, row[i]!, values[i]!), scaled(row[first]!, values[first]!));
}

/** Two rows of a matrix that differ in some signs only. */
interface Pair {
  readonly at: readonly [number, number];
  /** Half their sum, and half their difference as a number times coefficients. */
  readonly even: readonly number[];
  readonly odd: readonly number[];
  readonly by: number;
}

/** The results of points p and -p: the same sums of even and of odd powers. */
function pairsOf(matrix: Matrix): Pair[] {
  return matrix.flatMap((row, i) => {
    const j = matrix.findIndex(
      (other, at) => at > i && other.every((c, k) => Math.abs(c) === Math.abs(row[k]!)),
    );
    if (j < 0) return [];
    const even = row.map((c, k) => (c + matrix[j]![k]!) / 2);
    const odd = row.map((c, k) => (c - matrix[j]![k]!) / 2);
    const by = odd.find((c) => c !== 0);
    if (by === undefined || even.every((c) => c === 0)) return [];
    return [{ at: [i, j] as const, even, odd: odd.map((c) => c / by), by }];
  });
}

/** matrix * values */
export function times(matrix: Matrix, values: readonly V128[], keep: Keep): V128[] {
  const columns = pairsOf(transposed(matrix));
  if (columns.length > 0) return timesPairs(matrix, columns, values, keep);
  const results = new Map<number, V128>();
  for (const { at, even, odd, by } of pairsOf(matrix)) {
    const [e, o] = [keep(dot(even, values)), keep(dot(odd, values))];
    results.set(at[0], keep(plus(e, by, o)));
    results.set(at[1], keep(plus(e, -by, o)));
  }
  return matrix.map((row, i) => results.get(i) ?? keep(dot(row, values)));
}

/** The same with columns of points p and -p: their sums and differences are the values of fewer coefficients. */
function timesPairs(matrix: Matrix, pairs: readonly Pair[], values: readonly V128[], keep: Keep): V128[] {
  const all = [...values];
  const rows = matrix.map((row) => [...row]);
  for (const { at, even, odd, by } of pairs) {
    const [v, w] = at.map((i) => values[i]!) as [V128, V128];
    [all[at[0]], all[at[1]]] = [keep(f32x4.add(v, w)), keep(f32x4.sub(v, w))];
    rows.forEach((row, i) => {
      row[at[0]] = even[i]!;
      row[at[1]] = odd[i]! * by;
    });
  }
  return rows.map((row) => keep(dot(row, all)));
}

const transposed = <T>(rows: readonly (readonly T[])[]): T[][] =>
  rows[0]!.map((_, j) => rows.map((row) => row[j]!));

/** Values by row and column, between the pass over columns and that over rows. */
export interface Grid {
  put(i: number, j: number, value: V128): void;
  get(i: number, j: number): V128;
}

/** matrix * values, column by column. */
export function down(
  matrix: Matrix,
  columns: number,
  value: (i: number, j: number) => V128,
  grid: Grid,
  keep: Keep,
): void {
  for (const j of range(columns)) {
    const column = matrix[0]!.map((_, i) => value(i, j));
    times(matrix, column, keep).forEach((v, i) => grid.put(i, j, v));
  }
}

/** matrix * values * transposed matrix for a square of values, of which each row of results is used at once. */
export function around(
  matrix: Matrix,
  value: (i: number, j: number) => V128,
  grid: Grid,
  keep: Keep,
  use: (row: readonly V128[], i: number) => void,
): void {
  const columns = matrix[0]!.length;
  down(matrix, columns, value, grid, keep);
  for (const i of range(matrix.length)) {
    const row = range(columns).map((j) => grid.get(i, j));
    use(times(matrix, row, keep), i);
  }
}
