/**
 * Contractions: a workgroup computes a tile of m by n. For every slice of k it gathers tiles of both operands into
 * workgroup memory, through any expression; then each invocation multiplies into its accumulators, which are scalars
 * with names as the shader compiler does not unroll. The epilogue stores from there.
 */
import type { Axis, ContractKernel, Ex } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { asConstant, multiply, subtract } from '../../shape/poly.ts';
import { bindFlat, ceilDivide, countOf, divided, workgroupsOf } from './axes.ts';
import type { Groups } from './axes.ts';
import type { Value } from './emitter.ts';
import { Emitter, countUses } from './emitter.ts';
import { stride } from './mapping.ts';
import { valueType } from './print.ts';
import { writeStores } from './rows.ts';
import { GROUP, LOCAL } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';
import { chooseTile, columnsOf, invocationsOf, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { loadsIn } from './walk.ts';

export function emitContract(kernel: ContractKernel, shader: Shader): Emitted {
  const tile = chooseTile(kernel, shader.limits);
  const emitter = new Emitter(
    shader,
    countUses([kernel.a, kernel.b, ...[...kernel.stores, ...(kernel.sums ?? [])].map((s) => s.value)]),
  );
  const origin = bindTile(kernel, emitter, tile);
  const dtype = kernel.a.dtype;
  const accumulators = range(tile.perM).map((i) => range(tile.perN).map((j) => `acc${i}_${j}`));
  const folded = kernel.sums ? range(tile.perN).map((j) => `sum${j}`) : [];
  for (const name of [...accumulators.flat(), ...folded])
    emitter.block.add(`var ${name}: ${valueType(dtype)} = ${emitter.constant(dtype, 0).code};`);
  const threads = placeThreads(kernel, emitter, tile);
  const operands = [
    operand(emitter, tile, {
      ex: kernel.a,
      side: kernel.m,
      k: kernel.k,
      start: origin.m,
      width: rowsOf(tile),
      name: 'a',
    }),
    operand(emitter, tile, {
      ex: kernel.b,
      side: kernel.n,
      k: kernel.k,
      start: origin.n,
      width: columnsOf(tile),
      name: 'b',
    }),
  ] as const;
  const total = emitter.named(emitter.poly(countOf(kernel.k))).code;
  emitter.within(`for (var k0 = 0i; k0 < ${total}; k0 += ${tile.depth}i)`, () => {
    for (const o of operands) o.fill(emitter);
    emitter.block.add('workgroupBarrier();');
    multiplyTiles(emitter, tile, threads, operands, accumulators, folded);
    emitter.block.add('workgroupBarrier();');
  });
  const all = [...accumulators.flat(), ...folded];
  emitter.block.add(`var sums = array<${valueType(dtype)}, ${all.length}>(${all.join(', ')});`);
  if (tile.threadsK > 1) addUp(emitter, tile, threads, dtype, tile.perM + (kernel.sums ? 1 : 0));
  const store = (): void => epilogue(kernel, emitter.fork(), tile, threads, origin);
  emitter.within(tile.threadsK > 1 ? `if (${threads.k} == 0i)` : '', () => store());
  return {
    workgroupSize: invocationsOf(tile),
    workgroups: origin.groups.workgroups,
    large: origin.groups.large,
  };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

interface TileOrigin {
  /** First row and column of the workgroup's tile. */
  readonly m: Value;
  readonly n: Value;
  readonly groups: Groups;
}

/** Finds the workgroup's tile: the tiles of n vary fastest, then those of m, then batch. */
function bindTile(kernel: ContractKernel, emitter: Emitter, tile: Tile): TileOrigin {
  const tilesN = ceilDivide(countOf(kernel.n), columnsOf(tile));
  const tilesM = ceilDivide(countOf(kernel.m), rowsOf(tile));
  const count = multiply(tilesN, tilesM, countOf(kernel.batch));
  const groups = workgroupsOf(count);
  const block = emitter.block;
  if (groups.surplus)
    block.add(`if (${GROUP} >= ${emitter.named(emitter.poly(count)).code}) {`, '  return;', '}');
  const group = emitter.here(GROUP, true);
  const inner = emitter.named(divided(emitter, group, tilesN, '/'));
  const start = (index: Value, size: number): Value => {
    const at = emitter.named(index);
    return at.constant
      ? at
      : emitter.named({ code: `(${at.code} * ${size}i)`, home: at.home, simple: false });
  };
  const isAll = (tiles: Poly): boolean => asConstant(tiles) === 1;
  const zero = emitter.constant('i32', 0);
  const batched = kernel.batch.some((a) => asConstant(a.extent) !== 1);
  const n = isAll(tilesN) ? zero : start(divided(emitter, group, tilesN, '%'), columnsOf(tile));
  const m = isAll(tilesM)
    ? zero
    : start(batched ? divided(emitter, inner, tilesM, '%') : inner, rowsOf(tile));
  bindFlat(emitter, kernel.batch, divided(emitter, inner, tilesM, '/'));
  return { m, n, groups };
}

/** Coordinates of an invocation. */
interface Threads {
  readonly m: string;
  readonly n: string;
  readonly k: string;
}

/** Neighbouring invocations take neighbouring elements of what is stored. */
function placeThreads(kernel: ContractKernel, emitter: Emitter, tile: Tile): Threads {
  const { threadsM, threadsN, threadsK } = tile;
  const block = emitter.block;
  const digit = (shift: number, count: number, isLast: boolean, name: string): string => {
    if (count === 1) return '0i';
    const shifted = shift === 0 ? LOCAL : `(${LOCAL} >> ${shift}u)`;
    return block.name(isLast ? shifted : `(${shifted} & ${count - 1}i)`, name);
  };
  const offset = kernel.stores[0]?.offset;
  const along = (axes: readonly Axis[]): boolean => {
    const axis = lastOf(axes);
    return axis !== undefined && offset !== undefined && stride(offset, axis) === 1;
  };
  const mFirst = along(kernel.m) && !along(kernel.n);
  const [bitsM, bitsN] = [Math.log2(threadsM), Math.log2(threadsN)];
  const whole = threadsK === 1;
  return {
    m: digit(mFirst ? 0 : bitsN, threadsM, !mFirst && whole, 'tm'),
    n: digit(mFirst ? bitsM : 0, threadsN, mFirst && whole, 'tn'),
    k: digit(bitsM + bitsN, threadsK, true, 'tk'),
  };
}

const lastOf = (axes: readonly Axis[]): Axis | undefined => axes.findLast((a) => asConstant(a.extent) !== 1);

// ---------------------------------------------------------------- operands

interface OperandSource {
  readonly ex: Ex;
  /** The axes of m or n, and those of k. */
  readonly side: readonly Axis[];
  readonly k: readonly Axis[];
  readonly start: Value;
  /** Rows or columns of the tile. */
  readonly width: number;
  readonly name: string;
}

interface Operand {
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

function operand(emitter: Emitter, tile: Tile, given: OperandSource): Operand {
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
      loadElement(scope, source, array, pitch, row, step, k0, isMultiple(countOf(source.k), tile.depth));
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

/**
 * Visits `from`, `from + step`, … below `end`; from is below `step`, which divides `end`. The loop itself is the same for
 * all invocations, so that the shader compiler sees how often it runs.
 */
function count(emitter: Emitter, end: number, step: number, from: Value, visit: (i: Value) => void): void {
  if (end === step) return visit(from);
  const i = emitter.block.names.fresh('e');
  emitter.within(`for (var ${i} = 0i; ${i} < ${end}i; ${i} += ${step}i)`, () =>
    visit(sumOf(emitter, emitter.here(i, true), from)),
  );
}

const isMultiple = (p: Poly, n: number): boolean => {
  const c = asConstant(p);
  return c !== undefined && c % n === 0;
};

function sumOf(emitter: Emitter, a: Value, b: Value): Value {
  if (a.code === '0i') return b;
  if (b.code === '0i') return a;
  const home = a.home.depth > b.home.depth ? a.home : b.home;
  return emitter.named({ code: `(${a.code} + ${b.code})`, home, simple: false });
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
  covered: boolean,
): void {
  const total = countOf(source.k);
  const k = sumOf(scope, k0, step);
  bindFlat(scope, source.k, clamped(scope, k, total, covered));
  const value = scope.value(source.ex).code;
  const zero = scope.constant(source.ex.dtype, 0).code;
  const end = scope.named(scope.poly(total)).code;
  const guarded = covered ? value : `select(${zero}, ${value}, ${k.code} < ${end})`;
  const at = step.code === '0i' ? row.code : sum(`${step.code} * ${pitch}i`, row.code);
  scope.block.add(`${array}[${at}] = ${guarded};`);
}

const sum = (a: string, b: string): string => (b === '0i' ? a : `${a} + ${b}`);

// ---------------------------------------------------------------- multiply, add up, store

/** Rows of one invocation lie `threads` apart, so that neighbours read neighbours. */
function multiplyTiles(
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  [a, b]: readonly [Operand, Operand],
  accumulators: readonly (readonly string[])[],
  folded: readonly string[],
): void {
  const step = tile.threadsK;
  emitter.within(`for (var kz = 0i; kz < ${tile.depth}i; kz += ${step}i)`, () => {
    const { block } = emitter;
    const kk = threads.k === '0i' ? 'kz' : block.name(`(kz + ${threads.k})`, 'kk');
    const read = (o: Operand, i: number, thread: string, apart: number, name: string): void => {
      const offset = [thread === '0i' ? '' : ` + ${thread}`, i === 0 ? '' : ` + ${i * apart}i`].join('');
      block.add(`let ${name}${i} = ${o.widen(`${o.array}[${kk} * ${o.pitch}i${offset}]`)};`);
    };
    for (const i of range(tile.perM)) read(a, i, threads.m, tile.threadsM, 'x');
    for (const j of range(tile.perN)) read(b, j, threads.n, tile.threadsN, 'y');
    accumulators.forEach((row, i) => row.forEach((acc, j) => block.add(`${acc} += x${i} * y${j};`)));
    folded.forEach((sum, j) => block.add(`${sum} += y${j};`));
  });
}

/** Adds the parts of the invocations that share accumulators, in the order of their parts; one row at a time. */
function addUp(emitter: Emitter, tile: Tile, threads: Threads, dtype: Ex['dtype'], rows: number): void {
  const invocations = invocationsOf(tile);
  const part = tile.threadsM * tile.threadsN;
  const array = emitter.shader.workgroupArray(dtype, invocations * tile.perN, 'parts');
  const columns = range(tile.perN);
  const at = (j: number): string => (j === 0 ? '' : ` + ${j * invocations}i`);
  emitter.within(`for (var i = 0i; i < ${rows}i; i++)`, () => {
    const { block } = emitter;
    const sum = (j: number): string => `sums[i * ${tile.perN}i + ${j}i]`;
    for (const j of columns) block.add(`${array}[${LOCAL}${at(j)}] = ${sum(j)};`);
    block.add('workgroupBarrier();');
    emitter.within(`if (${threads.k} == 0i)`, () => {
      emitter.within(`for (var p = ${part}i; p < ${invocations}i; p += ${part}i)`, () => {
        for (const j of columns) emitter.block.add(`${sum(j)} += ${array}[${LOCAL} + p${at(j)}];`);
      });
    });
    block.add('workgroupBarrier();');
  });
}

/** Stores one accumulator after the other: in a loop, as the text of an epilogue may be long. */
function epilogue(
  kernel: ContractKernel,
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  origin: TileOrigin,
): void {
  const { perM, perN } = tile;
  const inside = (
    start: Value,
    thread: string,
    i: Value,
    apart: number,
    axes: readonly Axis[],
    width: number,
  ) => {
    const step =
      i.code === '0i' || apart === 1
        ? i
        : emitter.named({ code: `(${i.code} * ${apart}i)`, home: i.home, simple: false });
    const place = sumOf(emitter, start, sumOf(emitter, emitter.here(thread, true), step));
    const covered = isMultiple(countOf(axes), width);
    const test = covered ? '' : `if (${place.code} < ${emitter.named(emitter.poly(countOf(axes))).code})`;
    return { place, test };
  };
  const zero = emitter.constant('i32', 0);
  const columns = (visit: (j: Value) => void): void =>
    count(emitter, perN, 1, zero, (j) => {
      const n = inside(origin.n, threads.n, j, tile.threadsN, kernel.n, columnsOf(tile));
      emitter.within(n.test, () => {
        bindFlat(emitter, kernel.n, { ...n.place, home: emitter.block });
        visit(j);
      });
    });
  count(emitter, perM, 1, zero, (i) => {
    const m = inside(origin.m, threads.m, i, tile.threadsM, kernel.m, rowsOf(tile));
    emitter.within(m.test, () => {
      bindFlat(emitter, kernel.m, { ...m.place, home: emitter.block });
      columns((j) => {
        const at = perN === 1 ? i.code : i.code === '0i' ? j.code : `${i.code} * ${perN}i + ${j.code}`;
        emitter.bindLocal('acc', emitter.block.name(`sums[${at}]`, 'acc'));
        writeStores(kernel.stores, emitter);
      });
    });
  });
  const { sums } = kernel;
  if (!sums) return;
  // Every tile of m has them; the first stores.
  const first = [origin.m.code, threads.m].filter((c) => c !== '0i').map((c) => `${c} == 0i`);
  emitter.within(first.length > 0 ? `if (${first.join(' && ')})` : '', () =>
    columns((j) => {
      const at = j.code === '0i' ? `${perM * perN}i` : `${perM * perN}i + ${j.code}`;
      emitter.bindLocal('sum', emitter.block.name(`sums[${at}]`, 'sum'));
      writeStores(sums, emitter);
    }),
  );
}
