/**
 * Rows kernels: for every grid point, stages of reductions and maps. Either the vectors run along one grid axis (maps,
 * column sums, pooling), or along an inner axis of each stage (softmax, norms, row sums).
 */
import type {
  Axis,
  Ex,
  LoadEx,
  MapStage,
  ReduceStage,
  Reduction,
  RowsKernel,
  ScatterKernel,
  Store,
} from '../../kernel/kernel.ts';
import { polysOf } from '../../kernel/walk.ts';
import type { Poly } from '../../shape/poly.ts';
import { add, asConstant, constant, floorDivide, multiply, one, stepOf } from '../../shape/poly.ts';
import { writeOutChoices } from './choices.ts';
import { gridCost, innerChoice, innerCost, isLight } from './cost.ts';
import type { Code, I32, Local, V128 } from './encoder.ts';
import { f32x4, i32, minI32, select, when } from './instr.ts';
import type { Item } from './intern.ts';
import type { Bounds } from './loops.ts';
import { liveRun } from './live.ts';
import { Loops } from './loops.ts';
import { normalise, type RowsLike, type ScatterStage, writeOut } from './normal.ts';
import { Lowering } from './lower.ts';
import type { EmitContext } from './context.ts';
import { computeOnce } from './stages.ts';
import { inSteps } from './steps.ts';
import { cutAtGuards } from './segments.ts';
import { identity, scalarConst, scalarReduce, wasmType } from './scalar-ops.ts';
import { mentions } from './transform.ts';
import { extract, vectorConst, vectorReduce } from './vector-ops.ts';

export interface EmittedRows {
  /** Independent pieces of work: outermost grid indices, or runs of the only grid axis. */
  readonly units: Poly;
}

/** Elements of a one-axis grid that make a unit. A multiple of a cache line, so that threads never share one. */
const mapRun = 2048;
const columnRun = 64;
/** Instructions of a part of a row: half a microsecond. */
const partCost = 1600;
/** Reductions over so few elements are written out. */
const unrollLimit = 16;

/** Clears what a grid point owns, then adds in order. Vectors run along a grid axis whose elements are neighbours. */
export function emitScatter(kernel: ScatterKernel, context: EmitContext): EmittedRows {
  const dtype = kernel.buffers[kernel.target]?.dtype ?? 'f32';
  const { target: buffer, offset, guard, data } = kernel;
  const at: LoadEx = { kind: 'load', dtype, buffer, offset, guard, fill: 0, data };
  const nothing: Ex = { kind: 'const', dtype, value: 0 };
  const k = normalise({
    ...kernel,
    kind: 'rows',
    stages: [
      {
        kind: 'map',
        axes: kernel.clear.axes,
        stores: [{ buffer, offset: kernel.clear.offset, value: nothing }],
      },
      { kind: 'scatter', axes: kernel.axes, at, value: kernel.value },
    ],
  });
  const stage = k.stages[1] as ScatterStage;
  const along = k.grid.find((a) => neighbours(stage.at, a.name));
  const ordered = along ? { ...k, grid: [...k.grid.filter((a) => a !== along), along] } : k;
  return new RowsEmitter(ordered, along, context).emit();
}

function neighbours(at: LoadEx, axis: string): boolean {
  const isFree = at.data.every((d) => polysOf(d.value).every((p) => !mentions(p, axis)));
  return stepOf(at.offset, axis) === 1 && isFree && at.guard.every((c) => !mentions(c.value, axis));
}

export function emitRows(kernel: RowsKernel, context: EmitContext): EmittedRows {
  const merged = normalise(inSteps(cutAtGuards(writeOutChoices(computeOnce(kernel))))) as RowsKernel;
  const best = bestGridAxis(merged);
  const along = best && gridCost(merged, best) <= innerCost(merged) ? best : undefined;
  const k = along ? { ...merged, grid: [...merged.grid.filter((a) => a !== along), along] } : merged;
  return new RowsEmitter(writeOut(k, along ? unrollLimit : 4), along, context).emit();
}

// ---------------------------------------------------------------- code

function bestGridAxis(k: RowsKernel): Axis | undefined {
  let best: Axis | undefined;
  let cost = Infinity;
  for (const axis of k.grid) {
    const found = gridCost(k, axis);
    if (found <= cost) [best, cost] = [axis, found];
  }
  return best;
}

class RowsEmitter {
  private readonly lower: Lowering;
  private readonly loops: Loops;
  private readonly items: (ex: Ex) => Item;
  private readonly begin: I32;
  private readonly end: I32;

  constructor(
    private readonly k: RowsLike,
    /** The grid axis of the vectors; undefined when they run along the stages' inner axes. */
    private readonly along: Axis | undefined,
    private readonly context: EmitContext,
  ) {
    const axes = [...k.grid, ...k.stages.flatMap((s) => s.axes)];
    const env = context.environment(k, new Map(axes.map((a) => [a.name, a.extent])));
    this.lower = new Lowering(env);
    this.loops = new Loops(this.lower, env.f);
    this.items = (ex) => env.interner.item(ex);
    [this.begin, this.end] = [env.f.param(0).get, env.f.param(1).get];
    // The first grid axis is not empty, or there would be no unit to run.
    const loops = [...k.grid.slice(1), ...k.stages.flatMap((s) => s.axes)];
    if (loops.some((a) => !asConstant(a.extent))) this.lower.nonEmpty = this.noneEmpty(loops);
  }

  /** Each for itself: the product of the extents of several stages may be a multiple of 2^32. */
  private noneEmpty(axes: readonly Axis[]): I32 {
    const extents = new Map(axes.flatMap((a) => (asConstant(a.extent) ? [] : [[a.extent.key, a.extent]])));
    const conditions = [...extents.values()].map((e) => i32.ne(this.lower.poly(e), i32.const(0)));
    return this.lower.keep(conditions.reduce((a, b) => i32.and(a, b)));
  }

  emit(): EmittedRows {
    const { f } = this.context;
    const [first] = this.k.grid;
    if (!first) {
      this.stages(1);
      f.body.push(...when(i32.ltS(this.begin, this.end), this.lower.finish()));
      return { units: one };
    }
    const parts = this.partsOfRow();
    if (parts > 1) return this.inParts(parts);
    const run =
      this.k.grid.length > 1 ? 1 : this.along ? (this.isMap() && !this.isCostly() ? mapRun : columnRun) : 1;
    const bounds = this.unitBounds(first, run);
    this.gridLoops([...this.k.grid], bounds);
    f.body.push(...this.lower.finish());
    return { units: run === 1 ? first.extent : floorDivide(add(first.extent, run - 1), run) };
  }

  /** Whether `columnRun` elements are worth a unit. */
  private isCostly(): boolean {
    const { along, k } = this;
    if (!along || k.stages.some((s) => s.kind === 'scatter')) return false;
    return gridCost(k as RowsKernel, along) * columnRun >= partCost;
  }

  /** Into how many units each row of a map is cut: at batch 1 costly ones are worth sharing. */
  private partsOfRow(): number {
    const { along, k } = this;
    const extent = along && asConstant(along.extent);
    if (!extent || k.grid.length !== 2 || !this.isMap() || !this.isCostly()) return 1;
    return Math.floor(extent / columnRun);
  }

  /** The last part of a row has what is left. */
  private inParts(parts: number): EmittedRows {
    const { k, lower } = this;
    const [row, column] = k.grid as [Axis, Axis];
    const { integers } = lower.env;
    const units = multiply(row.extent, constant(parts));
    this.loops.scalar({ name: 'unit', extent: units }, { from: this.begin, to: this.end }, () => {
      const unit = lower.index('unit');
      const count = i32.const(parts);
      lower.bind(row.name, lower.keep(integers.floorDiv(unit, count, true)));
      const part = lower.keep(integers.floorMod(unit, count, true));
      const from = lower.keep(i32.mul(part, i32.const(columnRun)));
      const isLast = i32.eq(part, i32.const(parts - 1));
      const next = i32.add(from, i32.const(columnRun));
      const to = lower.keep(select(isLast, i32.const(asConstant(column.extent)!), next));
      this.gridLoops([column], { from, to });
    });
    this.context.f.body.push(...lower.finish());
    return { units };
  }

  private isMap(): boolean {
    return this.k.stages.every((s) => s.axes.length === 0);
  }

  private unitBounds(axis: Axis, run: number): Bounds {
    const extent = this.lower.poly(axis.extent);
    if (run === 1) return { from: this.begin, to: this.end };
    return {
      from: this.lower.keep(i32.mul(this.begin, i32.const(run))),
      to: this.lower.keep(minI32(this.lower.keep(i32.mul(this.end, i32.const(run))), extent)),
    };
  }

  /** Nests loops over the grid; `bounds` are those of the first axis. */
  private gridLoops(axes: readonly Axis[], bounds: Bounds): void {
    const [axis, ...rest] = axes;
    if (!axis) return this.stages(1);
    if (axis === this.along && this.k.stages.every((s) => s.kind === 'map' && s.axes.length === 0)) {
      for (const stage of this.k.stages)
        this.loops.vector(axis, bounds, 1, (u) => {
          this.lower.beginStage();
          this.map(stage as MapStage, u);
        });
      return;
    }
    if (axis === this.along) {
      const copies = this.isMap() || !this.k.stages.every((s) => s.kind === 'scatter' || isLight(s)) ? 1 : 4;
      this.loops.vector(axis, bounds, copies, (u) => this.stages(u));
      return;
    }
    this.loops.scalar(axis, bounds, () => {
      const [next] = rest;
      this.gridLoops(rest, next ? this.loops.whole(next) : bounds);
    });
  }

  // -------------------------------------------------------------- stages

  /** `copies`: vectors along the grid in this step; 0 means single elements. */
  private stages(copies: number): void {
    for (const stage of this.k.stages) {
      this.lower.beginStage();
      if (stage.kind === 'scatter') this.scatter(stage, copies);
      else if (stage.kind === 'map') this.map(stage, copies);
      else if (stage.axes.length === 0) this.bind(stage, copies);
      else if (this.along) this.reduceAcross(stage, copies);
      else this.reduceAlong(stage);
    }
  }

  /** Reductions that were written out are plain values. */
  private bind(stage: ReduceStage, copies: number): void {
    for (const r of stage.reductions) {
      const item = this.items(r.value);
      const vector = copies > 0 && this.lower.isVector(item);
      this.lower.define(
        r.name,
        vector,
        vector ? range(copies).map((u) => this.lower.value(item, u)) : [this.lower.scalar(item)],
      );
    }
  }

  /** All values first, then all stores: what a store overwrites may still be an operand of the next. */
  private storeAll(stage: MapStage, copies: number): void {
    const values = stage.stores.map((s) =>
      range(Math.max(1, copies)).map((u) => this.lower.value(this.items(s.value), u)),
    );
    stage.stores.forEach((s, i) =>
      values[i]!.forEach((value, u) => this.lower.store(s.buffer, s.offset, value, u)),
    );
  }

  private map(stage: MapStage, copies: number): void {
    if (this.along || stage.axes.length === 0) {
      this.loops.nest(stage.axes, () => this.storeAll(stage, copies));
      return;
    }
    const { axis } = innerChoice(stage);
    this.loops.nest(
      stage.axes.filter((a) => a !== axis),
      () => {
        if (axis) this.mapAlong(stage, axis);
        else this.storeAll(stage, 0);
      },
    );
  }

  /** What counts is computed; the rest of the row is filled where that is said of it. */
  private mapAlong(stage: MapStage, axis: Axis): void {
    const whole = this.loops.whole(axis);
    const bounds = liveRun(stage, axis, this.lower, this.loops);
    this.loops.vector(axis, bounds ?? whole, 1, (u) => this.storeAll(stage, u));
    if (!bounds) return;
    const stores = stage.stores.flatMap((s): Store[] =>
      s.outside === undefined
        ? []
        : [{ ...s, value: { kind: 'const', dtype: s.value.dtype, value: s.outside } }],
    );
    if (stores.length === 0) return;
    for (const rest of [
      { from: whole.from, to: bounds.from },
      { from: bounds.to, to: whole.to },
    ])
      this.loops.vector(axis, rest, 1, (u) => this.storeAll({ ...stage, stores }, u));
  }

  private scatter(stage: ScatterStage, copies: number): void {
    this.loops.nest(stage.axes, () => {
      const at = this.items(stage.at);
      if (at.kind !== 'load') throw new Error('a scatter adds to memory');
      const values = range(Math.max(1, copies)).map((u) => this.lower.value(this.items(stage.value), u));
      values.forEach((value, u) => this.lower.addTo(at, value, u));
    });
  }

  /** Each lane is its own grid point: plain loops over the reduced axes. */
  private reduceAcross(stage: ReduceStage, copies: number): void {
    const sums = stage.reductions.map((r) => this.accumulators(r, Math.max(1, copies), copies > 0));
    this.loops.nest(stage.axes, () => {
      stage.reductions.forEach((r, i) => this.accumulate(r, sums[i]!, copies > 0));
    });
    stage.reductions.forEach((r, i) =>
      this.lower.define(
        r.name,
        copies > 0,
        sums[i]!.map((s) => s.get),
      ),
    );
  }

  private accumulators(r: Reduction, count: number, vector: boolean): Local[] {
    return range(count).map(() => {
      const start = identity(r.fn, r.dtype);
      const local = this.context.f.local(vector ? 'v128' : wasmType(r.dtype), r.name);
      this.lower.push(
        local.set(vector ? this.lower.keep(vectorConst(start, r.dtype)) : scalarConst(start, r.dtype)),
      );
      return local;
    });
  }

  private accumulate(r: Reduction, sums: readonly Local[], vector: boolean): void {
    const item = this.items(r.value);
    sums.forEach((sum, u) =>
      this.lower.push(
        sum.set(
          vector
            ? this.addLanes(r, item, sum.get as V128, u)
            : scalarReduce[r.fn](sum.get, this.lower.scalar(item), r.dtype),
        ),
      ),
    );
  }

  private addLanes(r: Reduction, item: Item, sum: V128, copy: number): V128 {
    const [x, y] =
      item.kind === 'op' && item.fn === 'mul' && item.dtype === 'f32' && r.fn === 'sum' ? item.args : [];
    if (x && y && this.context.relaxed)
      return f32x4.relaxedMadd(this.lower.vector(x, copy), this.lower.vector(y, copy), sum);
    return vectorReduce[r.fn](sum, this.lower.vector(item, copy), r.dtype);
  }

  /** Lanes along a reduced axis: partial results in several vectors and, for the tail, a scalar; joined in a fixed order. */
  private reduceAlong(stage: ReduceStage): void {
    const { axis } = innerChoice(stage);
    const copies = isLight(stage) ? 4 : 2;
    const wide = stage.reductions.map((r) => (axis ? this.accumulators(r, copies, true) : []));
    const narrow = stage.reductions.map((r) => this.accumulators(r, 1, false));
    const body = (u: number): void =>
      stage.reductions.forEach((r, i) =>
        u === 0 ? this.accumulate(r, narrow[i]!, false) : this.accumulate(r, wide[i]!.slice(0, u), true),
      );
    this.loops.nest(
      stage.axes.filter((a) => a !== axis),
      () => {
        if (axis) {
          const bounds = liveRun(stage, axis, this.lower, this.loops);
          this.loops.vector(axis, bounds ?? this.loops.whole(axis), copies, body);
        } else body(0);
      },
    );
    stage.reductions.forEach((r, i) => {
      const lanes = wide[i]!.length > 0 ? this.horizontal(r, wide[i]!) : undefined;
      const tail = narrow[i]![0]!.get;
      const result = this.lower.keep(lanes ? scalarReduce[r.fn](lanes, tail, r.dtype) : tail);
      this.lower.define(r.name, false, [result]);
    });
  }

  private horizontal(r: Reduction, sums: readonly Local[]): Code {
    const pairs = (values: readonly V128[]): V128 =>
      values.length === 1
        ? values[0]!
        : pairs(
            range(values.length / 2).map((i) =>
              vectorReduce[r.fn](values[2 * i]!, values[2 * i + 1]!, r.dtype),
            ),
          );
    const all = this.lower.keep(pairs(sums.map((s) => s.get as V128)));
    const lane = (l: number): Code => this.lower.keep(extract(all, l, r.dtype));
    const join = (a: Code, b: Code): Code => this.lower.keep(scalarReduce[r.fn](a, b, r.dtype));
    return join(join(lane(0), lane(1)), join(lane(2), lane(3)));
  }
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
