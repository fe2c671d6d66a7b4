/** Where labels stand: spans cut to the text they point into, in lines, and sorted by how they are drawn. */
import type { Label } from '../../grammar/problem.ts';
import { lineStarts, positionAt, type SourceFile } from '../../grammar/span.ts';

/** A label in terms of lines (from 0) and offsets in them. */
export interface Mark {
  readonly text: string;
  readonly primary: boolean;
  readonly startLine: number;
  readonly startOffset: number;
  readonly endLine: number;
  /** Exclusive, in `endLine`. */
  readonly endOffset: number;
}

export const isMultiline = (mark: Mark): boolean => mark.startLine !== mark.endLine;

/** The lines of a text without their ends. */
export function linesOf(text: string): readonly string[] {
  return text.split(/\r\n|\n|\r/);
}

/** Marks of one file, in source order, the mistake last among those that begin together. The same place with the same text is shown once. */
export function marksOf(source: SourceFile, labels: readonly Label[]): readonly Mark[] {
  const starts = lineStarts(source.text);
  const byKey = new Map<string, Mark>();
  for (const label of labels) {
    const mark = markOf(source.text, starts, label);
    const key = [mark.startLine, mark.startOffset, mark.endLine, mark.endOffset, mark.text].join();
    if (mark.primary || !byKey.has(key)) byKey.set(key, mark);
  }
  return [...byKey.values()].sort(
    (a, b) =>
      a.startLine - b.startLine || a.startOffset - b.startOffset || Number(a.primary) - Number(b.primary),
  );
}

function markOf(text: string, starts: readonly number[], label: Label): Mark {
  const start = Math.min(Math.max(label.span.start, 0), text.length);
  let end = Math.min(Math.max(label.span.end, start), text.length);
  // A span that ends with a newline ends on the line before.
  while (end > start && /[\r\n]/.test(text[end - 1]!)) end--;
  const from = positionAt(starts, start);
  const to = positionAt(starts, end);
  return {
    text: label.text.replace(/\s*[\r\n]+\s*/g, ' '),
    primary: label.primary,
    startLine: from.line - 1,
    startOffset: from.column - 1,
    endLine: to.line - 1,
    endOffset: to.column - 1,
  };
}

/**
 * The lines to show, ascending: those on which a mark begins or ends, the inside of short multi-line marks, and a
 * single line between two shown ones (a gap sign would take as much room).
 */
export function linesToShow(marks: readonly Mark[]): readonly number[] {
  const shown = new Set<number>();
  for (const mark of marks) {
    const short = mark.endLine - mark.startLine <= 4;
    for (let line = mark.startLine; line <= mark.endLine; line++) {
      if (short || line <= mark.startLine + 1 || line === mark.endLine) shown.add(line);
    }
  }
  for (const line of [...shown]) if (shown.has(line + 2)) shown.add(line + 1);
  return [...shown].sort((a, b) => a - b);
}

/**
 * The margin column (from 0, outermost first) of every multi-line mark, so that no two that share a line share a
 * column.
 */
export function marginColumns(marks: readonly Mark[]): ReadonlyMap<Mark, number> {
  const columns = new Map<Mark, number>();
  const outermostFirst = marks
    .filter(isMultiline)
    .sort((a, b) => b.endLine - b.startLine - (a.endLine - a.startLine));
  for (const mark of outermostFirst) {
    const taken = new Set<number>();
    for (const [other, column] of columns) {
      if (other.startLine <= mark.endLine && mark.startLine <= other.endLine) taken.add(column);
    }
    let column = 0;
    while (taken.has(column)) column++;
    columns.set(mark, column);
  }
  return columns;
}
