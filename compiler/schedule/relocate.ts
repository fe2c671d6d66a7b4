/** Moves a kernel to other buffers: each of its buffers becomes a place in another one, from some element on. */
import type { Binding, BufferUse, Ex, Kernel, Store } from '../kernel/kernel.ts';
import { add, type Poly } from '../shape/poly.ts';

export interface Place {
  readonly buffer: number;
  /** Elements before it. */
  readonly start: Poly;
}

/** `placeOf` says where a buffer of the plan that the kernel was made for stands now. */
export function relocate(kernel: Kernel, placeOf: (buffer: number) => Place): Kernel {
  return new Relocation(kernel, placeOf).run(kernel);
}

class Relocation {
  private readonly places: readonly Place[];
  private readonly uses: BufferUse[] = [];
  /** New number of each of the kernel's buffers; two may have become one. */
  private readonly numbers: readonly number[];
  private readonly known = new Map<Ex, Ex>();

  constructor(kernel: Kernel, placeOf: (buffer: number) => Place) {
    this.places = kernel.buffers.map((u) => placeOf(u.buffer));
    this.numbers = kernel.buffers.map((use, i) => {
      const buffer = this.places[i]?.buffer ?? -1;
      const at = this.uses.findIndex((u) => u.buffer === buffer);
      if (at < 0) return this.uses.push({ ...use, buffer }) - 1;
      const before = this.uses[at] as BufferUse;
      if (before.mode !== use.mode) this.uses[at] = { ...before, mode: 'update' };
      return at;
    });
  }

  run(kernel: Kernel): Kernel {
    const common = { buffers: this.uses };
    switch (kernel.kind) {
      case 'rows':
        return {
          ...kernel,
          stages: kernel.stages.map((s) =>
            s.kind === 'map'
              ? { ...s, stores: s.stores.map((x) => this.store(x)) }
              : { ...s, reductions: s.reductions.map((r) => ({ ...r, value: this.ex(r.value) })) },
          ),
          ...common,
        };
      case 'contract':
        return {
          ...kernel,
          a: this.ex(kernel.a),
          b: this.ex(kernel.b),
          stores: kernel.stores.map((x) => this.store(x)),
          ...common,
        };
      case 'scatter': {
        const { target, clear } = kernel;
        return {
          ...kernel,
          clear: { ...clear, offset: this.offset(target, clear.offset) },
          offset: this.offset(target, kernel.offset),
          target: this.number(target),
          data: this.data(kernel.data),
          value: this.ex(kernel.value),
          ...common,
        };
      }
    }
  }

  private number(buffer: number): number {
    return this.numbers[buffer] ?? -1;
  }

  private offset(buffer: number, offset: Poly): Poly {
    const place = this.places[buffer];
    return place ? add(offset, place.start) : offset;
  }

  private store(s: Store): Store {
    return {
      buffer: this.number(s.buffer),
      offset: this.offset(s.buffer, s.offset),
      value: this.ex(s.value),
    };
  }

  private data(list: readonly Binding[]): readonly Binding[] {
    return list.map((d) => ({ name: d.name, value: this.ex(d.value) }));
  }

  /** Equal expressions stay one object. */
  private ex(e: Ex): Ex {
    const seen = this.known.get(e);
    if (seen) return seen;
    const made = this.moved(e);
    this.known.set(e, made);
    return made;
  }

  private moved(e: Ex): Ex {
    switch (e.kind) {
      case 'const':
      case 'local':
        return e;
      case 'index':
        return e.data.length === 0 ? e : { ...e, data: this.data(e.data) };
      case 'op':
        return { ...e, args: e.args.map((a) => this.ex(a)) };
      case 'load':
        return {
          ...e,
          buffer: this.number(e.buffer),
          offset: this.offset(e.buffer, e.offset),
          data: this.data(e.data),
        };
    }
  }
}
