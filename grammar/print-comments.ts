/** Hands out a file's comments to the printer, in order, each to one place. */
import { hardline, suffix } from './layout.ts';
import type { Doc } from './layout.ts';
import { positionAt } from './span.ts';
import type { Comment, Syntax } from './syntax.ts';

export class Comments {
  readonly #comments: readonly Comment[];
  readonly #lineStarts: readonly number[];
  readonly #aside: Comment[] = [];
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
    return this.#while((c) => c.span.start < offset);
  }

  /** Sets the comments before `offset` aside: the layout has no place for them where they stand. */
  setAside(offset: number): void {
    this.#aside.push(...this.before(offset));
  }

  /** How many comments are set aside now. */
  get aside(): number {
    return this.#aside.length;
  }

  /** Takes what was set aside since there were `count`. */
  takeAside(count: number): readonly Comment[] {
    return this.#aside.splice(count);
  }

  /** Takes the comments between `offset`, where something ends, and `limit` that end its line. */
  trailing(offset: number, limit: number): readonly Comment[] {
    const line = this.lineOf(Math.max(0, offset - 1));
    return this.#while((c) => !c.ownLine && c.span.start < limit && this.lineOf(c.span.start) === line);
  }

  /** Takes the comments before `offset` that no brace, `=` or `->` parts from what was printed last. */
  beforeBrace(offset: number): { readonly ending: Doc; readonly own: Doc } {
    return arranged(this.#while((c) => c.span.start < offset && !OPENERS.includes(c.after)));
  }

  /** Takes the comments before `offset`, where an `else` branch begins, that stand before its brace. */
  beforeElse(offset: number): readonly Comment[] {
    return this.#while((c) => c.span.start < offset && c.after !== '{');
  }

  /** Takes the comments before `offset` up to the first with a line of its own: they end the line of a brace. */
  endingLine(offset: number): readonly Comment[] {
    return this.#while((c) => !c.ownLine && c.span.start < offset);
  }

  /** Takes the comments before `offset`: those that end a line, and those with a line of their own. */
  around(offset: number): { readonly ending: Doc; readonly own: Doc } {
    return arranged(this.before(offset));
  }

  #while(test: (comment: Comment) => boolean): readonly Comment[] {
    const first = this.#next;
    for (let c = this.#comments[this.#next]; c && test(c); c = this.#comments[this.#next]) this.#next++;
    return this.#comments.slice(first, this.#next);
  }
}

const OPENERS: readonly string[] = ['{', '}', '=', '->'];

function arranged(comments: readonly Comment[]): { readonly ending: Doc; readonly own: Doc } {
  return {
    ending: ends(comments.filter((c) => !c.ownLine)),
    own: comments.filter((c) => c.ownLine).flatMap((c) => [text(c), hardline]),
  };
}

export function text(comment: Comment): string {
  return `//${comment.text}`;
}

/** Comments moved to the end of their line. */
export function ends(comments: readonly Comment[]): Doc {
  return comments.map((c) => suffix(` ${text(c)}`));
}
