/**
 * The end of a contraction: a strip of results [m][lanes] lies in scratch memory, and the stores run over it. A function
 * (first m, first n, batch indices, rows, strip).
 */
import type { ContractKernel, Store } from '../../../kernel/kernel.ts';
import type { EmitContext } from '../context.ts';
import type { ContractPlan } from './plan.ts';
import type { Code, Func, I32, Stmt } from '../encoder.ts';
import { f32, forLoop, i32, minI32, v128, when } from '../instr.ts';
import { Loops } from '../loops.ts';
import { Lowering } from '../lower.ts';
import { count, decode } from './pack.ts';

export function buildEpilogue(
  k: ContractKernel,
  vectors: number,
  context: EmitContext,
  name = 'stores',
): Func {
  const f = context.helper(name, ['firstM', 'firstN', ...k.batch.map((a) => a.name), 'rows', 'strip']);
  f.body.push(...new Epilogue(k, vectors, context, f).strip());
  return f;
}

/**
 * The end of a group of rows, whose tiles [strip of A][strip of B][rows][lanes] lie in scratch memory: the stores run along the
 * rows. For one axis of n. A function (first m, first n, batch indices, rows, columns, tiles).
 */
export function buildRowEpilogue(
  k: ContractKernel,
  { tile, blockN }: Pick<ContractPlan, 'tile' | 'blockN'>,
  context: EmitContext,
): Func {
  const batch = k.batch.map((a) => a.name);
  const f = context.helper('stores', ['firstM', 'firstN', ...batch, 'rows', 'columns', 'tiles']);
  const lower = loweringOf(k, context, f);
  const [rows, columns, tiles] = [3, 2, 1].map((i) => f.param(f.params.length - i).get) as [I32, I32, I32];
  const [row, at] = [f.local('i32', 'row'), f.local('i32', 'at')];
  const lanes = 4 * tile.vectors;
  const from = f.param(1).get;
  const to = lower.keep(i32.add(from, columns));
  lower.open('row', row.get);
  lower.beginStage();
  decode(lower, k.m, lower.keep(i32.add(f.param(0).get, row.get)));
  const { integers } = lower.env;
  const strip = lower.keep(integers.floorDiv(row.get, i32.const(tile.rows), true));
  const inStrip = lower.keep(integers.floorMod(row.get, i32.const(tile.rows), true));
  const bytes = i32.add(
    i32.mul(strip, i32.const(4 * tile.rows * blockN)),
    i32.mul(inStrip, i32.const(4 * lanes)),
  );
  lower.push(at.set(i32.add(tiles, bytes)));
  new Loops(lower, f).vector(k.n[0]!, { from, to }, tile.vectors, (vectors) => {
    storeAll(k.stores, lower, at.get, vectors);
    // From a whole strip to the next tile; within the last one along the row.
    const step = vectors === tile.vectors ? tile.rows * lanes : Math.max(1, 4 * vectors);
    lower.push(at.set(i32.add(at.get, i32.const(4 * step))));
  });
  lower.push(...forLoop(row, i32.const(0), rows, 1, lower.close()));
  f.body.push(...lower.finish());
  return f;
}

function loweringOf(k: ContractKernel, context: EmitContext, f: Func): Lowering {
  const ranges = new Map([...k.batch, ...k.m, ...k.n].map((a) => [a.name, a.extent]));
  const lower = new Lowering(context.environment(k, ranges, f));
  k.batch.forEach((a, i) => lower.bind(a.name, f.param(2 + i).get));
  return lower;
}

/** The stores of so many vectors of results that lie at `at`; of one result if 0. */
export function storeAll(stores: readonly Store[], lower: Lowering, at: I32, vectors: number): void {
  const acc: Code[] =
    vectors === 0
      ? [lower.keep(f32.load(at))]
      : Array.from({ length: vectors }, (_, u) => lower.keep(v128.load(at, 16 * u)));
  lower.define('acc', vectors > 0, acc);
  const values = stores.map((s) => acc.map((_, u) => lower.value(lower.env.interner.item(s.value), u)));
  stores.forEach((s, i) => values[i]!.forEach((value, u) => lower.store(s.buffer, s.offset, value, u)));
}

class Epilogue {
  constructor(
    private readonly k: ContractKernel,
    private readonly vectors: number,
    private readonly context: EmitContext,
    private readonly f: Func,
  ) {}

  private lowering(): Lowering {
    return loweringOf(this.k, this.context, this.f);
  }

  /** Whole strip in one run of the innermost axis of n; else each group of four that is; else lane by lane. */
  strip(): Stmt[] {
    const group = this.f.local('i32', 'group');
    const zero = i32.const(0);
    const head = this.lowering();
    const left = head.keep(i32.sub(head.poly(count(this.k.n)), this.f.param(1).get));
    const end = head.keep(minI32(left, i32.const(4 * this.vectors)));
    const one = this.inRun(1, group.get, this.lanewise(group.get));
    const each = [...head.finish(), ...forLoop(group, zero, end, 4, one)];
    return this.inRun(this.vectors, zero, each);
  }

  private inRun(vectors: number, lane: I32, otherwise: Stmt[]): Stmt[] {
    const { k, f } = this;
    const inner = k.n.at(-1)!;
    const head = this.lowering();
    decode(head, k.n, head.keep(i32.add(f.param(1).get, lane)));
    const index = (name: string): I32 => head.index(name);
    const fits = i32.leS(i32.add(index(inner.name), i32.const(4 * vectors)), head.poly(inner.extent));
    const lower = this.lowering();
    for (const a of k.n) lower.bind(a.name, index(a.name));
    lower.open(inner.name, index(inner.name), true);
    this.rows(lower, lane, (at) => storeAll(k.stores, lower, at, vectors));
    const body = lower.close();
    return [...head.finish(), ...when(fits, [...lower.finish(), ...body], otherwise)];
  }

  /** Lanes `from` to `from` + 3 that exist, one by one. */
  private lanewise(from: I32): Stmt[] {
    const { k, f } = this;
    const lower = this.lowering();
    const n = f.local('i32', 'n');
    const first = lower.keep(i32.add(f.param(1).get, from));
    const end = lower.keep(minI32(lower.keep(i32.add(first, i32.const(4))), lower.poly(count(k.n))));
    lower.open('flat', n.get);
    decode(lower, k.n, n.get);
    const lane = lower.keep(i32.sub(n.get, f.param(1).get));
    this.rows(lower, lane, (at) => storeAll(k.stores, lower, at, 0));
    lower.push(...forLoop(n, first, end, 1, lower.close()));
    return lower.finish();
  }

  /** Loops over the rows; `body` gets the address of the lane in the row. */
  private rows(lower: Lowering, lane: I32, body: (at: I32) => void): void {
    const { f, k } = this;
    const row = f.local('i32', 'row');
    const at = f.local('i32', 'at');
    const rows = f.param(f.params.length - 2).get;
    const strip = f.param(f.params.length - 1).get;
    lower.push(at.set(i32.add(strip, i32.mul(lane, i32.const(4)))));
    lower.open('row', row.get);
    lower.beginStage();
    decode(lower, k.m, lower.keep(i32.add(f.param(0).get, row.get)));
    body(at.get);
    lower.push(at.set(i32.add(at.get, i32.const(16 * this.vectors))));
    lower.push(...forLoop(row, i32.const(0), rows, 1, lower.close()));
  }
}
