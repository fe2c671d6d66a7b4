/** Rows of characters that are drawn over each other before they are printed. */
import { layoutLine } from './cells.ts';
import { type Paint } from './palette.ts';

/** One printed row. Later writes win, which is how a `^` comes to stand over a `-`. */
export class Row {
  // One entry a display column; a wide character leaves the entry after it empty.
  readonly #texts: string[] = [];
  readonly #paints: (Paint | undefined)[] = [];

  /** Writes `text` from display column `column` on; returns the column after it. */
  put(column: number, text: string, paint?: Paint): number {
    let at = column;
    for (const cell of layoutLine(text).cells) {
      if (cell.width === 0) {
        // Combining marks belong to the character before them.
        if (at > column) this.#texts[at - 1] += cell.text;
        continue;
      }
      while (this.#texts.length < at) this.#push(' ', undefined);
      this.#texts[at] = cell.text;
      this.#paints[at] = paint;
      for (let k = 1; k < cell.width; k++) {
        this.#texts[at + k] = '';
        this.#paints[at + k] = paint;
      }
      at += cell.width;
    }
    return at;
  }

  fill(from: number, to: number, text: string, paint?: Paint): void {
    for (let column = from; column < to; column++) this.put(column, text, paint);
  }

  get width(): number {
    return this.#texts.length;
  }

  /** The row without the spaces at its end, with one call of a paint for each run of one colour. */
  print(): string {
    let end = this.#texts.length;
    while (end > 0 && (this.#texts[end - 1] === ' ' || this.#texts[end - 1] === undefined)) end--;
    let out = '';
    for (let i = 0; i < end;) {
      const paint = this.#paints[i];
      let run = '';
      for (; i < end && this.#paints[i] === paint; i++) run += this.#texts[i] ?? '';
      out += paint ? paint(run) : run;
    }
    return out;
  }

  #push(text: string, paint: Paint | undefined): void {
    this.#texts.push(text);
    this.#paints.push(paint);
  }
}
