/**
 * Gradients of the weights of 3 x 3 convolutions by F(3 x 3, 2 x 2) or F(3 x 3, 4 x 4) (Lavin & Gray 2016): a tile of the
 * results' gradient is the filter that runs over the tile's patch. For each position of a patch one product [m][tiles] by
 * [tiles][channels]; both operands are packed as they are, transformed into panels, and multiplied over many tiles into scratch
 * memory; at the end the sums are transformed back and the stores run. A unit is a block of m and channels.
 */
import type { Axis, ContractKernel, Store } from '../../../kernel/kernel.ts';
import { polysOfStores } from '../../../kernel/walk.ts';
import { exMapper, mapStore } from '../../../kernel/rebuild.ts';
import type { Poly } from '../../../shape/poly.ts';
import { asConstant, constant, multiply } from '../../../shape/poly.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32, Stmt, V128 } from '../encoder.ts';
import { forLoop, i32, minI32, v128, when } from '../instr.ts';
import type { Bounds } from '../loops.ts';
import { clear, Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { count, decode } from '../contract/pack.ts';
import { areasOf, type Part, partOf } from '../parts.ts';
import { mergeAxes } from '../transform.ts';
import { advance, gridFloats, gridOf, keeper, locals, params, range, storeRun, sum } from './code.ts';
import { around } from './matrices.ts';
import type { Side } from './panels.ts';
import { buildFill, filtersOf, packedFloats, panelFloats, patchesOf, piecesOf, planeOf } from './panels.ts';
import type { WeightPlan } from './plan.ts';

export function emitWeight(plan: WeightPlan, context: EmitContext): { readonly units: Poly } {
  return new WeightEmitter(plan, context).emit();
}

/** Byte offsets of the parts of the scratch area. */
interface Areas {
  readonly sums: I32;
  readonly a: I32;
  readonly b: I32;
  readonly packed: I32;
  readonly grid: I32;
}

class WeightEmitter {
  private readonly k: ContractKernel;
  private readonly a: Side;
  private readonly b: Side;
  private readonly pieces: readonly Axis[];
  private readonly lower: Lowering;
  /** The channels of n, one axis. */
  private readonly channel: Axis;
  private readonly sumFloats: number;

  constructor(
    private readonly plan: WeightPlan,
    private readonly context: EmitContext,
  ) {
    this.k = plan.kernel;
    [this.a, this.b] = [filtersOf(plan), patchesOf(plan)];
    this.pieces = piecesOf(plan);
    this.channel = plan.channels[0]!;
    this.sumFloats = plan.positions * plan.blockM * plan.blockC;
    const ranges = new Map([...this.k.batch, ...this.pieces].map((a) => [a.name, a.extent]));
    this.lower = new Lowering(context.environment(this.k, ranges));
  }

  emit(): { readonly units: Poly } {
    const { plan, k, context, lower } = this;
    const { f } = context;
    const multiplyPieces = this.overPieces();
    const [back, stores] = [this.transformBack(), this.stores()];
    const areas = this.areas();
    const { unit } = locals(f, 'unit');
    lower.open('unit', unit.get);
    const { integers } = lower.env;
    const [perM, perC] = [Math.ceil(plan.height / plan.blockM), Math.ceil(plan.depth / plan.blockC)];
    const rest = lower.keep(integers.floorDiv(unit.get, i32.const(perM), true));
    const at = (flat: I32, parts: number): I32 => lower.keep(integers.floorMod(flat, i32.const(parts), true));
    const m = partOf(lower, at(unit.get, perM), plan.blockM, i32.const(plan.height));
    const c = partOf(lower, at(rest, perC), plan.blockC, i32.const(plan.depth));
    decode(lower, k.batch, lower.keep(integers.floorDiv(rest, i32.const(perC), true)));
    multiplyPieces(m, c, areas);
    lower.push(
      back.call('void', m.size, c.size, areas.sums, areas.a, areas.grid),
      stores.call('void', m.first, m.size, c.first, c.size, areas.a, ...this.batch),
    );
    lower.push(...forLoop(unit, f.param(0).get, f.param(1).get, 1, lower.close()));
    f.body.push(...lower.finish());
    return { units: multiply(count(k.batch), constant(perM * perC)) };
  }

  private get batch(): I32[] {
    return this.k.batch.map((axis) => this.lower.index(axis.name));
  }

  /** The results take the place of A's panels. */
  private areas(): Areas {
    const { plan, a, b, lower, context } = this;
    const floats = [
      this.sumFloats,
      Math.max(panelFloats(plan, a), 9 * plan.blockM * plan.blockC),
      panelFloats(plan, b),
      Math.max(packedFloats(plan, a), packedFloats(plan, b)),
      gridFloats,
    ];
    const [sums, inA, inB, packed, grid] = areasOf(lower, context, floats) as [I32, I32, I32, I32, I32];
    return { sums, a: inA, b: inB, packed, grid };
  }

  /** The products of a unit, over some pieces at once. */
  private overPieces(): (m: Part, c: Part, areas: Areas) => void {
    const { plan, context, lower } = this;
    const { f } = context;
    const [fillA, fillB] = [buildFill(plan, this.a, context), buildFill(plan, this.b, context)];
    const product = this.product();
    const { adding, tiles, from, piece } = locals(f, 'adding', 'tiles', 'from', 'piece');
    return (m, c, { sums, a, b, packed, grid }) => {
      const bytes = 4 * Math.max(packedFloats(plan, this.a), packedFloats(plan, this.b));
      lower.push(adding.set(i32.const(0)), ...clear(f, packed, i32.const(bytes)));
      const pieces = lower.poly(count(this.pieces));
      lower.open('some pieces', from.get);
      lower.push(tiles.set(i32.const(0)));
      const end = lower.keep(minI32(lower.keep(i32.add(from.get, i32.const(plan.pieces))), pieces));
      lower.open('piece', piece.get);
      decode(lower, this.pieces, piece.get);
      const where = [...this.pieces.map((axis) => lower.index(axis.name)), ...this.batch];
      lower.push(
        fillA.call('void', m.first, m.size, packed, grid, a, tiles.get, ...where),
        fillB.call('void', c.first, c.size, packed, grid, b, tiles.get, ...where),
      );
      const firstRow = i32.mul(lower.index('block of rows'), i32.const(plan.blockRows));
      const left = lower.keep(i32.sub(i32.const(plan.tilesY), firstRow));
      const rows = lower.keep(minI32(left, i32.const(plan.blockRows)));
      lower.push(advance(tiles, i32.mul(rows, i32.const(plan.tilesX))));
      lower.push(...forLoop(piece, from.get, end, 1, lower.close()));
      lower.push(product.call('void', tiles.get, m.size, c.size, a, b, sums, adding.get));
      lower.push(adding.set(i32.const(1)));
      lower.push(...forLoop(from, i32.const(0), pieces, plan.pieces, lower.close()));
      lower.push(...when(i32.eqz(adding.get), clear(f, sums, i32.const(4 * this.sumFloats))));
    };
  }

  // ---------------------------------------------------------------- products: [position][channel / width][m / 4][4][width]

  /** (number of tiles, of m, of channels, A, B, sums, whether to add to them) */
  private product(): Func {
    const { plan, context, a, b } = this;
    const { width } = b;
    const names = ['tiles', 'height', 'width', 'a', 'b', 'sums', 'adding'] as const;
    const f = context.helper('product', names);
    const at = params(f, ...names);
    const micro = context.micro({ rows: 4, vectors: width / 4 });
    const { p, row, column, pa, pb, to } = locals(f, 'p', 'row', 'column', 'pa', 'pb', 'to');
    const panel = 4 * plan.tiles;
    const times = (l: typeof p, n: number): I32 => i32.mul(l.get, i32.const(n));
    f.body.push(
      ...forLoop(p, i32.const(0), i32.const(plan.positions), 1, [
        ...forLoop(column, i32.const(0), at.width, width, [
          pa.set(sum(at.a, times(p, 4 * planeOf(plan, a)))),
          pb.set(sum(at.b, times(p, 4 * planeOf(plan, b)), times(column, panel))),
          to.set(sum(at.sums, times(p, 4 * plan.blockM * plan.blockC), times(column, 4 * plan.blockM))),
          ...forLoop(row, i32.const(0), at.height, 4, [
            micro.call('void', at.tiles, pa.get, pb.get, to.get, at.adding),
            advance(pa, 4 * panel),
            advance(to, 16 * width),
          ]),
        ]),
      ]),
    );
    return f;
  }

  // ---------------------------------------------------------------- results: [m], then n in its order

  /** Elements from one index of an axis of n to the next in the results of a unit. */
  private strideOf(axis: Axis): number {
    const { n } = this.k;
    const extent = (a: Axis): number => (a === this.channel ? this.plan.blockC : asConstant(a.extent)!);
    return n.slice(n.indexOf(axis) + 1).reduce((product, a) => product * extent(a), 1);
  }

  private get rowBytes(): number {
    return 4 * 9 * this.plan.blockC;
  }

  /** (number of m, of channels, sums, to, room for a grid): Aᵀ M A */
  private transformBack(): Func {
    const { plan, context } = this;
    const { size, filtering } = plan;
    const { width } = this.b;
    const names = ['height', 'width', 'sums', 'results', 'grid'] as const;
    const f = context.helper('transformBack', names);
    const at = params(f, ...names);
    const { row, column, from, to } = locals(f, 'row', 'column', 'from', 'to');
    const step = 4 * this.strideOf(this.channel);
    const plane = 4 * plan.blockM * plan.blockC;
    const code: Stmt[] = [];
    const keep = keeper(f, code);
    for (let lane = 0; lane < width; lane += 4) {
      const load = (i: number, j: number): V128 =>
        keep(v128.load(from.get, plane * (size * i + j) + 4 * lane));
      const grid = gridOf(at.grid, size, keep, (s) => void code.push(s));
      around(filtering.A, load, grid, keep, (line, i) =>
        line.forEach((value, j) =>
          code.push(...this.spread(to.get, value, this.tapBytes(i, j) + lane * step)),
        ),
      );
    }
    // Whole panels: what lies beyond the last row of m is not stored.
    const whole = i32.and(i32.add(at.height, i32.const(3)), i32.const(-4));
    f.body.push(
      ...forLoop(column, i32.const(0), at.width, width, [
        from.set(sum(at.sums, i32.mul(column.get, i32.const(4 * plan.blockM)))),
        to.set(sum(at.results, i32.mul(column.get, i32.const(step)))),
        ...forLoop(row, i32.const(0), whole, 1, [
          ...code,
          advance(from, 4 * width),
          advance(to, this.rowBytes),
        ]),
      ]),
    );
    return f;
  }

  /** Where the results of a tap lie. */
  private tapBytes(i: number, j: number): number {
    const { x, y } = this.plan.window;
    const at = (s: typeof x, t: number): number => 4 * this.strideOf(s.tap) * (s.sign === 1 ? t : 2 - t);
    return at(y, i) + at(x, j);
  }

  /** Stores one tap of four channels. */
  private spread(to: I32, value: V128, at: number): Stmt[] {
    const step = 4 * this.strideOf(this.channel);
    return range(4).map((lane) => v128.storeLane(to, value, lane, at + step * lane));
  }

  /** (first m, number of m, first channel, number of channels, results, batch) */
  private stores(): Func {
    const { k, context } = this;
    const run = this.storesOverN();
    const names = ['firstM', 'height', 'firstC', 'width', 'results'] as const;
    const f = context.helper('stores', [...names, ...k.batch.map((a) => a.name)]);
    const at = params(f, ...names);
    const ranges = new Map([...k.batch, ...k.m, ...run.axes].map((a) => [a.name, a.extent]));
    const lower = new Lowering(context.environment(k, ranges, f));
    k.batch.forEach((a, i) => lower.bind(a.name, f.param(names.length + i).get));
    const { row } = locals(f, 'row');
    lower.open('row of m', row.get);
    lower.beginStage();
    decode(lower, k.m, lower.keep(i32.add(at.firstM, row.get)));
    const [first, last] = [at.firstC, lower.keep(i32.add(at.firstC, at.width))].map((c) =>
      lower.keep(i32.mul(c, i32.const(run.perChannel))),
    ) as [I32, I32];
    const line = i32.add(at.results, i32.mul(row.get, i32.const(this.rowBytes)));
    const before = i32.mul(at.firstC, i32.const(4 * this.strideOf(this.channel)));
    const loops = new Loops(lower, f);
    const bounds = (axis: Axis): Bounds => (axis === run.cut ? { from: first, to: last } : loops.whole(axis));
    const nest = ([axis, ...rest]: readonly Axis[], from: I32): void => {
      if (rest.length === 0)
        return storeRun(lower, loops, {
          stores: run.stores,
          axis: axis!,
          bounds: bounds(axis!),
          from,
          copies: 2,
        });
      loops.scalar(axis!, bounds(axis!), () => {
        const index = i32.mul(lower.index(axis!.name), i32.const(4 * this.strideOf(axis!)));
        nest(rest, lower.keep(i32.add(from, index)));
      });
    };
    nest(run.axes, lower.keep(i32.sub(line, before)));
    lower.push(...forLoop(row, i32.const(0), at.height, 1, lower.close()));
    f.body.push(...lower.finish());
    return f;
  }

  /** The stores over the axes of n; over one axis where these lie in line, as those of a parameter do. */
  private storesOverN(): StoresOverN {
    const { k, channel } = this;
    const polys = polysOfStores(k.stores);
    const { axes, map } = mergeAxes(k.n, polys);
    if (k.n[0] !== channel || axes.length > 1)
      return { axes: k.n, stores: k.stores, cut: channel, perChannel: 1 };
    const mapEx = exMapper(map);
    return { axes, stores: k.stores.map((s) => mapStore(map, mapEx, s)), cut: axes[0]!, perChannel: 9 };
  }
}

interface StoresOverN {
  readonly axes: readonly Axis[];
  readonly stores: readonly Store[];
  /** The axis that units cut, and its indices for each channel. */
  readonly cut: Axis;
  readonly perChannel: number;
}
