/** What the codes mean: the catalogues of all stages of the compiler in one table. */
import type { Problem, ProblemKind } from '../../grammar/problem.ts';
import { syntaxProblems } from '../../grammar/problems.ts';
import { checkProblems } from './catalogue.ts';

/** Rows by code. Every row has its own fields; whoever reports a code is held to them by the row's type. */
export type Catalogue = Readonly<Record<string, ProblemKind<never>>>;

/** E01xx grammar; E02xx-E05xx check. */
export const catalogue: Catalogue = { ...syntaxProblems, ...checkProblems };

/** The headline of a problem. */
export function messageOf(problem: Problem, rows: Catalogue = catalogue): string {
  const kind = rows[problem.code];
  // A code without a row is a mistake in this program; say what is known rather than hide the user's.
  if (!kind) return `(no text for ${problem.code}) ${JSON.stringify(problem.fields)}`;
  return kind.message(fieldsOf(problem));
}

/** A way to mend it, where one is known; may have several lines. */
export function helpOf(problem: Problem, rows: Catalogue = catalogue): string | undefined {
  return rows[problem.code]?.help?.(fieldsOf(problem));
}

/** The fields as the row of the problem's code takes them. */
function fieldsOf(problem: Problem): never {
  return problem.fields as never;
}
