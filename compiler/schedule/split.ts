/**
 * Splits contractions that would leave a device idle: few tiles and many steps of k, as the gradient of a convolution's
 * weights has them. The kernel adds up k in parts into a buffer of partial sums; a second one adds these in the order of
 * the parts, which never changes, and does what the contraction stored.
 */
import { flopsOf } from '../kernel/flops.ts';
import type { Axis, BufferUse, ContractKernel, Ex, Kernel, LoadEx, Parts, Store } from '../kernel/kernel.ts';
import { exRebuilder } from '../kernel/rebuild.ts';
import {
  add,
  asConstant,
  constant,
  evaluate,
  floorDivide,
  multiply,
  one,
  type Poly,
  scale,
  stepOf,
  symbol,
  symbolsOf,
  zero,
} from '../shape/poly.ts';
import type { Buffer, Scheduled, ScheduledKernel } from './scheduled.ts';
import type { SplitRule, Target } from './target.ts';

/** The schedule with every contraction split that pays. */
export function splitContractions(scheduled: Scheduled, target: Target): Scheduled {
  const { split: rule } = target;
  if (!rule) return scheduled;
  const buffers = [...scheduled.buffers];
  const kernels: ScheduledKernel[] = [];
  /** Where each kernel went, and where the next one will. */
  const starts: number[] = [];
  const fits = ({ buffers: uses }: Kernel): boolean =>
    uses.filter((u) => !(target.clocksAreDims && buffers[u.buffer]?.leaf?.role === 'clock')).length <=
    target.maxBuffers;
  for (const whole of scheduled.kernels) {
    const at = kernels.length;
    starts.push(at);
    const split = whole.kernel.kind === 'contract' && splitKernel(whole.kernel, buffers.length, rule);
    if (split && split.kernels.every(fits)) {
      buffers.push({ ...split.partials, leaf: undefined, first: at, last: at + 1 });
      for (const kernel of split.kernels) kernels.push({ kernel, flops: flopsOf(kernel) });
    } else kernels.push(whole);
  }
  starts.push(kernels.length);
  const first = (i: number): number => (i < 0 ? i : (starts[i] ?? i));
  const last = (i: number): number => (i < 0 ? i : first(i + 1) - 1);
  return {
    ...scheduled,
    kernels,
    buffers: buffers.map((b, i) =>
      i < scheduled.buffers.length ? { ...b, first: first(b.first), last: last(b.last) } : b,
    ),
    loops: scheduled.loops.map((l) => ({ ...l, begin: first(l.begin), end: first(l.end) })),
  };
}

const countOf = (axes: readonly Axis[]): Poly => multiply(one, ...axes.map((a) => a.extent));

/** A dimension that is not known is taken to be so large. */
const typical = 64;
const estimate = (p: Poly): number => asConstant(p) ?? evaluate(p, () => typical);

/** In how many parts a contraction is computed so that its workgroups fill the device; 1: it is left whole. */
function partsOf({ batch, m, n, k }: ContractKernel, rule: SplitRule): number {
  const tiles = (axes: readonly Axis[]): number => Math.ceil(estimate(countOf(axes)) / rule.tile);
  const groups = estimate(countOf(batch)) * tiles(m) * tiles(n);
  const steps = estimate(countOf(k));
  if (steps < rule.leastSteps) return 1;
  const parts = Math.floor(rule.workgroups / Math.max(1, groups));
  return Math.min(parts, Math.floor(steps / rule.leastPart), rule.mostParts);
}

interface Split {
  readonly kernels: readonly [Kernel, Kernel];
  readonly partials: Pick<Buffer, 'name' | 'dtype' | 'size'>;
}

/**
 * `buffer`: that of the partial sums. Undefined where the contraction is left whole, as where the size of its result
 * differs from one round of a loop to the next.
 */
function splitKernel(whole: ContractKernel, buffer: number, rule: SplitRule): Split | undefined {
  const parts = partsOf(whole, rule);
  const layout = layoutOf(whole, parts);
  if (parts < 2 || [...symbolsOf(layout.size)].some((name) => name.startsWith('%'))) return undefined;
  const steps = rule.slice * parts;
  const length = scale(floorDivide(add(countOf(whole.k), steps - 1), steps), rule.slice);
  const { dtype } = whole.a;
  return {
    kernels: [
      partial(whole, layout, { axis: layout.axis, length }, { buffer, dtype, mode: 'write' }),
      total(whole, layout, { buffer, dtype, mode: 'read' }),
    ],
    partials: { name: `parts of ${whole.name}`, dtype, size: layout.size },
  };
}

/** Where partial sums stand: for each part in turn those of all results; behind them for each part the folded sums. */
interface Layout {
  readonly parts: number;
  readonly axis: Axis;
  /** The result axes in the order in which the results lie in memory. */
  readonly axes: readonly Axis[];
  readonly size: Poly;
  /** Of the sum over a part, and of the folded sum. */
  readonly acc: (part: Poly) => Poly;
  readonly sum: (part: Poly) => Poly;
}

function layoutOf(whole: ContractKernel, parts: number): Layout {
  const axes = inMemoryOrder([...whole.batch, ...whole.m, ...whole.n], whole.stores[0]?.offset);
  const [results, columns] = [countOf(axes), countOf(whole.n)];
  const base = scale(results, parts);
  return {
    parts,
    axis: { name: 'part', extent: constant(parts) },
    axes,
    size: add(base, whole.sums ? scale(columns, parts) : zero),
    acc: (part) => add(multiply(part, results), flat(axes)),
    sum: (part) => add(base, multiply(part, columns), flat(whole.n)),
  };
}

/** Row-major number of a point. */
const flat = (axes: readonly Axis[]): Poly =>
  axes.reduce<Poly>((sum, { name, extent }) => add(multiply(sum, extent), symbol(name)), zero);

/** Outermost first, where the offset says it of every axis; else as they are. */
function inMemoryOrder(axes: readonly Axis[], offset: Poly | undefined): readonly Axis[] {
  const strides = axes.map(({ name }) => offset && stepOf(offset, name));
  if (strides.some((s) => s === undefined)) return axes;
  const by = new Map(axes.map((a, i) => [a, strides[i] ?? 0]));
  return [...axes].sort((a, b) => (by.get(b) ?? 0) - (by.get(a) ?? 0));
}

/** The contraction, part by part. */
function partial(whole: ContractKernel, layout: Layout, parts: Parts, use: BufferUse): ContractKernel {
  const list = new BufferList(whole.buffers, use);
  const local = (name: string): Ex => ({ kind: 'local', dtype: use.dtype, name });
  const store = (offset: Poly, name: string): Store => ({ buffer: list.own, offset, value: local(name) });
  const here = symbol(layout.axis.name);
  return {
    ...whole,
    notes: [...whole.notes, `split into ${layout.parts} parts of k: its tiles alone leave the device idle`],
    a: list.ex(whole.a),
    b: list.ex(whole.b),
    stores: [store(layout.acc(here), 'acc')],
    ...(whole.sums && { sums: [store(layout.sum(here), 'sum')] }),
    parts,
    buffers: list.uses,
  };
}

/** Adds the parts, in their order, and stores what the contraction stored: independent maps, side by side. */
function total(whole: ContractKernel, layout: Layout, use: BufferUse): Kernel {
  const list = new BufferList(whole.buffers, use);
  const added = (offset: (part: Poly) => Poly): Ex => {
    const loads = Array.from({ length: layout.parts }, (_, p): LoadEx => {
      const at = offset(constant(p));
      return { kind: 'load', dtype: use.dtype, buffer: list.own, offset: at, guard: [], fill: 0, data: [] };
    });
    return loads.reduce<Ex>(
      (x, y) => (x === y ? x : { kind: 'op', fn: 'add', dtype: use.dtype, args: [x, y] }),
      loads[0] as Ex,
    );
  };
  const acc = added(layout.acc);
  const stages = [
    { kind: 'map', axes: layout.axes, stores: list.stores(whole.stores, 'acc', acc) } as const,
    ...(whole.sums
      ? [{ kind: 'map', axes: whole.n, stores: list.stores(whole.sums, 'sum', added(layout.sum)) } as const]
      : []),
  ];
  const [only] = stages;
  return {
    kind: 'rows',
    name: `${whole.name}_total`,
    notes: [`adds the ${layout.parts} parts of ${whole.name} in their order`],
    ...(stages.length === 1 && only
      ? { grid: only.axes, stages: [{ ...only, axes: [] }] }
      : { grid: [], stages }),
    buffers: list.uses,
  };
}

/** The buffers that a part of a kernel touches, numbered as they come; its expressions and stores by these numbers. */
class BufferList {
  /** That of the partial sums. */
  readonly own = 0;
  private readonly found: { use: BufferUse; reads: boolean; writes: boolean }[];
  private readonly numbers = new Map<number, number>();
  private readonly rebuilt = exRebuilder((ex) =>
    ex.kind === 'load' ? { ...ex, buffer: this.number(ex.buffer, 'reads') } : ex,
  );

  constructor(
    private readonly whole: readonly BufferUse[],
    own: BufferUse,
  ) {
    this.found = [{ use: own, reads: own.mode === 'read', writes: own.mode === 'write' }];
  }

  get uses(): readonly BufferUse[] {
    return this.found.map(({ use, reads, writes }) => ({
      ...use,
      mode: reads && writes ? 'update' : writes ? 'write' : 'read',
    }));
  }

  ex(ex: Ex): Ex {
    return this.rebuilt(ex);
  }

  /** Stores with `by` in place of the local `name`. */
  stores(stores: readonly Store[], name: string, by: Ex): readonly Store[] {
    const replaced = exRebuilder((ex) => {
      if (ex.kind === 'local' && ex.name === name) return by;
      return ex.kind === 'load' ? { ...ex, buffer: this.number(ex.buffer, 'reads') } : ex;
    });
    return stores.map((s) => ({
      buffer: this.number(s.buffer, 'writes'),
      offset: s.offset,
      value: replaced(s.value),
    }));
  }

  private number(buffer: number, how: 'reads' | 'writes'): number {
    let at = this.numbers.get(buffer);
    if (at === undefined) {
      const use = this.whole[buffer];
      if (!use) throw new Error(`a kernel has no buffer ${buffer}`);
      at = this.found.push({ use, reads: false, writes: false }) - 1;
      this.numbers.set(buffer, at);
    }
    const entry = this.found[at];
    if (entry) entry[how] = true;
    return at;
  }
}
