/**
 * An error is data: a stable code, the fields its prose is made from, and labelled places.
 * Prose is made from the catalogue when somebody reads it. This type is shared by every stage.
 */
import type { Span } from './span.ts';

export interface Label {
  readonly span: Span;
  /** Says what stands at this place: `256, declared here`. */
  readonly text: string;
  /** The place where the mistake was made; the others explain it. */
  readonly primary: boolean;
}

/** What a message may need; plain data, so that editors and `--json` can use it. */
export type FieldValue = string | number | boolean | readonly string[] | undefined;
export type Fields = Readonly<Record<string, FieldValue>>;

export interface Problem<Code extends string = string> {
  readonly code: Code;
  readonly severity: 'error' | 'warning';
  readonly fields: Fields;
  readonly labels: readonly Label[];
}

/** A row of a catalogue of problems: how its fields become a headline and a way to mend it. */
export interface ProblemKind<F extends Fields = Fields> {
  /** One line for the index of errors: `two operands disagree on a dimension`. */
  readonly title: string;
  readonly message: (fields: F) => string;
  readonly help?: (fields: F) => string | undefined;
}
