/**
 * Scalar expressions and index expressions as WGSL. Every value is computed in the outermost block in which its
 * parts exist (so loops hold only what varies in them), and named when it is used twice.
 */
import type { Axis, Binding, DotEx, Ex, LoadEx, OpEx } from '../../kernel/kernel.ts';
import type { Atom, Condition, Poly, Term } from '../../shape/poly.ts';
import { add, asConstant, constant, isNonNegative, multiply, subtract, symbolsOf } from '../../shape/poly.ts';
import { stripParentheses, unsigned } from './block.ts';
import type { Block } from './block.ts';
import type { HelperName } from './helpers.ts';
import { isWidened, legalise } from './legalise.ts';
import { printConstant, printNative, valueType, vectorType } from './print.ts';
import type { Shader } from './shader.ts';

/** Code that may be embedded anywhere, and the outermost block in which it means something. */
export interface Value {
  readonly code: string;
  readonly home: Block;
  /** A name or a literal: nothing is gained by naming it. */
  readonly simple: boolean;
  readonly constant?: boolean;
}

const NAME_FROM_LENGTH = 90;

/** How often each expression object is used in a kernel. */
export type Uses = ReadonlyMap<Ex, number>;

/** An index of literals alone that is not simply a literal. */
const isComputedConstant = (code: string): boolean =>
  !/^\d+i$/.test(code) && !/[A-Za-z_]\w*/.test(code.replace(/\b\d+i\b|\bmin\b|\bmax\b|\bselect\b/g, ''));

interface EmitterOptions {
  /** Whose names it starts with. */
  readonly from?: Emitter;
  readonly isUnrolled?: boolean;
}

export class Emitter {
  /** Where code is being written. */
  block: Block;
  readonly shader: Shader;
  readonly #uses: Uses;
  readonly #symbols: Map<string, Value>;
  /** Exclusive upper bounds of the axes in scope. */
  readonly #ranges: Map<string, Poly>;
  readonly #memo = new Map<Ex, Value>();
  readonly #isUnrolled: boolean;

  /**
   * `isUnrolled`: the same text comes up again at other points. Then every value has a name, offsets that differ by a constant
   * share the rest, and a guarded load is a choice, not a branch.
   */
  constructor(shader: Shader, uses: Uses, { from, isUnrolled = false }: EmitterOptions = {}) {
    this.shader = shader;
    this.#isUnrolled = isUnrolled;
    this.block = from?.block ?? shader.main;
    this.#uses = uses;
    if (!from) for (const ex of uses.keys()) shader.usesHalf ||= ex.dtype === 'f16';
    this.#symbols = new Map(from ? from.#symbols : []);
    this.#ranges = new Map(from ? from.#ranges : []);
  }

  /** An emitter that starts with this one's names and adds its own. */
  fork(): Emitter {
    return new Emitter(this.shader, this.#uses, { from: this, isUnrolled: this.#isUnrolled });
  }

  /** Binds an axis. An axis of extent 1 is always 0. */
  bindAxis(name: string, extent: Poly, value: Value): void {
    this.#ranges.set(name, extent);
    this.#symbols.set(name, asConstant(extent) === 1 ? this.#literal('0i') : value);
  }

  /** Binds a local: a reduction's result, or `acc`. */
  bindLocal(name: string, code: string): void {
    this.#ranges.delete(name);
    this.#symbols.set(name, this.here(code, true));
  }

  /** Moves a bound axis on by some points. */
  shiftAxis({ name, extent }: Axis, by: number): void {
    const base = this.#symbol(name);
    if (by === 0) return;
    const code = base.code === '0i' ? `${by}i` : `(${base.code} + ${by}i)`;
    this.bindAxis(name, extent, { code, home: base.home, simple: base.code === '0i' });
  }

  /** Makes `code` stand for an expression from here on. */
  bindValue(ex: Ex, code: string): void {
    this.#memo.set(ex, this.here(code, true));
  }

  /** A value that exists from the current block on. */
  here(code: string, simple = false): Value {
    return { code, home: this.block, simple };
  }

  /** Runs `body` in a block of its own, put behind `head`. */
  within(head: string, body: () => void): void {
    const outer = this.block;
    this.block = outer.open();
    try {
      body();
      if (this.block.lines.length > 0) outer.close(this.block, head);
    } finally {
      this.block = outer;
    }
  }

  /** Runs `body` in serial loops over `axes`, the last one innermost. */
  serially([axis, ...rest]: readonly Axis[], body: () => void): void {
    if (!axis) return body();
    if (asConstant(axis.extent) === 1) {
      this.bindAxis(axis.name, axis.extent, this.constant('i32', 0));
      return this.serially(rest, body);
    }
    const i = this.block.names.fresh('i', axis.name);
    const bound = this.named(this.poly(axis.extent)).code;
    this.within(`for (var ${i} = 0i; ${i} < ${bound}; ${i}++)`, () => {
      this.bindAxis(axis.name, axis.extent, this.here(i, true));
      this.serially(rest, body);
    });
  }

  /** Names a value in its home. */
  named(v: Value, hint = ''): Value {
    return v.simple
      ? v
      : { code: v.home.name(v.code, hint === '' ? 'v' : 'i', hint), home: v.home, simple: true };
  }

  helper(name: HelperName, ...args: readonly string[]): string {
    this.shader.helpers.add(name);
    return `${name}(${args.join(', ')})`;
  }

  #literal(code: string): Value {
    return { code, home: this.shader.prologue, simple: true, constant: true };
  }

  /** Brings values together where the innermost lives; what varies less is named further out. */
  #join(values: readonly Value[]): { codes: string[]; home: Block } {
    const home = values.reduce((h, v) => (v.home.depth > h.depth ? v.home : h), this.shader.prologue);
    return { codes: values.map((v) => (v.home === home ? v : this.named(v)).code), home };
  }

  // ---------------------------------------------------------------- scalar expressions

  value(ex: Ex): Value {
    const known = this.#memo.get(ex);
    if (known && this.block.isWithin(known.home)) return known;
    let v = this.#compute(ex);
    const isLong = v.code.length > NAME_FROM_LENGTH;
    if (!v.simple && (this.#isUnrolled || isLong || (this.#uses.get(ex) ?? 0) > 1)) v = this.named(v);
    this.#memo.set(ex, v);
    return v;
  }

  #compute(ex: Ex): Value {
    switch (ex.kind) {
      case 'const':
        return this.constant(ex.dtype, ex.value);
      case 'load':
        return this.#load(ex);
      case 'index':
        return this.withData(ex.data).poly(ex.value);
      case 'op':
        return this.#op(ex);
      case 'local':
        return this.#symbol(ex.name);
      case 'dot':
        return this.#dot(ex);
    }
  }

  /** One after the other, where no template computes a tile of them together (see `nested.ts`). */
  #dot(ex: DotEx): Value {
    const total = this.block.names.fresh('dot');
    this.block.add(`var ${total}: ${valueType(ex.dtype)} = ${this.constant(ex.dtype, 0).code};`);
    this.within('', () =>
      this.serially(ex.axes, () => {
        const [a, b] = [this.value(ex.a), this.value(ex.b)];
        this.block.add(`${total} += ${this.#join([a, b]).codes.join(' * ')};`);
      }),
    );
    return this.here(total, true);
  }

  constant(dtype: Ex['dtype'], value: number): Value {
    const literal = printConstant(dtype, value);
    if (literal !== undefined) return this.#literal(literal);
    const special = Number.isNaN(value) ? this.helper('nn_nan') : this.helper('nn_inf');
    const home = this.shader.prologue;
    // An f32 beyond the range of f16 is infinite there.
    const code = dtype === 'f16' ? `f16(${special})` : special;
    return { code: home.name(value < 0 ? `(-${code})` : code), home, simple: true };
  }

  #op(ex: OpEx): Value {
    let args = ex.args.map((arg) => this.value(arg));
    // Among constants only, an overflow would be an error of the shader; so would be a division by a constant 0.
    const last = ex.args.at(-1);
    const byZero = (ex.fn === 'div' || ex.fn === 'mod') && last?.kind === 'const' && last.value === 0;
    if (byZero || args.every((a) => a.constant))
      args = args.map((a) => ({ code: a.home.name(a.code), home: a.home, simple: true }));
    const { codes, home } = this.#join(args);
    const wide = isWidened(ex.fn, ex.dtype);
    const dtype = wide ? 'f32' : ex.dtype;
    const operands = wide ? codes.map((c) => `f32(${stripParentheses(c)})`) : codes;
    const target = legalise(ex.fn, dtype, wide ? 'f32' : ex.args[0]!.dtype);
    const result =
      'native' in target ? printNative(target.native, operands) : this.helper(target.helper, ...operands);
    return { code: wide ? `f16(${stripParentheses(result)})` : result, home, simple: false };
  }

  /** Four elements from that of the load on, of a buffer of vectors. */
  vectorLoad(ex: LoadEx): Value {
    return this.#load(ex, true);
  }

  /** The guard is tested before the load; what the kernel also writes is read where the value is used. */
  #load(ex: LoadEx, isVector = false): Value {
    if (ex.guard.some(neverHolds)) return this.constant(ex.dtype, ex.fill);
    const scope = this.withData(ex.data);
    // WGSL refuses a negative constant index even where the guard keeps it from being read; a name is no constant.
    const place = this.#isUnrolled ? scope.#neighbour(ex.offset) : scope.poly(ex.offset);
    const isTwice = this.shader.vectors.has(ex.buffer) && !isVector;
    const offset =
      isTwice || isComputedConstant(place.code) ? this.named({ ...place, simple: false }) : place;
    const conditions = scope.conditions(ex.guard);
    const inputs = conditions ? [offset, conditions] : [offset];
    const { home: outermost } = this.#join(inputs);
    const changing = this.shader.kernel.buffers[ex.buffer]?.mode !== 'read';
    const home = changing ? this.block : outermost;
    const [at, test] = inputs.map((v) => (v.home === home ? v : this.named(v)).code);
    const element = isVector ? this.shader.group(ex.buffer, at!) : this.shader.element(ex.buffer, at!);
    const load = ex.dtype === 'bool' ? `(${element} != 0u)` : element;
    const type = isVector ? vectorType(ex.dtype) : valueType(ex.dtype);
    if (test === undefined) return { code: load, home, simple: false };
    const key = `${test}?${load}:${ex.fill}`;
    const known = home.find(key);
    if (known !== undefined) return { code: known, home, simple: true };
    const fill = this.constant(ex.dtype, ex.fill);
    if (this.#isUnrolled) return { code: `select(${fill.code}, ${load}, ${test})`, home, simple: false };
    const name = home.names.fresh('v');
    home.add(
      `var ${name}: ${type} = ${isVector ? `${type}(${fill.code})` : fill.code};`,
      `if (${stripParentheses(test)}) {`,
      `  ${name} = ${load};`,
      '}',
    );
    home.remember(key, name);
    return { code: name, home, simple: true };
  }

  /** An offset as a constant behind what it shares with its neighbours. */
  #neighbour(offset: Poly): Value {
    const own = offset.terms.find((t) => t.factors.length === 0)?.coefficient ?? 0;
    const base = this.poly(subtract(offset, own));
    if (own === 0 || base.constant) return this.poly(offset);
    const { code, home } = this.named(base);
    return { code: signed(code, own), home, simple: false };
  }

  /** This scope and the values of `data`. */
  withData(data: readonly Binding[]): Emitter {
    if (data.length === 0) return this;
    const inner = this.fork();
    for (const { name, value } of data) {
      const v = this.value(value);
      inner.#ranges.delete(name);
      inner.#symbols.set(
        name,
        value.dtype === 'i32' ? this.named(v) : { ...v, code: `i32(${v.code})`, simple: false },
      );
    }
    return inner;
  }

  // ---------------------------------------------------------------- index expressions

  /** All conditions together; undefined when nothing is left to test. */
  conditions(guard: readonly Condition[]): Value | undefined {
    const tests = guard
      .filter((c) => !this.#holds(c))
      .map((c) => {
        const v = this.poly(c.value);
        return { ...v, code: `(${v.code} ${c.kind === 'ge' ? '>=' : '=='} 0i)`, simple: false };
      });
    if (tests.length <= 1) return tests[0];
    const { codes, home } = this.#join(tests);
    // Without short circuits: each would be a branch, and SwiftShader's compiler is lost in a hundred of them.
    return this.named({ code: `(${codes.join(' & ')})`, home, simple: false });
  }

  #holds(c: Condition): boolean {
    const n = asConstant(c.value);
    if (n !== undefined) return c.kind === 'ge' ? n >= 0 : n === 0;
    return c.kind === 'ge' && this.#isNonNegative(c.value);
  }

  #symbol(name: string): Value {
    const bound = this.#symbols.get(name);
    if (bound) return bound;
    const code = this.shader.dimension(name);
    if (code === undefined)
      throw new Error(`kernel \`${this.shader.kernel.name}\`: nothing is called \`${name}\``);
    return { code, home: this.shader.prologue, simple: true };
  }

  /** Proved only where every symbol is an axis or a dimension: data may be negative. */
  #isNonNegative(p: Poly): boolean {
    for (const s of symbolsOf(p)) if (!this.#ranges.has(s) && this.#symbols.has(s)) return false;
    return isNonNegative(p, this.#ranges);
  }

  /** The value of `p` as i32. Terms are added from the outermost block inwards. */
  poly(p: Poly): Value {
    const n = asConstant(p);
    if (n !== undefined) return this.constant('i32', n);
    const terms = p.terms.filter((t) => t.factors.length > 0).map((t) => this.#term(t));
    const offset = p.terms.find((t) => t.factors.length === 0)?.coefficient ?? 0;
    const varying = terms.filter((t) => t.value.code !== '0i');
    if (varying.length === 0) return this.constant('i32', offset);
    varying.sort(
      (s, t) => s.value.home.depth - t.value.home.depth || Number(s.negative) - Number(t.negative),
    );
    const [first, ...rest] = varying as [SignedValue, ...SignedValue[]];
    let sum = first.value;
    if (first.negative) sum = { code: `(${offset}i - ${sum.code})`, home: sum.home, simple: false };
    else if (offset !== 0) sum = { ...sum, code: signed(sum.code, offset), simple: false };
    for (const t of rest) {
      const { codes, home } = this.#join([sum, t.value]);
      sum = { code: `(${codes[0]} ${t.negative ? '-' : '+'} ${codes[1]})`, home, simple: false };
    }
    return sum;
  }

  #term(t: Term): SignedValue {
    const factors = t.factors.map((f) => this.#atom(f));
    const size = Math.abs(t.coefficient);
    if (factors.some((f) => f.code === '0i')) return { value: this.#literal('0i'), negative: false };
    const all = size === 1 ? factors : [...factors, this.#literal(`${size}i`)];
    const negative = t.coefficient < 0;
    if (all.length === 1) return { value: all[0]!, negative };
    const { codes, home } = this.#join(all);
    return { value: { code: `(${codes.join(' * ')})`, home, simple: false }, negative };
  }

  #atom(f: Atom): Value {
    switch (f.kind) {
      case 'symbol':
        return this.#symbol(f.name);
      case 'div':
        return this.#divide(f.a, f.b, 'div');
      case 'mod':
        return this.#divide(f.a, f.b, 'mod');
      case 'min':
      case 'max': {
        const { codes, home } = this.#join([this.poly(f.a), this.poly(f.b)]);
        return { code: `${f.kind}(${codes.join(', ')})`, home, simple: false };
      }
    }
  }

  /** Floor division or remainder, `b` positive. The cheap forms need a numerator that is not negative. */
  #divide(a: Poly, b: Poly, kind: 'div' | 'mod'): Value {
    const n = asConstant(b);
    const shift = n !== undefined && n > 0 ? Math.log2(n) : NaN;
    const value = this.poly(a);
    if (value.code === '0i') return value;
    if (Number.isInteger(shift)) {
      // An arithmetic shift and a mask round down for negative numbers too.
      const code = kind === 'div' ? `(${value.code} >> ${shift}u)` : `(${value.code} & ${n! - 1}i)`;
      return this.named({ code, home: value.home, simple: false });
    }
    const raise = this.#raise(a, b);
    const raised = raise === undefined || raise === 0 ? value : this.poly(add(a, multiply(b, raise)));
    const { codes, home } = this.#join([raised, this.poly(b)]);
    const [x, y] = codes as [string, string];
    return this.named({
      code: quotient(kind, x, y, raise) ?? this.helper(`nn_${kind}`, x, y),
      home,
      simple: false,
    });
  }

  /** How many times `b` must be added to `a` so that it is proved not negative. */
  #raise(a: Poly, b: Poly): number | undefined {
    if (this.#isNonNegative(a)) return 0;
    if (asConstant(b) === undefined) return undefined;
    return [1, 2, 4, 8, 16].find((t) => this.#isNonNegative(add(a, multiply(b, constant(t)))));
  }
}

function neverHolds({ kind, value }: Condition): boolean {
  const n = asConstant(value);
  return n !== undefined && (kind === 'ge' ? n < 0 : n !== 0);
}

interface SignedValue {
  readonly value: Value;
  readonly negative: boolean;
}

const signed = (code: string, offset: number): string =>
  offset < 0 ? `(${code} - ${-offset}i)` : `(${code} + ${offset}i)`;

/** Division of a numerator that was raised by `raise` divisors. */
function quotient(kind: 'div' | 'mod', x: string, y: string, raise: number | undefined): string | undefined {
  if (raise === undefined) return undefined;
  if (kind === 'mod') return unsigned('%', x, y);
  return raise === 0 ? unsigned('/', x, y) : `(${unsigned('/', x, y)} - ${raise}i)`;
}

/** Counts the uses of every expression object under `roots`. */
export function countUses(roots: readonly Ex[]): Uses {
  const uses = new Map<Ex, number>();
  const visit = (ex: Ex): void => {
    const n = (uses.get(ex) ?? 0) + 1;
    uses.set(ex, n);
    if (n > 1) return;
    if (ex.kind === 'op') ex.args.forEach(visit);
    if (ex.kind === 'dot') [ex.a, ex.b].forEach(visit);
    if (ex.kind === 'load' || ex.kind === 'index') for (const { value } of ex.data) visit(value);
  };
  roots.forEach(visit);
  return uses;
}
