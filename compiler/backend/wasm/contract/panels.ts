/**
 * What the register kernel reads of one operand of a contraction: panels [k][width] for every strip of lanes, packed where they
 * are used, or, where the operand stays as it is, packed for all strips before the first run or a loop; or rows in place.
 */
import type { ContractKernel } from '../../../kernel/kernel.ts';
import type { InPlace } from './in-place.ts';
import { known, type ContractPlan } from './plan.ts';
import type { EmitContext } from '../context.ts';
import type { Func, I32, Stmt } from '../encoder.ts';
import { forLoop, i32 } from '../instr.ts';
import { Lowering } from '../lower.ts';
import { buildPack, count, type PackSpec } from './pack.ts';

/** Bounds of the k axes that count as one, which is cut into blocks. */
export interface Depth {
  readonly from: I32;
  readonly to: I32;
}

/** What the register kernel reads of one operand. */
export interface Operand {
  /** Bytes from one lane to the next, and from one k to the next. */
  readonly steps: { readonly lane: number; readonly k: number };
  /** Makes a panel of the lanes from `first` on. Nothing to do where it is there. */
  fill(first: I32, batch: readonly I32[], depth: Depth, panel: I32): Stmt[];
  /** Where the lanes from `first` (a multiple of the width) on lie; `packed` if they were packed just now. */
  at(first: I32, depth: Depth, packed: I32): I32;
  /** Bytes from one strip to the next; `depth` is the number of k in a block. */
  pitch(depth: I32): I32;
}

export class Panels implements Operand {
  private readonly pack: Func;
  /** Where the panels of all strips begin, if they are there before the run. */
  private readonly prepared: I32 | undefined;

  constructor(
    private readonly spec: Omit<PackSpec, 'plan' | 'kernel'> & { readonly kernel: ContractKernel },
    private readonly plan: Pick<ContractPlan, 'cut' | 'chunk' | 'blockK'>,
    private readonly context: EmitContext,
  ) {
    this.pack = buildPack({ ...spec, plan }, context);
    this.prepared = this.prepare();
  }

  get isPrepared(): boolean {
    return this.prepared !== undefined;
  }

  get steps(): Operand['steps'] {
    return { lane: 4, k: 4 * this.spec.width };
  }

  fill(first: I32, batch: readonly I32[], { from, to }: Depth, panel: I32): Stmt[] {
    return this.prepared ? [] : [this.pack.call('void', first, ...batch, from, to, panel)];
  }

  at(first: I32, { from }: Depth, packed: I32): I32 {
    return this.prepared ? this.address(this.prepared, first, from) : packed;
  }

  private address(base: I32, first: I32, from: I32): I32 {
    const { k, width } = this.spec;
    const inner = this.plan.blockK / this.plan.chunk;
    const before = i32.mul(first, i32.const(known(k)!));
    const floats = i32.add(before, i32.mul(from, i32.const(inner * width)));
    return i32.add(base, i32.mul(floats, i32.const(4)));
  }

  pitch(depth: I32): I32 {
    const { k, width } = this.spec;
    return this.prepared ? i32.const(4 * width * known(k)!) : i32.mul(depth, i32.const(4 * width));
  }

  private prepare(): I32 | undefined {
    const { operand, lanes, batch, k, width, kernel } = this.spec;
    const [all, depth] = [known(lanes), known(k)];
    if (batch.length > 0 || all === undefined || depth === undefined) return undefined;
    const strips = Math.ceil(all / width);
    // The last vector of a panel of three lanes reaches into the next panel, which must be made after it.
    const units = width % 2 === 0 ? strips : 1;
    const prepared = this.context.prepare(operand, 4 * width * depth * strips, units);
    if (!prepared) return undefined;
    const { fill, base } = prepared;
    const lower = new Lowering(
      this.context.environment(kernel, new Map(k.map((a) => [a.name, a.extent])), fill),
    );
    const strip = fill.local('i32', 'strip');
    lower.open('strip', strip.get);
    const first = i32.mul(strip.get, i32.const(width));
    const none = i32.const(0);
    const whole = lower.poly(count(k.slice(0, this.plan.cut + 1)));
    lower.push(this.pack.call('void', first, none, whole, this.address(base, first, none)));
    const [begin, end] = [fill.param(0).get, fill.param(1).get].map((unit) =>
      units === 1 ? i32.mul(unit, i32.const(strips)) : unit,
    ) as [I32, I32];
    lower.push(...forLoop(strip, begin, end, 1, lower.close()));
    fill.body.push(...lower.finish());
    return base;
  }
}

/** Strips of `width` rows that are read where they lie. */
export class RowsInPlace implements Operand {
  constructor(
    private readonly rows: InPlace,
    private readonly width: number,
    private readonly plan: Pick<ContractPlan, 'chunk' | 'blockK'>,
    private readonly lower: Lowering,
  ) {}

  get steps(): Operand['steps'] {
    return { lane: 4 * this.rows.pitch, k: 4 };
  }

  fill(): Stmt[] {
    return [];
  }

  at(first: I32, { from }: Depth): I32 {
    const inner = this.plan.blockK / this.plan.chunk;
    const before = i32.add(i32.mul(first, i32.const(this.rows.pitch)), i32.mul(from, i32.const(inner)));
    return i32.add(this.lower.poly(this.rows.base), i32.mul(before, i32.const(4)));
  }

  pitch(): I32 {
    return i32.const(4 * this.width * this.rows.pitch);
  }
}
