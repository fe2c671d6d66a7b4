/**
 * 3 x 3 convolutions by F(2 x 2, 3 x 3) or F(4 x 4, 3 x 3) (Lavin & Gray 2016): for each position of a patch, which has two rows
 * and columns more than a tile of results, one product of the transformed weights [m][channels] and patches [channels][tiles]. A
 * unit is a block of m and some rows of tiles, flattened: its patches are transformed first; then each strip of tiles is
 * multiplied, one position after the other, and transformed back, and at the end the stores run over the rows of results.
 */
import type { Axis, ContractKernel } from '../../../kernel/kernel.ts';
import type { Poly } from '../../../shape/poly.ts';
import { add, constant, floorDivide, maximum, minimum, multiply } from '../../../shape/poly.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32 } from '../encoder.ts';
import { forLoop, i32, minI32, when } from '../instr.ts';
import { Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { count, decode } from '../contract/pack.ts';
import { areasOf, partOf } from '../parts.ts';
import { evenly, gridFloats, locals, params, storeRun } from './code.ts';
import { buildPatches, lineFloats, rowsOfTiles } from './patches.ts';
import type { ImagePlan } from './plan.ts';
import type { Sizes } from './products.ts';
import { buildProduct, sizesOf } from './products.ts';
import { buildTaps, taps } from './taps.ts';

/** Units that a call has at least, if it has as many rows of tiles. */
const fewUnits = 2;

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
    this.rows = rowsOfTiles(plan);
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
    const transformWeights = buildTaps(plan, sizes, context);
    const ready = this.prepareWeights(transformWeights);
    const transformPatches = buildPatches(plan, sizes, context);
    const product = buildProduct(plan, sizes, context);
    const stores = this.stores();
    const lower = new Lowering(context.environment(k, new Map(k.batch.map((a) => [a.name, a.extent]))));
    const floats = [
      sizes.weights,
      sizes.patches,
      sizes.results,
      plan.positions * plan.blockM * plan.strip,
      4 * taps * plan.depth,
      lineFloats(plan),
      gridFloats,
    ];
    const areas = areasOf(lower, context, floats);
    const [u, v, y, products, raw, lines, grid] = areas as [I32, I32, I32, I32, I32, I32, I32];
    const { unit, transformed } = locals(f, 'unit', 'transformed');
    lower.push(transformed.set(i32.const(-1)));
    lower.open('unit', unit.get);
    const { integers } = lower.env;
    const all = count(this.rows);
    const blocks = floorDivide(add(all, plan.blockRows - 1), plan.blockRows);
    const perM = Math.ceil(plan.height / plan.blockM);
    const perRows = maximum(blocks, minimum(all, Math.ceil(fewUnits / perM)));
    const block = lower.keep(integers.floorMod(unit.get, lower.poly(perRows), true));
    const rest = lower.keep(integers.floorDiv(unit.get, lower.poly(perRows), true));
    const blockM = lower.keep(integers.floorMod(rest, i32.const(perM), true));
    decode(lower, k.batch, lower.keep(integers.floorDiv(rest, i32.const(perM), true)));
    const batch = k.batch.map((a) => lower.index(a.name));
    const m = partOf(lower, blockM, plan.blockM, i32.const(plan.height));
    const rows = evenly(lower, block, lower.poly(all), lower.poly(perRows));
    const tiles = lower.keep(i32.mul(rows.size, i32.const(plan.tilesX)));
    // The units of one block of m follow each other: its weights stay as they are.
    const isNew = i32.ne(transformed.get, rest);
    const weights = ready ? lower.keep(i32.add(ready, i32.mul(blockM, i32.const(4 * sizes.weights)))) : u;
    const transform = [
      transformWeights.call('void', m.first, m.size, raw, u, ...batch),
      transformed.set(rest),
    ];
    lower.push(
      ...(ready ? [] : when(isNew, transform)),
      transformPatches.call('void', rows.first, rows.size, v, lines, grid, ...batch),
      product.call('void', m.size, tiles, weights, v, products, y, grid),
      stores.call('void', m.first, m.size, rows.first, rows.size, y, ...batch),
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
    lower.push(transformWeights.call('void', m.first, m.size, raw, to));
    lower.push(...forLoop(unit, fill.param(0).get, fill.param(1).get, 1, lower.close()));
    fill.body.push(...lower.finish());
    return base;
  }

  // ---------------------------------------------------------------- stores

  /** (first m, number of m, first row of tiles, number of rows, results, batch) */
  private stores(): Func {
    const { plan, k, sizes } = this;
    const { tile } = plan;
    const { x, y } = plan.window;
    const names = ['firstM', 'height', 'first', 'rows', 'results'] as const;
    const f = this.helper('stores', names);
    const at = params(f, ...names);
    const lower = this.lowering(f, [...this.rows, ...k.m, ...k.n]);
    const { row, line, m } = locals(f, 'row', 'line', 'm');
    // Along the results of one m, as they lie in memory: what the stores read comes from there, too.
    lower.open('row of m', m.get);
    decode(lower, k.m, lower.keep(i32.add(at.firstM, m.get)));
    const ofM = lower.keep(i32.add(at.results, i32.mul(m.get, i32.const(4 * tile * tile * sizes.lanes))));
    lower.open('row of tiles', row.get);
    decode(lower, this.rows, lower.keep(i32.add(at.first, row.get)));
    const firstLine = lower.keep(i32.mul(lower.index('tile row'), i32.const(tile)));
    const lines = lower.keep(minI32(lower.keep(i32.sub(i32.const(y.extent), firstLine)), i32.const(tile)));
    const inRow = lower.keep(i32.add(ofM, i32.mul(row.get, i32.const(4 * tile * plan.tilesX))));
    lower.open('line of results', line.get);
    lower.beginStage();
    lower.bind(y.slide.name, lower.keep(i32.add(firstLine, line.get)));
    const from = lower.keep(i32.add(inRow, i32.mul(line.get, i32.const(4 * tile * sizes.lanes))));
    const loops = new Loops(lower, f);
    const bounds = loops.whole(x.slide);
    storeRun(lower, loops, { stores: k.stores, axis: x.slide, bounds, from, copies: copiesFor(x.extent) });
    lower.push(...forLoop(line, i32.const(0), lines, 1, lower.close()));
    lower.push(...forLoop(row, i32.const(0), at.rows, 1, lower.close()));
    lower.push(...forLoop(m, i32.const(0), at.height, 1, lower.close()));
    f.body.push(...lower.finish());
    return f;
  }
}

/** Of two or three vectors at once, what takes fewer steps along a row. */
function copiesFor(extent: number): number {
  const vectors = Math.floor(extent / 4);
  const steps = (copies: number): number => Math.floor(vectors / copies) + (vectors % copies);
  return steps(3) < steps(2) ? 3 : 2;
}
