/**
 * The end of a contraction: a strip of results [m][lanes] lies in scratch memory, and the stores run over it. A function
 * (first m, first n, batch indices, rows, strip).
 */
import type { ContractKernel, Ex } from '../../kernel/kernel.ts';
import type { EmitContext } from './context.ts';
import type { Func, I32, Stmt } from './encoder.ts';
import { f32, forLoop, i32, minI32, v128, when } from './instr.ts';
import { Lowering } from './lower.ts';
import { count, decode } from './pack.ts';

export function buildEpilogue(k: ContractKernel, vectors: number, context: EmitContext): Func {
  const f = context.helper('stores', ['firstM', 'firstN', ...k.batch.map((a) => a.name), 'rows', 'strip']);
  f.body.push(...new Epilogue(k, vectors, context, f).strip());
  return f;
}

class Epilogue {
  constructor(
    private readonly k: ContractKernel,
    private readonly vectors: number,
    private readonly context: EmitContext,
    private readonly f: Func,
  ) {}

  private lowering(): Lowering {
    const { k } = this;
    const ranges = new Map([...k.batch, ...k.m, ...k.n].map((a) => [a.name, a.extent]));
    const lower = new Lowering(this.context.environment(k, ranges, this.f));
    k.batch.forEach((a, i) => lower.bind(a.name, this.f.param(2 + i).get));
    return lower;
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
    this.rows(lower, lane, (at) => {
      const acc = Array.from({ length: vectors }, (_, u) => lower.keep(v128.load(at, 16 * u)));
      lower.define('acc', true, acc);
      const values = k.stores.map((s) => acc.map((_, u) => lower.value(this.item(lower, s.value), u)));
      k.stores.forEach((s, i) => values[i]!.forEach((value, u) => lower.store(s.buffer, s.offset, value, u)));
    });
    const body = lower.close();
    return [...head.finish(), ...when(fits, [...lower.finish(), ...body], otherwise)];
  }

  private item(lower: Lowering, ex: Ex): ReturnType<Lowering['env']['interner']['item']> {
    return lower.env.interner.item(ex);
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
    this.rows(lower, lane, (at) => {
      lower.define('acc', false, [lower.keep(f32.load(at))]);
      const values = k.stores.map((s) => lower.scalar(this.item(lower, s.value)));
      k.stores.forEach((s, i) => lower.store(s.buffer, s.offset, values[i]!, 0));
    });
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
