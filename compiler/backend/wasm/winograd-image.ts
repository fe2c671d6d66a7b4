/**
 * 3 x 3 convolutions by F(2 x 2, 3 x 3) (Lavin & Gray 2016): for each of the 16 positions of a 4 x 4 patch one product of the
 * transformed weights [m][channels] and patches [channels][tiles]. A unit is a block of m and some rows of tiles, flattened:
 * its patches are transformed first; then each strip of eight tiles is multiplied and transformed back in the first-level cache,
 * and at the end the stores run over the rows of results.
 */
import type { Axis, ContractKernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import {
  add,
  constant,
  floorDivide,
  minimum,
  multiply,
  scale,
  substitute,
  symbol,
} from '../../shape/poly.ts';
import { cheaper } from './contract-plan.ts';
import type { EmitContext } from './context.ts';
import type { Func, I32, Local, Stmt, V128 } from './encoder.ts';
import { forLoop, i32, minI32, v128, when } from './instr.ts';
import { Loops } from './loops.ts';
import { Lowering } from './lower.ts';
import { buildPack, count, decode } from './pack.ts';
import { exMapper } from './transform.ts';
import { around, B, down, F23, times } from './winograd-matrices.ts';
import { keeper, positions, range, roundUp, size, storeRun, tileBytes } from './winograd-code.ts';
import type { ImagePlan, Sliding } from './winograd-plan.ts';

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
  const { tilesX, blockRows, depth, blockM } = plan;
  const lanes = roundUp(blockRows * tilesX, 8);
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

  private helper(name: string, params: readonly string[]): Func {
    return this.context.helper(name, [...params, ...this.k.batch.map((a) => a.name)]);
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
    const transformPatches = this.patches();
    const product = this.product();
    const stores = this.stores();
    const lower = new Lowering(context.environment(k, new Map(k.batch.map((a) => [a.name, a.extent]))));
    const floats = [sizes.weights, sizes.patches, sizes.results, positions * 32, taps * plan.depth * 4];
    const at: I32[] = [];
    let bytes = 0;
    const starts = floats.map((n) => (bytes += roundUp(4 * n, 64) + 64) - roundUp(4 * n, 64) - 64);
    const start = lower.keep(context.scratch(f.param(2).get, bytes));
    for (const s of starts) at.push(lower.keep(i32.add(start, i32.const(s))));
    const [u, v, y, tile, raw] = at as [I32, I32, I32, I32, I32];
    const transformed = f.local('i32', 'transformed');
    lower.push(transformed.set(i32.const(-1)));
    const unit = f.local('i32', 'unit');
    lower.open('unit', unit.get);
    const { integers } = lower.env;
    const perRows = floorDivide(add(count(this.rows), plan.blockRows - 1), plan.blockRows);
    const perM = Math.ceil(plan.height / plan.blockM);
    const block = lower.keep(integers.floorMod(unit.get, lower.poly(perRows), true));
    const rest = lower.keep(integers.floorDiv(unit.get, lower.poly(perRows), true));
    const m = lower.keep(integers.floorMod(rest, i32.const(perM), true));
    decode(lower, k.batch, lower.keep(integers.floorDiv(rest, i32.const(perM), true)));
    const batch = k.batch.map((a) => lower.index(a.name));
    const firstM = lower.keep(i32.mul(m, i32.const(plan.blockM)));
    const height = lower.keep(
      minI32(lower.keep(i32.sub(i32.const(plan.height), firstM)), i32.const(plan.blockM)),
    );
    const first = lower.keep(i32.mul(block, i32.const(plan.blockRows)));
    const left = lower.keep(i32.sub(lower.poly(count(this.rows)), first));
    const rows = lower.keep(minI32(left, i32.const(plan.blockRows)));
    const fresh = i32.ne(transformed.get, rest);
    lower.push(
      ...when(fresh, [
        transformWeights.call('void', firstM, height, raw, u, ...batch),
        transformed.set(rest),
      ]),
      transformPatches.call('void', first, rows, v, ...batch),
      product.call('void', height, lower.keep(i32.mul(rows, i32.const(plan.tilesX))), u, v, tile, y),
      stores.call('void', firstM, height, first, rows, y, ...batch),
    );
    lower.push(...forLoop(unit, f.param(0).get, f.param(1).get, 1, lower.close()));
    f.body.push(...lower.finish());
    return { units: multiply(count(k.batch), constant(perM), perRows) };
  }

  // ---------------------------------------------------------------- weights: [m / 4][position][channel][4]

  /** (first m, number of m, room for the taps of four m, transformed weights, batch) */
  private weights(): Func {
    const { plan, k, context } = this;
    const { x, y } = plan.window;
    const axes = [...plan.channels, y.tap, x.tap];
    const along = cheaper(k.a, k.m.at(-1), axes.at(-1)).along;
    const spec = { name: 'packA', kernel: k, operand: k.a, lanes: k.m, batch: k.batch, k: axes };
    const pack = buildPack({ ...spec, plan: { cut: 0 }, along, width: 4 }, context);
    const transform = this.transformTaps();
    const f = this.helper('weights', ['first', 'height', 'raw', 'to']);
    const [first, height, raw] = [0, 1, 2].map((i) => f.param(i).get) as [I32, I32, I32];
    const to = f.param(3);
    const batch = k.batch.map((_, i) => f.param(4 + i).get);
    const lower = this.lowering(f, []);
    const row = f.local('i32', 'row');
    const whole = lower.poly(axes[0]!.extent);
    f.body.push(
      ...lower.finish(),
      ...forLoop(row, i32.const(0), height, 4, [
        pack.call('void', i32.add(first, row.get), ...batch, i32.const(0), whole, raw),
        transform.call('void', raw, to.get),
        to.set(i32.add(to.get, i32.const(16 * positions * plan.depth))),
      ]),
    );
    return f;
  }

  /** (taps [channel][9][4], to [position][channel][4]): G g Gᵀ. Where the image is read backwards the taps are, too. */
  private transformTaps(): Func {
    const { depth, window } = this.plan;
    const f = this.context.helper('transformTaps', ['taps', 'to']);
    const [from, to] = [f.param(0), f.param(1)];
    const end = f.local('i32', 'end');
    const tap = (s: Sliding, i: number): number => (s.sign === 1 ? i : 2 - i);
    const code: Stmt[] = [];
    const keep = keeper(f, code);
    const g = range(3).map((i) =>
      range(3).map((j) => keep(v128.load(from.get, 16 * (3 * tap(window.y, i) + tap(window.x, j))))),
    );
    around(F23.G, g, keep).forEach((row, i) =>
      row.forEach((value, j) => code.push(v128.store(to.get, value, 16 * depth * (size * i + j)))),
    );
    code.push(from.set(i32.add(from.get, i32.const(16 * taps))));
    f.body.push(end.set(i32.add(to.get, i32.const(16 * depth))), ...forLoop(to, to.get, end.get, 16, code));
    return f;
  }

  // ---------------------------------------------------------------- patches: [position][channel][tile]

  /** (first row of tiles, number of rows, to, batch): Bᵀ d B of four tiles at a time. */
  private patches(): Func {
    const { plan, sizes } = this;
    const { x, y } = plan.window;
    const f = this.helper('patches', ['first', 'rows', 'to']);
    const [first, rows, to] = [0, 1, 2].map((i) => f.param(i).get) as [I32, I32, I32];
    const seen = [y, x].map((s) => ({ name: s.slide.name, extent: constant(s.extent + 2) }));
    const lower = this.lowering(f, [...this.rows, ...plan.channels, ...seen]);
    const [row, left, at, channel] = ['row', x.slide.name, 'at', 'channel'].map((n) => f.local('i32', n)) as [
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
    ];
    lower.open('row of tiles', row.get);
    decode(lower, this.rows, lower.keep(i32.add(first, row.get)));
    lower.push(channel.set(i32.add(to, i32.mul(row.get, i32.const(4 * plan.tilesX)))));
    new Loops(lower, f).nest(plan.channels, () => {
      lower.push(at.set(channel.get));
      lower.open(x.slide.name, left.get, true);
      const d = range(size).map((i) => this.imageRow(lower, i));
      const keep = (v: V128): V128 => lower.keep(v);
      down(B, d, keep).forEach((line, i) =>
        times(B, shifts(line, keep), keep).forEach((value, j) =>
          lower.push(v128.store(at.get, value, 4 * sizes.plane * (size * i + j))),
        ),
      );
      lower.push(at.set(i32.add(at.get, i32.const(16))));
      lower.push(...forLoop(left, i32.const(0), i32.const(2 * plan.tilesX), 8, lower.close()));
      lower.push(channel.set(i32.add(channel.get, i32.const(4 * sizes.pitch))));
    });
    lower.push(...forLoop(row, i32.const(0), rows, 1, lower.close()));
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

  /** (number of m, number of tiles, weights, patches, room for a tile, to): results [m][2][2 * tile] */
  private product(): Func {
    const { plan, sizes, context } = this;
    const f = context.helper('product', ['height', 'tiles', 'weights', 'patches', 'tile', 'to']);
    const [height, tiles, weights, patches, tile] = range(5).map((i) => f.param(i).get) as [
      I32,
      I32,
      I32,
      I32,
      I32,
    ];
    const micro = context.micro(4, 2, 2, 4 * sizes.pitch);
    const back = this.transformBack();
    const local = (name: string): Local<'i32'> => f.local('i32', name);
    const [strip, row, a, b, c, to] = ['strip', 'row', 'a', 'b', 'c', 'y'].map(local) as Local<'i32'>[];
    const step = (l: Local<'i32'>, bytes: number): Stmt => l.set(i32.add(l.get, i32.const(bytes)));
    const end = local('end');
    f.body.push(
      end.set(i32.add(tile, i32.const(positions * tileBytes))),
      ...forLoop(strip!, i32.const(0), tiles, 8, [
        a!.set(weights),
        to!.set(i32.add(f.param(5).get, i32.mul(strip!.get, i32.const(8)))),
        ...forLoop(row!, i32.const(0), height, 4, [
          b!.set(i32.add(patches, i32.mul(strip!.get, i32.const(4)))),
          ...forLoop(c!, tile, end.get, tileBytes, [
            micro.call('void', i32.const(plan.depth), a!.get, b!.get, c!.get, i32.const(0)),
            step(a!, 16 * plan.depth),
            step(b!, 4 * sizes.plane),
          ]),
          back.call('void', tile, to!.get),
          step(to!, 4 * 16 * sizes.lanes),
        ]),
      ]),
    );
    return f;
  }

  /** (tile [position][4][8], to): Aᵀ M A, four rows of m of two rows of 16 results. */
  private transformBack(): Func {
    const f = this.context.helper('transformBack', ['tile', 'to']);
    const [from, to] = [f.param(0), f.param(1)];
    const rowBytes = 8 * this.sizes.lanes;
    const code: Stmt[] = [];
    const keep = keeper(f, code);
    for (const half of [0, 1]) {
      const m = range(size).map((i) =>
        range(size).map((j) => keep(v128.load(from.get, tileBytes * (size * i + j) + 16 * half))),
      );
      around(F23.A, m, keep).forEach(([even, odd], i) => {
        const at = rowBytes * i + 32 * half;
        code.push(v128.store(to.get, v128.shuffle(even!, odd!, [0, 4, 1, 5]), at));
        code.push(v128.store(to.get, v128.shuffle(even!, odd!, [2, 6, 3, 7]), at + 16));
      });
    }
    code.push(to.set(i32.add(to.get, i32.const(2 * rowBytes))));
    const end = f.local('i32', 'end');
    f.body.push(
      end.set(i32.add(from.get, i32.const(tileBytes))),
      ...forLoop(from, from.get, end.get, 32, code),
    );
    return f;
  }

  // ---------------------------------------------------------------- stores

  /** (first m, number of m, first row of tiles, number of rows, results, batch) */
  private stores(): Func {
    const { plan, k, sizes } = this;
    const { x, y } = plan.window;
    const f = this.helper('stores', ['firstM', 'height', 'first', 'rows', 'results']);
    const [firstM, height, first, rows, results] = range(5).map((i) => f.param(i).get) as [
      I32,
      I32,
      I32,
      I32,
      I32,
    ];
    const lower = this.lowering(f, [...this.rows, ...k.m, ...k.n]);
    const row = f.local('i32', 'row');
    lower.open('row of tiles', row.get);
    decode(lower, this.rows, lower.keep(i32.add(first, row.get)));
    const line = f.local('i32', 'line');
    lower.open('line of results', line.get);
    lower.bind(y.slide.name, lower.keep(i32.add(i32.mul(lower.index('tile row'), i32.const(2)), line.get)));
    const fromLine = lower.keep(
      i32.add(
        results,
        i32.add(i32.mul(row.get, i32.const(8 * plan.tilesX)), i32.mul(line.get, i32.const(8 * sizes.lanes))),
      ),
    );
    const m = f.local('i32', 'm');
    lower.open('row of m', m.get);
    lower.beginStage();
    decode(lower, k.m, lower.keep(i32.add(firstM, m.get)));
    const from = lower.keep(i32.add(fromLine, i32.mul(m.get, i32.const(16 * sizes.lanes))));
    const loops = new Loops(lower, f);
    storeRun(lower, loops, { stores: k.stores, axis: x.slide, bounds: loops.whole(x.slide), from });
    lower.push(...forLoop(m, i32.const(0), height, 1, lower.close()));
    const lines = i32.sub(i32.const(y.extent), i32.mul(lower.index('tile row'), i32.const(2)));
    const inLine = lower.close();
    const end = lower.keep(minI32(lower.keep(lines), i32.const(2)));
    lower.push(...forLoop(line, i32.const(0), end, 1, inLine));
    lower.push(...forLoop(row, i32.const(0), rows, 1, lower.close()));
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
