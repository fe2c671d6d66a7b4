/**
 * Expressions with equal meaning become one item, whichever object they came from. An item knows what it depends on,
 * which decides how far out of the loops it can be computed.
 */
import type { Binding, Ex } from '../../kernel/kernel.ts';
import type { Condition, Poly } from '../../shape/poly.ts';
import { guardKey, mapGuard, substitute, symbol, symbolsOf } from '../../shape/poly.ts';
import type { DType, ScalarOp } from './scalar-ops.ts';

interface Base {
  readonly id: number;
  readonly dtype: DType;
  /** Names of axes, dimensions, and `local name`s it depends on, through data too. */
  readonly depends: ReadonlySet<string>;
  /** It reads a buffer that the kernel writes: it may not move from its stage. */
  readonly volatile: boolean;
}

export type Item =
  | (Base & { readonly kind: 'const'; readonly value: number })
  | (Base & { readonly kind: 'local'; readonly name: string })
  | (Base & { readonly kind: 'index'; readonly value: Poly })
  | (Base & {
      readonly kind: 'op';
      readonly fn: ScalarOp;
      readonly from: DType;
      readonly args: readonly Item[];
    })
  | LoadItem;

export interface LoadItem extends Base {
  readonly kind: 'load';
  readonly buffer: number;
  readonly offset: Poly;
  readonly guard: readonly Condition[];
  readonly fill: number;
}

export const localSymbol = (name: string): string => `local ${name}`;

export class Interner {
  private readonly byObject = new Map<Ex, Item>();
  private readonly byKey = new Map<string, Item>();
  /** Values bound to data symbols (`%7`: the item 7). */
  readonly data = new Map<string, Item>();

  /** `isWritten`: whether the kernel writes that buffer (index into the kernel's buffers). */
  constructor(private readonly isWritten: (buffer: number) => boolean) {}

  item(ex: Ex): Item {
    const seen = this.byObject.get(ex);
    if (seen) return seen;
    const made = this.make(ex);
    this.byObject.set(ex, made);
    return made;
  }

  private add(key: string, item: (id: number) => Item): Item {
    const known = this.byKey.get(key);
    if (known) return known;
    const made = item(this.byKey.size);
    this.byKey.set(key, made);
    return made;
  }

  private make(ex: Ex): Item {
    const { dtype } = ex;
    switch (ex.kind) {
      case 'const':
        return this.constant(ex.value, dtype);
      case 'dot':
        throw new Error('a contraction inside an expression: this target stores its results');
      case 'local':
        return this.add(`l ${ex.name}`, (id) => ({
          id,
          kind: 'local',
          dtype,
          name: ex.name,
          depends: new Set([localSymbol(ex.name)]),
          volatile: false,
        }));
      case 'index': {
        const rename = this.binder(ex.data);
        const value = rename(ex.value);
        return this.add(`i ${value.key}`, (id) => ({
          id,
          kind: 'index',
          dtype,
          value,
          ...this.facts([value]),
        }));
      }
      case 'load': {
        const rename = this.binder(ex.data);
        const offset = rename(ex.offset);
        const guard = mapGuard(ex.guard, rename);
        const key = `m ${ex.buffer} ${dtype} ${offset.key} ${guardKey(guard)} ${ex.fill}`;
        const facts = this.facts([offset, ...guard.map((c) => c.value)]);
        const isVolatile = facts.volatile || this.isWritten(ex.buffer);
        return this.add(key, (id) => ({
          id,
          kind: 'load',
          dtype,
          buffer: ex.buffer,
          offset,
          guard,
          fill: ex.fill,
          depends: facts.depends,
          volatile: isVolatile,
        }));
      }
      case 'op':
        return this.op(
          ex.fn,
          dtype,
          ex.args.map((arg) => this.item(arg)),
        );
    }
  }

  constant(value: number, dtype: DType): Item {
    const text = Object.is(value, -0) ? '-0' : `${value}`;
    return this.add(`c ${dtype} ${text}`, (id) => ({
      id,
      kind: 'const',
      dtype,
      value,
      depends: new Set(),
      volatile: false,
    }));
  }

  op(fn: ScalarOp, dtype: DType, args: readonly Item[]): Item {
    const [x, y] = args;
    if (fn === 'pow' && x && y?.kind === 'const') {
      const simple = this.integerPower(x, y.value);
      if (simple) return simple;
    }
    if (fn === 'cast' && x?.dtype === dtype) return x;
    const from = (fn === 'where' ? args[1] : x)?.dtype ?? dtype;
    return this.add(`o ${fn} ${dtype} ${args.map((a) => a.id).join(' ')}`, (id) => ({
      id,
      kind: 'op',
      fn,
      dtype,
      from,
      args,
      depends: new Set(args.flatMap((a) => [...a.depends])),
      volatile: args.some((a) => a.volatile),
    }));
  }

  /** Small whole powers by multiplication. */
  private integerPower(x: Item, n: number): Item | undefined {
    if (n === 1) return x;
    if (n === -1) return this.op('div', x.dtype, [this.constant(1, x.dtype), x]);
    if (n === 2) return this.op('mul', x.dtype, [x, x]);
    if (n === 3) return this.op('mul', x.dtype, [this.op('mul', x.dtype, [x, x]), x]);
    return undefined;
  }

  /** Renames bound data to `%id` of its value, so that equal expressions get equal keys. */
  private binder(data: readonly Binding[]): (p: Poly) => Poly {
    if (data.length === 0) return (p) => p;
    const names = new Map<string, Poly>();
    for (const d of data) {
      const item = this.item(d.value);
      const name = `%${item.id}`;
      this.data.set(name, item);
      names.set(d.name, symbol(name));
    }
    return (p) => substitute(p, (s) => names.get(s));
  }

  private facts(polys: readonly Poly[]): { depends: ReadonlySet<string>; volatile: boolean } {
    const depends = new Set<string>();
    let isVolatile = false;
    for (const p of polys)
      for (const s of symbolsOf(p)) {
        const item = this.data.get(s);
        if (!item) depends.add(s);
        else {
          for (const d of item.depends) depends.add(d);
          isVolatile ||= item.volatile;
        }
      }
    return { depends, volatile: isVolatile };
  }
}
