/** From when on an operand of a kernel is what it will be: its panels need not be packed again each time it is read. */
import type { BufferUse, Ex, Kernel } from '../../kernel/kernel.ts';
import { loadsIn, polysOf } from '../../kernel/walk.ts';
import { symbolsOf } from '../../shape/poly.ts';

/** Kernels `begin` to `end` - 1 are run several times, with `dim` as the number of the time. */
export interface KernelLoop {
  readonly begin: number;
  readonly end: number;
  readonly dim: string;
}

/** Before the first run of the plan; or, in every run, just before the loop of this number begins. */
export type Moment = 'start' | number;

export class Lasting {
  constructor(
    private readonly kernels: readonly Kernel[],
    private readonly dims: readonly string[],
    /** Properly nested, outer ones first. */
    private readonly loops: readonly KernelLoop[],
    /** Buffers that are the same in every run. */
    private readonly constant: (buffer: number) => boolean,
  ) {}

  /** The earliest moment from which on `operand` of the kernel of that number is the same as long as the kernel may read it. */
  from(at: number, operand: Ex): Moment | undefined {
    const kernel = this.kernels[at]!;
    const uses = loadsIn(operand).map((l) => kernel.buffers[l.buffer]!);
    if (uses.length === 0) return undefined;
    const named = new Set(polysOf(operand).flatMap((p) => [...symbolsOf(p)]));
    if (uses.every((u) => this.isConstant(u)) && !this.dims.some((d) => named.has(d))) return 'start';
    const around = this.around(at);
    const outermost = around.find(
      (loop, i) =>
        uses.every((use) => !this.isWritten(use, loop)) && !around.slice(i).some((l) => named.has(l.dim)),
    );
    return outermost && this.loops.indexOf(outermost);
  }

  /** Kernels of the same code differ in which operands last if they differ in this. */
  key(at: number): string {
    const inner = this.around(at).at(-1);
    const uses = this.kernels[at]!.buffers;
    const flags = uses.map((use) =>
      this.isConstant(use) ? 1 : inner && !this.isWritten(use, inner) ? 2 : 0,
    );
    return `${flags.join('')}${inner && flags.includes(2) ? ` ${inner.dim}` : ''}`;
  }

  private around(at: number): readonly KernelLoop[] {
    return this.loops.filter((l) => l.begin <= at && at < l.end);
  }

  private isConstant({ buffer, mode }: BufferUse): boolean {
    return mode === 'read' && this.constant(buffer);
  }

  private isWritten({ buffer }: BufferUse, { begin, end }: KernelLoop): boolean {
    return this.kernels
      .slice(begin, end)
      .some((k) => k.buffers.some((u) => u.buffer === buffer && u.mode !== 'read'));
  }
}
