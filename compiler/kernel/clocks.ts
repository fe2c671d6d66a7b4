/** Clocks as dimensions: a device that has a uniform for its dimensions needs no buffer for a step's number. */
import { symbol } from '../shape/poly.ts';
import type { Binding, Ex, Kernel, Stage, Store } from './kernel.ts';

/** What a clock is called among the dimensions. */
export const clockDim = (clock: string): string => `%clock_${clock}`;

/**
 * The kernel with the values of clocks in place of their loads. `clockOf`: the clock that a buffer of the plan holds. A
 * clock that is read under a guard stays a buffer.
 */
export function withClocksAsDims(kernel: Kernel, clockOf: (buffer: number) => string | undefined): Kernel {
  const clocks = kernel.buffers.map((use) => (use.mode === 'read' ? clockOf(use.buffer) : undefined));
  if (clocks.every((c) => c === undefined)) return kernel;
  const guarded = new Set<number>();
  new Rewriter((ex) => {
    if (ex.kind === 'load' && ex.guard.length > 0) guarded.add(ex.buffer);
    return undefined;
  }).kernel(kernel);
  const leaves = kernel.buffers.map((_, i) => clocks[i] !== undefined && !guarded.has(i));
  const kept = kernel.buffers.flatMap((_, i) => (leaves[i] ? [] : [i]));
  const place = (i: number): number => kept.indexOf(i);
  const rewriter = new Rewriter((ex) => {
    if (ex.kind !== 'load') return undefined;
    const clock = clocks[ex.buffer];
    if (clock === undefined || !leaves[ex.buffer]) return { ...ex, buffer: place(ex.buffer) };
    return { kind: 'index', dtype: 'i32', value: symbol(clockDim(clock)), data: [] };
  }, place);
  return { ...rewriter.kernel(kernel), buffers: kernel.buffers.filter((_, i) => !leaves[i]) };
}

/** Rebuilds expressions, shared ones once. `change` may give another leaf, whose data is then rebuilt too. */
class Rewriter {
  private readonly done = new Map<Ex, Ex>();

  constructor(
    private readonly change: (ex: Ex) => Ex | undefined,
    private readonly place: (buffer: number) => number = (b) => b,
  ) {}

  kernel(k: Kernel): Kernel {
    switch (k.kind) {
      case 'rows':
        return { ...k, stages: k.stages.map((s) => this.stage(s)) };
      case 'contract':
        return {
          ...k,
          a: this.ex(k.a),
          b: this.ex(k.b),
          stores: k.stores.map((s) => this.store(s)),
          ...(k.sums && { sums: k.sums.map((s) => this.store(s)) }),
        };
      case 'scatter':
        return { ...k, target: this.place(k.target), data: this.data(k.data), value: this.ex(k.value) };
    }
  }

  private stage(s: Stage): Stage {
    return s.kind === 'map'
      ? { ...s, stores: s.stores.map((x) => this.store(x)) }
      : { ...s, reductions: s.reductions.map((r) => ({ ...r, value: this.ex(r.value) })) };
  }

  private readonly store = (s: Store): Store => ({
    ...s,
    buffer: this.place(s.buffer),
    value: this.ex(s.value),
  });

  private data(data: readonly Binding[]): readonly Binding[] {
    return data.map((d) => ({ ...d, value: this.ex(d.value) }));
  }

  private ex(ex: Ex): Ex {
    const known = this.done.get(ex);
    if (known) return known;
    const made = this.rebuilt(this.change(ex) ?? ex);
    this.done.set(ex, made);
    return made;
  }

  private rebuilt(ex: Ex): Ex {
    if (ex.kind === 'op') return { ...ex, args: ex.args.map((a) => this.ex(a)) };
    return ex.kind === 'load' || ex.kind === 'index' ? { ...ex, data: this.data(ex.data) } : ex;
  }
}
