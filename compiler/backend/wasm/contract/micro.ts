/**
 * The register kernel of contractions: a tile of C from `rows` values of A for each k, of a packed panel or where they lie, and
 * a packed panel of B (`4 * vectors` values for each k).
 */
import type { Func, I32, Module, Stmt, V128 } from '../encoder.ts';
import { block, brIf, f32x4, i32, loop, v128, when } from '../instr.ts';
import { type Mode, rowsOfBlock } from './tiles.ts';

export interface MicroShape {
  readonly rows: number;
  readonly vectors: number;
  /** Only the first of the vectors are computed: the last strip may be narrow. All if not given. */
  readonly used?: number;
  /** Bytes from one k of B to the next; that of a panel if not given. */
  readonly pitch?: number;
  /** Bytes from one row of A to the next, and from one k; those of a panel if not given. */
  readonly a?: { readonly lane: number; readonly k: number };
  /** B stays where it is; each k lies there at a place from a table, in bytes. */
  readonly placed?: boolean;
  /** Two tiles at once, one below the other: one that is narrow has too few sums to hide how long an addition takes. */
  readonly isPair?: boolean;
}

/**
 * (count of k >= 1, rows of A, panel of B, tile of C row by row without gaps, whether to add to the tile; the places of k; of a pair:
 * bytes from the rows of A of its first tile to those of its second)
 */
export function buildMicro(module: Module, shape: MicroShape, mode: Mode): Func {
  const { rows, vectors, used = vectors, pitch = 16 * vectors, a: steps = { lane: 4, k: 4 * rows } } = shape;
  const { placed = false, isPair = false } = shape;
  const all = isPair ? 2 * rows : rows;
  const names = [
    'count',
    'a',
    'b',
    'tile',
    'add',
    ...(placed ? ['places'] : []),
    ...(isPair ? ['second'] : []),
  ];
  const params = names.map((name) => [name, 'i32'] as const);
  const f = module.func(`micro.${all}x${4 * used}of${4 * vectors}`, params, 'void');
  const [count, a, b, tile, add, last] = names.map((_, i) => f.param(i));
  const places = placed ? last : undefined;
  const panels = isPair ? [a!, f.param(names.length - 1)] : [a!];
  const sums = range(all).map(() => range(used).map(() => f.local('v128', 'sum')));
  const bs = range(used).map(() => f.local('v128', 'b'));
  const splat = f.local('v128', 'a');
  const offset = (i: number, j: number): number => 16 * (i * vectors + j);
  const each = (make: (i: number, j: number) => Stmt): Stmt[] =>
    range(all).flatMap((i) => range(used).map((j) => make(i, j)));
  const at = places ? f.local('i32', 'at') : b!;
  const nextOfB = places
    ? places.set(i32.add(places.get, i32.const(4)))
    : b!.set(i32.add(b!.get, i32.const(pitch)));
  const perBlock = rowsOfBlock(all, used, mode);
  f.body.push(
    ...panels.slice(1).map((p) => p.set(i32.add(p.get, a!.get))),
    ...when(
      add!.get,
      each((i, j) => sums[i]![j]!.set(v128.load(tile!.get, offset(i, j)))),
    ),
    block(
      loop(
        ...(places ? [at.set(i32.add(b!.get, i32.load(places.get)))] : []),
        ...bs.map((v, j) => v.set(v128.load(at.get, 16 * j))),
        ...range(all).flatMap((i) => [
          ...blockEnd(i, perBlock, tile!.get),
          splat.set(v128.loadSplat(panels[Math.floor(i / rows)]!.get, steps.lane * (i % rows))),
          ...bs.map((v, j) => sums[i]![j]!.set(multiplyAdd(splat.get, v.get, sums[i]![j]!.get, mode))),
        ]),
        ...panels.map((p) => p.set(i32.add(p.get, i32.const(steps.k)))),
        nextOfB,
        brIf(0, count!.tee(i32.sub(count!.get, i32.const(1)))),
      ),
    ),
    ...each((i, j) => v128.store(tile!.get, sums[i]![j]!.get, offset(i, j))),
  );
  return f;
}

/**
 * Ends a block of code before every `perBlock`-th part of a loop's body but the first, by a branch that is never taken as nothing
 * lies at 0: the engine loads nothing before it that is wanted behind.
 */
export const blockEnd = (part: number, perBlock: number, address: I32): Stmt[] =>
  part > 0 && part % perBlock === 0 ? [brIf(1, i32.eqz(address))] : [];

export const multiplyAdd = (x: V128, y: V128, sum: V128, { relaxed }: Mode): V128 =>
  relaxed ? f32x4.relaxedMadd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y));

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
