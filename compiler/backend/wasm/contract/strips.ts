/**
 * A unit strip by strip of B: for each block of k, pack the block of A; for each strip of B: pack it, run the register kernel
 * down the strips of A. After the last k the stores run down the strip.
 */
import type { ContractKernel } from '../../../kernel/kernel.ts';
import { ContractEmitter } from './emitter.ts';
import type { ContractPlan } from './plan.ts';
import type { EmitContext } from '../context.ts';
import { buildEpilogue } from './epilogue.ts';
import type { Func, I32, Local, Stmt } from '../encoder.ts';
import { forLoop, i32, when } from '../instr.ts';
import { clear } from '../loops.ts';
import type { Depth } from './panels.ts';
import type { Part } from '../parts.ts';

export class StripEmitter extends ContractEmitter {
  private readonly epilogue: Func;

  constructor(k: ContractKernel, plan: ContractPlan, context: EmitContext) {
    super(k, plan, context);
    this.epilogue = buildEpilogue(k, plan.tile.vectors, context);
  }

  protected sizes(): readonly [number, number, number] {
    const { plan } = this;
    return [
      plan.blockM * plan.blockK,
      this.lanes * plan.blockK,
      plan.blockM * (plan.single ? this.lanes : plan.blockN),
    ];
  }

  protected unit(m: Part, n: Part, shared: I32): void {
    const { lower, plan } = this;
    if (!plan.single) return this.blocked(m, n);
    const fresh = i32.ne(this.packed.get, shared);
    lower.push(...when(fresh, [...this.packRows(m, this.whole()), this.packed.set(shared)]));
    const result = this.area('result');
    lower.push(
      ...this.strips(n.size, (strip) => [
        ...this.multiplyStrip(m, n, strip, result, this.whole(), i32.const(0)),
        this.finish(m, n, strip, result),
      ]),
    );
  }

  /** Several blocks of k: the results of all strips are kept until the last. */
  private blocked(m: Part, n: Part): void {
    const { lower, plan, context } = this;
    const stripBytes = 4 * plan.blockM * this.lanes;
    const resultOf = (strip: I32): I32 =>
      i32.add(
        this.area('result'),
        i32.mul(lower.env.integers.floorDiv(strip, i32.const(this.lanes), true), i32.const(stripBytes)),
      );
    const started = this.local('started');
    lower.push(started.set(i32.const(0)));
    this.blocksOfK((bounds) => [
      ...this.packRows(m, bounds),
      ...this.strips(n.size, (strip) =>
        this.multiplyStrip(m, n, strip, resultOf(strip), bounds, started.get),
      ),
      started.set(i32.const(1)),
    ]);
    lower.push(
      ...this.strips(n.size, (strip) => [
        // An empty sum is 0.
        ...when(i32.eqz(started.get), clear(context.f, resultOf(strip), i32.const(stripBytes))),
        this.finish(m, n, strip, resultOf(strip)),
      ]),
    );
  }

  private packRows(m: Part, bounds: Depth): Stmt[] {
    return this.packAll(this.a, m, this.plan.tile.rows, this.area('a'), bounds);
  }

  private multiplyStrip(m: Part, n: Part, strip: I32, result: I32, bounds: Depth, isAdding: I32): Stmt[] {
    const { tile } = this.plan;
    const row = this.local('row');
    const panel = this.local('panel');
    const to = this.local('to');
    const deep = this.local('deep');
    const b = this.local('b');
    const first = i32.add(n.first, strip);
    const next = [
      panel.set(i32.add(panel.get, this.a.pitch(deep.get))),
      to.set(i32.add(to.get, i32.const(4 * tile.rows * this.lanes))),
    ];
    const args = [deep.get, panel.get, b.get, to.get, isAdding] as const;
    const pair = (): Stmt[] => this.multiplyNarrow(m, row, args, next);
    return [
      deep.set(this.depth(bounds)),
      ...this.packStrip(m, first, bounds),
      b.set(this.b.at(first, bounds, this.area('b'))),
      ...this.addToSums(m, strip, deep.get, b.get),
      panel.set(this.a.at(m.first, bounds, this.area('a'))),
      to.set(result),
      ...forLoop(row, i32.const(0), m.size, tile.rows, [
        ...this.multiplyLive(i32.add(m.first, row.get), first, bounds, args, (live) =>
          this.multiplyTile(
            i32.sub(m.size, row.get),
            i32.sub(n.size, strip),
            live,
            this.live ? undefined : pair,
          ),
        ),
        ...next,
      ]),
    ];
  }

  /** Packs the strip of B, of which not more than what counts in some row of the block; the rest of the panel is left as it is. */
  private packStrip(m: Part, first: I32, bounds: Depth): Stmt[] {
    if (!this.live) return this.b.fill(first, this.batch(), bounds, this.area('b'));
    const lanes = { first, size: i32.const(this.lanes) };
    // The last tile goes beyond the rows of the block.
    const rows = { ...m, size: i32.add(m.size, i32.const(this.plan.tile.rows - 1)) };
    const { code, ...own } = this.live.depthOf(rows, lanes, bounds);
    const skipped = this.depth({ from: bounds.from, to: own.from });
    const panel = i32.add(this.area('b'), i32.mul(skipped, i32.const(this.b.steps.k)));
    const fill = this.b.fill(first, this.batch(), own, panel);
    return fill.length === 0 ? [] : [...code, ...fill];
  }

  /** The tile at `row` of a strip of one vector, and the one below it if there is one. `next` goes on to that. */
  private multiplyNarrow(m: Part, row: Local<'i32'>, args: readonly I32[], next: readonly Stmt[]): Stmt[] {
    const { tile, blockM } = this.plan;
    const shape = { ...tile, used: 1, a: this.a.steps };
    const one = [this.context.micro(shape).call('void', ...args)];
    if (blockM <= tile.rows) return one;
    const below = i32.add(row.get, i32.const(tile.rows));
    const pair = this.context.micro({ ...shape, isPair: true });
    const pitch = this.a.pitch(args[0]!);
    return when(i32.ltS(below, m.size), [pair.call('void', ...args, pitch), row.set(below), ...next], one);
  }

  private finish(m: Part, n: Part, strip: I32, result: I32): Stmt {
    return this.epilogue.call('void', m.first, i32.add(n.first, strip), ...this.batch(), m.size, result);
  }
}
