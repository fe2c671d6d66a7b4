/** Draws the labelled lines of one file. */
import type { SourceFile } from '../../grammar/span.ts';
import { Row } from './canvas.ts';
import { columnOf, type Line, layoutLine } from './cells.ts';
import { isMultiline, linesOf, linesToShow, marginColumns, type Mark } from './marks.ts';
import type { Paint } from './palette.ts';

export interface SnippetStyle {
  readonly frame: Paint;
  readonly primary: Paint;
  readonly secondary: Paint;
  /** Columns of the terminal; longer lines of source are cut around what is marked. */
  readonly width: number;
  /** Columns of the line numbers. */
  readonly gutter: number;
}

/** The rows of a snippet: source lines with their numbers, marks and texts under them. */
export function drawSnippet(source: SourceFile, marks: readonly Mark[], style: SnippetStyle): string[] {
  return new Snippet(source, marks, style).draw();
}

/** Columns needed for the largest line number that a snippet of these marks shows. */
export function gutterWidth(marks: readonly Mark[]): number {
  return String((linesToShow(marks).at(-1) ?? 0) + 1).length;
}

/** The part of a long line that is shown: display columns from `from` to `to`, moved left by `shift`. */
interface Window {
  readonly line: Line;
  readonly from: number;
  readonly to: number;
  readonly shift: number;
}

class Snippet {
  readonly #lines: readonly string[];
  readonly #marks: readonly Mark[];
  readonly #style: SnippetStyle;
  readonly #margins: ReadonlyMap<Mark, number>;
  /** Display column of the source text: after number, frame and the margin of multi-line marks. */
  readonly #left: number;
  /** Multi-line marks that began and have not ended. */
  readonly #open = new Set<Mark>();
  readonly #out: string[] = [];

  constructor(source: SourceFile, marks: readonly Mark[], style: SnippetStyle) {
    this.#lines = linesOf(source.text);
    this.#marks = marks;
    this.#style = style;
    this.#margins = marginColumns(marks);
    const columns = Math.max(-1, ...this.#margins.values()) + 1;
    this.#left = style.gutter + 4 + 2 * columns;
  }

  draw(): string[] {
    let previous: number | undefined;
    for (const line of linesToShow(this.#marks)) {
      if (previous !== undefined && line > previous + 1) this.#emit(this.#row('·'));
      this.#drawLine(line);
      previous = line;
    }
    return this.#out;
  }

  #drawLine(index: number): void {
    const window = this.#window(index);
    const starting = this.#marks.filter((m) => isMultiline(m) && m.startLine === index);
    const atIndent = (m: Mark) => (this.#lines[index] ?? '').slice(0, m.startOffset).trim() === '';
    this.#drawSource(index, window, starting.filter(atIndent));
    this.#drawSingles(
      window,
      this.#marks.filter((m) => !isMultiline(m) && m.startLine === index),
    );
    for (const mark of starting.filter((m) => !atIndent(m))) {
      this.#drawEdge(window, mark, '╭', mark.startOffset, '');
      this.#open.add(mark);
    }
    const ending = this.#marks.filter((m) => isMultiline(m) && m.endLine === index);
    for (const mark of ending) {
      this.#open.delete(mark);
      this.#drawEdge(window, mark, '╰', Math.max(mark.endOffset - 1, 0), mark.text);
    }
  }

  /** `12 │ text`, with `╭` in the margin where a multi-line mark begins at the line's first character. */
  #drawSource(index: number, window: Window, starting: readonly Mark[]): void {
    const row = this.#row('│', String(index + 1));
    for (const mark of starting) {
      row.put(this.#marginColumn(mark), '╭', this.#paint(mark));
      this.#open.add(mark);
    }
    for (const cell of window.line.cells) {
      if (cell.column >= window.from && cell.column + cell.width <= window.to) {
        row.put(this.#left + cell.column - window.shift, cell.text);
      }
    }
    if (window.from > 0) row.put(this.#left, '…', this.#style.frame);
    if (window.to < window.line.width) row.put(row.width, '…', this.#style.frame);
    this.#emit(row);
  }

  /** Underlines all marks of a line in one row; the last one's text stands beside it, the others' hang below. */
  #drawSingles(window: Window, marks: readonly Mark[]): void {
    if (marks.length === 0) return;
    const placed = marks.map((mark) => ({ mark, ...this.#columns(window, mark) }));
    const row = this.#row('│');
    for (const { mark, from, to } of [...placed].sort(
      (a, b) => Number(a.mark.primary) - Number(b.mark.primary),
    )) {
      row.fill(from, to, mark.primary ? '^' : '-', this.#paint(mark));
    }
    const last = placed.at(-1)!;
    const beside = placed.every((p) => p === last || p.to <= last.from);
    if (beside) row.put(row.width + 1, last.mark.text, this.#paint(last.mark));
    this.#emit(row);
    const hanging = placed.filter((p) => p.mark.text !== '' && !(beside && p === last));
    if (hanging.length === 0) return;
    this.#emit(this.#stems(hanging));
    for (let i = hanging.length - 1; i >= 0; i--) {
      const { mark, from } = hanging[i]!;
      const stems = this.#stems(hanging.slice(0, i).filter((p) => p.from < from));
      stems.put(from, mark.text, this.#paint(mark));
      this.#emit(stems);
    }
  }

  #stems(marks: readonly { readonly mark: Mark; readonly from: number }[]): Row {
    const row = this.#row('│');
    for (const { mark, from } of marks) row.put(from, '│', this.#paint(mark));
    return row;
  }

  /** `╭────^` or `╰────^ text`: the first or last character of a multi-line mark. */
  #drawEdge(window: Window, mark: Mark, corner: '╭' | '╰', offset: number, text: string): void {
    const row = this.#row('│');
    const paint = this.#paint(mark);
    const from = this.#marginColumn(mark);
    const at = this.#clamp(window, columnOf(window.line, offset));
    row.put(from, corner, paint);
    row.fill(from + 1, at, '─', paint);
    const end = row.put(at, mark.primary ? '^' : '-', paint);
    if (text !== '') row.put(end + 1, text, paint);
    this.#emit(row);
  }

  /** A row with its number, its frame and the bars of the multi-line marks that are open. */
  #row(frame: '│' | '·', number = ''): Row {
    const row = new Row();
    row.put(0, ` ${number.padStart(this.#style.gutter)} ${frame}`, this.#style.frame);
    for (const mark of this.#open) row.put(this.#marginColumn(mark), '│', this.#paint(mark));
    return row;
  }

  #emit(row: Row): void {
    this.#out.push(row.print());
  }

  #paint(mark: Mark): Paint {
    return mark.primary ? this.#style.primary : this.#style.secondary;
  }

  #marginColumn(mark: Mark): number {
    return this.#style.gutter + 4 + 2 * (this.#margins.get(mark) ?? 0);
  }

  /** Printed columns of a mark in one line; at least one, so that an empty span is seen. */
  #columns(window: Window, mark: Mark): { readonly from: number; readonly to: number } {
    const from = this.#clamp(window, columnOf(window.line, mark.startOffset));
    const last = columnOf(window.line, Math.max(mark.endOffset, mark.startOffset));
    const end = Math.min(last, window.to) - window.shift + this.#left;
    return { from, to: Math.max(end, from + 1) };
  }

  #clamp(window: Window, column: number): number {
    return Math.min(Math.max(column, window.from), window.to) - window.shift + this.#left;
  }

  /** The whole line where it fits, else the part around its marks. */
  #window(index: number): Window {
    const line = layoutLine(this.#lines[index] ?? '');
    const width = Math.max(this.#style.width - this.#left, 20);
    if (line.width <= width) return { line, from: 0, to: line.width, shift: 0 };
    const ends = this.#marks.flatMap((m) => [
      ...(m.startLine === index ? [columnOf(line, m.startOffset)] : []),
      ...(m.endLine === index ? [columnOf(line, m.endOffset)] : []),
    ]);
    const first = Math.min(line.width, ...ends);
    const last = Math.max(first, ...ends);
    if (ends.length === 0 || last < width) return { line, from: 0, to: width - 1, shift: 0 };
    // Some context on the left; what is marked in the middle where it fits.
    const context = Math.max(Math.floor((width - (last - first)) / 2), 8);
    const from = Math.max(first - context, 0);
    const to = Math.min(from + width - 2, line.width);
    return { line, from, to, shift: from - 1 };
  }
}
