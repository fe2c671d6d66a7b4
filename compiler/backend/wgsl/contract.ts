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
  const emitter = new Emitter(shader, countUses([kernel.a, kernel.b, ...kernel.stores.map((s) => s.value)]));
  const origin = bindTile(kernel, emitter, tile);
  const dtype = kernel.a.dtype;
  const accumulators = range(tile.perM).map((i) => range(tile.perN).map((j) => `acc${i}_${j}`));
  for (const name of accumulators.flat())
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
    multiplyTiles(emitter, tile, threads, operands, accumulators);
    emitter.block.add('workgroupBarrier();');
  });
  if (tile.threadsK > 1) addUp(emitter, tile, threads, accumulators, dtype);
  const store = (): void => epilogue(kernel, emitter.fork(), tile, threads, origin, accumulators);
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
  return true;
}

function operand(emitter: Emitter, tile: Tile, source: OperandSource): Operand {
  const kFast = prefersK(source);
  const pitch = source.width + (kFast ? 1 : 0);
  const { ex, width } = source;
  const array = emitter.shader.workgroupArray(ex.dtype, pitch * tile.depth, source.name);
  const invocations = invocationsOf(tile);
  const copies = Math.ceil((width * tile.depth) / invocations);
  const rowCount = countOf(source.side);
  const covered = isMultiple(rowCount, width);
  const places = range(copies).map((e) =>
    placeOf(emitter, e * invocations, invocations, kFast ? tile.depth : width),
  );
  const scopes = places.map(([fast, slow]) => {
    const [row, step] = kFast ? [slow, fast] : [fast, slow];
    const scope = emitter.fork();
    bindFlat(scope, source.side, clamped(scope, sumOf(emitter, source.start, row), rowCount, covered));
    return { scope, row, step };
  });
  const fill = (at: Emitter): void => {
    const all = (): void =>
      scopes.forEach(({ scope, row, step }) => {
        scope.block = at.block;
        loadElement(scope, source, array, pitch, row, step, isMultiple(countOf(source.k), tile.depth));
      });
    if (width * tile.depth < invocations) at.within(`if (${LOCAL} < ${width * tile.depth}i)`, all);
    else all();
  };
  return { array, pitch, fill };
}

const isMultiple = (p: Poly, n: number): boolean => {
  const c = asConstant(p);
  return c !== undefined && c % n === 0;
};

/** `start + offset` of an invocation: position `first + LOCAL` in rows of `size`, as [within the row, row]. */
function placeOf(emitter: Emitter, first: number, invocations: number, size: number): [Value, Value] {
  const block = emitter.block;
  const plus = (code: string, n: number): Value =>
    n === 0
      ? emitter.here(code, true)
      : emitter.here(code === '0i' ? `${n}i` : `(${code} + ${n}i)`, code === '0i');
  if (size === 1) return [emitter.here('0i', true), plus(LOCAL, first)];
  if (invocations % size !== 0) return [plus(LOCAL, first % size), plus('0i', Math.floor(first / size))];
  const fast = invocations === size ? LOCAL : block.name(`(${LOCAL} & ${size - 1}i)`);
  const slow = invocations === size ? '0i' : block.name(`(${LOCAL} >> ${Math.log2(size)}u)`);
  return [emitter.here(fast, true), plus(slow, first / size)];
}

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
  covered: boolean,
): void {
  const total = countOf(source.k);
  const k = scope.named({
    code: step.code === '0i' ? 'k0' : `(k0 + ${step.code})`,
    home: scope.block,
    simple: false,
  });
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
): void {
  const unroll = (tile.depth / tile.threadsK) % 4 === 0 ? 4 : 1;
  const step = tile.threadsK * unroll;
  emitter.within(`for (var kk = ${threads.k}; kk < ${tile.depth}i; kk += ${step}i)`, () => {
    for (const u of range(unroll)) {
      const kk = u === 0 ? 'kk' : `(kk + ${u * tile.threadsK}i)`;
      emitter.within('', () => {
        const { block } = emitter;
        const read = (o: Operand, i: number, thread: string, apart: number, name: string): void => {
          const offset = [thread === '0i' ? '' : ` + ${thread}`, i === 0 ? '' : ` + ${i * apart}i`].join('');
          block.add(`let ${name}${i} = ${o.array}[${kk} * ${o.pitch}i${offset}];`);
        };
        for (const i of range(tile.perM)) read(a, i, threads.m, tile.threadsM, 'x');
        for (const j of range(tile.perN)) read(b, j, threads.n, tile.threadsN, 'y');
        accumulators.forEach((row, i) => row.forEach((acc, j) => block.add(`${acc} += x${i} * y${j};`)));
      });
    }
  });
}

/** Adds the parts of the invocations that share accumulators, in the order of their parts. */
function addUp(
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  accumulators: readonly (readonly string[])[],
  dtype: Ex['dtype'],
): void {
  const invocations = invocationsOf(tile);
  const part = tile.threadsM * tile.threadsN;
  const array = emitter.shader.workgroupArray(dtype, invocations * tile.perN, 'parts');
  for (const row of accumulators) {
    const { block } = emitter;
    row.forEach((acc, j) => block.add(`${array}[${LOCAL} + ${j * invocations}i] = ${acc};`));
    block.add('workgroupBarrier();');
    emitter.within(`if (${threads.k} == 0i)`, () => {
      emitter.within(`for (var p = ${part}i; p < ${invocations}i; p += ${part}i)`, () =>
        row.forEach((acc, j) => emitter.block.add(`${acc} += ${array}[${LOCAL} + p + ${j * invocations}i];`)),
      );
    });
    block.add('workgroupBarrier();');
  }
}

function epilogue(
  kernel: ContractKernel,
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  origin: TileOrigin,
  accumulators: readonly (readonly string[])[],
): void {
  const place = (start: Value, thread: string, i: number, apart: number): Value => {
    const offset = i === 0 ? thread : thread === '0i' ? `${i * apart}i` : `(${thread} + ${i * apart}i)`;
    return sumOf(emitter, start, emitter.here(offset, true));
  };
  const columns = range(tile.perN).map((j) => place(origin.n, threads.n, j, tile.threadsN));
  const test = (index: Value, axes: readonly Axis[], width: number): string | undefined =>
    isMultiple(countOf(axes), width)
      ? undefined
      : `${index.code} < ${emitter.named(emitter.poly(countOf(axes))).code}`;
  accumulators.forEach((row, i) => {
    const m = place(origin.m, threads.m, i, tile.threadsM);
    row.forEach((acc, j) => {
      const n = columns[j]!;
      const scope = emitter.fork();
      const tests = [test(m, kernel.m, rowsOf(tile)), test(n, kernel.n, columnsOf(tile))].filter(
        (t) => t !== undefined,
      );
      bindFlat(
        scope,
        kernel.m,
        clamped(
          scope,
          m,
          countOf(kernel.m),
          tests.length === 0 || isMultiple(countOf(kernel.m), rowsOf(tile)),
        ),
      );
      bindFlat(
        scope,
        kernel.n,
        clamped(scope, n, countOf(kernel.n), isMultiple(countOf(kernel.n), columnsOf(tile))),
      );
      scope.within(tests.length === 0 ? '' : `if (${tests.join(' && ')})`, () => {
        scope.bindLocal('acc', acc);
        writeStores(kernel.stores, scope);
      });
    });
  });
}
