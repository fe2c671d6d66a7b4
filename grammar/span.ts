/** Positions in source text. Offsets are UTF-16 code units; `end` is exclusive. */

export interface SourceFile {
  /** Path as the user would write it; also the key of the file in a compilation. */
  readonly path: string;
  readonly text: string;
}

export interface Span {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** 1-based line and column of an offset. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The smallest span that covers both. They must lie in one file. */
export function join(a: Span, b: Span): Span {
  return { file: a.file, start: Math.min(a.start, b.start), end: Math.max(a.end, b.end) };
}

/** Offsets at which the lines of a text begin (`\n`, `\r\n` and `\r` all end a line). */
export function lineStarts(text: string): readonly number[] {
  const starts = [0];
  const newline = /\r\n|\n|\r/g;
  for (let m = newline.exec(text); m; m = newline.exec(text)) starts.push(m.index + m[0].length);
  return starts;
}

/** Line and column of `offset`, given `lineStarts(text)`. */
export function positionAt(starts: readonly number[], offset: number): Position {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
}
