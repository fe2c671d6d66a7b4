/** Documentation comments belong to what follows them; the other comments are kept for the printer. */
import type { IToken } from 'chevrotain';
import type { Lexed } from './lexical.ts';
import type { Reporter } from './problems.ts';
import type { Comment } from './syntax.ts';
import { endOf, T } from './tokens.ts';

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
  { tokens, comments }: Lexed,
  docs: Docs,
  text: string,
  reporter: Reporter,
): Comment[] {
  const all = [...comments, ...docs.rest()].sort((a, b) => a.startOffset - b.startOffset);
  let at = 0;
  return all.map((token) => {
    while (at < tokens.length && (tokens[at]?.startOffset ?? 0) < token.startOffset) at++;
    const before = tokens[at - 1];
    const between = text.slice(before ? endOf(before) : 0, token.startOffset);
    return {
      // Documentation of nothing is a plain comment: elsewhere it might document something.
      text: token.image.slice(token.tokenType === T.Doc ? 3 : 2).trimEnd(),
      ownLine: before === undefined || /[\n\r]/.test(between),
      after: before?.image ?? '',
      span: reporter.span(token.startOffset, endOf(token)),
    };
  });
}
