/**
 * 3 x 3 convolutions by F(2 x 2, 3 x 3) (Lavin & Gray 2016): for each of the 16 positions of a 4 x 4 patch one product of the
 * transformed weights [m][channels] and patches [channels][tiles]. A unit is a block of m and some rows of tiles, flattened:
 * its patches are transformed first; then each strip of tiles is multiplied, one position after the other, and transformed back,
 * and at the end the stores run over the rows of results.
 */
import type { Axis, ContractKernel } from '../../../kernel/kernel.ts';
import type { Poly } from '../../../shape/poly.ts';
import {
  add,
  constant,
  floorDivide,
  minimum,
  multiply,
  scale,
  substitute,
  symbol,
} from '../../../shape/poly.ts';
import { cheaper, roundUp } from '../contract/plan.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32, Stmt, V128 } from '../encoder.ts';
import { forLoop, i32, minI32, v128, when } from '../instr.ts';
import { Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { buildPack, count, decode } from '../contract/pack.ts';
import { exMapper } from '../transform.ts';
import { around, B, down, F23, times } from './matrices.ts';
import {
  advance,
  areasOf,
  keeper,
  locals,
  params,
  partOf,
  positions,
  range,
  size,
  storeRun,
  sum,
} from './code.ts';
import type { ImagePlan, Sliding } from './plan.ts';

const taps = 9;

/** Sizes of the parts of the scratch area in floats. */
interface Sizes {
  /** Tiles of a unit, in whole strips. */
  readonly lanes: number;
  /** From one channel of the transformed patches to the next. */
  readonly pitch: number;
  /** From one position to the next. */
  readonly plane: number;
  readonly weights: number;
  readonly patches: number;
  readonly results: number;
}

function sizesOf(plan: ImagePlan): Sizes {
  const { tilesX, blockRows, depth, blockM, strip } = plan;
  const lanes = roundUp(blockRows * tilesX, strip);
  // A row is written in fours; what is too much is overwritten by the next row, or lies beyond the last.
  const written = roundUp(Math.max(lanes, (blockRows - 1) * tilesX + roundUp(tilesX, 4)), 4);
  const pitch = written % 32 === 0 ? written + 4 : written;
  return {
    lanes,
    pitch,
    weights: positions * depth * blockM,
    plane: depth * pitch + 16,
    patches: positions * (depth * pitch + 16),
    results: blockM * 4 * lanes,
  };
}

export function emitImage(plan: ImagePlan, context: EmitContext): { readonly units: Poly } {
  return new ImageEmitter(plan, context).emit();
}

class ImageEmitter {
  private readonly k: ContractKernel;
  private readonly sizes: Sizes;
  private readonly rows: readonly Axis[];

  constructor(
    private readonly plan: ImagePlan,
    private readonly context: EmitContext,
  ) {
    this.k = plan.kernel;
    this.sizes = sizesOf(plan);
    this.rows = [...plan.images, { name: 'tile row', extent: constant(plan.tilesY) }];
  }

  private helper(name: string, own: readonly string[]): Func {
    return this.context.helper(name, [...own, ...this.k.batch.map((a) => a.name)]);
  }

  /** In a helper whose last parameters are the batch indices. */
  private lowering(f: Func, axes: readonly Axis[]): Lowering {
    const { batch } = this.k;
    const ranges = new Map([...batch, ...axes].map((a) => [a.name, a.extent]));
    const lower = new Lowering(this.context.environment(this.k, ranges, f));
    batch.forEach((a, i) => lower.bind(a.name, f.param(f.params.length - batch.length + i).get));
    return lower;
  }

  emit(): { readonly units: Poly } {
    const { plan, k, context, sizes } = this;
    const { f } = context;
    const transformWeights = this.weights();
    const ready = this.prepareWeights(transformWeights);
    const transformPatches = this.patches();
    const product = this.product();
    const stores = this.stores();
    const lower = new Lowering(context.environment(k, new Map(k.batch.map((a) => [a.name, a.extent]))));
    const floats = [
      sizes.weights,
      sizes.patches,
      sizes.results,
      positions * plan.blockM * plan.strip,
      4 * taps * plan.depth,
    ];
    const [u, v, y, tile, raw] = areasOf(lower, context, floats) as [I32, I32, I32, I32, I32];
    const { unit, transformed } = locals(f, 'unit', 'transformed');
    lower.push(transformed.set(i32.const(-1)));
    lower.open('unit', unit.get);
    const { integers } = lower.env;
    const perRows = floorDivide(add(count(this.rows), plan.blockRows - 1), plan.blockRows);
    const perM = Math.ceil(plan.height / plan.blockM);
    const block = lower.keep(integers.floorMod(unit.get, lower.poly(perRows), true));
    const rest = lower.keep(integers.floorDiv(unit.get, lower.poly(perRows), true));
    const blockM = lower.keep(integers.floorMod(rest, i32.const(perM), true));
    decode(lower, k.batch, lower.keep(integers.floorDiv(rest, i32.const(perM), true)));
    const batch = k.batch.map((a) => lower.index(a.name));
    const m = partOf(lower, blockM, plan.blockM, i32.const(plan.height));
    const rows = partOf(lower, block, plan.blockRows, lower.poly(count(this.rows)));
    const tiles = lower.keep(i32.mul(rows.count, i32.const(plan.tilesX)));
    // The units of one block of m follow each other: its weights stay as they are.
    const isNew = i32.ne(transformed.get, rest);
    const weights = ready ? lower.keep(i32.add(ready, i32.mul(blockM, i32.const(4 * sizes.weights)))) : u;
    const transform = [
      transformWeights.call('void', m.first, m.count, raw, u, ...batch),
      transformed.set(rest),
    ];
    lower.push(
      ...(ready ? [] : when(isNew, transform)),
      transformPatches.call('void', rows.first, rows.count, v, ...batch),
      product.call('void', m.count, tiles, weights, v, tile, y),
      stores.call('void', m.first, m.count, rows.first, rows.count, y, ...batch),
    );
    lower.push(...forLoop(unit, f.param(0).get, f.param(1).get, 1, lower.close()));
    f.body.push(...lower.finish());
    return { units: multiply(count(k.batch), constant(perM), perRows) };
  }

  /** Where the transformed weights of all blocks of m lie that were made before the first run, if they could be. */
  private prepareWeights(transformWeights: Func): I32 | undefined {
    const { plan, k, context, sizes } = this;
    if (k.batch.length > 0) return undefined;
    const perM = Math.ceil(plan.height / plan.blockM);
    const prepared = context.prepare(k.a, 4 * sizes.weights * perM, perM);
    if (!prepared) return undefined;
    const { fill, base } = prepared;
    const lower = this.lowering(fill, []);
    const { unit } = locals(fill, 'unit');
    const raw = lower.keep(context.scratch(fill.param(2).get, 4 * 4 * taps * plan.depth));
    lower.open('unit', unit.get);
    const m = partOf(lower, unit.get, plan.blockM, i32.const(plan.height));
    const to = i32.add(base, i32.mul(unit.get, i32.const(4 * sizes.weights)));
    lower.push(transformWeights.call('void', m.first, m.count, raw, to));
    lower.push(...forLoop(unit, fill.param(0).get, fill.param(1).get, 1, lower.close()));
    fill.body.push(...lower.finish());
    return base;
  }

  // ---------------------------------------------------------------- weights: [position][m / 4][channel][4]

  /** (first m, number of m, room for the taps of four m, transformed weights, batch) */
  private weights(): Func {
    const { plan, k, context } = this;
    const { x, y } = plan.window;
    const axes = [...plan.channels, y.tap, x.tap];
    const along = cheaper(k.a, k.m.at(-1), axes.at(-1)).along;
    const spec = { name: 'packA', kernel: k, operand: k.a, lanes: k.m, batch: k.batch, k: axes };
    const pack = buildPack({ ...spec, plan: { cut: 0 }, along, width: 4 }, context);
    const transform = this.transformTaps();
    const names = ['first', 'height', 'raw', 'to'] as const;
    const f = this.helper('weights', names);
    const at = params(f, ...names);
    const batch = k.batch.map((_, i) => f.param(names.length + i).get);
    const lower = this.lowering(f, []);
    const whole = lower.poly(axes[0]!.extent);
    const { row, to } = locals(f, 'row', 'to');
    f.body.push(
      ...lower.finish(),
      to.set(at.to),
      ...forLoop(row, i32.const(0), at.height, 4, [
        pack.call('void', i32.add(at.first, row.get), ...batch, i32.const(0), whole, at.raw),
        transform.call('void', at.raw, to.get),
        advance(to, 16 * plan.depth),
      ]),
    );
    return f;
  }

  /** (taps [channel][9][4], to [position][…][channel][4]): G g Gᵀ. Where the image is read backwards the taps are, too. */
  private transformTaps(): Func {
    const { depth, window, blockM } = this.plan;
    const f = this.context.helper('transformTaps', ['taps', 'to']);
    const [from, to] = [f.param(0), f.param(1)];
    const { end } = locals(f, 'end');
    const tap = (s: Sliding, i: number): number => (s.sign === 1 ? i : 2 - i);
    const code: Stmt[] = [];
    const keep = keeper(f, code);
    const g = range(3).map((i) =>
      range(3).map((j) => keep(v128.load(from.get, 16 * (3 * tap(window.y, i) + tap(window.x, j))))),
    );
    around(F23.G, g, keep).forEach((row, i) =>
      row.forEach((value, j) => code.push(v128.store(to.get, value, 4 * depth * blockM * (size * i + j)))),
    );
    code.push(advance(from, 16 * taps));
    f.body.push(end.set(i32.add(to.get, i32.const(16 * depth))), ...forLoop(to, to.get, end.get, 16, code));
    return f;
  }

  // ---------------------------------------------------------------- patches: [position][channel][tile]

  /** (first row of tiles, number of rows, to, batch): Bᵀ d B of four tiles at a time. */
  private patches(): Func {
    const { plan, sizes } = this;
    const { x, y } = plan.window;
    const names = ['first', 'rows', 'to'] as const;
    const f = this.helper('patches', names);
    const given = params(f, ...names);
    const seen = [y, x].map((s) => ({ name: s.slide.name, extent: constant(s.extent + 2) }));
    const lower = this.lowering(f, [...this.rows, ...plan.channels, ...seen]);
    const { row, left, at, channel } = locals(f, 'row', 'left', 'at', 'channel');
    const keep = (v: V128): V128 => lower.keep(v);
    lower.open('row of tiles', row.get);
    decode(lower, this.rows, lower.keep(i32.add(given.first, row.get)));
    lower.push(channel.set(sum(given.to, i32.mul(row.get, i32.const(4 * plan.tilesX)))));
    new Loops(lower, f).nest(plan.channels, () => {
      lower.push(at.set(channel.get));
      lower.open(x.slide.name, left.get, true);
      const d = range(size).map((i) => this.imageRow(lower, i));
      down(B, d, keep).forEach((line, i) =>
        times(B, shifts(line, keep), keep).forEach((value, j) =>
          lower.push(v128.store(at.get, value, 4 * sizes.plane * (size * i + j))),
        ),
      );
      lower.push(advance(at, 16));
      lower.push(...forLoop(left, i32.const(0), i32.const(2 * plan.tilesX), 8, lower.close()));
      lower.push(advance(channel, 4 * sizes.pitch));
    });
    lower.push(...forLoop(row, i32.const(0), given.rows, 1, lower.close()));
    f.body.push(...lower.finish());
    return f;
  }

  /** Twelve neighbours of row `i` of the patches. Below the last row of results a patch may end: it only feeds what is not stored. */
  private imageRow(lower: Lowering, i: number): V128[] {
    const { x, y } = this.plan.window;
    const at = add(scale(symbol('tile row'), 2), i);
    const seen = i === size - 1 && y.extent % 2 === 1 ? minimum(at, y.extent + 1) : at;
    const first = (s: Sliding): Poly => constant(s.sign === 1 ? 0 : 2);
    const where = new Map([
      [y.slide.name, seen],
      [y.tap.name, first(y)],
      [x.tap.name, first(x)],
    ]);
    const operand = exMapper((p) => substitute(p, (s) => where.get(s)))(this.k.b);
    const item = lower.env.interner.item(operand);
    return range(3).map((u) => lower.keep(lower.vector(item, u)));
  }

  // ---------------------------------------------------------------- products

  /** (number of m, number of tiles, weights, patches, room for the products of a strip, to): results [m][2][2 * tile] */
  private product(): Func {
    const { plan, sizes, context } = this;
    const names = ['height', 'tiles', 'weights', 'patches', 'tile', 'to'] as const;
    const f = context.helper('product', names);
    const at = params(f, ...names);
    const micro = context.micro(4, plan.strip / 4, plan.strip / 4, 4 * sizes.pitch);
    const back = this.transformBack();
    const { strip, row, position, a, b, from, to } = locals(
      f,
      'strip',
      'row',
      'position',
      'a',
      'b',
      'from',
      'to',
    );
    f.body.push(
      ...forLoop(strip, i32.const(0), at.tiles, plan.strip, [
        b.set(i32.add(at.patches, i32.mul(strip.get, i32.const(4)))),
        ...forLoop(position, i32.const(0), i32.const(positions), 1, [
          a.set(sum(at.weights, i32.mul(position.get, i32.const(4 * plan.depth * plan.blockM)))),
          to.set(sum(at.tile, i32.mul(position.get, i32.const(this.tileBytes)))),
          ...forLoop(row, i32.const(0), at.height, 4, [
            micro.call('void', i32.const(plan.depth), a.get, b.get, to.get, i32.const(0)),
            advance(a, 16 * plan.depth),
            advance(to, positions * this.tileBytes),
          ]),
          advance(b, 4 * sizes.plane),
        ]),
        from.set(at.tile),
        to.set(i32.add(at.to, i32.mul(strip.get, i32.const(8)))),
        ...forLoop(row, i32.const(0), at.height, 4, [
          back.call('void', from.get, to.get),
          advance(from, positions * this.tileBytes),
          advance(to, 4 * 16 * sizes.lanes),
        ]),
      ]),
    );
    return f;
  }

  /** Of a register tile of results, four rows of m. */
  private get tileBytes(): number {
    return 16 * this.plan.strip;
  }

  /** (tile [position][4][strip], to): Aᵀ M A, four rows of m of two rows of results. */
  private transformBack(): Func {
    const { strip } = this.plan;
    const f = this.context.helper('transformBack', ['tile', 'to']);
    const [from, to] = [f.param(0), f.param(1)];
    const { end } = locals(f, 'end');
    const rowBytes = 8 * this.sizes.lanes;
    const code: Stmt[] = [];
    const keep = keeper(f, code);
    for (let lane = 0; lane < strip; lane += 4) {
      const load = (i: number, j: number): V128 =>
        keep(v128.load(from.get, this.tileBytes * (size * i + j) + 4 * lane));
      const m = range(size).map((i) => range(size).map((j) => load(i, j)));
      around(F23.A, m, keep).forEach(([even, odd], i) => {
        const at = rowBytes * i + 8 * lane;
        code.push(v128.store(to.get, v128.shuffle(even!, odd!, [0, 4, 1, 5]), at));
        code.push(v128.store(to.get, v128.shuffle(even!, odd!, [2, 6, 3, 7]), at + 16));
      });
    }
    code.push(advance(to, 2 * rowBytes));
    f.body.push(
      end.set(i32.add(from.get, i32.const(this.tileBytes))),
      ...forLoop(from, from.get, end.get, 4 * strip, code),
    );
    return f;
  }

  // ---------------------------------------------------------------- stores

  /** (first m, number of m, first row of tiles, number of rows, results, batch) */
  private stores(): Func {
    const { plan, k, sizes } = this;
    const { x, y } = plan.window;
    const names = ['firstM', 'height', 'first', 'rows', 'results'] as const;
    const f = this.helper('stores', names);
    const at = params(f, ...names);
    const lower = this.lowering(f, [...this.rows, ...k.m, ...k.n]);
    const { row, line, m } = locals(f, 'row', 'line', 'm');
    lower.open('row of tiles', row.get);
    decode(lower, this.rows, lower.keep(i32.add(at.first, row.get)));
    const firstLine = lower.keep(i32.mul(lower.index('tile row'), i32.const(2)));
    const lines = lower.keep(minI32(lower.keep(i32.sub(i32.const(y.extent), firstLine)), i32.const(2)));
    lower.open('line of results', line.get);
    lower.bind(y.slide.name, lower.keep(i32.add(firstLine, line.get)));
    const inRow = i32.mul(row.get, i32.const(8 * plan.tilesX));
    const results = lower.keep(sum(at.results, inRow, i32.mul(line.get, i32.const(8 * sizes.lanes))));
    lower.open('row of m', m.get);
    lower.beginStage();
    decode(lower, k.m, lower.keep(i32.add(at.firstM, m.get)));
    const from = lower.keep(i32.add(results, i32.mul(m.get, i32.const(16 * sizes.lanes))));
    const loops = new Loops(lower, f);
    storeRun(lower, loops, { stores: k.stores, axis: x.slide, bounds: loops.whole(x.slide), from });
    lower.push(...forLoop(m, i32.const(0), at.height, 1, lower.close()));
    lower.push(...forLoop(line, i32.const(0), lines, 1, lower.close()));
    lower.push(...forLoop(row, i32.const(0), at.rows, 1, lower.close()));
    f.body.push(...lower.finish());
    return f;
  }
}

/** The columns 0, 2, 4, 6 and those one, two and three further, of twelve neighbours. */
function shifts([a, b, c]: readonly V128[], keep: (v: V128) => V128): V128[] {
  const even = keep(v128.shuffle(a!, b!, [0, 2, 4, 6]));
  const odd = keep(v128.shuffle(a!, b!, [1, 3, 5, 7]));
  return [even, odd, keep(v128.shuffle(even, c!, [1, 2, 3, 4])), keep(v128.shuffle(odd, c!, [1, 2, 3, 5]))];
}
