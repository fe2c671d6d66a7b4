/**
 * Reductions over contractions: the maximum and the sum of exponentials of every row of attention's scores. A workgroup
 * takes neighbouring rows of one batch, so that what it gathers of the steps serves them all.
 */
import type { Axis, ReduceStage, Reduction, RowsKernel, Stage, Store } from '../../kernel/kernel.ts';
import type { Condition } from '../../shape/poly.ts';
import { asConstant, multiply } from '../../shape/poly.ts';
import { bindFlat, ceilDivide, countOf, divided, workgroupsOf } from './axes.ts';
import type { Groups } from './axes.ts';
import { Emitter, countUses } from './emitter.ts';
import type { Value } from './scope.ts';
import { combinerOf } from './legalise.ts';
import { liveShare } from './live.ts';
import { DotTiles, dotDepth, dotMemory, dotsIn, innerTile, namesIn, powerAround } from './nested.ts';
import { settleForms, tiledDots } from './nested.ts';
import type { Extent, Forms, TiledDot } from './nested.ts';
import { printNative, valueType } from './print.ts';
import { startOf, writeStores } from './rows.ts';
import { GROUP, LOCAL } from './shader.ts';
import type { Emitted, Shader } from './shader.ts';
import { columnsOf, invocationsOf, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { rootsOf } from '../../kernel/walk.ts';
import { conflict } from './walk.ts';

const INVOCATIONS = 64;
const DEPTH = 16;

interface Plan {
  readonly batch: readonly Axis[];
  readonly rows: readonly Axis[];
  readonly tile: Tile;
  /** Of each stage. */
  readonly dots: readonly (readonly TiledDot[])[];
  readonly forms: readonly Forms[];
}

/** Undefined where no reduction of the kernel goes over dots that can be computed as tiles. */
export function emitNestedRows(kernel: RowsKernel, shader: Shader): Emitted | undefined {
  const plan = planOf(kernel, shader);
  return plan && new NestedRows(kernel, plan, shader).emit();
}

function planOf({ grid, stages }: RowsKernel, shader: Shader): Plan | undefined {
  const shared = sharedAxes(grid, stages);
  const rows = grid.filter((a) => !shared.has(a.name));
  const dots = stages.map((s) => (s.kind === 'reduce' ? tiledDots(rootsOf(s), rows, s.axes) : []));
  const all = dots.flat();
  if (all.length === 0) return undefined;
  const longest = (lists: readonly (readonly Axis[])[]): number =>
    Math.max(...lists.map((axes) => asConstant(countOf(axes)) ?? Infinity));
  const steps = longest(stages.flatMap((s, i) => (dots[i]!.length > 0 ? [s.axes] : [])));
  const [height, width] = [powerAround(longest([rows]), 8, 32), powerAround(steps, 8, 32)];
  const tile = innerTile(height, width, INVOCATIONS, dotDepth(all, DEPTH));
  const reductions = stages.flatMap((s) => (s.kind === 'reduce' ? s.reductions : []));
  const own = 4 * reductions.length * height * (1 + tile.threadsN);
  if (dotMemory(all, height, width, tile.depth) + own > shader.limits.workgroupMemory) return undefined;
  const forms = stages.map((s, i) => settleForms(dots[i]!, tile, rows, s.axes, shader));
  return { batch: grid.filter((a) => shared.has(a.name)), rows, tile, dots, forms };
}

/** The axes of the grid that the factors of the steps vary along: all rows of a workgroup must agree on them. */
function sharedAxes(grid: readonly Axis[], stages: readonly Stage[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const stage of stages) {
    const own = stage.axes.map((a) => a.name);
    for (const { a, b } of dotsIn(rootsOf(stage)))
      for (const names of [a, b].map(namesIn))
        if (own.some((n) => names.has(n))) for (const g of grid) if (names.has(g.name)) found.add(g.name);
  }
  return found;
}

class NestedRows {
  readonly #kernel: RowsKernel;
  readonly #plan: Plan;
  readonly #shader: Shader;
  readonly #emitter: Emitter;
  /** Where each reduction's results stand, one for each row. */
  readonly #results = new Map<string, string>();
  readonly #arrays = new Map<string, string>();

  constructor(kernel: RowsKernel, plan: Plan, shader: Shader) {
    this.#kernel = kernel;
    this.#plan = plan;
    this.#shader = shader;
    this.#emitter = new Emitter(shader, countUses(kernel.stages.flatMap(rootsOf)));
  }

  emit(): Emitted {
    const { tile } = this.#plan;
    const { start, groups } = this.#place();
    const rows = { axes: this.#plan.rows, start };
    let since: Stage[] = [];
    this.#kernel.stages.forEach((stage, i) => {
      if (since.some((earlier) => conflict(earlier, stage))) {
        this.#emitter.block.add('storageBarrier();');
        since = [];
      }
      since.push(stage);
      if (stage.kind === 'reduce') this.#reduce(stage, i, rows);
      else this.#map(stage.axes, stage.stores, i, rows);
    });
    return { workgroupSize: invocationsOf(tile), ...groups };
  }

  /** The workgroup's first row; the tiles of rows vary faster than the batch. */
  #place(): { readonly start: Value; readonly groups: Groups } {
    const emitter = this.#emitter;
    const { batch, rows, tile } = this.#plan;
    const tiles = ceilDivide(countOf(rows), rowsOf(tile));
    const total = multiply(tiles, countOf(batch));
    const groups = workgroupsOf(total);
    const { block } = emitter;
    if (groups.surplus)
      block.add(`if (${GROUP} >= ${emitter.named(emitter.poly(total)).code}) {`, '  return;', '}');
    const group = emitter.here(GROUP, true);
    bindFlat(emitter, batch, emitter.named(divided(emitter, group, tiles, '/')));
    const at = emitter.named(divided(emitter, group, tiles, '%'));
    const code = `(${at.code} * ${rowsOf(tile)}i)`;
    return { start: at.constant ? at : emitter.named({ code, home: at.home, simple: false }), groups };
  }

  #tiles(stage: number): DotTiles {
    const { dots, forms, tile } = this.#plan;
    return new DotTiles(this.#emitter, dots[stage]!, forms[stage]!, tile, this.#arrays);
  }

  /** Runs `body` for every tile of steps that counts for some row. */
  #overSteps(
    axes: readonly Axis[],
    rows: Extent,
    live: readonly Condition[],
    body: (steps: Extent, end: string) => void,
  ): void {
    const emitter = this.#emitter;
    const { tile } = this.#plan;
    const k = emitter.block.names.fresh('k');
    const width = columnsOf(tile);
    const all = { from: emitter.constant('i32', 0), end: emitter.named(emitter.poly(countOf(axes))) };
    const block = { m: { ...rows, size: rowsOf(tile) }, k: axes };
    const { from, end } = liveShare(emitter, live, block, all, width);
    emitter.within(`for (var ${k} = ${from.code}; ${k} < ${end.code}; ${k} += ${width}i)`, () =>
      body({ axes, start: emitter.here(k, true) }, end.code),
    );
  }

  #bindResults(scope: Emitter, row: Value): void {
    for (const [name, array] of this.#results)
      scope.bindLocal(name, scope.block.name(`${array}[${row.code}]`, 'r'));
  }

  #reduce({ axes, reductions, live = [] }: ReduceStage, stage: number, rows: Extent): void {
    const emitter = this.#emitter;
    const { tile } = this.#plan;
    const { block } = emitter;
    const parts = reductions.map((r) => {
      const name = block.names.fresh('part');
      const start = emitter.constant(r.dtype, startOf(r)).code;
      const all = Array.from({ length: tile.perM }, () => start).join(', ');
      block.add(`var ${name} = array<${valueType(r.dtype)}, ${tile.perM}>(${all});`);
      return name;
    });
    const tiles = this.#tiles(stage);
    this.#overSteps(axes, rows, live, (steps, end) =>
      tiles.visit(emitter, rows, steps, (scope, row, i, elements) => {
        this.#bindResults(scope, row);
        elements(({ stepAt }) =>
          scope.within(`if (${stepAt.code} < ${end})`, () => {
            const values = reductions.map((r) => scope.value(r.value).code);
            reductions.forEach((r, n) => {
              const part = `${parts[n]!}[${i.code}]`;
              scope.block.add(`${part} = ${printNative(combinerOf(r.fn, r.dtype), [part, values[n]!])};`);
            });
          }),
        );
      }),
    );
    reductions.forEach((r, n) => this.#combine(r, parts[n]!, tiles));
  }

  /** The parts of the invocations that share a row, in the order of their steps. */
  #combine(r: Reduction, part: string, tiles: DotTiles): void {
    const emitter = this.#emitter;
    const { tile } = this.#plan;
    const { threads } = tiles;
    const height = rowsOf(tile);
    const shared = this.#shader.workgroupArray(r.dtype, height * tile.threadsN, 'parts');
    const result = this.#shader.workgroupArray(r.dtype, height, 'row');
    tiles.eachRow(emitter, (row, i) =>
      emitter.block.add(`${shared}[${threads.n.thread} * ${height}i + ${row.code}] = ${part}[${i.code}];`),
    );
    emitter.block.add('workgroupBarrier();');
    emitter.within(`if (${LOCAL} < ${height}i)`, () => {
      emitter.block.add(`var all = ${shared}[${LOCAL}];`);
      emitter.within(`for (var p = 1i; p < ${tile.threadsN}i; p++)`, () => {
        const next = `${shared}[p * ${height}i + ${LOCAL}]`;
        emitter.block.add(`all = ${printNative(combinerOf(r.fn, r.dtype), ['all', next])};`);
      });
      emitter.block.add(`${result}[${LOCAL}] = all;`);
    });
    emitter.block.add('workgroupBarrier();');
    this.#results.set(r.name, result);
  }

  #map(axes: readonly Axis[], stores: readonly Store[], stage: number, rows: Extent): void {
    const emitter = this.#emitter;
    const last = emitter.named(emitter.poly(countOf(rows.axes))).code;
    const inside = (row: Value): string => `if (${rows.start.code} + ${row.code} < ${last})`;
    if (axes.length > 0)
      return this.#overSteps(axes, rows, [], (steps, end) =>
        this.#tiles(stage).visit(emitter, rows, steps, (scope, row, _, elements) => {
          this.#bindResults(scope, row);
          elements(({ stepAt }) =>
            scope.within(`${inside(row)}`, () =>
              scope.within(`if (${stepAt.code} < ${end})`, () => writeStores(stores, scope)),
            ),
          );
        }),
      );
    const row: Value = { code: LOCAL, home: this.#shader.main, simple: true };
    emitter.within(`if (${LOCAL} < ${rowsOf(this.#plan.tile)}i && ${inside(row).slice(4, -1)})`, () => {
      const scope = emitter.fork();
      const at = scope.block.name(`(${rows.start.code} + ${LOCAL})`, 'at');
      bindFlat(scope, rows.axes, scope.here(at, true));
      this.#bindResults(scope, row);
      writeStores(stores, scope);
    });
  }
}
