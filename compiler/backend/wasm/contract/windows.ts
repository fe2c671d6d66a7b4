/**
 * Convolutions whose image is read where it lies: b is a window that slides along the rows of an image without gaps, so that four
 * neighbouring results read four neighbours for every k. Nothing of it is packed: the register kernel takes the place of each k,
 * relative to the first, from a table. A unit is some rows of results, all of m.
 */
import type { Axis, ContractKernel } from '../../../kernel/kernel.ts';
import { swapRoles } from '../../../kernel/rebuild.ts';
import type { Poly } from '../../../shape/poly.ts';
import {
  add,
  asConstant,
  floorDivide,
  scale,
  stepOf,
  substitute,
  symbol,
  zero,
} from '../../../shape/poly.ts';
import type { EmitContext } from '../context.ts';
import type { I32, Local, Stmt } from '../encoder.ts';
import { forLoop, i32, minI32, when } from '../instr.ts';
import { type Bounds, Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { areasOf, type Part, partOf } from '../parts.ts';
import { storeAll } from './epilogue.ts';
import { count, decode } from './pack.ts';
import { Panels } from './panels.ts';
import { cheaper, known, type PackAlong, roundUp, sizeOf, storeCost } from './plan.ts';
import { type Mode, stripCost, type Tile, tilesFor } from './tiles.ts';

export interface WindowPlan {
  readonly kernel: ContractKernel;
  readonly tile: Tile;
  readonly packA: PackAlong;
  /** Rows of results, and the axis along a row, of which `width` is the extent. */
  readonly rows: readonly Axis[];
  readonly x: Axis;
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  /** Address of the first k of a row, by the indices of the row; elements from there to other k. */
  readonly base: Poly;
  readonly place: Poly;
  readonly blockRows: number;
  /** In cycles, as that of other ways to run a contraction. */
  readonly cost: number;
}

const mostDepth = 1024;
/** Floats of all panels of A. */
const mostPanels = 1 << 16;
const unitProducts = 1 << 18;
/** Floats of a unit's results. */
const resultFloats = 1 << 13;
/** Cycles for the place of a k. */
const placeCost = 0.2;
/** Of a register tile that is begun and stored. */
const tileCost = 15;

/** The cheapest way to read the image in place; undefined where there is no image. */
export function planWindow(kernel: ContractKernel, mode: Mode): WindowPlan | undefined {
  const plans = [kernel, swapRoles(kernel)].flatMap((k) =>
    tilesFor(mode).flatMap((t) => windowPlan(k, t, mode) ?? []),
  );
  return plans.reduce<WindowPlan | undefined>((x, y) => (x && x.cost <= y.cost ? x : y), undefined);
}

function windowPlan(kernel: ContractKernel, tile: Tile, mode: Mode): WindowPlan | undefined {
  const { b, m, n, k, batch, buffers } = kernel;
  if (kernel.sums || batch.length > 0 || b.kind !== 'load' || b.dtype !== 'f32') return undefined;
  if (b.guard.length > 0 || b.data.length > 0 || buffers[b.buffer]?.mode !== 'read') return undefined;
  const x = n.at(-1);
  const width = x && asConstant(x.extent);
  const [height, depth] = [known(m), known(k)];
  if (!x || !width || width < 4 || !height || !depth) return undefined;
  if (depth > mostDepth || roundUp(height, tile.rows) * depth > mostPanels) return undefined;
  const step = (axis: Axis): number | undefined => stepOf(b.offset, axis.name);
  const steps = k.map(step);
  if (step(x) !== 1 || !steps.some((s) => s === 1 || s === -1)) return undefined;
  if (steps.some((s) => s === undefined)) return undefined;
  const inside = new Set([x, ...k].map((axis) => axis.name));
  const first = substitute(b.offset, (s) => (inside.has(s) ? zero : undefined));
  const lanes = 4 * tile.vectors;
  const rows = n.slice(0, -1);
  const a = cheaper(kernel.a, m.at(-1), k.at(-1));
  const left = width % lanes;
  const strips = Math.ceil(width / lanes);
  const strip = (vectors: number): number => stripCost(tile.rows, vectors, mode);
  const ofPart = left > 0 ? strip(Math.ceil(left / 4)) : 0;
  const ofK = Math.floor(width / lanes) * strip(tile.vectors) + ofPart + strips * placeCost;
  // Other ways have only as many tiles as are full.
  const ofTiles = tileCost * (strips - width / lanes);
  const products = height * depth * width;
  const blockRows = Math.min(
    unitProducts / products,
    resultFloats / (roundUp(height, tile.rows) * roundUp(width, lanes)),
  );
  return {
    kernel,
    tile,
    packA: a.along,
    rows,
    x,
    width,
    height,
    depth,
    base: add(symbol(`$b${b.buffer}`), scale(first, 4)),
    place: add(...k.map((axis, i) => scale(symbol(axis.name), steps[i]!))),
    blockRows: Math.max(1, Math.floor(blockRows)),
    cost:
      Math.ceil(height / tile.rows) * sizeOf(rows) * (depth * ofK + ofTiles) +
      height * depth * a.cost +
      height * sizeOf(n) * storeCost(kernel),
  };
}

export const emitWindow = (plan: WindowPlan, context: EmitContext): { readonly units: Poly } =>
  new WindowEmitter(plan, context).emit();

class WindowEmitter {
  private readonly k: ContractKernel;
  private readonly lower: Lowering;
  private readonly loops: Loops;
  private readonly lanes: number;
  /** Rows of m in whole register tiles, and strips of a row of results. */
  private readonly height: number;
  private readonly strips: number;
  private readonly panels: Panels;

  constructor(
    private readonly plan: WindowPlan,
    private readonly context: EmitContext,
  ) {
    this.k = plan.kernel;
    const { k, m, n } = this.k;
    const { tile } = plan;
    const ranges = new Map([...k, ...m, ...n].map((a) => [a.name, a.extent]));
    this.lower = new Lowering(context.environment(this.k, ranges));
    this.loops = new Loops(this.lower, context.f);
    this.lanes = 4 * tile.vectors;
    this.height = roundUp(plan.height, tile.rows);
    this.strips = Math.ceil(plan.width / this.lanes);
    const spec = { name: 'packA', kernel: this.k, operand: this.k.a, lanes: m, batch: [], k };
    const whole = { cut: 0, chunk: asConstant(k[0]!.extent)!, blockK: plan.depth };
    this.panels = new Panels({ ...spec, along: plan.packA, width: tile.rows }, whole, context);
  }

  private local(name: string): Local<'i32'> {
    return this.context.f.local('i32', name);
  }

  emit(): { readonly units: Poly } {
    const { plan, lower, context } = this;
    const { f } = context;
    const results = plan.blockRows * this.strips * this.lanes * this.height;
    const panels = this.panels.isPrepared ? 0 : this.height * plan.depth;
    const areas = areasOf(lower, context, [panels, plan.depth, results]);
    const [packed, places, result] = areas as [I32, I32, I32];
    // Once for all units that a thread runs of a dispatch.
    lower.open('first units', i32.const(0));
    this.fillPlaces(places);
    this.pack(packed);
    lower.push(...when(i32.eqz(f.param(3).get), lower.close()));
    const all = count(plan.rows);
    const unit = this.local('unit');
    lower.open('unit', unit.get);
    const part = partOf(lower, unit.get, plan.blockRows, lower.poly(all));
    this.products(part, packed, places, result);
    this.stores(part, result);
    lower.push(...forLoop(unit, f.param(0).get, f.param(1).get, 1, lower.close()));
    f.body.push(...lower.finish());
    return { units: floorDivide(add(all, plan.blockRows - 1), plan.blockRows) };
  }

  /** Bytes from the first k to each. */
  private fillPlaces(places: I32): void {
    const { plan, lower } = this;
    const at = this.local('at');
    lower.push(at.set(places));
    this.loops.nest(this.k.k, () => {
      lower.push(i32.store(at.get, lower.poly(scale(plan.place, 4))), at.set(i32.add(at.get, i32.const(4))));
    });
  }

  private get whole(): { readonly from: I32; readonly to: I32 } {
    return { from: i32.const(0), to: this.lower.poly(this.k.k[0]!.extent) };
  }

  private pack(panels: I32): void {
    const [row, to] = [this.local('row'), this.local('to')];
    const fill = this.panels.fill(row.get, [], this.whole, to.get);
    if (fill.length === 0) return;
    const { tile, depth, height } = this.plan;
    const next = to.set(i32.add(to.get, i32.const(4 * tile.rows * depth)));
    this.lower.push(
      to.set(panels),
      ...forLoop(row, i32.const(0), i32.const(height), tile.rows, [...fill, next]),
    );
  }

  /** Tiles [row of results][strip][m]. */
  private products({ first, size }: Part, packed: I32, places: I32, result: I32): void {
    const { plan, lower, lanes } = this;
    const { tile, depth } = plan;
    const [row, strip, m, a, to] = ['row', 'strip', 'm', 'a', 'to'].map((n) => this.local(n)) as [
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
    ];
    lower.push(to.set(result));
    lower.open('row of results', row.get);
    decode(lower, plan.rows, lower.keep(i32.add(first, row.get)));
    const base = lower.keep(lower.poly(plan.base));
    const b = i32.add(base, i32.mul(strip.get, i32.const(4)));
    const call = (used: number): Stmt =>
      this.context
        .micro({ ...tile, used, placed: true })
        .call('void', i32.const(depth), a.get, b, to.get, i32.const(0), places);
    const rest = Math.ceil((plan.width % lanes) / 4) % tile.vectors;
    const isLast = i32.geS(strip.get, i32.const(lanes * (this.strips - 1)));
    const multiply = rest > 0 ? when(isLast, [call(rest)], [call(tile.vectors)]) : [call(tile.vectors)];
    lower.push(
      ...forLoop(strip, i32.const(0), i32.const(plan.width), lanes, [
        a.set(this.panels.at(i32.const(0), this.whole, packed)),
        ...forLoop(m, i32.const(0), i32.const(plan.height), tile.rows, [
          ...multiply,
          a.set(i32.add(a.get, i32.const(4 * tile.rows * depth))),
          to.set(i32.add(to.get, i32.const(4 * tile.rows * lanes))),
        ]),
      ]),
    );
    lower.push(...forLoop(row, i32.const(0), size, 1, lower.close()));
  }

  /** Along the results of one m, as they lie in memory. */
  private stores({ first, size }: Part, result: I32): void {
    const { plan, lower, lanes, k } = this;
    const [m, row] = [this.local('m'), this.local('row')];
    lower.open('index of m', m.get);
    decode(lower, k.m, m.get);
    const ofM = lower.keep(i32.add(result, i32.mul(m.get, i32.const(4 * lanes))));
    lower.open('row of results', row.get);
    lower.beginStage();
    decode(lower, plan.rows, lower.keep(i32.add(first, row.get)));
    const stripBytes = 4 * lanes * this.height;
    const inRow = lower.keep(i32.add(ofM, i32.mul(row.get, i32.const(stripBytes * this.strips))));
    const run = (from: I32, bounds: Bounds): void =>
      this.loops.vector(plan.x, bounds, plan.tile.vectors, (vectors) => {
        const at = lower.keep(i32.add(from, i32.mul(lower.index(plan.x.name), i32.const(4))));
        storeAll(k.stores, lower, at, vectors);
      });
    if (this.strips === 1) run(inRow, this.loops.whole(plan.x));
    else {
      const strip = this.local('strip');
      lower.open('strip', strip.get);
      const from = lower.keep(i32.mul(strip.get, i32.const(lanes)));
      const to = lower.keep(minI32(i32.add(from, i32.const(lanes)), i32.const(plan.width)));
      run(lower.keep(i32.add(inRow, i32.mul(strip.get, i32.const(stripBytes - 4 * lanes)))), { from, to });
      lower.push(...forLoop(strip, i32.const(0), i32.const(this.strips), 1, lower.close()));
    }
    lower.push(...forLoop(row, i32.const(0), size, 1, lower.close()));
    lower.push(...forLoop(m, i32.const(0), i32.const(plan.height), 1, lower.close()));
  }
}
