/** Floor divisions and remainders, and the bounds that prove parts of them away (and are found by dividing). */
import type { Atom, Poly, Term } from './sum.ts';
import {
  add,
  asConstant,
  collect,
  constant,
  equal,
  isFlat,
  keyOf,
  linearIn,
  make,
  multiply,
  negate,
  nested,
  ofAtom,
  one,
  scale,
  soleAtom,
  subtract,
  symbol,
  symbolsOf,
  toPoly,
  zero,
} from './sum.ts';

/** Quotient when every term of `p` is divisible by the single-term `d`. */
export function divideExact(p: Poly, d: Poly): Poly | undefined {
  const [divisor] = d.terms;
  if (d.terms.length !== 1 || !divisor) return equal(p, d) && d.terms.length > 0 ? one : undefined;
  const quotient: Term[] = [];
  for (const t of p.terms) {
    const q = divideTerm(t, divisor);
    if (!q) return undefined;
    quotient.push(q);
  }
  return collect(quotient);
}

function divideTerm(t: Term, d: Term): Term | undefined {
  if (t.coefficient % d.coefficient !== 0) return undefined;
  const rest = [...t.factors];
  for (const f of d.factors) {
    const at = rest.findIndex((g) => g.key === f.key);
    if (at < 0) return undefined;
    rest.splice(at, 1);
  }
  return { coefficient: t.coefficient / d.coefficient, factors: rest, key: keyOf(rest) };
}

/** Splits `p` into `d * whole + rest`, `rest` holding the terms that `d` does not divide. */
function splitBy(p: Poly, d: Poly): { whole: Poly; rest: Poly } {
  const [divisor] = d.terms;
  if (d.terms.length !== 1 || !divisor) {
    const all = divideExact(p, d);
    return all ? { whole: all, rest: zero } : { whole: zero, rest: p };
  }
  const whole: Term[] = [];
  const rest: Term[] = [];
  for (const t of p.terms) {
    const q = divideTerm(t, divisor);
    if (q) whole.push(q);
    else if (divisor.factors.length === 0 && t.factors.length === 0) {
      const high = Math.floor(t.coefficient / divisor.coefficient);
      whole.push({ ...t, coefficient: high });
      rest.push({ ...t, coefficient: t.coefficient - high * divisor.coefficient });
    } else rest.push(t);
  }
  return { whole: collect(whole), rest: collect(rest) };
}

/** floor(a / b), for positive `b`. `ranges` lets it prove remainders away. */
export function floorDivide(a: Poly | number, b: Poly | number, ranges?: Ranges): Poly {
  const [p, d] = [toPoly(a), toPoly(b)];
  const [n, m] = [asConstant(p), asConstant(d)];
  if (m === 1) return p;
  if (n !== undefined && m !== undefined && m !== 0) return constant(Math.floor(n / m));
  const { whole, rest } = splitBy(p, d);
  if (rest.terms.length === 0 || (ranges && isBetween(rest, zero, d, ranges))) return whole;
  if (ranges && isBetween(rest, negate(d), zero, ranges)) return subtract(whole, 1);
  const inner = soleAtom(rest);
  // (u div e) div d = u div (e*d); (u mod e) div d = (u div d) mod (e div d) when d divides e
  if (inner?.kind === 'div') return add(whole, floorDivide(inner.a, multiply(inner.b, d), ranges));
  const digits = inner?.kind === 'mod' ? divideExact(inner.b, d) : undefined;
  if (inner?.kind === 'mod' && digits)
    return add(whole, floorMod(floorDivide(inner.a, d, ranges), digits, ranges));
  const common = commonFactor(rest, d);
  if (common > 1) return add(whole, floorDivide(unscale(rest, common), unscale(d, common), ranges));
  const coarse = ranges && coarser(rest, d, ranges);
  if (coarse) return add(whole, floorDivide(coarse.whole, coarse.divisor, ranges));
  return add(whole, ofAtom(nested('div', rest, d)));
}

/** `a = g*whole + rest` and `d = g*divisor` with `0 <= rest < g`: then `a div d = whole div divisor`. */
function coarser(
  a: Poly,
  d: Poly,
  ranges: Ranges,
): { unit: Poly; whole: Poly; divisor: Poly; rest: Poly } | undefined {
  const [divisor] = d.terms;
  if (!divisor || d.terms.length !== 1) return undefined;
  for (const t of a.terms) {
    const unit = make([commonTerm(t, divisor)]);
    if (asConstant(unit) === 1 || [...symbolsOf(unit)].some((s) => ranges.has(s) || isData(s))) continue;
    const { whole, rest } = splitBy(a, unit);
    const left = divideExact(d, unit);
    if (left && isBetween(rest, zero, unit, ranges)) return { unit, whole, divisor: left, rest };
  }
  return undefined;
}

/** Greatest common divisor of two terms. */
function commonTerm(s: Term, t: Term): Term {
  const left = t.factors.map((f) => f.key);
  const factors = s.factors.filter((f) => {
    const at = left.indexOf(f.key);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
  return { coefficient: gcd(Math.abs(s.coefficient), Math.abs(t.coefficient)), factors, key: keyOf(factors) };
}

/** Greatest common divisor of all coefficients, but for the constant term of `a`, which a floor division rounds away. */
function commonFactor(a: Poly, d: Poly): number {
  const coefficients = [...a.terms.filter((t) => t.factors.length > 0), ...d.terms].map((t) => t.coefficient);
  return coefficients.reduce((g, c) => gcd(g, Math.abs(c)), 0);
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const unscale = (p: Poly, n: number): Poly =>
  collect(p.terms.map((t) => ({ ...t, coefficient: Math.floor(t.coefficient / n) })));

/** a - b * floor(a / b), for positive `b`. */
export function floorMod(a: Poly | number, b: Poly | number, ranges?: Ranges): Poly {
  const [p, d] = [toPoly(a), toPoly(b)];
  const [n, m] = [asConstant(p), asConstant(d)];
  if (m === 1) return zero;
  if (n !== undefined && m !== undefined && m !== 0) return constant(n - m * Math.floor(n / m));
  const { rest } = splitBy(p, d);
  if (rest.terms.length === 0) return zero;
  if (ranges && isBetween(rest, zero, d, ranges)) return rest;
  const inner = soleAtom(rest);
  // (u mod e) mod d = u mod d when d divides e
  if (inner?.kind === 'mod' && divideExact(inner.b, d)) return floorMod(inner.a, d, ranges);
  // (c*x + r) mod (c*m) = c*(x mod m) + r for r < c
  const common = commonFactor(rest, d);
  if (common > 1) {
    const whole = unscale(rest, common);
    const left = subtract(rest, scale(whole, common));
    return add(scale(floorMod(whole, unscale(d, common), ranges), common), left);
  }
  const coarse = ranges && coarser(rest, d, ranges);
  if (coarse) return add(multiply(coarse.unit, floorMod(coarse.whole, coarse.divisor, ranges)), coarse.rest);
  return ofAtom(nested('mod', rest, d));
}

// ---------------------------------------------------------------- ranges

/**
 * Exclusive upper bound of each index variable (they start at 0). Other symbols are dimensions, at least 1, except
 * those that begin with `@`: data, of which nothing is known.
 */
export type Ranges = ReadonlyMap<string, Poly>;

/** True only if `p >= 0` is proved for all index variables in their (non-empty) ranges and all dimensions >= 1. */
export function isNonNegative(p: Poly, ranges: Ranges): boolean {
  if (p.terms.every(isPlainlyNonNegative)) return true;
  const bound = lowerBound(p, ranges);
  return bound !== undefined && allNonNegative(bound);
}

/** No minus and no division: dimensions and index variables are not negative. */
const isPlainlyNonNegative = (t: Term): boolean =>
  t.coefficient >= 0 && t.factors.every((f) => f.kind === 'symbol' && !isData(f.name));

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
