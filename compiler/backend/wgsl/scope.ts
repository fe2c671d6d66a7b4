/**
 * Where code is written, what its names mean, and index expressions over them as WGSL. Every value is computed in the
 * outermost block in which its parts exist, so that loops hold only what varies in them.
 */
import type { Axis, Ex } from '../../kernel/kernel.ts';
import type { Atom, Condition, Poly, Term } from '../../shape/poly.ts';
import { add, asConstant, constant, isNonNegative, multiply, symbolsOf } from '../../shape/poly.ts';
import { unsigned } from './block.ts';
import type { Block } from './block.ts';
import type { HelperName } from './helpers.ts';
import { printConstant } from './print.ts';
import type { Shader } from './shader.ts';

/** Code that may be embedded anywhere, and the outermost block in which it means something. */
export interface Value {
  readonly code: string;
  readonly home: Block;
  /** A name or a literal: nothing is gained by naming it. */
  readonly simple: boolean;
  readonly constant?: boolean;
}

/** Names in scope, and the block that is being written. */
export class Scope {
  /** Where code is being written. */
  block: Block;
  readonly shader: Shader;
  readonly #symbols: Map<string, Value>;
  /** Exclusive upper bounds of the axes in scope. */
  readonly #ranges: Map<string, Poly>;

  /** `from`: the scope whose names it starts with. */
  constructor(shader: Shader, from?: Scope) {
    this.shader = shader;
    this.block = from?.block ?? shader.main;
    this.#symbols = new Map(from ? from.#symbols : []);
    this.#ranges = new Map(from ? from.#ranges : []);
  }

  /** Binds an axis. An axis of extent 1 is always 0. */
  bindAxis(name: string, extent: Poly, value: Value): void {
    this.#ranges.set(name, extent);
    this.#symbols.set(name, asConstant(extent) === 1 ? this.literal('0i') : value);
  }

  /** Binds a local: a reduction's result, or `acc`. */
  bindLocal(name: string, code: string): void {
    this.bind(name, this.here(code, true));
  }

  /** Makes a name of data, of which no range is known. */
  protected bind(name: string, value: Value): void {
    this.#ranges.delete(name);
    this.#symbols.set(name, value);
  }

  /** Moves a bound axis on by some points. */
  shiftAxis({ name, extent }: Axis, by: number): void {
    const base = this.symbol(name);
    if (by === 0) return;
    const code = base.code === '0i' ? `${by}i` : `(${base.code} + ${by}i)`;
    this.bindAxis(name, extent, { code, home: base.home, simple: base.code === '0i' });
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

  /** A call of a helper function, which the module holds from then on. */
  helper(name: HelperName, ...args: readonly string[]): string {
    this.shader.helpers.add(name);
    return `${name}(${args.join(', ')})`;
  }

  protected literal(code: string): Value {
    return { code, home: this.shader.prologue, simple: true, constant: true };
  }

  /** Brings values together where the innermost lives; what varies less is named further out. */
  protected join(values: readonly Value[]): { codes: string[]; home: Block } {
    const home = values.reduce((h, v) => (v.home.depth > h.depth ? v.home : h), this.shader.prologue);
    return { codes: values.map((v) => (v.home === home ? v : this.named(v)).code), home };
  }

  /** A number, infinities and NaN too. */
  constant(dtype: Ex['dtype'], value: number): Value {
    const literal = printConstant(dtype, value);
    if (literal !== undefined) return this.literal(literal);
    const special = Number.isNaN(value) ? this.helper('nn_nan') : this.helper('nn_inf');
    const home = this.shader.prologue;
    // An f32 beyond the range of f16 is infinite there.
    const code = dtype === 'f16' ? `f16(${special})` : special;
    return { code: home.name(value < 0 ? `(-${code})` : code), home, simple: true };
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
    const { codes, home } = this.join(tests);
    // Without short circuits: each would be a branch, and SwiftShader's compiler is lost in a hundred of them.
    return this.named({ code: `(${codes.join(' & ')})`, home, simple: false });
  }

  #holds(c: Condition): boolean {
    const n = asConstant(c.value);
    if (n !== undefined) return c.kind === 'ge' ? n >= 0 : n === 0;
    return c.kind === 'ge' && this.#isNonNegative(c.value);
  }

  protected symbol(name: string): Value {
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
      const { codes, home } = this.join([sum, t.value]);
      sum = { code: `(${codes[0]} ${t.negative ? '-' : '+'} ${codes[1]})`, home, simple: false };
    }
    return sum;
  }

  #term(t: Term): SignedValue {
    const factors = t.factors.map((f) => this.#atom(f));
    const size = Math.abs(t.coefficient);
    if (factors.some((f) => f.code === '0i')) return { value: this.literal('0i'), negative: false };
    const all = size === 1 ? factors : [...factors, this.literal(`${size}i`)];
    const negative = t.coefficient < 0;
    if (all.length === 1) return { value: all[0]!, negative };
    const { codes, home } = this.join(all);
    return { value: { code: `(${codes.join(' * ')})`, home, simple: false }, negative };
  }

  #atom(f: Atom): Value {
    switch (f.kind) {
      case 'symbol':
        return this.symbol(f.name);
      case 'div':
        return this.#divide(f.a, f.b, 'div');
      case 'mod':
        return this.#divide(f.a, f.b, 'mod');
      case 'min':
      case 'max': {
        const { codes, home } = this.join([this.poly(f.a), this.poly(f.b)]);
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
    const { codes, home } = this.join([raised, this.poly(b)]);
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

interface SignedValue {
  readonly value: Value;
  readonly negative: boolean;
}

/** An i32 moved on by a constant. */
export const signed = (code: string, offset: number): string =>
  offset < 0 ? `(${code} - ${-offset}i)` : `(${code} + ${offset}i)`;

/** Division of a numerator that was raised by `raise` divisors. */
function quotient(kind: 'div' | 'mod', x: string, y: string, raise: number | undefined): string | undefined {
  if (raise === undefined) return undefined;
  if (kind === 'mod') return unsigned('%', x, y);
  return raise === 0 ? unsigned('/', x, y) : `(${unsigned('/', x, y)} - ${raise}i)`;
}
