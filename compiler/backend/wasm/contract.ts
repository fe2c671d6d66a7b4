/**
 * Contractions as packed-panel matrix products (Goto & van de Geijn 2008), in which the panels are filled from any
 * expression: matrix products in every layout, convolutions and their gradients. A unit is one block of m and n of one batch
 * index. For each block of k: pack the block of A; for each strip of B: pack it, run the register kernel down the strips of A.
 * After the last k the stores run over the strip.
 */
import type { Axis, ContractKernel, RowsKernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { add, asConstant, asSymbol, floorDivide, multiply, substitute, zero } from '../../shape/poly.ts';
import type { ContractPlan } from './contract-plan.ts';
import { mergeRoles, planContract } from './contract-plan.ts';
import type { EmitContext } from './context.ts';
import { buildEpilogue } from './epilogue.ts';
import type { Func, I32, Local, Stmt } from './encoder.ts';
import { f32x4, forLoop, i32, minI32, v128, when } from './instr.ts';
import { Loops } from './loops.ts';
import { Lowering } from './lower.ts';
import { buildPack, count, decode } from './pack.ts';
import { emitRows } from './rows.ts';
import { exMapper, mapStore } from './transform.ts';
import { emitImage } from './winograd-image.ts';
import { planImage, planWeight } from './winograd-plan.ts';
import { emitWeight } from './winograd-weight.ts';

export function emitContract(kernel: ContractKernel, context: EmitContext): { readonly units: Poly } {
  if (kernel.parts) throw new Error('contractions are split for other targets only');
  if (kernel.sums) throw new Error('sums are folded into contractions for other targets only');
  const merged = mergeRoles(kernel);
  // Sums in another order and by differences: not where results are to be the same everywhere.
  const image = context.relaxed ? planImage(merged, context.wide) : undefined;
  if (image) return emitImage(image, context);
  const weight = context.relaxed ? planWeight(merged, context.wide) : undefined;
  if (weight) return emitWeight(weight, context);
  const planned = planContract(merged, context.wide);
  if (!planned) return emitRows(asRows(kernel), context);
  return new ContractEmitter(planned.kernel, planned.plan, context).emit();
}

/** A contraction as plain loops: a reduction over k, then the stores. For sizes that do not pay for packing. */
function asRows(k: ContractKernel): RowsKernel {
  const value = { kind: 'op', fn: 'mul', dtype: 'f32', args: [k.a, k.b] } as const;
  return {
    kind: 'rows',
    name: k.name,
    buffers: k.buffers,
    notes: k.notes,
    grid: [...k.batch, ...k.m, ...k.n],
    stages: [
      { kind: 'reduce', axes: k.k, reductions: [{ name: 'acc', fn: 'sum', dtype: 'f32', value }] },
      { kind: 'map', axes: [], stores: k.stores },
    ],
  };
}

/**
 * The product at batch 1, where one role has a single index: plain loops, as packing a matrix to use it once costs more than
 * the product. Undefined where no role is just a dimension.
 */
export function singleRow(
  k: ContractKernel,
): { readonly dim: string; readonly kernel: RowsKernel } | undefined {
  for (const role of ['m', 'n'] as const) {
    const [axis, ...others] = k[role];
    const dim = axis && asSymbol(axis.extent);
    if (!axis || dim === undefined || others.length > 0 || k.batch.length > 0) continue;
    const zeroAt = (p: Poly): Poly => substitute(p, (s) => (s === axis.name ? zero : undefined));
    const mapEx = exMapper(zeroAt);
    const kernel = asRows({
      ...k,
      name: `${k.name}.single`,
      [role]: [],
      a: mapEx(k.a),
      b: mapEx(k.b),
      stores: k.stores.map((s) => mapStore(zeroAt, mapEx, s)),
    });
    return { dim, kernel };
  }
  return undefined;
}

const blocksOf = (axes: readonly Axis[], block: number): Poly =>
  floorDivide(add(count(axes), block - 1), block);

/** Byte offsets of the parts of the scratch area. */
interface Areas {
  readonly a: I32;
  readonly b: I32;
  readonly result: I32;
}

class ContractEmitter {
  private readonly lower: Lowering;
  private readonly packA: Func;
  private readonly packB: Func;
  private readonly epilogue: Func;
  private readonly lanes: number;

  constructor(
    private readonly k: ContractKernel,
    private readonly plan: ContractPlan,
    private readonly context: EmitContext,
  ) {
    const shared = { kernel: k, batch: k.batch, k: k.k, plan };
    this.lanes = 4 * plan.tile.vectors;
    this.packA = buildPack(
      { ...shared, name: 'packA', operand: k.a, lanes: k.m, along: plan.packA, width: plan.tile.rows },
      context,
    );
    this.packB = buildPack(
      { ...shared, name: 'packB', operand: k.b, lanes: k.n, along: plan.packB, width: this.lanes },
      context,
    );
    this.epilogue = buildEpilogue(k, plan.tile.vectors, context);
    const ranges = new Map([...k.batch, ...k.k].map((a) => [a.name, a.extent]));
    this.lower = new Lowering(context.environment(k, ranges));
  }

  private local(name: string): Local<'i32'> {
    return this.context.f.local('i32', name);
  }

  /** One block is the only one of its role when it holds all indices of a known number. */
  emit(): { readonly units: Poly } {
    const { k, plan, lower, context } = this;
    const { f } = context;
    const [perM, perN] = [blocksOf(k.m, plan.blockM), blocksOf(k.n, plan.blockN)];
    const areas = this.areas();
    const packed = this.local('packed');
    lower.push(packed.set(i32.const(-1)));
    const unit = this.local('unit');
    lower.open('unit', unit.get);
    const { integers } = lower.env;
    const n = lower.keep(integers.floorMod(unit.get, lower.poly(perN), true));
    const rest = lower.keep(integers.floorDiv(unit.get, lower.poly(perN), true));
    const m = lower.keep(integers.floorMod(rest, lower.poly(perM), true));
    decode(lower, k.batch, lower.keep(integers.floorDiv(rest, lower.poly(perM), true)));
    this.unit(
      {
        first: lower.keep(i32.mul(m, i32.const(plan.blockM))),
        size: plan.blockM,
        total: lower.poly(count(k.m)),
      },
      {
        first: lower.keep(i32.mul(n, i32.const(plan.blockN))),
        size: plan.blockN,
        total: lower.poly(count(k.n)),
      },
      areas,
      { row: rest, packed },
    );
    lower.push(...forLoop(unit, f.param(0).get, f.param(1).get, 1, lower.close()));
    f.body.push(...lower.finish());
    return { units: multiply(...[count(k.batch), perM, perN]) };
  }

  private areas(): Areas {
    const { plan, lower, context } = this;
    const sizes = [
      4 * plan.blockM * plan.blockK,
      4 * this.lanes * plan.blockK,
      4 * plan.blockM * (plan.single ? this.lanes : plan.blockN),
    ].map((bytes) => Math.ceil(bytes / 64) * 64 + 64);
    const [a = 0, b = 0, result = 0] = sizes;
    const start = lower.keep(context.scratch(context.f.param(2).get, a + b + result));
    return {
      a: start,
      b: lower.keep(i32.add(start, i32.const(a))),
      result: lower.keep(i32.add(start, i32.const(a + b))),
    };
  }

  private unit(m: Block, n: Block, areas: Areas, cache: { row: I32; packed: Local<'i32'> }): void {
    const { lower, plan } = this;
    const rows = lower.keep(minI32(lower.keep(i32.sub(m.total, m.first)), i32.const(m.size)));
    const columns = lower.keep(minI32(lower.keep(i32.sub(n.total, n.first)), i32.const(n.size)));
    if (!plan.single) return this.blocked(m, n, rows, columns, areas);
    const all = { from: i32.const(0), to: lower.poly(this.k.k[0]!.extent) };
    // The units of one block of m follow each other: its panels stay packed.
    const fresh = i32.ne(cache.packed.get, cache.row);
    lower.push(...when(fresh, [...this.packRows(m.first, rows, areas, all), cache.packed.set(cache.row)]));
    const add = i32.const(0);
    lower.push(
      ...this.strips(columns, (strip) => [
        ...this.multiplyStrip(n.first, strip, columns, rows, areas, areas.result, all, add),
        this.finish(m.first, n.first, strip, rows, areas.result),
      ]),
    );
  }

  /** Several blocks of k: the results of all strips are kept until the last. */
  private blocked(m: Block, n: Block, rows: I32, columns: I32, areas: Areas): void {
    const { lower, plan, k, context } = this;
    const stripBytes = 4 * plan.blockM * this.lanes;
    const resultOf = (strip: I32): I32 =>
      i32.add(
        areas.result,
        i32.mul(lower.env.integers.floorDiv(strip, i32.const(this.lanes), true), i32.const(stripBytes)),
      );
    const started = this.local('started');
    lower.push(started.set(i32.const(0)));
    const loops = new Loops(lower, context.f);
    const cutAxis = k.k[plan.cut]!;
    loops.nest(k.k.slice(0, plan.cut), () => {
      const from = this.local('from');
      const to = lower.keep(lower.poly(cutAxis.extent));
      lower.open('block', from.get);
      const bounds = {
        from: from.get,
        to: lower.keep(minI32(lower.keep(i32.add(from.get, i32.const(plan.chunk))), to)),
      };
      lower.push(...this.packRows(m.first, rows, areas, bounds));
      lower.push(
        ...this.strips(columns, (strip) =>
          this.multiplyStrip(n.first, strip, columns, rows, areas, resultOf(strip), bounds, started.get),
        ),
        started.set(i32.const(1)),
      );
      lower.push(...forLoop(from, i32.const(0), to, plan.chunk, lower.close()));
    });
    lower.push(
      ...this.strips(columns, (strip) => [
        ...when(i32.eqz(started.get), this.clear(resultOf(strip), stripBytes)),
        this.finish(m.first, n.first, strip, rows, resultOf(strip)),
      ]),
    );
  }

  /** An empty sum is 0. */
  private clear(at: I32, bytes: number): Stmt[] {
    const i = this.local('i');
    return forLoop(i, at, i32.add(at, i32.const(bytes)), 16, [v128.store(i.get, f32x4.splatConst(0))]);
  }

  private strips(columns: I32, body: (strip: I32) => Stmt[]): Stmt[] {
    const strip = this.local('strip');
    return forLoop(strip, i32.const(0), columns, this.lanes, body(strip.get));
  }

  private outer(): I32[] {
    return [...this.k.batch, ...this.k.k.slice(0, this.plan.cut)].map((a) => this.lower.index(a.name));
  }

  /** Number of k in a block. */
  private depth(bounds: { from: I32; to: I32 }): I32 {
    const inner = this.plan.blockK / this.plan.chunk;
    return i32.mul(i32.sub(bounds.to, bounds.from), i32.const(inner));
  }

  private packRows(first: I32, rows: I32, areas: Areas, bounds: { from: I32; to: I32 }): Stmt[] {
    const row = this.local('row');
    const to = this.local('to');
    const bytes = i32.mul(this.depth(bounds), i32.const(4 * this.plan.tile.rows));
    return [
      to.set(areas.a),
      ...forLoop(row, i32.const(0), rows, this.plan.tile.rows, [
        this.packA.call('void', i32.add(first, row.get), ...this.outer(), bounds.from, bounds.to, to.get),
        to.set(i32.add(to.get, bytes)),
      ]),
    ];
  }

  private multiplyStrip(
    first: I32,
    strip: I32,
    columns: I32,
    rows: I32,
    areas: Areas,
    result: I32,
    bounds: { from: I32; to: I32 },
    isAdding: I32,
  ): Stmt[] {
    const { tile } = this.plan;
    const row = this.local('row');
    const panel = this.local('panel');
    const to = this.local('to');
    const deep = this.local('deep');
    const bytes = i32.mul(deep.get, i32.const(4 * tile.rows));
    return [
      deep.set(this.depth(bounds)),
      this.packB.call('void', i32.add(first, strip), ...this.outer(), bounds.from, bounds.to, areas.b),
      panel.set(areas.a),
      to.set(result),
      ...forLoop(row, i32.const(0), rows, tile.rows, [
        ...this.multiplyTile(i32.sub(columns, strip), [deep.get, panel.get, areas.b, to.get, isAdding]),
        panel.set(i32.add(panel.get, bytes)),
        to.set(i32.add(to.get, i32.const(4 * tile.rows * this.lanes))),
      ]),
    ];
  }

  /** The register kernel for as many vectors as the `left` columns need. */
  private multiplyTile(left: I32, args: readonly I32[]): Stmt[] {
    const { rows, vectors } = this.plan.tile;
    const total = asConstant(count(this.k.n));
    const call = (used: number): Stmt => this.context.micro(rows, vectors, used).call('void', ...args);
    const rest = total === undefined ? undefined : Math.ceil((total % this.lanes) / 4);
    let code: Stmt[] = [call(vectors)];
    for (let used = vectors - 1; used >= 1; used--)
      if (rest === undefined || rest === used)
        code = when(i32.leS(left, i32.const(4 * used)), [call(used)], code);
    return code;
  }

  private finish(firstM: I32, firstN: I32, strip: I32, rows: I32, result: I32): Stmt {
    const batch = this.k.batch.map((a) => this.lower.index(a.name));
    return this.epilogue.call('void', firstM, i32.add(firstN, strip), ...batch, rows, result);
  }
}

interface Block {
  readonly first: I32;
  readonly size: number;
  readonly total: I32;
}
