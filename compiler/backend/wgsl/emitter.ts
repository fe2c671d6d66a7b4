/** Scalar expressions as WGSL. What is used twice has a name. */
import type { Binding, DotEx, Ex, LoadEx, OpEx } from '../../kernel/kernel.ts';
import type { Condition, Poly } from '../../shape/poly.ts';
import { asConstant, subtract } from '../../shape/poly.ts';
import { stripParentheses } from './block.ts';
import { isWidened, legalise } from './legalise.ts';
import { printNative, valueType, vectorType } from './print.ts';
import { Scope, signed, type Value } from './scope.ts';
import type { Shader } from './shader.ts';

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

export class Emitter extends Scope {
  readonly #uses: Uses;
  readonly #memo = new Map<Ex, Value>();
  readonly #isUnrolled: boolean;

  /**
   * `isUnrolled`: the same text comes up again at other points. Then every value has a name, offsets that differ by a constant
   * share the rest, and a guarded load is a choice, not a branch.
   */
  constructor(shader: Shader, uses: Uses, { from, isUnrolled = false }: EmitterOptions = {}) {
    super(shader, from);
    this.#isUnrolled = isUnrolled;
    this.#uses = uses;
    if (!from) for (const ex of uses.keys()) shader.usesHalf ||= ex.dtype === 'f16';
  }

  /** An emitter that starts with this one's names and adds its own. */
  fork(): Emitter {
    return new Emitter(this.shader, this.#uses, { from: this, isUnrolled: this.#isUnrolled });
  }

  /** Makes `code` stand for an expression from here on. */
  bindValue(ex: Ex, code: string): void {
    this.#memo.set(ex, this.here(code, true));
  }

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
        return this.symbol(ex.name);
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
        this.block.add(`${total} += ${this.join([a, b]).codes.join(' * ')};`);
      }),
    );
    return this.here(total, true);
  }

  #op(ex: OpEx): Value {
    let args = ex.args.map((arg) => this.value(arg));
    // Among constants only, an overflow would be an error of the shader; so would be a division by a constant 0.
    const last = ex.args.at(-1);
    const byZero = (ex.fn === 'div' || ex.fn === 'mod') && last?.kind === 'const' && last.value === 0;
    if (byZero || args.every((a) => a.constant))
      args = args.map((a) => ({ code: a.home.name(a.code), home: a.home, simple: true }));
    const { codes, home } = this.join(args);
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
    const { home: outermost } = this.join(inputs);
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
      inner.bind(
        name,
        value.dtype === 'i32' ? this.named(v) : { ...v, code: `i32(${v.code})`, simple: false },
      );
    }
    return inner;
  }
}

function neverHolds({ kind, value }: Condition): boolean {
  const n = asConstant(value);
  return n !== undefined && (kind === 'ge' ? n < 0 : n !== 0);
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
