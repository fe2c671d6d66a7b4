/** What both orders of a contraction share: packing, the register kernel, the blocks that units are. */
import type { Axis, ContractKernel } from '../../../kernel/kernel.ts';
import type { Poly } from '../../../shape/poly.ts';
import { add, asConstant, asSymbol, floorDivide, multiply } from '../../../shape/poly.ts';
import { type ContractPlan, known, roundUp, whereNothingIsPacked } from './plan.ts';
import type { EmitContext } from '../context.ts';
import { buildRowEpilogue } from './epilogue.ts';
import type { Func, I32, Local, Stmt } from '../encoder.ts';
import { forLoop, i32, minI32, select, when } from '../instr.ts';
import { clear } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { count, decode } from './pack.ts';
import { Live } from './live.ts';
import { type Depth, type Operand, Panels, RowsInPlace } from './panels.ts';
import { areasOf, type Part, partOf } from '../parts.ts';
import { emitSingle, type Single } from './single.ts';
import { fewRows } from './tiles.ts';
import { Sums } from './sums.ts';

/** Of the register kernel: count of k, rows of A, panel of B, tile, whether to add to the tile. */
export type TileArguments = readonly [deep: I32, a: I32, b: I32, tile: I32, isAdding: I32];

export abstract class ContractEmitter {
  protected readonly plan: ContractPlan;
  protected readonly lower: Lowering;
  protected readonly lanes: number;
  /** Which block of the role whose panels stay packed while units share it is packed now; kept for the thread's next call. */
  protected readonly packed: Local<'i32'>;
  protected readonly a: Operand;
  protected readonly b: Panels;
  protected readonly live: Live | undefined;
  private readonly sums: Sums | undefined;

  constructor(
    protected readonly k: ContractKernel,
    planned: ContractPlan,
    protected readonly context: EmitContext,
  ) {
    const shared = { kernel: k, batch: k.batch, k: k.k };
    this.lanes = 4 * planned.tile.vectors;
    this.b = new Panels(
      { ...shared, name: 'packB', operand: k.b, lanes: k.n, along: planned.packB, width: this.lanes },
      planned,
      context,
    );
    const plan = this.b.isPrepared ? whereNothingIsPacked(k, planned) : planned;
    this.plan = plan;
    const ranges = new Map([...k.batch, ...k.k].map((a) => [a.name, a.extent]));
    this.lower = new Lowering(context.environment(k, ranges));
    const { rows } = plan.tile;
    this.a = plan.inPlace
      ? new RowsInPlace(plan.inPlace, rows, plan, this.lower)
      : new Panels(
          { ...shared, name: 'packA', operand: k.a, lanes: k.m, along: plan.packA, width: rows },
          plan,
          context,
        );
    this.packed = this.local('packed');
    this.live = k.live && !k.sums ? new Live(k, this.lower, context.f) : undefined;
    this.sums = k.sums && new Sums(k, k.sums, plan, context);
  }

  /** The units of one block of the outer role follow each other: its panels stay packed. `shared` numbers those blocks. */
  protected abstract unit(m: Part, n: Part, shared: I32): void;
  /** Floats of the parts of the scratch area: panels of A, of B, results. */
  protected abstract sizes(): readonly [number, number, number];
  private areas: readonly I32[] = [];

  /** The same for one row of m, where B is packed before the run and m is just a dimension. */
  single(): Single | undefined {
    const { k, plan, a, b, context } = this;
    const [axis, ...others] = k.m;
    const dim = axis && asSymbol(axis.extent);
    const isRow = dim !== undefined && others.length === 0 && k.batch.length === 0 && k.n.length === 1;
    if (!isRow || !b.isPrepared || k.sums) return undefined;
    return emitSingle(k, plan, { dim, a, b, epilogue: this.rowEpilogue() }, context);
  }

  /** Stores along rows. */
  protected rowEpilogue(): Func {
    return buildRowEpilogue(this.k, this.plan, this.context);
  }

  protected area(part: 'a' | 'b' | 'result' | 'sums'): I32 {
    return this.areas[['a', 'b', 'result', 'sums'].indexOf(part)]!;
  }

  protected local(name: string): Local<'i32'> {
    return this.context.f.local('i32', name);
  }

  emit(): { readonly units: Poly } {
    const { k, plan, lower, context } = this;
    const { f } = context;
    const perM = blocksOf(k.m, plan.blockM);
    const perN = blocksOf(k.n, plan.blockN);
    const { inPlace, tile } = plan;
    const [a, ...sizes] = this.sizes();
    const floats = [inPlace ? 0 : a, ...sizes, ...(this.sums ? [plan.blockN] : [])];
    const [kept, ...areas] = areasOf(lower, context, [1, ...floats], tile.rows * (inPlace?.pitch ?? 0));
    this.areas = areas;
    const again = f.param(3).get;
    lower.push(this.packed.set(select(again, i32.load(kept!), i32.const(-1))));
    const unit = this.local('unit');
    lower.open('unit', unit.get);
    // The block that is packed stays; where none is, the next unit reads the same rows of A.
    const isByColumns = plan.order === 'rows' && !this.b.isPrepared;
    const [outer, inner] = isByColumns ? [perN, perM] : [perM, perN];
    const { integers } = lower.env;
    const innerIndex = lower.keep(integers.floorMod(unit.get, lower.poly(inner), true));
    const shared = lower.keep(integers.floorDiv(unit.get, lower.poly(inner), true));
    const outerIndex = lower.keep(integers.floorMod(shared, lower.poly(outer), true));
    decode(lower, k.batch, lower.keep(integers.floorDiv(shared, lower.poly(outer), true)));
    const [m, n] = isByColumns ? [innerIndex, outerIndex] : [outerIndex, innerIndex];
    const blockM = partOf(lower, m, plan.blockM, lower.poly(count(k.m)));
    const blockN = partOf(lower, n, plan.blockN, lower.poly(count(k.n)), this.missing());
    lower.push(...(this.sums?.begin(blockM, this.area('sums'), 4 * plan.blockN) ?? []));
    this.unit(blockM, blockN, shared);
    lower.push(...(this.sums?.store(blockM, blockN, this.area('sums')) ?? []));
    lower.push(...forLoop(unit, f.param(0).get, f.param(1).get, 1, lower.close()));
    lower.push(i32.store(kept!, this.packed.get));
    f.body.push(...lower.finish());
    return { units: multiply(...[count(k.batch), perM, perN]) };
  }

  /**
   * How many columns fewer the first block has. Where the last strip is not full, the last block has it beside others: 25 columns
   * for two threads are 12 and 13, not 24 and 1.
   */
  private missing(): number {
    const { blockN } = this.plan;
    const n = known(this.k.n);
    if (n === undefined || n <= blockN || n % this.lanes === 0) return 0;
    return roundUp(n, blockN) - roundUp(n, this.lanes);
  }

  /** Adds the panel of the strip from lane `strip` of a block on to the sums that go along. */
  protected addToSums(m: Part, strip: I32, deep: I32, panel: I32): Stmt[] {
    return this.sums?.add(m, strip, deep, panel, this.area('sums')) ?? [];
  }

  protected strips(columns: I32, body: (strip: I32) => Stmt[]): Stmt[] {
    const strip = this.local('strip');
    return forLoop(strip, i32.const(0), columns, this.lanes, body(strip.get));
  }

  /** All of k. */
  protected whole(): Depth {
    return { from: i32.const(0), to: this.lower.poly(this.cutExtent()) };
  }

  /** Of the k axes that count as one. */
  protected cutExtent(): Poly {
    return count(this.k.k.slice(0, this.plan.cut + 1));
  }

  /** Number of k in a block. */
  protected depth(bounds: Depth): I32 {
    const inner = this.plan.blockK / this.plan.chunk;
    return i32.mul(i32.sub(bounds.to, bounds.from), i32.const(inner));
  }

  /** Runs over all blocks of k. */
  protected blocksOfK(body: (bounds: Depth) => Stmt[]): void {
    const { lower, plan } = this;
    const from = this.local('from');
    const to = lower.keep(lower.poly(this.cutExtent()));
    lower.open('block', from.get);
    const end = lower.keep(minI32(lower.keep(i32.add(from.get, i32.const(plan.chunk))), to));
    lower.push(...body({ from: from.get, to: end }));
    lower.push(...forLoop(from, i32.const(0), to, plan.chunk, lower.close()));
  }

  /** Packs all panels of a block from `area` on, `width` lanes each; nothing where they were packed before the run. */
  protected packAll(panels: Operand, { first, size }: Part, width: number, area: I32, bounds: Depth): Stmt[] {
    const [lane, to] = [this.local('lane'), this.local('to')];
    const fill = panels.fill(i32.add(first, lane.get), this.batch(), bounds, to.get);
    if (fill.length === 0) return [];
    const next = to.set(i32.add(to.get, panels.pitch(this.depth(bounds))));
    return [to.set(area), ...forLoop(lane, i32.const(0), size, width, [...fill, next])];
  }

  /** The tile at `row` and `lane`: the register kernel with the k that count in it, or zeros if there are none. */
  protected multiplyLive(
    row: I32,
    lane: I32,
    depth: Depth,
    [deep, a, b, tile, isAdding]: TileArguments,
    multiply: (args: TileArguments) => Stmt[],
  ): Stmt[] {
    if (!this.live) return multiply([deep, a, b, tile, isAdding]);
    const { rows } = this.plan.tile;
    const { code, ...own } = this.live.depthOf(
      { first: row, size: i32.const(rows) },
      { first: lane, size: i32.const(this.lanes) },
      depth,
    );
    const [counted, skipped] = [this.local('counted'), this.local('skipped')];
    const at = (operand: Operand, base: I32): I32 =>
      i32.add(base, i32.mul(skipped.get, i32.const(operand.steps.k)));
    const zeros = clear(this.context.f, tile, i32.const(4 * rows * this.lanes));
    return [
      ...code,
      counted.set(this.depth(own)),
      skipped.set(this.depth({ from: depth.from, to: own.from })),
      ...when(
        counted.get,
        multiply([counted.get, at(this.a, a), at(this.b, b), tile, isAdding]),
        when(i32.eqz(isAdding), zeros),
      ),
    ];
  }

  /**
   * The register kernel for as many vectors as the `columns` that are left need, and for few rows if not more are left; `narrow` runs
   * instead where one vector is needed.
   */
  protected multiplyTile(rows: I32, columns: I32, args: TileArguments, narrow?: () => Stmt[]): Stmt[] {
    const { tile } = this.plan;
    const all = this.multiplyRows(tile.rows, columns, args, narrow);
    const few = fewRows(tile);
    const total = known(this.k.m);
    const rest = total === undefined ? few : total % tile.rows;
    if (rest === 0 || rest > few) return all;
    return when(i32.gtS(rows, i32.const(few)), all, this.multiplyRows(few, columns, args));
  }

  private multiplyRows(rows: number, columns: I32, args: TileArguments, narrow?: () => Stmt[]): Stmt[] {
    const { vectors } = this.plan.tile;
    const total = asConstant(count(this.k.n));
    const call = (used: number): Stmt =>
      this.context.micro({ rows, vectors, used, a: this.a.steps }).call('void', ...args);
    const rest = total === undefined ? undefined : Math.ceil((total % this.lanes) / 4);
    let code: Stmt[] = [call(vectors)];
    for (let used = vectors - 1; used >= 1; used--)
      if (rest === undefined || rest === used)
        code = when(
          i32.leS(columns, i32.const(4 * used)),
          used === 1 && narrow ? narrow() : [call(used)],
          code,
        );
    return code;
  }

  protected batch(): I32[] {
    return this.k.batch.map((a) => this.lower.index(a.name));
  }
}

/** One block is the only one of its role when it holds all indices of a known number. */
const blocksOf = (axes: readonly Axis[], block: number): Poly =>
  floorDivide(add(count(axes), block - 1), block);
