/** Operands of a contraction: the tiles that a workgroup gathers, through any expression, into workgroup memory. */
import type { Axis, Ex } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, stepOf, subtract } from '../../shape/poly.ts';
import { bindFlat, count, countOf, isMultiple, lastOf, sumOf } from './axes.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './scope.ts';
import { vectorType } from './print.ts';
import { LOCAL } from './shader.ts';
import { invocationsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { components, isVectorLoad, LANES, vectorValue } from './vector.ts';
import { loadsIn } from '../../kernel/walk.ts';
import { operationsIn } from './walk.ts';

export interface OperandSource {
  readonly ex: Ex;
  /** The axes of m or n, and those of k. */
  readonly side: readonly Axis[];
  readonly k: readonly Axis[];
  readonly form: Form;
  readonly start: Value;
  /** Where the workgroup's steps of k end, and whether every slice of them is whole. */
  readonly share: { readonly end: Value; readonly covered: boolean };
  /** Rows or columns of the tile. */
  readonly width: number;
  readonly name: string;
  /** What counts the slices of k; `k0` unless said. */
  readonly from?: string;
  /** Where the array comes from: a new one unless said. */
  readonly allocate?: (type: string, length: number, name: string) => string;
}

/** How an operand is loaded: element by element, or four neighbouring rows, or four neighbouring steps of k, at once. */
export type Form = 'elements' | 'rows' | 'steps';

export interface Operand {
  /**
   * Workgroup array; step `k` of row `i` stands at `k * pitch + i`. Of vectors where the operand is loaded four at once: then
   * rows 4 i … 4 i + 3 stand there.
   */
  readonly array: string;
  readonly pitch: number;
  readonly isVector: boolean;
  /** An element of the array as it is multiplied. */
  readonly widen: (element: string) => string;
  /** Writes the loads of the slice that starts at `k0`. */
  readonly fill: (emitter: Emitter) => void;
}

/** Extents that can be compared: symbolic ones are large. */
const length = (axis: Axis | undefined): number => (axis ? (asConstant(axis.extent) ?? Infinity) : 0);

/** Whether neighbouring invocations should load neighbouring steps of k, rather than rows. */
function prefersK({ ex, side, k }: Pick<OperandSource, 'ex' | 'side' | 'k'>): boolean {
  const [row, step] = [lastOf(side), lastOf(k)];
  for (const { offset } of loadsIn(ex)) {
    const alongK = step !== undefined && stepOf(offset, step.name) === 1;
    const alongRow = row !== undefined && stepOf(offset, row.name) === 1;
    if (alongK || alongRow) return alongK && (!alongRow || length(step) >= length(row));
  }
  return length(step) >= length(row);
}

/** What of an operand stands in workgroup memory: f16 that is multiplied in f32 is widened when it is read from there. */
function storedPart(ex: Ex): Ex {
  const [narrow] = ex.kind === 'op' && ex.fn === 'cast' ? ex.args : [];
  return narrow?.dtype === 'f16' ? narrow : ex;
}

/** More operations than these are not written four times. */
const FEW_OPERATIONS = 8;

/** The form of an operand; `depth` steps of k in a slice, of which a workgroup's share is `whole` groups of four. */
export function formOf(
  { ex, side, k }: Pick<OperandSource, 'ex' | 'side' | 'k'>,
  depth: number,
  whole: boolean,
): Form {
  const stored = storedPart(ex);
  const loads = loadsIn(stored);
  const kFast = prefersK({ ex: stored, side, k });
  const axis = lastOf(kFast ? k : side);
  const isFew = stored.dtype !== 'bool' && operationsIn([stored]) <= FEW_OPERATIONS;
  const fits = axis !== undefined && loads.length > 0 && loads.every((load) => isVectorLoad(load, axis));
  if (!isFew || !fits) return 'elements';
  if (!kFast) return 'rows';
  return whole && depth % LANES === 0 ? 'steps' : 'elements';
}

export function operand(emitter: Emitter, tile: Tile, given: OperandSource): Operand {
  return given.form === 'elements' ? elementwise(emitter, tile, given) : byFours(emitter, tile, given);
}

function elementwise(emitter: Emitter, tile: Tile, given: OperandSource): Operand {
  const source = { ...given, ex: storedPart(given.ex) };
  const kFast = prefersK(source);
  const pitch = source.width + (kFast ? 1 : 0);
  const { allocate = (...of) => emitter.shader.workgroupArray(...of), from = 'k0' } = source;
  const array = allocate(source.ex.dtype, pitch * tile.depth, source.name);
  const widen = (element: string): string => (given.ex === source.ex ? element : `f32(${element})`);
  const fill = (outer: Emitter): void => {
    const scope = outer.fork();
    const k0: Value = outer.here(from, true);
    const visit = (row: Value, step: Value): void => {
      bindRow(scope, source, row, 1);
      const value = loadStep(scope, source, k0, step, 1, () => scope.value(source.ex).code);
      const at = step.code === '0i' ? row.code : sum(`${step.code} * ${pitch}i`, row.code);
      scope.block.add(`${array}[${at}] = ${value};`);
    };
    const [fast, slow] = kFast ? [tile.depth, source.width] : [source.width, tile.depth];
    share(scope, invocationsOf(tile), fast, slow, (f, s) => (kFast ? visit(s, f) : visit(f, s)));
  };
  return { array, pitch, isVector: false, widen, fill };
}

/**
 * Vectors of four rows. Where neighbours in memory are steps of k, an invocation loads four of them for each of four rows
 * and turns the square around.
 */
function byFours(emitter: Emitter, tile: Tile, source: OperandSource): Operand {
  const stored = storedPart(source.ex);
  const type = vectorType(stored.dtype);
  const isTurned = source.form === 'steps';
  const axis = lastOf(isTurned ? source.k : source.side)!;
  const groups = source.width / LANES;
  const pitch = groups + (isTurned ? 1 : 0);
  const { allocate = (...of) => emitter.shader.workgroupArray(...of), from = 'k0' } = source;
  const array = allocate(type, pitch * tile.depth, source.name);
  const widen = (element: string): string => (source.ex === stored ? element : `vec4<f32>(${element})`);
  const put = (scope: Emitter, step: string, group: string, value: string): void =>
    scope.block.add(`${array}[${step === '0i' ? group : sum(`${step} * ${pitch}i`, group)}] = ${value};`);
  const fill = (outer: Emitter): void => {
    const scope = outer.fork();
    const k0: Value = outer.here(from, true);
    const read = (at: Emitter, step: Value, steps: number): string =>
      loadStep(at, { ...source, ex: stored }, k0, step, steps, () => vectorValue(stored, at, axis));
    if (!isTurned)
      return share(scope, invocationsOf(tile), groups, tile.depth, (group, step) => {
        bindRow(scope, source, fourTimes(scope, group), LANES);
        put(scope, step.code, group.code, read(scope, step, 1));
      });
    share(scope, invocationsOf(tile), tile.depth / LANES, groups, (slice, group) => {
      const [first, step] = [fourTimes(scope, group), fourTimes(scope, slice)];
      const rows = components.map((_, r) => {
        const at = scope.fork();
        bindRow(at, source, sumOf(at, first, at.constant('i32', r)), 1);
        return at.block.name(read(at, step, LANES), 'r');
      });
      components.forEach((c, s) => {
        const value = `${type}(${rows.map((r) => `${r}.${c}`).join(', ')})`;
        put(scope, s === 0 ? step.code : `(${step.code} + ${s}i)`, group.code, value);
      });
    });
  };
  return { array, pitch, isVector: true, widen, fill };
}

const fourTimes = (emitter: Emitter, { code, home }: Value): Value =>
  code === '0i'
    ? emitter.constant('i32', 0)
    : emitter.named({ code: `(${code} * ${LANES}i)`, home, simple: false });

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

/**
 * `index`, no further than the last of `count` (or the last `width` of them): what lies past the edge is computed from its
 * neighbours and dropped.
 */
export function clamped(emitter: Emitter, index: Value, count: Poly, width: number, covered: boolean): Value {
  if (covered) return index;
  const last = emitter.poly(subtract(count, width)).code;
  return emitter.named({ code: `min(${index.code}, ${last})`, home: index.home, simple: false });
}

/** Binds the axes of m or n to a row of the tile, of which the next `width` are read at once. */
function bindRow(scope: Emitter, { side, start, width }: OperandSource, row: Value, wide: number): void {
  const total = countOf(side);
  const index = clamped(scope, sumOf(scope, start, row), total, wide, isMultiple(total, width));
  bindFlat(scope, side, index);
}

/** What `value` reads at a step of the slice, of which the next `wide` are read at once; past the end of k it is 0. */
function loadStep(
  scope: Emitter,
  { k, share: { end, covered }, ex, form }: OperandSource,
  k0: Value,
  step: Value,
  wide: number,
  value: () => string,
): string {
  const at = sumOf(scope, k0, step);
  bindFlat(scope, k, clamped(scope, at, countOf(k), wide, covered));
  const read = value();
  if (covered) return read;
  const zero = scope.constant(ex.dtype, 0).code;
  const nothing = form === 'elements' ? zero : `${vectorType(ex.dtype)}(${zero})`;
  return `select(${nothing}, ${read}, ${at.code} < ${end.code})`;
}

const sum = (a: string, b: string): string => (b === '0i' ? a : `${a} + ${b}`);
