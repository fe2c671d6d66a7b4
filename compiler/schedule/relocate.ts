/** Moves a kernel to other buffers: each of its buffers becomes a place in another one, from some element on. */
import type { BufferUse, Kernel } from '../kernel/kernel.ts';
import { exRebuilder, rebuild } from '../kernel/rebuild.ts';
import { add, type Poly } from '../shape/poly.ts';

export interface Place {
  readonly buffer: number;
  /** Elements before it. */
  readonly start: Poly;
}

/** `placeOf` says where a buffer of the plan that the kernel was made for stands now; two may have become one. */
export function relocate(kernel: Kernel, placeOf: (buffer: number) => Place): Kernel {
  const places = kernel.buffers.map((u) => placeOf(u.buffer));
  const uses: BufferUse[] = [];
  const numbers = kernel.buffers.map((use, i) => {
    const buffer = places[i]?.buffer ?? -1;
    const at = uses.findIndex((u) => u.buffer === buffer);
    if (at < 0) return uses.push({ ...use, buffer }) - 1;
    const before = uses[at] as BufferUse;
    if (before.mode !== use.mode) uses[at] = { ...before, mode: 'update' };
    return at;
  });
  const number = (buffer: number): number => numbers[buffer] ?? -1;
  const offset = (buffer: number, p: Poly): Poly => add(p, places[buffer]?.start ?? 0);
  const ex = exRebuilder((e) =>
    e.kind === 'load' ? { ...e, buffer: number(e.buffer), offset: offset(e.buffer, e.offset) } : e,
  );
  return rebuild(kernel, uses, { ex, number, offset });
}
