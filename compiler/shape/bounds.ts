/** What can be proved of polynomials whose index variables have ranges. */
import type { Atom, Known, Poly, Term } from './algebra.ts';
import {
  add,
  constant,
  divide,
  divideExact,
  isFlat,
  keyOf,
  linearIn,
  make,
  multiply,
  negate,
  ofAtom,
  one,
  remainder,
  subtract,
  symbol,
  symbolsOf,
  zero,
} from './algebra.ts';

/**
 * Exclusive upper bound of each index variable (they start at 0). Other symbols are dimensions, at least 1, except
 * those that begin with `@`: data, of which nothing is known.
 */
export type Ranges = ReadonlyMap<string, Poly>;

/** True only if `p >= 0` is proved for all index variables in their (non-empty) ranges and all dimensions >= 1. */
export function isNonNegative(p: Poly, ranges: Ranges): boolean {
  if (p.terms.every(isPlainlyNonNegative)) return true;
  const least = leastLinear(p, ranges);
  if (least !== undefined) return least >= 0;
  const bound = lowerBound(p, ranges);
  return bound !== undefined && allNonNegative(bound);
}

/** No minus and no division: dimensions and index variables are not negative. */
const isPlainlyNonNegative = (t: Term): boolean =>
  t.coefficient >= 0 && t.factors.every((f) => f.kind === 'symbol' && !isData(f.name));

/**
 * The least value of `p` where it is a sum of constants, variables and dimensions, and so are the extents of its variables, as
 * most of what is asked is; -Infinity where a dimension is left with a minus. Undefined for all others. `lowerBound` finds the
 * same in many more steps.
 */
function leastLinear(p: Poly, ranges: Ranges): number | undefined {
  const sum = new LinearSum(ranges);
  for (const t of p.terms) {
    const [f] = t.factors;
    const extent = f?.kind === 'symbol' ? ranges.get(f.name) : undefined;
    if (!extent || t.factors.length > 1) {
      if (!sum.add(t, 1)) return undefined;
    } else if (t.coefficient < 0) {
      if (!extent.terms.every((e) => sum.add(e, t.coefficient))) return undefined;
      sum.constant -= t.coefficient;
    }
  }
  return sum.least();
}

/** A sum of constants and symbols, each with the coefficient that all its terms come to. */
class LinearSum {
  constant = 0;
  /** Coefficients of dimensions and of variables of which no range is given. */
  private symbols: Map<string, number> | undefined;

  constructor(private readonly ranges: Ranges) {}

  /** False where the term is neither a constant nor a symbol that has no range. */
  add({ coefficient, factors }: Term, times: number): boolean {
    const [f] = factors;
    if (!f) this.constant += coefficient * times;
    else if (factors.length > 1 || f.kind !== 'symbol' || isData(f.name) || this.ranges.has(f.name))
      return false;
    else {
      this.symbols ??= new Map();
      this.symbols.set(f.name, (this.symbols.get(f.name) ?? 0) + coefficient * times);
    }
    return true;
  }

  least(): number {
    let sum = this.constant;
    this.symbols?.forEach((n, name) => {
      if (n < 0) sum = -Infinity;
      else if (isDimension(name)) sum += n;
    });
    return sum;
  }
}

/** A polynomial in dimensions that `p` is never below; undefined when none is found. */
export function lowerBound(p: Poly, ranges: Ranges): Poly | undefined {
  if ([...symbolsOf(p)].some(isData)) return undefined;
  const known = new Map(ranges);
  let q = linearise(p, known);
  // Latest first: the bound of a division or of a later axis may hold earlier variables.
  for (const [name, extent] of [...known].reverse()) {
    if (!q) return undefined;
    if (!q.key.includes(name)) continue;
    const linear = linearIn(q, name);
    if (!linear) return undefined;
    if (linear.coefficient.terms.length === 0) continue;
    if (isNonNegativeWithout(linear.coefficient, known)) q = linear.rest;
    else if (isNonNegativeWithout(negate(linear.coefficient), known))
      q = linearise(add(linear.rest, multiply(linear.coefficient, subtract(extent, one))), known);
    else return undefined;
  }
  return q && [...symbolsOf(q)].some((s) => known.has(s)) ? undefined : q;
}

/** A polynomial in dimensions that `p` is never above; undefined when none is found. */
export function upperBound(p: Poly, ranges: Ranges): Poly | undefined {
  const below = lowerBound(negate(p), ranges);
  return below && negate(below);
}

/** A coefficient that holds no variables. */
const isNonNegativeWithout = (p: Poly, known: Ranges): boolean =>
  allNonNegative(p) && ![...symbolsOf(p)].some((s) => known.has(s));

const isData = (name: string): boolean => name.startsWith('@');
/** An index variable of which no range is given is at least 0, a dimension at least 1. */
const isDimension = (name: string): boolean => !/^[$?@]/.test(name);

/** Stands a fresh bounded variable for every division and remainder that holds index variables or data. */
function linearise(p: Poly, known: Map<string, Poly>): Poly | undefined {
  if (isFlat(p)) return p;
  const parts: Poly[] = [];
  for (const t of p.terms) {
    const factors: Poly[] = [constant(t.coefficient)];
    for (const f of t.factors) {
      if (f.kind === 'symbol' || ![...symbolsOf(f.b, symbolsOf(f.a))].some((s) => known.has(s) || isData(s)))
        factors.push(ofAtom(f));
      else {
        const span = spanOf(f, known);
        if (!span) return undefined;
        known.set(f.key, span.extent);
        factors.push(add(symbol(f.key), span.low));
      }
    }
    parts.push(multiply(...factors));
  }
  return add(...parts);
}

/** The least value of a division or remainder and how many values it may take. */
function spanOf(f: Atom, known: ReadonlyMap<string, Poly>): { low: Poly; extent: Poly } | undefined {
  if (f.kind === 'mod') {
    const divisor = upperBound(f.b, known);
    const whole = upperBound(f.a, known);
    if (whole && isNonNegative(f.a, known) && divisor && allNonNegative(subtract(divisor, add(whole, one))))
      return { low: zero, extent: add(whole, one) };
    return divisor && { low: zero, extent: divisor };
  }
  if (f.kind !== 'div') return undefined;
  if ([...symbolsOf(f.b)].some((s) => known.has(s) || isData(s))) return undefined;
  const [low, high] = [lowerBound(f.a, known), upperBound(f.a, known)];
  if (!low || !high) return undefined;
  const least = allNonNegative(low) ? zero : floorDivide(low, f.b, known);
  return { low: least, extent: add(floorDivide(high, f.b, known), one, negate(least)) };
}

/** Proved non-negative when every dimension is at least 1: no negative term but a constant that is outweighed. */
function allNonNegative(p: Poly): boolean {
  return termsNonNegative(p) || termsNonNegative(withoutNegativeDivisions(p));
}

function termsNonNegative(p: Poly): boolean {
  let least = 0;
  for (const t of p.terms) {
    if (!t.factors.every(atomNonNegative)) return false;
    if (t.coefficient < 0 && t.factors.length > 0) return false;
    if (t.factors.every((f) => f.kind === 'symbol' && isDimension(f.name))) least += t.coefficient;
  }
  return least >= 0;
}

function atomNonNegative(f: Atom): boolean {
  switch (f.kind) {
    case 'symbol':
      return !isData(f.name);
    case 'mod':
      return true;
    case 'div':
      return allNonNegative(f.a);
    case 'min':
      return allNonNegative(f.a) && allNonNegative(f.b);
    case 'max':
      return allNonNegative(f.a) || allNonNegative(f.b);
  }
}

/** Lowers `-c*d*(u div d)` to `-c*u`: still a lower bound, as `d*(u div d) <= u`. */
function withoutNegativeDivisions(p: Poly): Poly {
  return add(
    ...p.terms.map((t) => {
      const same = make([t]);
      const at = t.factors.findIndex((f) => f.kind === 'div');
      const f = t.factors[at];
      if (t.coefficient >= 0 || f?.kind !== 'div') return same;
      const factors = t.factors.filter((_, i) => i !== at);
      const around = make([{ coefficient: t.coefficient, factors, key: keyOf(factors) }]);
      const quotient = divideExact(around, f.b);
      return quotient && allNonNegative(negate(quotient)) ? multiply(quotient, f.a) : same;
    }),
  );
}

/** Proves `low <= p < high`. */
export function isBetween(p: Poly, low: Poly, high: Poly, ranges: Ranges): boolean {
  return isNonNegative(subtract(p, low), ranges) && isNonNegative(subtract(subtract(high, one), p), ranges);
}

/** What ranges say, for divisions. */
class InRanges implements Known {
  constructor(private readonly ranges: Ranges) {}

  isVariable(name: string): boolean {
    return this.ranges.has(name) || isData(name);
  }

  isBetween(p: Poly, low: Poly, high: Poly): boolean {
    return isBetween(p, low, high, this.ranges);
  }
}

/** floor(a / b), for positive `b`. `ranges` lets it prove remainders away. */
export const floorDivide = (a: Poly | number, b: Poly | number, ranges?: Ranges): Poly =>
  divide(a, b, ranges && new InRanges(ranges));

/** a - b * floor(a / b), for positive `b`. */
export const floorMod = (a: Poly | number, b: Poly | number, ranges?: Ranges): Poly =>
  remainder(a, b, ranges && new InRanges(ranges));
