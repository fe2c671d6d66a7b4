/** The catalogue of what the checker reports: codes E02xx to E05xx. Prose is made here and nowhere else. */
import type { Fields, ProblemKind } from '../../grammar/problem.ts';
import { staticProblems } from './static-kinds.ts';
import { nameProblems } from './name-kinds.ts';
import { shapeProblems } from './shape-kinds.ts';
import { taskProblems } from './task-kinds.ts';

/** Every code of the checker with its row. */
export const checkProblems = { ...nameProblems, ...shapeProblems, ...staticProblems, ...taskProblems };

export type CheckCode = keyof typeof checkProblems;

/** What a code carries besides its labels. */
export type CheckFields<C extends CheckCode> =
  (typeof checkProblems)[C] extends ProblemKind<infer F> ? F : Fields;
