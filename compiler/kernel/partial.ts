/** A kernel that does only a part of what another does. */
import type { BufferUse, Ex, Kernel, Stage, Store } from './kernel.ts';
import { exRebuilder, rebuild } from './rebuild.ts';

/**
 * The kernel without its stores to some of its buffers (by their numbers in it); nothing where what it does besides
 * needs them, or where nothing is left. What only those stores read, it no longer touches.
 */
export function withoutStores(kernel: Kernel, dropped: ReadonlySet<number>): Kernel | undefined {
  const left = leaveOut(kernel, dropped);
  if (!left) return undefined;
  const used = buffersOf(left);
  if ([...dropped].some((b) => used.has(b))) return undefined;
  const numbers = new Map<number, number>();
  const buffers = kernel.buffers.flatMap((use, b): BufferUse[] => {
    if (!used.has(b)) return [];
    numbers.set(b, numbers.size);
    return [use];
  });
  const number = (b: number): number => numbers.get(b) ?? -1;
  const ex = exRebuilder((e) => (e.kind === 'load' ? { ...e, buffer: number(e.buffer) } : e));
  return rebuild(left, buffers, { ex, number });
}

function leaveOut(kernel: Kernel, dropped: ReadonlySet<number>): Kernel | undefined {
  const kept = (stores: readonly Store[]): Store[] => stores.filter((s) => !dropped.has(s.buffer));
  switch (kernel.kind) {
    case 'rows': {
      const stages = kernel.stages.flatMap((s): Stage[] => {
        if (s.kind === 'reduce') return [s];
        const stores = kept(s.stores);
        return stores.length > 0 ? [{ ...s, stores }] : [];
      });
      return stages.some((s) => s.kind === 'map') ? { ...kernel, stages } : undefined;
    }
    case 'contract': {
      const [stores, sums] = [kept(kernel.stores), kept(kernel.sums ?? [])];
      const { sums: _, ...rest } = kernel;
      return stores.length > 0 ? { ...rest, stores, ...(sums.length > 0 && { sums }) } : undefined;
    }
    case 'scatter':
      return dropped.has(kernel.target) ? undefined : kernel;
  }
}

/** The buffers that the kernel's expressions and stores name. */
function buffersOf(kernel: Kernel): ReadonlySet<number> {
  const found = new Set<number>();
  const ex = exRebuilder((e: Ex) => {
    if (e.kind === 'load') found.add(e.buffer);
    return e;
  });
  const number = (b: number): number => {
    found.add(b);
    return b;
  };
  rebuild(kernel, kernel.buffers, { ex, number });
  return found;
}
