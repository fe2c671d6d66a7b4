/** Collects problems as data. */
import type { Label, Problem } from '../../grammar/problem.ts';
import type { CheckCode, CheckFields } from '../diagnostics/catalogue.ts';
/** Stands for what an error left without a value; what is computed from it is silent. */
export interface Poison {
  readonly kind: 'poison';
}
export const poison: Poison = { kind: 'poison' };

/** Paths of library files begin so; no user path does. */
export const libraryPrefix = 'nnet:';

/** How many problems are kept; a file with more has one cause, not hundreds. */
const limit = 100;

export class Reporter {
  readonly problems: Problem[] = [];
  private readonly seen = new Set<string>();

  /** Each problem once, though a body may be evaluated several times. */
  add(problem: Problem): void {
    const primary = problem.labels.find((l) => l.primary) ?? problem.labels[0];
    const place = primary ? `${primary.span.file}:${primary.span.start}-${primary.span.end}` : '';
    // An undefined name is found when names are resolved, and again when it is evaluated.
    const code = ['E0201', 'E0206'].includes(problem.code) ? 'name' : problem.code;
    const key = `${code} ${place}`;
    if (this.seen.has(key) || this.problems.length >= limit) return;
    this.seen.add(key);
    this.problems.push(problem);
  }

  report<C extends CheckCode>(code: C, fields: CheckFields<C>, labels: readonly Label[]): Poison {
    this.add({ code, severity: 'error', fields, labels });
    return poison;
  }
}
