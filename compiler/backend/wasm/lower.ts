/**
 * Expressions to code inside a nest of loops: invariant code leaves the loops, equal code is shared. With a vector axis,
 * values that vary along it are four lanes wide; `copy` u stands for the lanes 4u … 4u + 3 of an unrolled step.
 */
import type { Poly } from '../../shape/poly.ts';
import { add, asConstant, constant, guardKey, scale, subtract, symbol } from '../../shape/poly.ts';
import type { Code, I32, V128 } from './encoder.ts';
import { choose, f32, f32x4, i32, i32x4, select, v128, when } from './instr.ts';
import { Indices } from './indices.ts';
import type { Item, LoadItem } from './intern.ts';
import { localSymbol } from './intern.ts';
import { scalarConst, scalarRows, wasmType } from './scalar-ops.ts';
import type { VectorContext } from './vector-ops.ts';
import { fromMemory, splat, toMemory, vectorConst, vectorRows } from './vector-ops.ts';

interface Address {
  readonly base: I32;
  readonly offset: number;
}

export class Lowering extends Indices {
  private readonly byteOffsets = new Map<string, Poly>();

  // ---------------------------------------------------------------- memory

  private bytes(buffer: number, offset: Poly): Poly {
    const key = `${buffer} ${offset.key}`;
    const known = this.byteOffsets.get(key);
    if (known) return known;
    const made = add(scale(offset, 4), symbol(`$b${buffer}`));
    this.byteOffsets.set(key, made);
    return made;
  }

  /** Constant parts go into the instruction where nothing can be negative before they are added. */
  private address(p: Poly): Address {
    if (this.mayNotRun) return { base: this.safe(this.poly(p)), offset: 0 };
    const fixed = p.terms.find((t) => t.factors.length === 0)?.coefficient ?? 0;
    const rest = subtract(p, constant(fixed));
    if (fixed > 0 && this.isNatural(rest)) return { base: this.poly(rest), offset: fixed };
    return { base: this.poly(p), offset: 0 };
  }

  private get mayNotRun(): boolean {
    return this.nonEmpty !== undefined && this.writing < this.depth;
  }

  private safe(address: I32): I32 {
    return this.mayNotRun ? select(this.nonEmpty!, address, i32.const(0)) : address;
  }

  /** AND of conditions that do not vary along the lanes; undefined when there is none. */
  private condition(guard: LoadItem['guard']): I32 | undefined {
    if (guard.length === 0) return undefined;
    const level = guard.reduce((l, c) => Math.max(l, this.levelOfPoly(c.value)), 0);
    return this.at(level, `g${guardKey(guard)}`, () =>
      guard
        .map((c) =>
          c.kind === 'ge' ? i32.geS(this.poly(c.value), i32.const(0)) : i32.eqz(this.poly(c.value)),
        )
        .reduce((x, y) => i32.and(x, y)),
    ) as I32;
  }

  private mask(guard: LoadItem['guard'], copy: number): V128 {
    return this.at(this.writing, `m${copy} ${guardKey(guard)}`, () => {
      const zero = this.constantLanes(0);
      return guard
        .map((c) => (c.kind === 'ge' ? i32x4.geS : i32x4.eq)(this.lanesOf(c.value, copy), zero))
        .reduce((x, y) => v128.and(x, y));
    }) as V128;
  }

  private scalarLoad(item: LoadItem): Code {
    const p = this.bytes(item.buffer, item.offset);
    const read = wasmType(item.dtype) === 'f32' ? f32.load : i32.load;
    const at = this.address(p);
    const value = read(at.base, at.offset);
    const holds = this.condition(item.guard);
    return holds
      ? choose<'f32' | 'i32'>(holds, [value], [scalarConst(item.fill, item.dtype)], wasmType(item.dtype))
      : value;
  }

  private vectorLoad(item: LoadItem, copy: number): V128 {
    const p = this.bytes(item.buffer, item.offset);
    const varies = item.guard.filter((c) => this.variation(c.value).kind !== 'uniform');
    const holds = this.condition(item.guard.filter((c) => !varies.includes(c)));
    const fill = this.at(0, `f${item.dtype} ${item.fill}`, () => vectorConst(item.fill, item.dtype)) as V128;
    const mask = varies.length > 0 ? this.mask(varies, copy) : undefined;
    const together = this.readTogether(p, copy);
    if (together) {
      const value = fromMemory(together, item.dtype);
      if (!mask) return holds ? choose(holds, [value], [fill], 'v128') : value;
      // One lane inside puts the others at most a few elements outside: memory has that margin.
      const some = this.at(this.writing, `s${copy} ${guardKey(item.guard)}`, () =>
        holds ? i32.and(holds, v128.anyTrue(mask)) : v128.anyTrue(mask),
      ) as I32;
      return choose(some, [v128.select(mask, value, fill)], [fill], 'v128');
    }
    if (!mask) {
      const gathered = fromMemory(
        this.gather(p, copy, (lane, into, at) => readLane(lane, into ?? fill, at)),
        item.dtype,
      );
      return holds ? choose(holds, [gathered], [fill], 'v128') : gathered;
    }
    const inside = this.keep(holds ? v128.and(mask, i32x4.splat(i32.sub(i32.const(0), holds))) : mask);
    const otherwise = i32.const(fillBits(item));
    const guarded = this.gather(p, copy, (lane, into, at) => {
      const v = into ?? fill;
      return this.keep(
        choose(
          i32x4.extract(inside, lane),
          [readLane(lane, v, at)],
          [i32x4.replace(v, lane, otherwise)],
          'v128',
        ),
      );
    });
    return fromMemory(guarded, item.dtype);
  }

  /** Four lanes by one or two whole loads, where the addresses allow it. */
  private readTogether(p: Poly, copy: number): V128 | undefined {
    const variation = this.variation(p);
    if (variation.kind === 'any') return this.readHalved(p, copy);
    const at = this.address(this.shifted(p, 4 * copy));
    if (variation.kind === 'uniform') return v128.loadSplat(at.base, at.offset);
    const step = asConstant(variation.step);
    if (step === 4) return v128.load(at.base, at.offset);
    if (step === 8)
      return v128.shuffle(v128.load(at.base, at.offset), v128.load(at.base, at.offset + 16), [0, 2, 4, 6]);
    return undefined;
  }

  /** Each element twice, as where a pooled value is spread again: ... + (lane + rest) div 2. */
  private readHalved(p: Poly, copy: number): V128 | undefined {
    const varying = p.terms.filter((t) => !this.isUniform(t));
    const [t] = varying;
    const [atom] = t?.factors ?? [];
    if (varying.length !== 1 || t?.coefficient !== 4 || t.factors.length !== 1 || atom?.kind !== 'div')
      return undefined;
    const halved = this.variation(atom.a);
    if (asConstant(atom.b) !== 2 || halved.kind !== 'linear' || asConstant(halved.step) !== 1)
      return undefined;
    const at = this.address(this.shifted(p, 4 * copy));
    const odd = i32.and(this.poly(this.shifted(atom.a, 4 * copy)), i32.const(1));
    const mask = this.keep(i32x4.splat(i32.sub(i32.const(0), odd)));
    const elements = this.keep(v128.load(at.base, at.offset));
    const pairs = (lanes: readonly [number, number, number, number]): V128 =>
      v128.shuffle(elements, elements, lanes);
    return v128.select(mask, pairs([0, 1, 1, 2]), pairs([0, 0, 1, 1]));
  }

  private gather(
    p: Poly,
    copy: number,
    one: (lane: number, into: V128 | undefined, at: Address) => V128,
  ): V128 {
    const addresses = this.laneAddresses(p, copy);
    return addresses.reduce<V128 | undefined>((v, at, lane) => one(lane, v, at), undefined) as V128;
  }

  private laneAddresses(p: Poly, copy: number): readonly Address[] {
    const variation = this.variation(p);
    if (variation.kind === 'any') {
      const all = this.keep(this.lanesOf(p, copy));
      return [0, 1, 2, 3].map((lane) => ({ base: this.safe(i32x4.extract(all, lane)), offset: 0 }));
    }
    const step = variation.kind === 'uniform' ? 0 : asConstant(variation.step);
    if (step === undefined || step < 0)
      return [0, 1, 2, 3].map((lane) => this.address(this.shifted(p, 4 * copy + lane)));
    const first = this.shifted(p, 4 * copy);
    const { base, offset } = this.address(first);
    // Where a guard keeps the first lane from an address below 0, an offset would not lead back into memory: it is added
    // to the address as an unsigned number. Sums wrap.
    const wraps = offset === 0 && !this.isNatural(first);
    return [0, 1, 2, 3].map((lane) =>
      wraps && lane > 0
        ? { base: i32.add(base, i32.const(lane * step)), offset: 0 }
        : { base, offset: offset + lane * step },
    );
  }

  /** buffers[buffer][offset] = value in the innermost level. Compute the value first: stores come after all loads. */
  store(buffer: number, offset: Poly, value: Code, copy: number): void {
    const p = this.bytes(buffer, offset);
    const dtype = this.env.buffers[buffer]?.dtype ?? 'f32';
    if (this.lanes === undefined) {
      const at = this.address(p);
      this.push(
        wasmType(dtype) === 'f32'
          ? f32.store(at.base, value as Code<'f32'>, at.offset)
          : i32.store(at.base, value as I32, at.offset),
      );
      return;
    }
    const lanes = this.keep(toMemory(value as V128, dtype));
    const variation = this.variation(p);
    if (variation.kind === 'linear' && asConstant(variation.step) === 4) {
      const at = this.address(this.shifted(p, 4 * copy));
      this.push(v128.store(at.base, lanes, at.offset));
      return;
    }
    this.laneAddresses(p, copy).forEach((at, lane) =>
      this.push(v128.storeLane(at.base, lanes, lane, at.offset)),
    );
  }

  /**
   * buffers[buffer][offset] += value where the guard of `at` holds: read and written in place, in the order of the loops.
   * Along a vector axis the guard must not vary and the elements must be neighbours.
   */
  addTo(at: LoadItem, value: Code, copy: number): void {
    const holds = this.condition(at.guard);
    const p = this.bytes(at.buffer, at.offset);
    const { base, offset } = this.address(this.shifted(p, 4 * copy));
    const isFloat = wasmType(at.dtype) === 'f32';
    const sum =
      this.lanes !== undefined
        ? v128.store(base, (isFloat ? f32x4 : i32x4).add(v128.load(base, offset), value as V128), offset)
        : isFloat
          ? f32.store(base, f32.add(f32.load(base, offset), value as Code<'f32'>), offset)
          : i32.store(base, i32.add(i32.load(base, offset), value as I32), offset);
    this.push(...(holds ? when(holds, [sum]) : [sum]));
  }

  // ---------------------------------------------------------------- values

  /** The value of an item as the innermost level needs it: lanes while a vector loop is open, else a scalar. */
  value(item: Item, copy = 0): Code {
    return this.lanes === undefined ? this.scalar(item) : this.vector(item, copy);
  }

  private keyOf(item: Item): string {
    return item.volatile ? `x${item.id} ${this.stage}` : `x${item.id}`;
  }

  /** A value that does not vary along the lanes. */
  scalar(item: Item): Code {
    if (item.kind === 'const') return scalarConst(item.value, item.dtype);
    const level = this.levelOf(item);
    return this.at(level, this.keyOf(item), () => {
      switch (item.kind) {
        case 'local':
          return this.named(localSymbol(item.name)).copies[0] as Code;
        case 'index':
          return this.poly(item.value);
        case 'load':
          return this.scalarLoad(item);
        case 'op':
          return scalarRows[item.fn](
            item.args.map((a) => this.scalar(a)),
            item.from,
            item.dtype,
            this.env,
          );
      }
    });
  }

  vector(item: Item, copy: number): V128 {
    if (!this.isVector(item)) return this.splatOf(item);
    return this.at(this.levelOf(item), `${this.keyOf(item)} ${copy}`, () => {
      switch (item.kind) {
        case 'const':
          throw new Error('a constant does not vary');
        case 'local': {
          const { copies } = this.named(localSymbol(item.name));
          return copies[copy] as Code;
        }
        case 'index':
          return this.lanesOf(item.value, copy);
        case 'load':
          return this.vectorLoad(item, copy);
        case 'op':
          return this.vectorOp(item, copy);
      }
    }) as V128;
  }

  private splatOf(item: Item): V128 {
    if (item.kind === 'const')
      return this.at(0, `k${item.id}`, () => vectorConst(item.value, item.dtype)) as V128;
    return this.at(this.levelOf(item), `s${this.keyOf(item)}`, () =>
      splat(this.scalar(item), item.dtype),
    ) as V128;
  }

  private vectorOp(item: Extract<Item, { kind: 'op' }>, copy: number): V128 {
    const context: VectorContext = {
      math: this.env.math,
      integers: this.env.integers,
      uniform: item.args.map((a) => (this.isVector(a) ? undefined : this.scalar(a))),
      elementary: (name, x) =>
        this.env.math.inline(name, x, {
          keep: (v) => this.keep(v),
          float: (c) => this.at(0, `k f32 ${Object.is(c, -0) ? '-0' : c}`, () => f32x4.splatConst(c)) as V128,
          int: (c) => this.constantLanes(c),
        }),
    };
    return vectorRows[item.fn](
      item.args.map((a) => this.vector(a, copy)),
      item.from,
      item.dtype,
      context,
    );
  }
}

/** Reads one lane; the first clears the others, so that no old value is waited for. */
const readLane = (lane: number, into: V128, at: Address): V128 =>
  lane === 0 ? v128.loadZero(at.base, at.offset) : v128.loadLane(at.base, into, lane, at.offset);

function fillBits(item: LoadItem): number {
  if (item.dtype === 'f32') return new Int32Array(new Float32Array([item.fill]).buffer)[0] ?? 0;
  return item.dtype === 'bool' ? Number(item.fill !== 0) : item.fill | 0;
}
