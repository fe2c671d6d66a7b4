/** How many bytes a kernel has to move: what its speed is limited by where it is not arithmetic. */
import type { Ex, Kernel, LoadEx, Store } from '../kernel/kernel.ts';
import { add, minimum, multiply, one, scale, symbolsOf, zero, type Poly } from '../shape/poly.ts';

/** Of every dtype: bool travels as 32 bits. */
const bytesPerElement = 4;

/**
 * Bytes that one run of the kernel reads and writes when each element that it touches crosses once in each direction.
 * `sizes`: elements of the kernel's buffers. An access touches as many elements as the axes that its offset names
 * have points, and never more than the buffer holds; equal accesses count once, and what the kernel stored before costs
 * nothing to read. A polynomial over the dimensions.
 */
export function trafficOf(kernel: Kernel, sizes: readonly Poly[]): Poly {
  const traffic = new Traffic(kernel, sizes);
  switch (kernel.kind) {
    case 'rows':
      for (const stage of kernel.stages) {
        if (stage.kind === 'map') traffic.stores(stage.stores);
        else for (const r of stage.reductions) traffic.reads(r.value);
      }
      break;
    case 'contract':
      traffic.reads(kernel.a);
      traffic.reads(kernel.b);
      traffic.stores([...kernel.stores, ...(kernel.sums ?? [])]);
      break;
    case 'scatter':
      traffic.reads(kernel.value);
      for (const d of kernel.data) traffic.reads(d.value);
      traffic.adds(kernel.target, [...kernel.grid, ...kernel.clear.axes]);
  }
  return traffic.bytes();
}

class Traffic {
  /** Elements by buffer and offset: equal accesses are one. */
  private readonly read = new Map<number, Map<string, Poly>>();
  private readonly written = new Map<number, Map<string, Poly>>();
  private readonly seen = new Set<Ex>();
  private readonly extents: Map<string, Poly>;
  private readonly grid: readonly string[];

  constructor(
    kernel: Kernel,
    private readonly sizes: readonly Poly[],
  ) {
    const axes =
      kernel.kind === 'rows'
        ? [...kernel.grid, ...kernel.stages.flatMap((s) => s.axes)]
        : kernel.kind === 'contract'
          ? [
              ...kernel.batch,
              ...kernel.m,
              ...kernel.n,
              ...kernel.k,
              ...(kernel.parts ? [kernel.parts.axis] : []),
            ]
          : [...kernel.grid, ...kernel.axes, ...kernel.clear.axes];
    this.extents = new Map(axes.map((a) => [a.name, a.extent]));
    this.grid = kernel.kind === 'contract' ? [] : kernel.grid.map((a) => a.name);
  }

  /** The values of all stores are read before any is written. */
  stores(stores: readonly Store[]): void {
    for (const s of stores) this.reads(s.value);
    for (const s of stores) this.note(this.written, s.buffer, s.offset, this.axesOf(s.offset, []));
  }

  /** Elements that are cleared and then added to: written once, as what is in a cache counts once. */
  adds(buffer: number, axes: readonly { readonly extent: Poly }[]): void {
    this.note(this.written, buffer, one, multiply(one, ...axes.map((a) => a.extent)));
  }

  reads(ex: Ex): void {
    if (this.seen.has(ex)) return;
    this.seen.add(ex);
    if (ex.kind === 'op') ex.args.forEach((arg) => this.reads(arg));
    if (ex.kind === 'dot') {
      for (const a of ex.axes) this.extents.set(a.name, a.extent);
      [ex.a, ex.b].forEach((x) => this.reads(x));
    }
    if (ex.kind === 'load' || ex.kind === 'index') ex.data.forEach((d) => this.reads(d.value));
    if (ex.kind === 'load' && !this.written.has(ex.buffer))
      this.note(this.read, ex.buffer, ex.offset, this.axesOf(ex.offset, ex.data));
  }

  bytes(): Poly {
    const total = (accesses: ReadonlyMap<number, ReadonlyMap<string, Poly>>): Poly[] =>
      [...accesses].map(([buffer, each]) => minimum(this.sizes[buffer] ?? one, add(...each.values())));
    return scale(add(zero, ...total(this.read), ...total(this.written)), bytesPerElement);
  }

  private note(where: Map<number, Map<string, Poly>>, buffer: number, offset: Poly, elements: Poly): void {
    const known = where.get(buffer) ?? new Map<string, Poly>();
    where.set(buffer, known.set(offset.key, elements));
  }

  /** Number of points of the axes that an offset depends on, by itself or through the data that it names. */
  private axesOf(offset: Poly, data: LoadEx['data']): Poly {
    const names = new Set<string>();
    this.collect(offset, data, names);
    const extents = [...names].flatMap((name) => this.extents.get(name) ?? []);
    return multiply(one, ...extents);
  }

  private collect(offset: Poly, data: LoadEx['data'], into: Set<string>): void {
    symbolsOf(offset, into);
    for (const d of data) if (into.has(d.name)) this.collectEx(d.value, into);
  }

  private collectEx(ex: Ex, into: Set<string>): void {
    switch (ex.kind) {
      case 'const':
        return;
      case 'local':
        this.grid.forEach((name) => into.add(name));
        return;
      case 'op':
        ex.args.forEach((arg) => this.collectEx(arg, into));
        return;
      case 'dot':
        [ex.a, ex.b].forEach((x) => this.collectEx(x, into));
        return;
      case 'index':
        this.collect(ex.value, ex.data, into);
        return;
      case 'load':
        this.collect(ex.offset, ex.data, into);
    }
  }
}
