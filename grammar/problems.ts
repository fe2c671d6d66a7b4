/** The catalogue of syntax errors: codes E01xx. Prose is made here and nowhere else. */
import type { Fields, Label, Problem, ProblemKind } from './problem.ts';
import type { Span } from './span.ts';

/** What each code carries besides its labels. */
export interface SyntaxFields {
  readonly E0101: { readonly expected: string; readonly found: string; readonly help: string | undefined };
  readonly E0102: { readonly text: string };
  readonly E0103: Record<never, never>;
  readonly E0104: { readonly what: string; readonly help: string | undefined };
  readonly E0105: { readonly text: string; readonly reason: string; readonly help: string };
  readonly E0106: { readonly open: string; readonly close: string };
  readonly E0107: { readonly found: string; readonly instead: string };
  readonly E0108: { readonly limit: number };
  readonly E0109: { readonly escape: string };
  readonly E0110: { readonly help: string };
  readonly E0111: {
    readonly close: string;
    readonly open: string | undefined;
    readonly wanted: string | undefined;
  };
  readonly E0112: { readonly what: string; readonly where: string; readonly help: string };
}

export type SyntaxCode = keyof SyntaxFields;

export const syntaxProblems: { readonly [C in SyntaxCode]: ProblemKind<SyntaxFields[C]> } = {
  E0101: {
    title: 'something else was expected here',
    message: (f) => `expected ${f.expected}, found ${f.found}`,
    help: (f) => f.help,
  },
  E0102: {
    title: 'a character that means nothing here',
    message: (f) => `\`${f.text}\` means nothing in a .nnet file`,
    help: () => 'remove it; inside a string or a comment any character may stand',
  },
  E0103: {
    title: 'a string without its closing quote',
    message: () => 'this string is never closed',
    help: () => 'end it with `"` on the same line; write a line break inside a string as `\\n`',
  },
  E0104: {
    title: 'neither a declaration nor a statement',
    message: (f) => `${f.what}`,
    help: (f) => f.help,
  },
  E0105: {
    title: 'a malformed number',
    message: (f) => `\`${f.text}\` is not a number: ${f.reason}`,
    help: (f) => f.help,
  },
  E0106: {
    title: 'a bracket that is never closed',
    message: (f) => `this \`${f.open}\` is never closed`,
    help: (f) => `put the missing \`${f.close}\` where the other label points`,
  },
  E0107: {
    title: 'a spelling from another language',
    message: (f) => `${f.found} is not .nnet`,
    help: (f) => f.instead,
  },
  E0108: {
    title: 'nested too deeply',
    message: (f) => `this is nested more than ${f.limit} levels deep`,
    help: () => 'give the inner parts names: one equation for each',
  },
  E0109: {
    title: 'an unknown escape in a string',
    message: (f) => `\`${f.escape}\` is not an escape`,
    help: () => 'the escapes are `\\"`, `\\\\`, `\\n` and `\\t`; write a backslash as `\\\\`',
  },
  E0110: {
    title: 'chained comparisons',
    message: () => 'comparisons cannot be chained',
    help: (f) => f.help,
  },
  E0111: {
    title: 'a closing bracket that closes nothing',
    message: (f) =>
      f.open === undefined
        ? `this \`${f.close}\` closes nothing`
        : `\`${f.open}\` cannot be closed by \`${f.close}\``,
    help: (f) =>
      f.wanted === undefined ? `remove it, or add what it should close` : `write \`${f.wanted}\` here`,
  },
  E0112: {
    title: 'a statement in the wrong place',
    message: (f) => `${f.what} cannot stand ${f.where}`,
    help: (f) => f.help,
  },
};

/** Collects the problems of one file. */
export class Reporter {
  readonly problems: Problem[] = [];
  readonly #file: string;
  #starts: readonly number[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Span of `start` … `end` (exclusive) in this file. */
  span(start: number, end: number): Span {
    return { file: this.#file, start, end: Math.max(start, end) };
  }

  report<C extends SyntaxCode>(code: C, fields: SyntaxFields[C], ...labels: readonly Label[]): void {
    this.problems.push({ code, severity: 'error', fields: fields as Fields, labels });
  }

  /** Says where statements and declarations begin, as soon as that is known; ascending. */
  setStarts(starts: readonly number[]): void {
    this.#starts = starts;
  }

  /** Number of the statement an offset lies in. */
  statementAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where the statement begins that an offset lies in. */
  statementStart(offset: number): number {
    return this.#starts[this.statementAt(offset) - 1] ?? 0;
  }

  /** The statements in which something was reported: what else is wrong there may be an echo. */
  damaged(): Set<number> {
    const places = this.problems.flatMap((problem) => problem.labels.map((label) => label.span.start));
    return new Set(places.map((place) => this.statementAt(place)));
  }

  /** The place of the mistake itself. */
  here(start: number, end: number, text: string): Label {
    return { span: this.span(start, end), text, primary: true };
  }

  /** A place that explains the mistake. */
  there(start: number, end: number, text: string): Label {
    return { span: this.span(start, end), text, primary: false };
  }
}
