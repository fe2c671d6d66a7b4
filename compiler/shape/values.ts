/** Polynomials as numbers and as text. */
import type { Atom, Poly } from './algebra.ts';

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
