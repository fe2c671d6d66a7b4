/** Documentation comments belong to what follows them; the other comments are kept for the printer. */
import type { IToken } from 'chevrotain';
import type { Reporter } from './problems.ts';
import type { Comment } from './syntax.ts';
import { endOf } from './tokens.ts';

export class Docs {
  /** Lines by the offset of the token they stand before. */
  readonly #byOffset = new Map<number, IToken[]>();

  constructor(docs: readonly IToken[], tokens: readonly IToken[]) {
    let at = 0;
    for (const doc of docs) {
      while (at < tokens.length && (tokens[at]?.startOffset ?? 0) < doc.startOffset) at++;
      const offset = tokens[at]?.startOffset ?? -1;
      const lines = this.#byOffset.get(offset);
      if (lines) lines.push(doc);
      else this.#byOffset.set(offset, [doc]);
    }
  }

  /** Takes the documentation before the token at `offset`. */
  take(offset: number): string | undefined {
    const lines = this.#byOffset.get(offset);
    if (lines === undefined) return undefined;
    this.#byOffset.delete(offset);
    return lines.map((line) => line.image.slice(3).replace(/^ /, '').trimEnd()).join('\n');
  }

  /** Lines that nothing took: they remain comments. */
  rest(): readonly IToken[] {
    return [...this.#byOffset.values()].flat();
  }
}

/** Comments in file order, with the documentation that documents nothing. */
export function collectComments(
  comments: readonly IToken[],
  docs: Docs,
  text: string,
  reporter: Reporter,
): Comment[] {
  const all = [...comments, ...docs.rest()].sort((a, b) => a.startOffset - b.startOffset);
  return all.map((token) => ({
    text: token.image.slice(2).trimEnd(),
    ownLine: /(?:^|[\n\r])[ \t\u00a0\ufeff]*$/.test(
      text.slice(lineStart(text, token.startOffset), token.startOffset),
    ),
    span: reporter.span(token.startOffset, endOf(token)),
  }));
}

/** Where the line before `offset` begins, its line break included. */
function lineStart(text: string, offset: number): number {
  const newline = Math.max(text.lastIndexOf('\n', offset - 1), text.lastIndexOf('\r', offset - 1));
  return Math.max(0, newline);
}
