import type { Fields, ProblemKind } from '../../grammar/problem.ts';

/** A row of a catalogue; its fields are typed by its texts. */
export const row = <F extends Fields>(kind: ProblemKind<F>): ProblemKind<F> => kind;

/** `did you mean …`, when a near name is known. */
export const near = (name: string | undefined): string | undefined =>
  name === undefined ? undefined : `did you mean \`${name}\`?`;
