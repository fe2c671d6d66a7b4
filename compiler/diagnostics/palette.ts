/**
 * The colours of a rendering, as functions over text. The same shape as picocolors', so that a caller may hand in its
 * own (for HTML, for another theme); the built-in one writes ANSI escapes and knows nothing about terminals.
 */

export type Paint = (text: string) => string;

export interface Palette {
  /** `error[E0301]` and the place of the mistake. */
  readonly error: Paint;
  /** `warning[E0213]` and its place. */
  readonly warning: Paint;
  /** The headline. */
  readonly headline: Paint;
  /** Line numbers, frame, and places that explain. */
  readonly frame: Paint;
  readonly help: Paint;
}

const plainPaint: Paint = (text) => text;

export const plain: Palette = {
  error: plainPaint,
  warning: plainPaint,
  headline: plainPaint,
  frame: plainPaint,
  help: plainPaint,
};

const escape =
  (open: string): Paint =>
  (text) =>
    text === '' ? '' : `\u001b[${open}m${text}\u001b[0m`;

export const ansi: Palette = {
  error: escape('1;31'),
  warning: escape('1;33'),
  headline: escape('1'),
  frame: escape('36'),
  help: escape('1;32'),
};
