/** Hands out a file's comments to the printer, in order, each to one place. */
import { hardline, suffix } from './layout.ts';
import type { Doc } from './layout.ts';
import { positionAt } from './span.ts';
import type { Comment, Syntax } from './syntax.ts';

export class Comments {
  readonly #comments: readonly Comment[];
  readonly #lineStarts: readonly number[];
  #next = 0;

  constructor(syntax: Syntax) {
    this.#comments = syntax.comments;
    this.#lineStarts = syntax.lineStarts;
  }

  lineOf(offset: number): number {
    return positionAt(this.#lineStarts, offset).line;
  }

  /** Takes the comments that begin before `offset`. */
  before(offset: number): readonly Comment[] {
    const first = this.#next;
    for (let c = this.#comments[this.#next]; c && c.span.start < offset; c = this.#comments[this.#next])
      this.#next++;
    return this.#comments.slice(first, this.#next);
  }

  /** Takes the comments that end the line on which something ends at `offset`. */
  trailing(offset: number): readonly Comment[] {
    const line = this.lineOf(Math.max(0, offset - 1));
    const first = this.#next;
    for (let c = this.#comments[this.#next]; c && !c.ownLine && this.lineOf(c.span.start) === line;) {
      c = this.#comments[++this.#next];
    }
    return this.#comments.slice(first, this.#next);
  }

  /** Takes the comments before `offset` up to the first with a line of its own: they end the line of a brace. */
  endingLine(offset: number): readonly Comment[] {
    const first = this.#next;
    for (let c = this.#comments[this.#next]; c && !c.ownLine && c.span.start < offset;)
      c = this.#comments[++this.#next];
    return this.#comments.slice(first, this.#next);
  }

  /** Takes the comments before `offset`: those that end a line, and those with a line of their own. */
  around(offset: number): { readonly ending: Doc; readonly own: Doc } {
    const comments = this.before(offset);
    return {
      ending: ends(comments.filter((c) => !c.ownLine)),
      own: comments.filter((c) => c.ownLine).flatMap((c) => [text(c), hardline]),
    };
  }
}

export function text(comment: Comment): string {
  return `//${comment.text}`;
}

/** Comments moved to the end of their line. */
export function ends(comments: readonly Comment[]): Doc {
  return comments.map((c) => suffix(` ${text(c)}`));
}
