/**
 * A unit row by row: the block of B is packed whole, and stays while units share it if it holds all of k; for each strip of A:
 * pack it, run the register kernel along the strips of B. A group of strips ends with the stores along its rows. What the
 * stores touch is walked in the order of memory, whole cache lines at a time: for sums of few terms, where that is most of
 * the work.
 */
import type { ContractKernel } from '../../../kernel/kernel.ts';
import { ContractEmitter } from './emitter.ts';
import type { ContractPlan } from './plan.ts';
import type { EmitContext } from '../context.ts';
import { buildRowEpilogue } from './epilogue.ts';
import type { Func, I32, Local, Stmt } from '../encoder.ts';
import { forLoop, i32, minI32, select, when } from '../instr.ts';
import { clear } from '../loops.ts';
import type { Depth } from './panels.ts';
import type { Part } from '../parts.ts';

/** Results of a group of rows, in floats: they should stay in the first-level cache until they are stored. */
const groupFloats = 2048;

export class RowEmitter extends ContractEmitter {
  private readonly epilogue: Func;
  private readonly groupRows: number;
  /** Whether the block of k holds all of it: its results are stored at once. */
  private readonly isWhole: Local<'i32'>;
  private readonly started: Local<'i32'>;

  constructor(k: ContractKernel, plan: ContractPlan, context: EmitContext) {
    super(k, plan, context);
    const strips = Math.floor(groupFloats / (plan.blockN * plan.tile.rows));
    this.groupRows = plan.tile.rows * Math.max(1, strips);
    this.epilogue = buildRowEpilogue(k, plan, context);
    this.isWhole = this.local('isWhole');
    this.started = this.local('started');
  }

  protected override rowEpilogue(): Func {
    return this.epilogue;
  }

  protected sizes(): readonly [number, number, number] {
    const { blockM, blockN, blockK, single, tile } = this.plan;
    const rows = single ? this.groupRows : Math.ceil(blockM / this.groupRows) * this.groupRows;
    return [tile.rows * blockK, blockN * blockK, rows * blockN];
  }

  protected unit(m: Part, n: Part, shared: I32): void {
    const { lower, plan, context } = this;
    const isWhole = plan.single ? i32.const(1) : i32.leS(lower.poly(this.cutExtent()), i32.const(plan.chunk));
    lower.push(this.isWhole.set(isWhole), this.started.set(i32.const(0)));
    if (plan.single) {
      lower.push(...this.block(m, n, this.whole(), shared));
      return;
    }
    this.blocksOfK((bounds) => [...this.block(m, n, bounds, shared), this.started.set(i32.const(1))]);
    const isLeft = i32.or(i32.eqz(this.isWhole.get), i32.eqz(this.started.get));
    lower.push(
      ...when(isLeft, [
        // An empty sum is 0.
        ...when(
          i32.eqz(this.started.get),
          clear(context.f, this.area('result'), i32.const(4 * this.sizes()[2])),
        ),
        ...this.groups(m, (group) => this.finish(m, n, group)),
      ]),
    );
  }

  private groups(m: Part, body: (group: I32) => Stmt[]): Stmt[] {
    const group = this.local('group');
    return forLoop(group, i32.const(0), m.size, this.groupRows, body(group.get));
  }

  private block(m: Part, n: Part, bounds: Depth, shared: I32): Stmt[] {
    const { tile } = this.plan;
    const deep = this.local('deep');
    const row = this.local('row');
    const end = this.local('end');
    const to = this.local('to');
    const isFresh = i32.or(i32.eqz(this.isWhole.get), i32.ne(this.packed.get, shared));
    const keep = this.packed.set(select(this.isWhole.get, shared, i32.const(-1)));
    return [
      deep.set(this.depth(bounds)),
      ...when(isFresh, [...this.packAll(this.b, n, this.lanes, this.area('b'), bounds), keep]),
      ...this.addAllToSums(m, n, bounds, deep.get),
      ...this.groups(m, (group) => [
        to.set(this.results(group)),
        end.set(i32.add(group, i32.const(this.groupRows))),
        end.set(minI32(end.get, m.size)),
        ...forLoop(row, group, end.get, tile.rows, [
          ...this.a.fill(i32.add(m.first, row.get), this.batch(), bounds, this.area('a')),
          ...this.multiplyStrip(m, row.get, n, bounds, deep.get, to.get),
          to.set(i32.add(to.get, i32.const(4 * tile.rows * this.plan.blockN))),
        ]),
        ...when(this.isWhole.get, this.finish(m, n, group)),
      ]),
    ];
  }

  private addAllToSums(m: Part, n: Part, bounds: Depth, deep: I32): Stmt[] {
    if (!this.k.sums) return [];
    const panel = this.local('panel');
    return [
      panel.set(this.b.at(n.first, bounds, this.area('b'))),
      ...this.strips(n.size, (strip) => [
        ...this.addToSums(m, strip, deep, panel.get),
        panel.set(i32.add(panel.get, this.b.pitch(deep))),
      ]),
    ];
  }

  /** Where the results of a group lie: all groups at one place if they are stored at once. */
  private results(group: I32): I32 {
    const own = i32.add(this.area('result'), i32.mul(group, i32.const(4 * this.plan.blockN)));
    return this.plan.single ? this.area('result') : select(this.isWhole.get, this.area('result'), own);
  }

  private multiplyStrip(m: Part, row: I32, n: Part, bounds: Depth, deep: I32, results: I32): Stmt[] {
    const first = i32.add(m.first, row);
    const { rows } = this.plan.tile;
    const panel = this.local('panel');
    const a = this.local('a');
    const to = this.local('to');
    return [
      a.set(this.a.at(first, bounds, this.area('a'))),
      panel.set(this.b.at(n.first, bounds, this.area('b'))),
      to.set(results),
      ...this.strips(n.size, (strip) => [
        ...this.multiplyLive(
          first,
          i32.add(n.first, strip),
          bounds,
          [deep, a.get, panel.get, to.get, this.started.get],
          (args) => this.multiplyTile(i32.sub(m.size, row), i32.sub(n.size, strip), args),
        ),
        panel.set(i32.add(panel.get, this.b.pitch(deep))),
        to.set(i32.add(to.get, i32.const(4 * rows * this.lanes))),
      ]),
    ];
  }

  private finish(m: Part, n: Part, group: I32): Stmt[] {
    const rows = this.local('rows');
    const first = i32.add(m.first, group);
    return [
      rows.set(i32.sub(m.size, group)),
      rows.set(minI32(rows.get, i32.const(this.groupRows))),
      this.epilogue.call('void', first, n.first, ...this.batch(), rows.get, n.size, this.results(group)),
    ];
  }
}
