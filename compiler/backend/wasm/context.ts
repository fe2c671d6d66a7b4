import type { Ex, Kernel } from '../../kernel/kernel.ts';
import type { Ranges } from '../../shape/poly.ts';
import type { MicroShape } from './contract/micro.ts';
import type { Mode } from './contract/tiles.ts';
import type { Func, I32, Module } from './encoder.ts';
import type { Environment } from './levels.ts';

/** What the emitters of the kernel kinds share: one exported function under construction, and the module's libraries. */
export interface EmitContext extends Mode {
  readonly f: Func;
  readonly module: Module;
  /** For so many threads work is cut where more units are more work. */
  readonly threads: number;
  /** What code of `kernel` in function `f` may refer to. */
  environment(kernel: Pick<Kernel, 'buffers'>, ranges: Ranges, f?: Func): Environment;
  /** A function of units like the kernel's own, which runs instead in a special case. */
  variant(name: string): Func;
  /** An internal function. */
  helper(name: string, params: readonly string[]): Func;
  /** The module's register kernel of that shape. */
  micro(shape: MicroShape): Func;
  /**
   * Room of `bytes` for what a function (begin, end, thread) of so many units makes of an operand before the first run, or before
   * a loop, if nothing changes it from then on (`lasting.ts`). At most once for a kernel.
   */
  prepare(operand: Ex, bytes: number, units: number): { readonly base: I32; readonly fill: Func } | undefined;
  /** Byte offset of a thread's scratch area, of which `bytes` are used. */
  scratch(thread: I32, bytes: number): I32;
}
