/** Operands of a contraction: the tiles that a workgroup gathers, through any expression, into workgroup memory. */
import type { Axis, Ex } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, subtract } from '../../shape/poly.ts';
import { bindFlat, count, countOf, isMultiple, lastOf, sumOf } from './axes.ts';
import type { Emitter, Value } from './emitter.ts';
import { stride } from './mapping.ts';
import { LOCAL } from './shader.ts';
import { invocationsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { loadsIn } from './walk.ts';

export interface OperandSource {
  readonly ex: Ex;
  /** The axes of m or n, and those of k. */
  readonly side: readonly Axis[];
  readonly k: readonly Axis[];
  readonly start: Value;
  /** Where the workgroup's steps of k end, and whether every slice of them is whole. */
  readonly share: { readonly end: Value; readonly covered: boolean };
  /** Rows or columns of the tile. */
  readonly width: number;
  readonly name: string;
}

export interface Operand {
  /** Workgroup array; step `k` of row `i` stands at `k * pitch + i`. */
  readonly array: string;
  readonly pitch: number;
  /** An element of the array as it is multiplied. */
  readonly widen: (element: string) => string;
  /** Writes the loads of the slice that starts at `k0`. */
  readonly fill: (emitter: Emitter) => void;
}

/** Extents that can be compared: symbolic ones are large. */
const length = (axis: Axis | undefined): number => (axis ? (asConstant(axis.extent) ?? Infinity) : 0);

/** Whether neighbouring invocations should load neighbouring steps of k, rather than rows. */
function prefersK({ ex, side, k }: OperandSource): boolean {
  const [row, step] = [lastOf(side), lastOf(k)];
  for (const { offset } of loadsIn(ex)) {
    const alongK = step !== undefined && stride(offset, step) === 1;
    const alongRow = row !== undefined && stride(offset, row) === 1;
    if (alongK || alongRow) return alongK && (!alongRow || length(step) >= length(row));
  }
  return length(step) >= length(row);
}

/** What of an operand stands in workgroup memory: f16 that is multiplied in f32 is widened when it is read from there. */
function storedPart(ex: Ex): Ex {
  const [narrow] = ex.kind === 'op' && ex.fn === 'cast' ? ex.args : [];
  return narrow?.dtype === 'f16' ? narrow : ex;
}

export function operand(emitter: Emitter, tile: Tile, given: OperandSource): Operand {
  const source = { ...given, ex: storedPart(given.ex) };
  const kFast = prefersK(source);
  const pitch = source.width + (kFast ? 1 : 0);
  const array = emitter.shader.workgroupArray(source.ex.dtype, pitch * tile.depth, source.name);
  const widen = (element: string): string => (given.ex === source.ex ? element : `f32(${element})`);
  const rowCount = countOf(source.side);
  const fill = (outer: Emitter): void => {
    const scope = outer.fork();
    const k0: Value = outer.here('k0', true);
    const visit = (row: Value, step: Value): void => {
      const index = clamped(
        scope,
        sumOf(scope, source.start, row),
        rowCount,
        isMultiple(rowCount, source.width),
      );
      bindFlat(scope, source.side, index);
      loadElement(scope, source, array, pitch, row, step, k0);
    };
    const [fast, slow] = kFast ? [tile.depth, source.width] : [source.width, tile.depth];
    share(scope, invocationsOf(tile), fast, slow, (f, s) => (kFast ? visit(s, f) : visit(f, s)));
  };
  return { array, pitch, widen, fill };
}

/**
 * Shares the points of a `fast` by `slow` rectangle out to the invocations, neighbours taking neighbours along `fast`.
 * All sizes are powers of two. Loops, for the shader compiler to unroll: their text would take it long to compile.
 */
function share(
  emitter: Emitter,
  invocations: number,
  fast: number,
  slow: number,
  visit: (fast: Value, slow: Value) => void,
): void {
  const main = emitter.shader.main;
  const known = (code: string): Value => ({ code, home: main, simple: true });
  if (fast * slow < invocations) {
    const row = fast === 1 ? LOCAL : main.name(`(${LOCAL} >> ${Math.log2(fast)}u)`);
    const at = fast === 1 ? '0i' : main.name(`(${LOCAL} & ${fast - 1}i)`);
    return emitter.within(`if (${LOCAL} < ${fast * slow}i)`, () => visit(known(at), known(row)));
  }
  if (fast >= invocations) {
    return count(emitter, fast, invocations, known(LOCAL), (f) =>
      count(emitter, slow, 1, known('0i'), (s) => visit(f, s)),
    );
  }
  const at = fast === 1 ? '0i' : main.name(`(${LOCAL} & ${fast - 1}i)`);
  const row = fast === 1 ? LOCAL : main.name(`(${LOCAL} >> ${Math.log2(fast)}u)`);
  count(emitter, slow, invocations / fast, known(row), (s) => visit(known(at), s));
}

/** `index`, no further than the last of `count`: what lies past the edge is computed from its neighbour and dropped. */
function clamped(emitter: Emitter, index: Value, count: Poly, covered: boolean): Value {
  if (covered) return index;
  const last = emitter.poly(subtract(count, 1)).code;
  return emitter.named({ code: `min(${index.code}, ${last})`, home: index.home, simple: false });
}

/** Past the end of k both operands are 0. */
function loadElement(
  scope: Emitter,
  source: OperandSource,
  array: string,
  pitch: number,
  row: Value,
  step: Value,
  k0: Value,
): void {
  const { end, covered } = source.share;
  const k = sumOf(scope, k0, step);
  bindFlat(scope, source.k, clamped(scope, k, countOf(source.k), covered));
  const value = scope.value(source.ex).code;
  const zero = scope.constant(source.ex.dtype, 0).code;
  const guarded = covered ? value : `select(${zero}, ${value}, ${k.code} < ${end.code})`;
  const at = step.code === '0i' ? row.code : sum(`${step.code} * ${pitch}i`, row.code);
  scope.block.add(`${array}[${at}] = ${guarded};`);
}

const sum = (a: string, b: string): string => (b === '0i' ? a : `${a} + ${b}`);
