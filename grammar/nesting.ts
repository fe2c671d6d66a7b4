/** What is open where a text is read: brackets, and conditionals in them. */
import type { IToken, TokenType } from 'chevrotain';
import { T } from './tokens.ts';

/** Brackets and conditionals may nest this deep; the parser's stack is the limit. */
export const MAX_NESTING = 64;

export interface Open {
  readonly token: IToken;
  /** Index of what closes it in the text; -1 if nothing does. */
  readonly close: number;
  /** It holds the parameters of a declaration. */
  readonly parameters: boolean;
}

/** A `{ … }`, in which statements stand. */
export const isBlock = ({ token }: Open): boolean => token.tokenType === T.LCurly;

interface Closer {
  readonly type: TokenType;
  readonly text: string;
}
const PAREN: Closer = { type: T.RParen, text: ')' };
const CLOSER: ReadonlyMap<TokenType, Closer> = new Map([
  [T.LParen, PAREN],
  [T.LSquare, { type: T.RSquare, text: ']' }],
  [T.LCurly, { type: T.RCurly, text: '}' }],
]);

/** What closes a bracket. */
export const closerOf = ({ token }: Open): Closer => CLOSER.get(token.tokenType) ?? PAREN;

/** Open brackets, each with the conditionals that are open directly in it. */
export class Nesting {
  readonly #open: { readonly bracket: Open; ifs: number }[] = [];
  #depth = 0;

  /** The innermost bracket. */
  get top(): Open | undefined {
    return this.#open.at(-1)?.bracket;
  }

  get isTooDeep(): boolean {
    return this.#depth > MAX_NESTING;
  }

  /** The innermost bracket of which this holds. */
  find(test: (open: Open) => boolean): Open | undefined {
    return this.#open.findLast((o) => test(o.bracket))?.bracket;
  }

  enter(bracket: Open): void {
    this.#open.push({ bracket, ifs: 0 });
    this.#depth++;
  }

  leave(): void {
    const left = this.#open.pop();
    if (left) this.#depth -= 1 + left.ifs;
  }

  /** A conditional begins. */
  conditional(): void {
    const top = this.#open.at(-1);
    if (top) top.ifs++;
    this.#depth++;
  }

  /** The conditionals in the innermost bracket have ended. */
  endConditionals(): void {
    const top = this.#open.at(-1);
    if (!top) return;
    this.#depth -= top.ifs;
    top.ifs = 0;
  }

  /** Nothing is open any more, conditionals outside of all brackets neither. */
  clear(): void {
    this.#open.length = 0;
    this.#depth = 0;
  }
}
