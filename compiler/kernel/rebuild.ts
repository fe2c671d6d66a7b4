/** Kernels made again with something changed: expressions from the operands up, buffers by their numbers. */
import type { Poly } from '../shape/poly.ts';
import { mapGuard } from '../shape/poly.ts';
import type { Binding, BufferUse, ContractKernel, Ex, Kernel, Store } from './kernel.ts';

/** `change` gets every expression once, its operands and data changed already. Shared objects stay shared. */
export function exRebuilder(change: (ex: Ex) => Ex): (ex: Ex) => Ex {
  const done = new Map<Ex, Ex>();
  const data = (list: readonly Binding[]): readonly Binding[] =>
    list.map((d) => ({ ...d, value: visit(d.value) }));
  const inside = (ex: Ex): Ex => {
    if (ex.kind === 'op') return { ...ex, args: ex.args.map(visit) };
    if (ex.kind === 'dot') return { ...ex, a: visit(ex.a), b: visit(ex.b) };
    const hasData = (ex.kind === 'load' || ex.kind === 'index') && ex.data.length > 0;
    return hasData ? { ...ex, data: data(ex.data) } : ex;
  };
  const visit = (ex: Ex): Ex => {
    const seen = done.get(ex);
    if (seen) return seen;
    const made = change(inside(ex));
    done.set(ex, made);
    return made;
  };
  return visit;
}

export type PolyMap = (p: Poly) => Poly;

/** `ex` with every index expression mapped. */
export const exMapper = (map: PolyMap): ((ex: Ex) => Ex) =>
  exRebuilder((ex) => {
    if (ex.kind === 'load') return { ...ex, offset: map(ex.offset), guard: mapGuard(ex.guard, map) };
    return ex.kind === 'index' ? { ...ex, value: map(ex.value) } : ex;
  });

/** The store with its place mapped, and its value. */
export const mapStore = (map: PolyMap, mapEx: (ex: Ex) => Ex, store: Store): Store => ({
  ...store,
  offset: map(store.offset),
  value: mapEx(store.value),
});

/** What becomes of a kernel's parts. Buffers are the kernel's, by their old numbers. */
export interface Changes {
  readonly ex: (ex: Ex) => Ex;
  readonly number: (buffer: number) => number;
  readonly offset?: (buffer: number, offset: Poly) => Poly;
}

/** The kernel with every part changed, touching `buffers`. */
export function rebuild(kernel: Kernel, buffers: readonly BufferUse[], changes: Changes): Kernel {
  const { ex, number, offset = (_, p) => p } = changes;
  const stores = (list: readonly Store[]): readonly Store[] =>
    list.map((s) => ({
      ...s,
      buffer: number(s.buffer),
      offset: offset(s.buffer, s.offset),
      value: ex(s.value),
    }));
  switch (kernel.kind) {
    case 'rows': {
      const stages = kernel.stages.map((s) =>
        s.kind === 'map'
          ? { ...s, stores: stores(s.stores) }
          : { ...s, reductions: s.reductions.map((r) => ({ ...r, value: ex(r.value) })) },
      );
      return { ...kernel, buffers, stages };
    }
    case 'contract': {
      const sums = kernel.sums && { sums: stores(kernel.sums) };
      return { ...kernel, buffers, a: ex(kernel.a), b: ex(kernel.b), stores: stores(kernel.stores), ...sums };
    }
    case 'scatter': {
      const { target, clear, data, value } = kernel;
      return {
        ...kernel,
        buffers,
        clear: { ...clear, offset: offset(target, clear.offset) },
        offset: offset(target, kernel.offset),
        target: number(target),
        data: data.map((d) => ({ ...d, value: ex(d.value) })),
        value: ex(value),
      };
    }
  }
}

/** The same contraction with m and n exchanged. What is summed over b stays with n, so there may be no sums. */
export const swapRoles = (k: Omit<ContractKernel, 'sums'>): ContractKernel => ({
  ...k,
  m: k.n,
  n: k.m,
  a: k.b,
  b: k.a,
});
