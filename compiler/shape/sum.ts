import { recombine } from './substitute.ts';

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
