/** Integer index expressions to code: one value, or the four lanes along the vector axis. */
import type { Atom, Poly, Term } from '../../shape/poly.ts';
import { add, asConstant, isNonNegative, linearIn, substitute, symbol, symbolsOf } from '../../shape/poly.ts';
import type { Code, I32, V128 } from './encoder.ts';
import { i32, i32x4, maxI32, minI32, v128 } from './instr.ts';
import type { Item } from './intern.ts';
import { Levels } from './levels.ts';
import { fromLanes } from './vector-ops.ts';

/** How an index expression varies along the vector axis. */
export type Variation =
  { readonly kind: 'uniform' } | { readonly kind: 'linear'; readonly step: Poly } | { readonly kind: 'any' };

export abstract class Indices extends Levels {
  /** The value of an item that does not vary along the lanes. */
  abstract scalar(item: Item): Code;
  /** Its value in the lanes of a copy. */
  abstract vector(item: Item, copy: number): V128;

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

  protected levelOfFactors(factors: readonly Atom[]): number {
    return factors.reduce((level, f) => Math.max(level, this.levelOfAtom(f)), 0);
  }

  protected levelOfAtom(atom: Atom): number {
    if (atom.kind === 'symbol') return this.named(atom.name).level;
    let level = 0;
    for (const s of symbolsOf(atom.b, symbolsOf(atom.a))) level = Math.max(level, this.named(s).level);
    return level;
  }

  protected term(t: Term): I32 {
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

  protected atom(atom: Atom): I32 {
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
  protected isNatural(p: Poly): boolean {
    for (const s of symbolsOf(p)) if (s.startsWith('%')) return false;
    return isNonNegative(p, this.env.ranges);
  }

  protected symbolCode(name: string): I32 {
    const item = this.env.interner.data.get(name);
    return (item ? this.scalar(item) : this.named(name).copies[0]) as I32;
  }

  // ---------------------------------------------------------------- index expressions, four lanes

  protected variation(p: Poly): Variation {
    if (this.lanes === undefined) return { kind: 'uniform' };
    const names = symbolsOf(p);
    const varying = [...names].filter((s) => s === this.lanes || this.named(s).vector);
    if (varying.length === 0) return { kind: 'uniform' };
    const linear = varying.length === 1 && varying[0] === this.lanes ? linearIn(p, this.lanes) : undefined;
    return linear ? { kind: 'linear', step: linear.coefficient } : { kind: 'any' };
  }

  protected isUniform(t: Term): boolean {
    return this.variation({ terms: [t], key: t.key }).kind === 'uniform';
  }

  /** `p` for the first lane of a copy (or a later lane of it). */
  protected shifted(p: Poly, lane: number): Poly {
    const { lanes } = this;
    if (lanes === undefined || lane === 0) return p;
    return substitute(p, (s) => (s === lanes ? add(symbol(s), lane) : undefined));
  }

  /** i32x4 of `p` in the lanes of a copy. */
  protected lanesOf(p: Poly, copy: number): V128 {
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
  protected ramp(step: Poly): V128 {
    const known = asConstant(step);
    const key = `ramp ${step.key}`;
    if (known !== undefined)
      return this.at(0, key, () => i32x4.const(0, known, 2 * known, 3 * known)) as V128;
    return this.at(this.levelOfPoly(step), key, () =>
      i32x4.mul(i32x4.splat(this.poly(step)), i32x4.const(0, 1, 2, 3)),
    ) as V128;
  }

  protected levelOfPoly(p: Poly): number {
    return p.terms.reduce((level, t) => Math.max(level, this.levelOfFactors(t.factors)), 0);
  }

  protected termLanes(t: Term, copy: number): V128 {
    const factors = t.factors.map((f) => this.atomLanes(f, copy));
    const coefficient = this.constantLanes(t.coefficient);
    if (factors.length === 0) return coefficient;
    const product = factors.reduce((x, y) => i32x4.mul(x, y));
    return t.coefficient === 1 ? product : i32x4.mul(product, coefficient);
  }

  protected constantLanes(n: number): V128 {
    return this.at(0, `n${n}`, () => i32x4.splatConst(n)) as V128;
  }

  protected atomLanes(atom: Atom, copy: number): V128 {
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
}
