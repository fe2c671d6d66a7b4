/** Other atoms in place of some; divisions are made anew of what they come to. */
import type { Atom, AtomKind, Poly, Term } from './algebra.ts';
import { add, collect, isFlat, maximum, minimum, multiply, ofAtom } from './algebra.ts';
import type { Ranges } from './bounds.ts';
import { floorDivide, floorMod } from './bounds.ts';

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

/** Replaces whole atoms, also inside others; where `by` gives nothing an atom stays. */
export function replaceAtoms(p: Poly, by: (atom: Atom) => Poly | undefined): Poly {
  const replaced = (f: Atom): Poly => {
    const q = by(f);
    if (q || f.kind === 'symbol') return q ?? ofAtom(f);
    return rebuild(f.kind, replaceAtoms(f.a, by), replaceAtoms(f.b, by));
  };
  return add(...p.terms.map((t) => multiply(t.coefficient, ...t.factors.map(replaced))));
}

/** Simplifies divisions and remainders with what is known about the symbols' ranges. */
export const simplify = (p: Poly, ranges: Ranges): Poly =>
  isFlat(p) ? p : substitute(p, () => undefined, ranges);
