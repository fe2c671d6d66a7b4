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

const make = (terms: readonly Term[]): Poly => new Sum(terms);

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
function collect(terms: readonly Term[]): Poly {
  const halves = (list: readonly Term[]): readonly Term[] => {
    if (list.length < 2) return list.filter((t) => t.coefficient !== 0);
    const middle = list.length >> 1;
    return merge(halves(list.slice(0, middle)), halves(list.slice(middle)));
  };
  return recombine(make(halves(terms)));
}

const keyOf = (factors: readonly Atom[]): string => factors.map((f) => f.key).join('*');

const ofAtom = (atom: Atom): Poly => make([{ coefficient: 1, factors: [atom], key: atom.key }]);

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

/** The atom that `p` is, with coefficient 1. */
export function soleAtom(p: Poly): Atom | undefined {
  const [t] = p.terms;
  return p.terms.length === 1 && t?.coefficient === 1 && t.factors.length === 1 ? t.factors[0] : undefined;
}

const nested = (kind: Exclude<AtomKind, 'symbol'>, a: Poly, b: Poly): Atom => ({
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

/** Replaces symbols; a symbol for which `by` gives nothing stays. `ranges` are those of the new symbols. */
export function substitute(p: Poly, by: (name: string) => Poly | undefined, ranges?: Ranges): Poly {
  const [only, another] = p.terms;
  if (!only) return p;
  if (!another && only.coefficient === 1 && only.factors.length === 1 && only.factors[0]?.kind === 'symbol')
    return by(only.factors[0].name) ?? p;
  const same: Term[] = [];
  const made: Term[] = [];
  for (const t of p.terms) {
    const replaced = t.factors.map((f) => substituteAtom(f, by, ranges));
    if (replaced.every((q) => q === undefined)) same.push(t);
    else made.push(...multiply(t.coefficient, ...t.factors.map((f, i) => replaced[i] ?? ofAtom(f))).terms);
  }
  return same.length === p.terms.length ? p : collect([...same, ...made]);
}

function substituteAtom(f: Atom, by: (name: string) => Poly | undefined, ranges?: Ranges): Poly | undefined {
  if (f.kind === 'symbol') return by(f.name);
  const [a, b] = [substitute(f.a, by, ranges), substitute(f.b, by, ranges)];
  if (a === f.a && b === f.b && !ranges) return undefined;
  return rebuild(f.kind, a, b, ranges);
}

function rebuild(kind: Exclude<AtomKind, 'symbol'>, a: Poly, b: Poly, ranges?: Ranges): Poly {
  switch (kind) {
    case 'div':
      return floorDivide(a, b, ranges);
    case 'mod':
      return floorMod(a, b, ranges);
    case 'min':
      return minimum(a, b);
    case 'max':
      return maximum(a, b);
  }
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
      const high = multiply(t.coefficient, ...rest, f.b, floorDivide(f.a, f.b));
      if (high.terms.length === 0) continue;
      if (!high.terms.every((h) => p.terms.some((u) => u.key === h.key && u.coefficient === h.coefficient)))
        continue;
      return add(subtract(p, high), multiply(t.coefficient, ...rest, subtract(f.a, ofAtom(f))));
    }
  return p;
}

/** Replaces whole atoms, also inside others; where `by` gives nothing an atom stays. */
export function replaceAtoms(p: Poly, by: (atom: Atom) => Poly | undefined): Poly {
  const replaced = (f: Atom): Poly => {
    const q = by(f);
    if (q || f.kind === 'symbol') return q ?? ofAtom(f);
    return rebuild(f.kind, replaceAtoms(f.a, by), replaceAtoms(f.b, by));
  };
  return add(...p.terms.map((t) => multiply(t.coefficient, ...t.factors.map(replaced))));
}

/** The terms of `p` that hold one of the symbols, and the others. */
export function partition(p: Poly, holds: (name: string) => boolean): { inside: Poly; outside: Poly } {
  const has = (t: Term): boolean => [...symbolsOf(make([t]))].some(holds);
  return { inside: make(p.terms.filter(has)), outside: make(p.terms.filter((t) => !has(t))) };
}

/** Simplifies divisions and remainders with what is known about the symbols' ranges. */
export const simplify = (p: Poly, ranges: Ranges): Poly =>
  isFlat(p) ? p : substitute(p, () => undefined, ranges);

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

// ---------------------------------------------------------------- values

/** The number `p` stands for when its symbols have these values. */
export function evaluate(p: Poly, values: (name: string) => number): number {
  let sum = 0;
  for (const t of p.terms) {
    let product = t.coefficient;
    for (const f of t.factors) product *= evaluateAtom(f, values);
    sum += product;
  }
  return sum;
}

function evaluateAtom(f: Atom, values: (name: string) => number): number {
  if (f.kind === 'symbol') return values(f.name);
  const [a, b] = [evaluate(f.a, values), evaluate(f.b, values)];
  switch (f.kind) {
    case 'div':
      return Math.floor(a / b);
    case 'mod':
      return a - b * Math.floor(a / b);
    case 'min':
      return Math.min(a, b);
    case 'max':
      return Math.max(a, b);
  }
}

/** As a person writes it: `2*d`, `h - k + 1`, `(h + 2) div 2`. */
export function format(p: Poly): string {
  if (p.terms.length === 0) return '0';
  const ordered = [...p.terms].sort(
    (s, t) => t.factors.length - s.factors.length || t.coefficient - s.coefficient,
  );
  return ordered
    .map((t, i) => {
      const size = Math.abs(t.coefficient);
      const factors = t.factors.map(formatAtom);
      const body = [...(size === 1 && factors.length > 0 ? [] : [`${size}`]), ...factors].join('*');
      return (t.coefficient < 0 ? (i === 0 ? '-' : ' - ') : i === 0 ? '' : ' + ') + body;
    })
    .join('');
}

function formatAtom(f: Atom): string {
  if (f.kind === 'symbol') return f.name;
  if (f.kind === 'min' || f.kind === 'max') return `${f.kind}(${format(f.a)}, ${format(f.b)})`;
  const wrap = (p: Poly): string => (p.terms.length > 1 ? `(${format(p)})` : format(p));
  return `(${wrap(f.a)} ${f.kind === 'div' ? 'div' : '%'} ${wrap(f.b)})`;
}
