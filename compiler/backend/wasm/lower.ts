/**
 * Expressions to code inside a nest of loops. Every value is computed at the outermost level that knows what it depends
 * on, once: invariant code leaves the loops, equal code is shared. With a vector axis, values that vary along it are four
 * lanes wide; `copy` u stands for the lanes 4u … 4u + 3 of an unrolled step.
 */
import type { BufferUse } from '../../kernel/kernel.ts';
import type { Atom, Poly, Ranges, Term } from '../../shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  isNonNegative,
  linearIn,
  scale,
  subtract,
  substitute,
  symbol,
  symbolsOf,
} from '../../shape/poly.ts';
import type { Code, Func, I32, Stmt, V128 } from './encoder.ts';
import { choose, f32, f32x4, i32, i32x4, maxI32, minI32, select, v128, when } from './instr.ts';
import type { Interner, Item, LoadItem } from './intern.ts';
import { localSymbol } from './intern.ts';
import type { ScalarContext } from './scalar-ops.ts';
import { scalarConst, scalarRows, wasmType } from './scalar-ops.ts';
import type { VectorContext } from './vector-ops.ts';
import { fromLanes, fromMemory, splat, toMemory, vectorConst, vectorRows } from './vector-ops.ts';

interface Level {
  readonly body: Stmt[];
  readonly memo: Map<string, Code>;
  readonly axis: string;
}

/** What a kernel's code may refer to. */
export interface Environment extends ScalarContext {
  readonly f: Func;
  readonly buffers: readonly BufferUse[];
  /** Byte offset of a buffer of the plan. */
  readonly base: (buffer: number) => I32;
  readonly dims: ReadonlyMap<string, I32>;
  readonly ranges: Ranges;
  readonly interner: Interner;
}

interface Named {
  readonly level: number;
  readonly vector: boolean;
  /** One code for each copy, or one for all. */
  readonly copies: readonly Code[];
}

/** How an index expression varies along the vector axis. */
type Variation =
  { readonly kind: 'uniform' } | { readonly kind: 'linear'; readonly step: Poly } | { readonly kind: 'any' };

interface Address {
  readonly base: I32;
  readonly offset: number;
}

export class Lowering {
  private readonly levels: Level[] = [{ body: [], memo: new Map(), axis: '' }];
  private readonly names = new Map<string, Named>();
  /** The vector axis, while a vector loop is open. */
  private lanes: string | undefined;
  private readonly byteOffsets = new Map<string, Poly>();
  private stage = 0;
  /** The level whose code is being made, when it is not the innermost. */
  private target: number | undefined;
  /** Values that read what the kernel writes stay at this level or deeper. */
  private stageLevel = 0;
  /** Set where loops may run zero times: loads that move out of them read address 0 then. */
  nonEmpty: I32 | undefined;

  constructor(readonly env: Environment) {
    for (const [name, code] of env.dims) this.names.set(name, { level: 0, vector: false, copies: [code] });
    env.buffers.forEach((use, i) =>
      this.names.set(`$b${i}`, { level: 0, vector: false, copies: [env.base(use.buffer)] }),
    );
  }

  // ---------------------------------------------------------------- levels

  get depth(): number {
    return this.levels.length - 1;
  }

  /** Appends to the innermost open level. */
  push(...code: readonly Stmt[]): void {
    this.levels.at(-1)!.body.push(...code);
  }

  /** Opens a loop body over `axis`, whose index is `index`. */
  open(axis: string, index: I32, isVector = false): void {
    this.levels.push({ body: [], memo: new Map(), axis });
    this.names.set(axis, { level: this.depth, vector: false, copies: [index] });
    if (isVector) this.lanes = axis;
  }

  /** Names an index whose value is known from here on, at the innermost level. */
  bind(name: string, index: I32): void {
    this.names.set(name, { level: this.depth, vector: false, copies: [index] });
  }

  /** The code of an index by name. */
  index(name: string): I32 {
    return this.named(name).copies[0] as I32;
  }

  /** Closes the innermost level and gives its body. */
  close(): Stmt[] {
    const level = this.levels.pop();
    if (!level || this.levels.length === 0) throw new Error('no open loop');
    this.names.delete(level.axis);
    if (this.lanes === level.axis) this.lanes = undefined;
    for (const [name, { level: at }] of this.names) if (at > this.depth) this.names.delete(name);
    return level.body;
  }

  /** All code, once every loop is closed. */
  finish(): Stmt[] {
    return this.levels[0]!.body;
  }

  /** What earlier stages stored may be loaded from here on. */
  beginStage(): void {
    this.stage++;
    this.stageLevel = this.depth;
  }

  /** Names a value for `local` expressions. */
  define(name: string, vector: boolean, copies: readonly Code[], level = this.depth): void {
    this.names.set(localSymbol(name), { level, vector, copies });
  }

  private named(name: string): Named {
    const found = this.names.get(name);
    if (found) return found;
    const item = this.env.interner.data.get(name);
    if (!item) throw new Error(`\`${name}\` is neither an axis in scope nor a dimension`);
    return { level: this.levelOf(item), vector: this.isVector(item), copies: [] };
  }

  private levelOf(item: Item): number {
    let level = item.volatile ? this.stageLevel : 0;
    for (const d of item.depends) level = Math.max(level, this.named(d).level);
    return level;
  }

  isVector(item: Item): boolean {
    if (this.lanes === undefined) return false;
    for (const d of item.depends) if (d === this.lanes || this.names.get(d)?.vector) return true;
    return false;
  }

  /** Computes `make` once at a level; the result is cheap to repeat. */
  private at(level: number, key: string, make: () => Code): Code {
    const { memo, body } = this.levels[level]!;
    const known = memo.get(key);
    if (known) return known;
    const outer = this.target;
    this.target = level;
    const code = make();
    this.target = outer;
    const kept = isCheap(code) ? code : this.keepIn(body, code);
    memo.set(key, kept);
    return kept;
  }

  private keepIn(body: Stmt[], code: Code): Code {
    const local = this.env.f.local(code.type as Exclude<Code['type'], 'void'>);
    body.push(local.set(code as never));
    return local.get;
  }

  /** A local with this value, computed at the level that is being written. */
  keep<T extends Code>(code: T): T {
    return (isCheap(code) ? code : this.keepIn(this.levels[this.writing]!.body, code)) as T;
  }

  private get writing(): number {
    return this.target ?? this.depth;
  }

  // ---------------------------------------------------------------- index expressions, one value

  /** An integer that does not vary along the lanes, or lane 0 of one that does. */
  poly(p: Poly): I32 {
    const known = asConstant(p);
    if (known !== undefined) return i32.const(known);
    const byLevel = new Map<number, Term[]>();
    for (const t of p.terms) {
      const level = this.levelOfFactors(t.factors);
      const there = byLevel.get(level);
      if (there) there.push(t);
      else byLevel.set(level, [t]);
    }
    let sum: Code | undefined;
    let key = '';
    for (const level of [...byLevel.keys()].sort((x, y) => x - y)) {
      const terms = byLevel.get(level)!;
      key += byLevel.size === 1 ? p.key : `|${terms.map((t) => `${t.coefficient}*${t.key}`).join('+')}`;
      const before = sum;
      sum = this.at(level, `p${key}`, () =>
        [...(before ? [before] : []), ...terms.map((t) => this.term(t))].reduce((x, y) =>
          i32.add(x as I32, y as I32),
        ),
      );
    }
    return sum as I32;
  }

  private levelOfFactors(factors: readonly Atom[]): number {
    return factors.reduce((level, f) => Math.max(level, this.levelOfAtom(f)), 0);
  }

  private levelOfAtom(atom: Atom): number {
    if (atom.kind === 'symbol') return this.named(atom.name).level;
    let level = 0;
    for (const s of symbolsOf(atom.b, symbolsOf(atom.a))) level = Math.max(level, this.named(s).level);
    return level;
  }

  private term(t: Term): I32 {
    const ordered = [...t.factors].sort((x, y) => this.levelOfAtom(x) - this.levelOfAtom(y));
    let product = i32.const(t.coefficient);
    let key = `${t.coefficient}`;
    for (const f of ordered) {
      const before = product;
      key += `*${f.key}`;
      product = this.at(this.levelOfAtom(f), `t${key}`, () => i32.mul(before, this.atom(f))) as I32;
    }
    return product;
  }

  private atom(atom: Atom): I32 {
    if (atom.kind === 'symbol') return this.symbolCode(atom.name);
    return this.at(this.levelOfAtom(atom), `a${atom.key}`, () => {
      const [a, b] = [this.poly(atom.a), this.poly(atom.b)];
      switch (atom.kind) {
        case 'div':
          return this.env.integers.floorDiv(a, b, this.isNatural(atom.a));
        case 'mod':
          return this.env.integers.floorMod(a, b, this.isNatural(atom.a));
        case 'min':
          return minI32(a, b);
        case 'max':
          return maxI32(a, b);
      }
    }) as I32;
  }

  /** Proved not negative; nothing is known of data. */
  private isNatural(p: Poly): boolean {
    for (const s of symbolsOf(p)) if (s.startsWith('%')) return false;
    return isNonNegative(p, this.env.ranges);
  }

  private symbolCode(name: string): I32 {
    const item = this.env.interner.data.get(name);
    return (item ? this.scalar(item) : this.named(name).copies[0]) as I32;
  }

  // ---------------------------------------------------------------- index expressions, four lanes

  private variation(p: Poly): Variation {
    if (this.lanes === undefined) return { kind: 'uniform' };
    const names = symbolsOf(p);
    const varying = [...names].filter((s) => s === this.lanes || this.named(s).vector);
    if (varying.length === 0) return { kind: 'uniform' };
    const linear = varying.length === 1 && varying[0] === this.lanes ? linearIn(p, this.lanes) : undefined;
    return linear ? { kind: 'linear', step: linear.coefficient } : { kind: 'any' };
  }

  /** `p` for the first lane of a copy (or a later lane of it). */
  private shifted(p: Poly, lane: number): Poly {
    const { lanes } = this;
    if (lanes === undefined || lane === 0) return p;
    return substitute(p, (s) => (s === lanes ? add(symbol(s), lane) : undefined));
  }

  /** i32x4 of `p` in the lanes of a copy. */
  private lanesOf(p: Poly, copy: number): V128 {
    const variation = this.variation(p);
    const level = this.levelOfPoly(p);
    if (variation.kind === 'uniform')
      return this.at(level, `v${p.key}`, () => i32x4.splat(this.poly(p))) as V128;
    return this.at(level, `v${copy} ${p.key}`, () => {
      const first = this.shifted(p, 4 * copy);
      if (variation.kind === 'linear')
        return i32x4.add(i32x4.splat(this.poly(first)), this.ramp(variation.step));
      return p.terms.map((t) => this.termLanes(t, copy)).reduce((x, y) => i32x4.add(x, y));
    }) as V128;
  }

  /** 0, step, 2 step, 3 step */
  private ramp(step: Poly): V128 {
    const known = asConstant(step);
    const key = `ramp ${step.key}`;
    if (known !== undefined)
      return this.at(0, key, () => i32x4.const(0, known, 2 * known, 3 * known)) as V128;
    return this.at(this.levelOfPoly(step), key, () =>
      i32x4.mul(i32x4.splat(this.poly(step)), i32x4.const(0, 1, 2, 3)),
    ) as V128;
  }

  private levelOfPoly(p: Poly): number {
    return p.terms.reduce((level, t) => Math.max(level, this.levelOfFactors(t.factors)), 0);
  }

  private termLanes(t: Term, copy: number): V128 {
    const factors = t.factors.map((f) => this.atomLanes(f, copy));
    const coefficient = this.constantLanes(t.coefficient);
    if (factors.length === 0) return coefficient;
    const product = factors.reduce((x, y) => i32x4.mul(x, y));
    return t.coefficient === 1 ? product : i32x4.mul(product, coefficient);
  }

  private constantLanes(n: number): V128 {
    return this.at(0, `n${n}`, () => i32x4.splatConst(n)) as V128;
  }

  private atomLanes(atom: Atom, copy: number): V128 {
    if (atom.kind === 'symbol') {
      const item = this.env.interner.data.get(atom.name);
      return item ? this.vector(item, copy) : this.lanesOf(symbol(atom.name), copy);
    }
    return this.at(this.levelOfAtom(atom), `w${copy} ${atom.key}`, () => {
      const a = this.lanesOf(atom.a, copy);
      const divisor = asConstant(atom.b) ?? 0;
      if (divisor > 0 && (divisor & (divisor - 1)) === 0 && (atom.kind === 'div' || atom.kind === 'mod'))
        return atom.kind === 'div'
          ? i32x4.shrS(a, i32.const(31 - Math.clz32(divisor)))
          : v128.and(a, this.constantLanes(divisor - 1));
      const b = this.lanesOf(atom.b, copy);
      if (atom.kind === 'min') return i32x4.minS(a, b);
      if (atom.kind === 'max') return i32x4.maxS(a, b);
      const natural = this.isNatural(atom.a);
      const op = (x: I32, y: I32): I32 =>
        this.env.integers[atom.kind === 'div' ? 'floorDiv' : 'floorMod'](x, y, natural);
      const uniform = this.variation(atom.b).kind === 'uniform' ? this.poly(atom.b) : undefined;
      return fromLanes(
        [0, 1, 2, 3].map((l) => op(i32x4.extract(a, l), uniform ?? i32x4.extract(b, l))),
        'i32',
      );
    }) as V128;
  }

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
    const key = `g${guard.map((c) => `${c.kind} ${c.value.key}`).join('&')}`;
    return this.at(level, key, () =>
      guard
        .map((c) =>
          c.kind === 'ge' ? i32.geS(this.poly(c.value), i32.const(0)) : i32.eqz(this.poly(c.value)),
        )
        .reduce((x, y) => i32.and(x, y)),
    ) as I32;
  }

  private mask(guard: LoadItem['guard'], copy: number): V128 {
    const zero = this.constantLanes(0);
    return this.keep(
      guard
        .map((c) => (c.kind === 'ge' ? i32x4.geS : i32x4.eq)(this.lanesOf(c.value, copy), zero))
        .reduce((x, y) => v128.and(x, y)),
    );
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
      const some = holds ? i32.and(holds, v128.anyTrue(mask)) : v128.anyTrue(mask);
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
    if (variation.kind === 'any') return undefined;
    const at = this.address(this.shifted(p, 4 * copy));
    if (variation.kind === 'uniform') return v128.loadSplat(at.base, at.offset);
    const step = asConstant(variation.step);
    if (step === 4) return v128.load(at.base, at.offset);
    if (step === 8)
      return v128.shuffle(v128.load(at.base, at.offset), v128.load(at.base, at.offset + 16), [0, 2, 4, 6]);
    return undefined;
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
    const { base, offset } = this.address(this.shifted(p, 4 * copy));
    return [0, 1, 2, 3].map((lane) => ({ base, offset: offset + lane * step }));
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

/** local.get, i32.const and f32.const: as cheap to repeat as to keep. */
const isCheap = ({ args, bytes: [opcode] }: Code): boolean =>
  args.length === 0 && (opcode === 0x20 || opcode === 0x41 || opcode === 0x43);

function fillBits(item: LoadItem): number {
  if (item.dtype === 'f32') return new Int32Array(new Float32Array([item.fill]).buffer)[0] ?? 0;
  return item.dtype === 'bool' ? Number(item.fill !== 0) : item.fill | 0;
}
