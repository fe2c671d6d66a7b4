/**
 * Integer expressions over named symbols in canonical form: polynomials whose atoms are symbols, floor
 * divisions, floor remainders, minima and maxima. Dimensions (`batch`, `2*d`, `h - k + 1`) and index
 * expressions of views and kernels (`i*stride + r`) are both written in it; equal meaning (up to what the
 * canonical form sees) is equality of `key`.
 */

export type AtomKind = 'symbol' | 'div' | 'mod' | 'min' | 'max';

export type Atom =
  | { readonly kind: 'symbol'; readonly name: string; readonly key: string }
  | { readonly kind: Exclude<AtomKind, 'symbol'>; readonly a: Poly; readonly b: Poly; readonly key: string };

/** `coefficient * factors[0] * factors[1] …`; factors are sorted by key and may repeat. */
export interface Term {
  readonly coefficient: number;
  readonly factors: readonly Atom[];
  readonly key: string;
}

/** Sum of terms sorted by key, no zero coefficient, no two terms with the same factors. */
export interface Poly {
  readonly terms: readonly Term[];
  readonly key: string;
}

/** Its key is made when it is first asked for: most sums are only added to. */
class Sum implements Poly {
  private known: string | undefined;

  constructor(readonly terms: readonly Term[]) {}

  get key(): string {
    return (this.known ??=
      this.terms.length === 0
        ? '0'
        : this.terms.map((t) => (t.key === '' ? `${t.coefficient}` : `${t.coefficient}*${t.key}`)).join('+'));
  }
}

export const make = (terms: readonly Term[]): Poly => new Sum(terms);

/** The sum of sorted terms; equal keys that stand beside each other are added up. */
function merge(a: readonly Term[], b: readonly Term[]): readonly Term[] {
  const out: Term[] = [];
  let [i, j] = [0, 0];
  for (;;) {
    const [s, t] = [a[i], b[j]];
    if (!s || !t) break;
    if (s.key < t.key) out.push(s);
    else if (s.key > t.key) out.push(t);
    else if (s.coefficient + t.coefficient !== 0)
      out.push({ ...s, coefficient: s.coefficient + t.coefficient });
    if (s.key <= t.key) i++;
    if (t.key <= s.key) j++;
  }
  while (i < a.length) out.push(a[i++] as Term);
  while (j < b.length) out.push(b[j++] as Term);
  return out;
}

/** The sum of terms in any order. */
export function collect(terms: readonly Term[]): Poly {
  const halves = (list: readonly Term[]): readonly Term[] => {
    if (list.length < 2) return list.filter((t) => t.coefficient !== 0);
    const middle = list.length >> 1;
    return merge(halves(list.slice(0, middle)), halves(list.slice(middle)));
  };
  return recombine(make(halves(terms)));
}

export const keyOf = (factors: readonly Atom[]): string => factors.map((f) => f.key).join('*');

export const ofAtom = (atom: Atom): Poly => make([{ coefficient: 1, factors: [atom], key: atom.key }]);

/** The integer `n`. */
export function constant(n: number): Poly {
  if (!Number.isSafeInteger(n)) throw new RangeError(`not an integer that can be a dimension: ${n}`);
  return make(n === 0 ? [] : [{ coefficient: n, factors: [], key: '' }]);
}

/** A dimension or index variable by name. */
export const symbol = (name: string): Poly => ofAtom({ kind: 'symbol', name, key: name });

export const zero: Poly = constant(0);
export const one: Poly = constant(1);

export const toPoly = (p: Poly | number): Poly => (typeof p === 'number' ? constant(p) : p);

/** No divisions, remainders, minima or maxima: nothing that ranges could simplify. */
export function isFlat(p: Poly): boolean {
  for (const t of p.terms) for (const f of t.factors) if (f.kind !== 'symbol') return false;
  return true;
}

export function add(...ps: readonly (Poly | number)[]): Poly {
  const parts = ps.map(toPoly).filter((p) => p.terms.length > 0);
  const [only] = parts;
  if (parts.length < 2) return only ?? zero;
  return recombine(make(parts.map((p) => p.terms).reduce(merge)));
}

export function scale(p: Poly, n: number): Poly {
  return n === 0 ? zero : n === 1 ? p : make(p.terms.map((t) => ({ ...t, coefficient: t.coefficient * n })));
}

export const negate = (p: Poly): Poly => scale(p, -1);
export const subtract = (a: Poly | number, b: Poly | number): Poly => add(a, negate(toPoly(b)));

export function multiply(...ps: readonly (Poly | number)[]): Poly {
  return ps.map(toPoly).reduce(times, one);
}

function times(a: Poly, b: Poly): Poly {
  const [n, m] = [asConstant(a), asConstant(b)];
  if (n !== undefined) return scale(b, n);
  if (m !== undefined) return scale(a, m);
  return collect(a.terms.flatMap((s) => b.terms.map((t) => timesTerm(s, t))));
}

function timesTerm(s: Term, t: Term): Term {
  const factors = [...s.factors, ...t.factors].sort((x, y) => (x.key < y.key ? -1 : x.key > y.key ? 1 : 0));
  return { coefficient: s.coefficient * t.coefficient, factors, key: keyOf(factors) };
}

/** The value when `p` is a constant. */
export function asConstant(p: Poly): number | undefined {
  if (p.terms.length === 0) return 0;
  const [t] = p.terms;
  return p.terms.length === 1 && t && t.factors.length === 0 ? t.coefficient : undefined;
}

/** The name when `p` is exactly one symbol. */
export function asSymbol(p: Poly): string | undefined {
  const [t] = p.terms;
  const [f] = t?.factors ?? [];
  return p.terms.length === 1 && t?.coefficient === 1 && t.factors.length === 1 && f?.kind === 'symbol'
    ? f.name
    : undefined;
}

export const equal = (a: Poly, b: Poly): boolean => a === b || a.key === b.key;

/** The atom that `p` is, with coefficient 1. */
export function soleAtom(p: Poly): Atom | undefined {
  const [t] = p.terms;
  return p.terms.length === 1 && t?.coefficient === 1 && t.factors.length === 1 ? t.factors[0] : undefined;
}

export const nested = (kind: Exclude<AtomKind, 'symbol'>, a: Poly, b: Poly): Atom => ({
  kind,
  a,
  b,
  key: `${kind}(${a.key},${b.key})`,
});

function extremum(kind: 'min' | 'max', x: Poly | number, y: Poly | number): Poly {
  const [a, b] = [toPoly(x), toPoly(y)].sort((p, q) => (p.key < q.key ? -1 : 1)) as [Poly, Poly];
  const difference = asConstant(subtract(a, b));
  if (difference !== undefined) return (kind === 'min') === difference < 0 ? a : b;
  return ofAtom(nested(kind, a, b));
}

export const minimum = (a: Poly | number, b: Poly | number): Poly => extremum('min', a, b);
export const maximum = (a: Poly | number, b: Poly | number): Poly => extremum('max', a, b);

/** Names of all symbols in `p`, those inside divisions too. */
export function symbolsOf(p: Poly, into: Set<string> = new Set<string>()): Set<string> {
  for (const t of p.terms)
    for (const f of t.factors) {
      if (f.kind === 'symbol') into.add(f.name);
      else symbolsOf(f.b, symbolsOf(f.a, into));
    }
  return into;
}

/** The terms of `p` that hold one of the symbols, and the others. */
export function partition(p: Poly, holds: (name: string) => boolean): { inside: Poly; outside: Poly } {
  const has = (t: Term): boolean => [...symbolsOf(make([t]))].some(holds);
  return { inside: make(p.terms.filter(has)), outside: make(p.terms.filter((t) => !has(t))) };
}

/** `p = coefficient * name + rest` with `name` in neither; undefined when `p` is not linear in it. */
export function linearIn(p: Poly, name: string): { coefficient: Poly; rest: Poly } | undefined {
  const coefficient: Term[] = [];
  const rest: Term[] = [];
  for (const t of p.terms) {
    const inside = t.factors.filter((f) =>
      f.kind === 'symbol' ? f.name === name : symbolsOf(f.b, symbolsOf(f.a)).has(name),
    );
    if (inside.length === 0) rest.push(t);
    else if (inside.length === 1 && inside[0]?.kind === 'symbol') {
      const factors = t.factors.toSpliced(t.factors.indexOf(inside[0]), 1);
      coefficient.push({ coefficient: t.coefficient, factors, key: keyOf(factors) });
    } else return undefined;
  }
  return { coefficient: collect(coefficient), rest: collect(rest) };
}

/**
 * How much `p` changes from one value of the symbol to the next: 0 where it does not name it, undefined where that is no
 * constant.
 */
export function stepOf(p: Poly, name: string): number | undefined {
  const linear = linearIn(p, name);
  return linear && asConstant(linear.coefficient);
}

// ---------------------------------------------------------------- divisions

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

/** What is known about symbols: divisions prove remainders away with it. */
export interface Known {
  /** An index variable, of which more is known than that it is a dimension. */
  isVariable(name: string): boolean;
  /** Proves `low <= p < high`. */
  isBetween(p: Poly, low: Poly, high: Poly): boolean;
}

/** floor(a / b), for positive `b`. */
export function divide(a: Poly | number, b: Poly | number, known?: Known): Poly {
  const [p, d] = [toPoly(a), toPoly(b)];
  const [n, m] = [asConstant(p), asConstant(d)];
  if (m === 1) return p;
  if (n !== undefined && m !== undefined && m !== 0) return constant(Math.floor(n / m));
  const { whole, rest } = splitBy(p, d);
  if (rest.terms.length === 0 || known?.isBetween(rest, zero, d)) return whole;
  if (known?.isBetween(rest, negate(d), zero)) return subtract(whole, 1);
  const inner = soleAtom(rest);
  // (u div e) div d = u div (e*d); (u mod e) div d = (u div d) mod (e div d) when d divides e
  if (inner?.kind === 'div') return add(whole, divide(inner.a, multiply(inner.b, d), known));
  const digits = inner?.kind === 'mod' ? divideExact(inner.b, d) : undefined;
  if (inner?.kind === 'mod' && digits) return add(whole, remainder(divide(inner.a, d, known), digits, known));
  const common = commonFactor(rest, d);
  if (common > 1) return add(whole, divide(unscale(rest, common), unscale(d, common), known));
  const coarse = known && coarser(rest, d, known);
  if (coarse) return add(whole, divide(coarse.whole, coarse.divisor, known));
  return add(whole, ofAtom(nested('div', rest, d)));
}

/** `a = g*whole + rest` and `d = g*divisor` with `0 <= rest < g`: then `a div d = whole div divisor`. */
function coarser(
  a: Poly,
  d: Poly,
  known: Known,
): { unit: Poly; whole: Poly; divisor: Poly; rest: Poly } | undefined {
  const [divisor] = d.terms;
  if (!divisor || d.terms.length !== 1) return undefined;
  for (const t of a.terms) {
    const unit = make([commonTerm(t, divisor)]);
    if (asConstant(unit) === 1 || [...symbolsOf(unit)].some((s) => known.isVariable(s))) continue;
    const { whole, rest } = splitBy(a, unit);
    const left = divideExact(d, unit);
    if (left && known.isBetween(rest, zero, unit)) return { unit, whole, divisor: left, rest };
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
export function remainder(a: Poly | number, b: Poly | number, known?: Known): Poly {
  const [p, d] = [toPoly(a), toPoly(b)];
  const [n, m] = [asConstant(p), asConstant(d)];
  if (m === 1) return zero;
  if (n !== undefined && m !== undefined && m !== 0) return constant(n - m * Math.floor(n / m));
  const { rest } = splitBy(p, d);
  if (rest.terms.length === 0) return zero;
  if (known?.isBetween(rest, zero, d)) return rest;
  const inner = soleAtom(rest);
  // (u mod e) mod d = u mod d when d divides e
  if (inner?.kind === 'mod' && divideExact(inner.b, d)) return remainder(inner.a, d, known);
  // (c*x + r) mod (c*m) = c*(x mod m) + r for r < c
  const common = commonFactor(rest, d);
  if (common > 1) {
    const whole = unscale(rest, common);
    const left = subtract(rest, scale(whole, common));
    return add(scale(remainder(whole, unscale(d, common), known), common), left);
  }
  const coarse = known && coarser(rest, d, known);
  if (coarse) return add(multiply(coarse.unit, remainder(coarse.whole, coarse.divisor, known)), coarse.rest);
  return ofAtom(nested('mod', rest, d));
}

/**
 * Puts the digits of a number together again: `b * (x div b) + x mod b` is `x`. Row-major offsets into reshaped
 * tensors become linear by it. Every sum is already in this form.
 */
export function recombine(p: Poly): Poly {
  if (isFlat(p)) return p;
  for (const t of p.terms)
    for (const [i, f] of t.factors.entries()) {
      if (f.kind !== 'mod') continue;
      const rest = t.factors.toSpliced(i, 1).map(ofAtom);
      const high = multiply(t.coefficient, ...rest, f.b, divide(f.a, f.b));
      if (high.terms.length === 0) continue;
      if (!high.terms.every((h) => p.terms.some((u) => u.key === h.key && u.coefficient === h.coefficient)))
        continue;
      return add(subtract(p, high), multiply(t.coefficient, ...rest, subtract(f.a, ofAtom(f))));
    }
  return p;
}
