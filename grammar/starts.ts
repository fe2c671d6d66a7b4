/**
 * Where statements begin and which calls are reductions. Newlines mean nothing in `.nnet`, but a
 * statement has a recognisable beginning: a keyword, or `name =`, `name' =`, `name[…] =`.
 */
import type { TokenType } from 'chevrotain';
import { T } from './tokens.ts';
import { statementKeywords } from './words.ts';
import type { Tokens } from './words.ts';

const REDUCERS: ReadonlySet<string> = new Set([
  'sum',
  'mean',
  'prod',
  'max',
  'min',
  'argmax',
  'argmin',
  'any',
  'all',
]);

const STATEMENT_KEYWORDS: ReadonlySet<TokenType> = new Set(statementKeywords.values());

const OPERAND_STARTS: ReadonlySet<TokenType | undefined> = new Set<TokenType | undefined>([
  T.Identifier, T.Number, T.String, T.True, T.False,
]); // prettier-ignore

/** Is this the name of a reduction, such as `sum`? */
export function isReducer(name: string): boolean {
  return REDUCERS.has(name);
}

/** Is this a keyword that begins a statement? (`if` may also begin an expression.) */
export function isStatementKeyword(type: TokenType): boolean {
  return STATEMENT_KEYWORDS.has(type);
}

/** Can a complete operand begin with this token, seen after another complete operand? */
export function startsOperand(type: TokenType | undefined): boolean {
  return OPERAND_STARTS.has(type);
}

/** `name =`, `name' =`, `name[…] =`, `name'[…] =` at `index`, whatever stands before. */
export function looksLikeEquation(tokens: Tokens, closeOf: Int32Array, index: number): boolean {
  if (tokens.type(index) !== T.Identifier) return false;
  let next = index + 1;
  if (tokens.type(next) === T.Prime) next++;
  if (tokens.type(next) === T.LSquare) {
    const close = closeOf[next] ?? -1;
    if (close < 0) return false;
    next = close + 1;
  }
  return tokens.type(next) === T.Equals;
}

/** `name(` or `name.other…(` at `index`: the beginning of a call that stands alone. */
export function looksLikeAction(tokens: Tokens, index: number): boolean {
  if (tokens.type(index) !== T.Identifier) return false;
  let next = index + 1;
  while (tokens.type(next) === T.Dot && tokens.type(next + 1) !== undefined) next += 2;
  return tokens.type(next) === T.LParen;
}

/**
 * Is the word at `index` a reduction such as `sum(i) x[i]`? It is if the parentheses hold index binders
 * only and an operand follows; a range (`i in n`) makes it one in any case. In a task an action on
 * another line does not count as the operand.
 */
export function isReduction(tokens: Tokens, closeOf: Int32Array, index: number, inTask: boolean): boolean {
  if (!isReducer(tokens.at(index)?.image ?? '') || tokens.type(index + 1) !== T.LParen) return false;
  if (tokens.type(index - 1) === T.Dot) return false;
  const close = closeOf[index + 1] ?? -1;
  if (close < 0) return false;
  const binders = readBinders(tokens, closeOf, index + 2, close);
  if (binders !== 'plain') return binders === 'ranged';
  const after = close + 1;
  if (tokens.type(after) === T.LParen) return true;
  if (!startsOperand(tokens.type(after)) || looksLikeEquation(tokens, closeOf, after)) return false;
  return !(inTask && tokens.startsLine(after) && looksLikeAction(tokens, after));
}

/** `i, ...r, j in n` between `start` and `end`: are these binders, and does one state a range? */
function readBinders(
  tokens: Tokens,
  closeOf: Int32Array,
  start: number,
  end: number,
): 'plain' | 'ranged' | 'none' {
  let ranged = false;
  let at = start;
  while (at < end) {
    if (tokens.type(at) === T.Ellipsis) at++;
    if (tokens.type(at) !== T.Identifier) return 'none';
    at++;
    if (tokens.type(at) === T.In) {
      ranged = true;
      while (at < end && tokens.type(at) !== T.Comma) at = Math.max(at, closeOf[at] ?? -1) + 1;
    }
    if (at >= end) break;
    if (tokens.type(at) !== T.Comma) return 'none';
    at++;
  }
  if (at > end || start === end) return 'none';
  return ranged ? 'ranged' : 'plain';
}
