/** Parts of what a thread works on: of the indices of a role, and of its scratch area. */
import type { EmitContext } from './context.ts';
import type { I32 } from './encoder.ts';
import { i32, maxI32, minI32 } from './instr.ts';
import type { Lowering } from './lower.ts';

/** Indices of a role that a unit has. */
export interface Part {
  readonly first: I32;
  readonly size: I32;
}

/** The block `index` of `total` indices; the first has `missing` fewer, or else the last has what is left. */
export function partOf(lower: Lowering, index: I32, block: number, total: I32, missing = 0): Part {
  const start = i32.mul(index, i32.const(block));
  if (missing === 0) {
    const first = lower.keep(start);
    return { first, size: lower.keep(minI32(lower.keep(i32.sub(total, first)), i32.const(block))) };
  }
  const from = lower.keep(i32.sub(start, i32.const(missing)));
  const first = lower.keep(maxI32(from, i32.const(0)));
  const end = lower.keep(minI32(lower.keep(i32.add(from, i32.const(block))), total));
  return { first, size: lower.keep(i32.sub(end, first)) };
}

/** Byte offsets of parts of the thread's scratch area with room for so many floats; the area has `least` floats or more. */
export function areasOf(lower: Lowering, context: EmitContext, floats: readonly number[], least = 0): I32[] {
  const bytes = floats.map((n) => 64 * Math.ceil((4 * n) / 64) + 64);
  const total = (n: number): number => bytes.slice(0, n).reduce((x, y) => x + y, 0);
  const all = Math.max(total(bytes.length), 4 * least);
  const start = lower.keep(context.scratch(context.f.param(2).get, all));
  return bytes.map((_, i) => lower.keep(i32.add(start, i32.const(total(i)))));
}
