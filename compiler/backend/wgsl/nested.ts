/**
 * Contractions inside expressions, computed tile by tile. The elements of a tile of rows by steps (of an operand, or of what a
 * reduction goes over) need one `dot` each, of a row's values with a step's. As in a contraction the workgroup gathers both
 * into workgroup memory, and each invocation multiplies into accumulators; then it computes its own elements from them.
 */
import type { Axis, DotEx, Ex } from '../../kernel/kernel.ts';
import { asConstant, symbolsOf } from '../../shape/poly.ts';
import { bindFlat, count, countOf, isMultiple, sumOf } from './axes.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './scope.ts';
import { multiplyTiles } from './multiply.ts';
import { clamped, formOf, operand } from './operands.ts';
import type { Form } from './operands.ts';
import type { Side, Threads } from './place.ts';
import { valueType } from './print.ts';
import { LOCAL } from './shader.ts';
import type { Shader } from './shader.ts';
import { columnsOf, range, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { LANES } from './vector.ts';
import { loadsIn } from '../../kernel/walk.ts';

/** A dot whose one factor belongs to the rows of a tile, the other to its steps. */
export interface TiledDot {
  readonly dot: DotEx;
  readonly row: Ex;
  readonly step: Ex;
}

/** How the factors are loaded. */
export interface Forms {
  readonly row: Form;
  readonly step: Form;
}

/** The dots under `roots` (not those inside others) that can be computed as a tile; the others are loops where they are used. */
export function tiledDots(
  roots: readonly Ex[],
  rows: readonly Axis[],
  steps: readonly Axis[],
): readonly TiledDot[] {
  const varies = (ex: Ex, axes: readonly Axis[]): boolean => {
    const names = namesIn(ex);
    return axes.some((a) => asConstant(a.extent) !== 1 && names.has(a.name));
  };
  return dotsIn(roots).flatMap((dot): TiledDot[] => {
    const { a, b } = dot;
    const isRow = (ex: Ex): boolean => !varies(ex, steps);
    const isStep = (ex: Ex): boolean => !varies(ex, rows);
    if (hasDot([a, b]) || dot.dtype !== 'f32') return [];
    if (isRow(a) && isStep(b)) return [{ dot, row: a, step: b }];
    return isRow(b) && isStep(a) ? [{ dot, row: b, step: a }] : [];
  });
}

const hasDot = (roots: readonly Ex[]): boolean => dotsIn(roots).length > 0;

/** The dots under `roots`, outermost ones only. */
export function dotsIn(roots: readonly Ex[]): readonly DotEx[] {
  const found: DotEx[] = [];
  const seen = new Set<Ex>();
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind === 'dot') found.push(ex);
    if (ex.kind === 'op') ex.args.forEach(visit);
  };
  roots.forEach(visit);
  return found;
}

/** Every name in the index expressions under `ex`. */
export function namesIn(root: Ex): ReadonlySet<string> {
  const names = new Set<string>();
  const seen = new Set<Ex>();
  const visit = (ex: Ex): void => {
    if (seen.has(ex)) return;
    seen.add(ex);
    if (ex.kind === 'load') [ex.offset, ...ex.guard.map((c) => c.value)].forEach((p) => symbolsOf(p, names));
    if (ex.kind === 'index') symbolsOf(ex.value, names);
    if (ex.kind === 'load' || ex.kind === 'index') ex.data.forEach((d) => visit(d.value));
    if (ex.kind === 'op') ex.args.forEach(visit);
    if (ex.kind === 'dot') [ex.a, ex.b].forEach(visit);
  };
  visit(root);
  return names;
}

/** `elements` of rows by steps, shared out evenly to the invocations in blocks that are as square as can be. */
export function innerTile(rows: number, steps: number, invocations: number, depth: number): Tile {
  const each = (rows * steps) / invocations;
  const perM = Math.min(rows, 2 ** Math.ceil(Math.log2(each) / 2));
  const threadsM = rows / perM;
  const threadsN = invocations / threadsM;
  return { threadsM, threadsN, perM, perN: steps / threadsN, threadsK: 1, depth };
}

/** The least power of two that is not below `n`, between two others. */
export function powerAround(n: number, least: number, most: number): number {
  let power = least;
  while (power < most && power < n) power *= 2;
  return power;
}

/** Products of a dot that are multiplied at a time. */
export const dotDepth = (dots: readonly TiledDot[], most: number): number =>
  powerAround(Math.max(...dots.map(({ dot }) => asConstant(countOf(dot.axes)) ?? Infinity)), 1, most);

/** Bytes of workgroup memory that tiles of the factors take, padded by up to a vector a step; each dtype has its own. */
export function dotMemory(dots: readonly TiledDot[], rows: number, steps: number, depth: number): number {
  const dtypes = new Set(dots.flatMap(({ row, step }) => [row, step].flatMap(loadsIn).map((l) => l.dtype)));
  return 4 * (rows + LANES + steps + LANES) * depth * Math.max(1, dtypes.size);
}

/** Rows or steps of a tile: consecutive points of axes. */
export interface Extent {
  readonly axes: readonly Axis[];
  readonly start: Value;
}

export interface Element {
  /** Within the tile, and of the axes. */
  readonly row: Value;
  readonly step: Value;
  readonly stepAt: Value;
}

/**
 * The forms of the factors, the same for all dots as they take turns in the same arrays; buffers are declared accordingly. What
 * the kernel writes is read element by element.
 */
export function settleForms(
  dots: readonly TiledDot[],
  tile: Tile,
  rows: readonly Axis[],
  steps: readonly Axis[],
  shader: Shader,
): Forms {
  const stored = new Set(shader.kernel.buffers.flatMap((use, i) => (use.mode === 'read' ? [] : [i])));
  const form = (ex: Ex, side: readonly Axis[], { axes }: DotEx, per: number): Form => {
    const loads = loadsIn(ex);
    if (per !== LANES || loads.some((load) => stored.has(load.buffer))) return 'elements';
    return formOf({ ex, side, k: axes }, tile.depth, true);
  };
  const agreed = (found: readonly Form[]): Form =>
    found.every((f) => f === found[0]) ? (found[0] ?? 'elements') : 'elements';
  const row = agreed(dots.map((d) => form(d.row, rows, d.dot, tile.perM)));
  const step = agreed(dots.map((d) => form(d.step, steps, d.dot, tile.perN)));
  for (const d of dots) {
    const wide = [...(row === 'elements' ? [] : [d.row]), ...(step === 'elements' ? [] : [d.step])];
    for (const { buffer } of wide.flatMap(loadsIn)) shader.vectors.add(buffer);
  }
  return { row, step };
}

export class DotTiles {
  readonly #dots: readonly TiledDot[];
  readonly #forms: Forms;
  readonly #tile: Tile;
  readonly #arrays: Map<string, string>;
  readonly #threads: Threads;

  /** `arrays`: workgroup arrays by what they hold, which tiles that come one after the other may share. */
  constructor(
    emitter: Emitter,
    dots: readonly TiledDot[],
    forms: Forms,
    tile: Tile,
    arrays = new Map<string, string>(),
  ) {
    this.#arrays = arrays;
    this.#dots = dots;
    this.#forms = forms;
    this.#tile = tile;
    const { main } = emitter.shader;
    const { threadsM, threadsN } = tile;
    const m = threadsM === 1 ? '0i' : main.name(`(${LOCAL} & ${threadsM - 1}i)`, 'row');
    const n = threadsN === 1 ? '0i' : main.name(`(${LOCAL} >> ${Math.log2(threadsM)}u)`, 'step');
    const side = (thread: string, threads: number, per: number, inLine: boolean): Side => {
      if (!inLine || per === 1) return { thread, first: thread, per, apart: threads };
      return { thread, first: thread === '0i' ? thread : main.name(`(${thread} * ${per}i)`), per, apart: 1 };
    };
    this.#threads = {
      m: side(m, threadsM, tile.perM, forms.row !== 'elements'),
      n: side(n, threadsN, tile.perN, forms.step !== 'elements'),
      k: '0i',
    };
  }

  /** Where an invocation's elements are. */
  get threads(): Threads {
    return this.#threads;
  }

  /** Each of an invocation's rows, and its number among them. */
  eachRow(scope: Emitter, visit: (row: Value, i: Value) => void): void {
    count(scope, this.#tile.perM, 1, scope.constant('i32', 0), (i) =>
      visit(this.#place(scope, this.#threads.m, i), i),
    );
  }

  /**
   * Computes the dots, all invocations together, then visits each invocation's elements in `perRow`, which is called for each
   * of its rows with the axes of the rows bound and calls back for each of the steps.
   */
  visit(
    emitter: Emitter,
    rows: Extent,
    steps: Extent,
    perRow: (scope: Emitter, row: Value, i: Value, elements: (each: (e: Element) => void) => void) => void,
  ): void {
    const tile = this.#tile;
    const names = this.#dots.map((dot, i) => this.#multiply(emitter, dot, i, rows, steps));
    const scope = emitter.fork();
    const [rowCount, stepCount] = [countOf(rows.axes), countOf(steps.axes)];
    const zero = scope.constant('i32', 0);
    this.eachRow(scope, (row, i) => {
      bindFlat(
        scope,
        rows.axes,
        clamped(scope, sumOf(scope, rows.start, row), rowCount, 1, isMultiple(rowCount, rowsOf(tile))),
      );
      perRow(scope, row, i, (each) =>
        count(scope, tile.perN, 1, zero, (j) => {
          const step = this.#place(scope, this.#threads.n, j);
          const stepAt = sumOf(scope, steps.start, step);
          bindFlat(
            scope,
            steps.axes,
            clamped(scope, stepAt, stepCount, 1, isMultiple(stepCount, columnsOf(tile))),
          );
          const at =
            tile.perN === 1 ? i.code : sumCode(i.code === '0i' ? '0i' : `${i.code} * ${tile.perN}i`, j.code);
          this.#dots.forEach(({ dot }, d) =>
            scope.bindValue(dot, scope.block.name(`${names[d]!}[${at}]`, 'dot')),
          );
          each({ row, step, stepAt });
        }),
      );
    });
  }

  /** Writes the products of one dot into an array of each invocation's own; its name. */
  #multiply(
    emitter: Emitter,
    { dot, row, step }: TiledDot,
    number: number,
    rows: Extent,
    steps: Extent,
  ): string {
    const tile = this.#tile;
    const dtype = valueType(dot.dtype);
    const { names } = emitter.block;
    const sums = range(tile.perM).map(() => range(tile.perN).map(() => names.fresh('s')));
    for (const name of sums.flat())
      emitter.block.add(`var ${name}: ${dtype} = ${emitter.constant(dot.dtype, 0).code};`);
    const total = countOf(dot.axes);
    const isOnce = (asConstant(total) ?? Infinity) <= tile.depth;
    const from = isOnce ? '0i' : names.fresh('d');
    const end = emitter.named(emitter.poly(total));
    const share = { end, covered: isMultiple(total, tile.depth) };
    const allocate = (type: string, _length: number, hint: string): string => {
      const key = `${type} ${hint}`;
      const width = hint === 'q' ? rowsOf(tile) : columnsOf(tile);
      const most = ((width + LANES) * tile.depth) / (type.startsWith('vec') ? LANES : 1);
      const known = this.#arrays.get(key) ?? emitter.shader.workgroupArray(type, most, hint);
      this.#arrays.set(key, known);
      return known;
    };
    const common = { k: dot.axes, share, from, allocate };
    const [left, right] = [
      { ex: row, side: rows.axes, form: this.#forms.row, start: rows.start, width: rowsOf(tile), name: 'q' },
      {
        ex: step,
        side: steps.axes,
        form: this.#forms.step,
        start: steps.start,
        width: columnsOf(tile),
        name: 'k',
      },
    ];
    const pair = [
      operand(emitter, tile, { ...left, ...common }),
      operand(emitter, tile, { ...right, ...common }),
    ] as const;
    const body = (): void => {
      for (const o of pair) o.fill(emitter);
      emitter.block.add('workgroupBarrier();');
      multiplyTiles(emitter, tile, this.#threads, pair, sums, []);
      emitter.block.add('workgroupBarrier();');
    };
    emitter.within(
      isOnce ? '' : `for (var ${from} = 0i; ${from} < ${end.code}; ${from} += ${tile.depth}i)`,
      body,
    );
    const name = names.fresh('dots', String(number));
    const all = sums.flat();
    emitter.block.add(`var ${name} = array<${dtype}, ${all.length}>(${all.join(', ')});`);
    return name;
  }

  /** The i-th of an invocation's rows or steps. */
  #place(scope: Emitter, { first, apart }: Side, i: Value): Value {
    const offset =
      i.code === '0i' || apart === 1
        ? i
        : scope.named({ code: `(${i.code} * ${apart}i)`, home: i.home, simple: false });
    return sumOf(scope, { code: first, home: scope.shader.main, simple: true }, offset);
  }
}

const sumCode = (a: string, b: string): string => (a === '0i' ? b : b === '0i' ? a : `${a} + ${b}`);
