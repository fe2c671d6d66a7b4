/**
 * Decides which words are keywords. A few words are reserved; the others are keywords only where
 * one can stand, so that `step`, `input`, `state` or `on` remain usable as names.
 */
import type { IToken, TokenType } from 'chevrotain';
import { foreignDeclarations, foreignOperands, foreignStatements, foreignSymbols } from './foreign.ts';
import type { Foreign } from './foreign.ts';
import type { Reporter } from './problems.ts';
import { endOf, endsOperand, retype, T } from './tokens.ts';

/** Keywords wherever they stand, except after `.` and as the name of an argument. */
const RESERVED: ReadonlyMap<string, TokenType> = new Map([
  ['import', T.Import],
  ['return', T.Return],
  ['if', T.If],
  ['then', T.Then],
  ['else', T.Else],
  ['when', T.When],
  ['and', T.And],
  ['or', T.Or],
  ['not', T.Not],
  ['true', T.True],
  ['false', T.False],
  ['repeat', T.Repeat],
  ['fit', T.Fit],
  ['evaluate', T.Evaluate],
  ['minimize', T.Minimize],
]);

/** Keywords where a declaration or a statement can begin and a name follows. */
const LEADING: ReadonlyMap<string, TokenType> = new Map([
  ['model', T.Model],
  ['layer', T.Layer],
  ['fn', T.Fn],
  ['optimizer', T.Optimizer],
  ['task', T.Task],
  ['input', T.Input],
  ['output', T.Output],
  ['param', T.Param],
  ['state', T.State],
  ['scan', T.Scan],
  ['metric', T.Metric],
]);

/** Keywords after something complete. */
const INFIX: ReadonlyMap<string, TokenType> = new Map([
  ['on', T.On],
  ['over', T.Over],
  ['every', T.Every],
  ['with', T.With],
  ['in', T.In],
  ['reversed', T.Reversed],
  ['from', T.From],
  ['as', T.As],
  ['div', T.Div],
]);

/** What may begin a declaration. */
export const declarationKeywords: ReadonlyMap<string, TokenType> = new Map([
  ['import', T.Import],
  ['model', T.Model],
  ['layer', T.Layer],
  ['fn', T.Fn],
  ['optimizer', T.Optimizer],
  ['task', T.Task],
]);

/** What may begin a statement, besides `if` and a name. */
export const statementKeywords: ReadonlyMap<string, TokenType> = new Map([
  ['input', T.Input],
  ['output', T.Output],
  ['param', T.Param],
  ['state', T.State],
  ['return', T.Return],
  ['scan', T.Scan],
  ['repeat', T.Repeat],
  ['metric', T.Metric],
  ['fit', T.Fit],
  ['evaluate', T.Evaluate],
  ['minimize', T.Minimize],
]);

/** A token list with what the passes before the parser ask about it. */
export class Tokens {
  readonly list: readonly IToken[];
  readonly #text: string;

  constructor(list: readonly IToken[], text: string) {
    this.list = list;
    this.#text = text;
  }

  at(index: number): IToken | undefined {
    return this.list[index];
  }

  type(index: number): TokenType | undefined {
    return this.list[index]?.tokenType;
  }

  /** Is there a line break between this token and the one before it? */
  startsLine(index: number): boolean {
    const token = this.list[index];
    const before = this.list[index - 1];
    if (token === undefined || before === undefined) return true;
    return /[\n\r]/.test(this.#text.slice(endOf(before), token.startOffset));
  }

  /** Does this token stand in the first column? */
  inFirstColumn(index: number): boolean {
    const start = this.list[index]?.startOffset ?? 0;
    return start === 0 || /[\n\r]/.test(this.#text.charAt(start - 1));
  }
}

/** Gives words their keyword types and replaces foreign spellings (E0107). Returns the tokens that remain. */
export function classifyWords(tokens: Tokens, reporter: Reporter): IToken[] {
  const kept: IToken[] = [];
  const open: TokenType[] = [];
  for (let i = 0; i < tokens.list.length; i++) {
    const token = tokens.at(i);
    if (token === undefined) continue;
    const foreign = foreignAt(tokens, i, kept.at(-1));
    if (foreign) {
      reportForeign(token, foreign, reporter);
      if (foreign.as === undefined) continue;
      retype(token, foreign.as);
    } else if (token.tokenType === T.Identifier) {
      const type = keywordAt(tokens, i, kept.at(-1), open.at(-1));
      if (type) retype(token, type);
    }
    followBrackets(open, token.tokenType);
    kept.push(token);
  }
  return kept;
}

/** Keeps the brackets that are open, roughly: only the innermost one is asked for. */
function followBrackets(open: TokenType[], type: TokenType): void {
  if (type === T.LParen || type === T.LSquare || type === T.LCurly) open.push(type);
  else if (type === T.RParen || type === T.RSquare) open.pop();
  else if (type === T.RCurly) open.length = Math.max(0, open.lastIndexOf(T.LCurly));
}

function keywordAt(
  tokens: Tokens,
  i: number,
  before: IToken | undefined,
  bracket: TokenType | undefined,
): TokenType | undefined {
  const word = tokens.at(i)?.image ?? '';
  const next = tokens.type(i + 1);
  const previous = before?.tokenType;
  if (previous === T.Dot || previous === T.Ellipsis) return undefined;
  const begins = previous === T.LParen || previous === T.Comma;
  if (begins && next === T.Colon && bracket === T.LParen) return undefined;
  const reserved = RESERVED.get(word);
  if (reserved) return reserved;
  const infix = INFIX.get(word);
  if (infix) return infixFits(infix, previous, before, next) ? infix : undefined;
  const leading = LEADING.get(word);
  if (leading) return leadingFits(tokens, i, before) ? leading : undefined;
  return undefined;
}

function infixFits(
  type: TokenType,
  previous: TokenType | undefined,
  before: IToken | undefined,
  next: TokenType | undefined,
): boolean {
  if (next === T.Equals || next === T.Prime) return false;
  if (type === T.From && previous === T.RCurly) return true;
  if (type === T.On && (previous === T.Fit || previous === T.Evaluate)) return true;
  return endsOperand(before);
}

function leadingFits(tokens: Tokens, i: number, before: IToken | undefined): boolean {
  if (!isName(tokens, i + 1)) return false;
  const previous = before?.tokenType;
  const begins =
    previous === undefined || previous === T.LCurly || previous === T.RCurly || previous === T.Semicolon;
  if (begins) return true;
  const inLine = !tokens.startsLine(i + 1);
  // In the middle of a line it may as well be the body of a reduction, with a statement on the next line.
  if (endsOperand(before)) return inLine || tokens.startsLine(i);
  // After an operator an operand is expected: a keyword only if the line looks like a statement.
  const inType = previous === T.Colon || previous === T.Arrow || previous === T.Bar;
  return !inType && tokens.startsLine(i) && inLine;
}

const AFTER_NAME: readonly (TokenType | undefined)[] = [T.Colon, T.Equals, T.Comma, T.LCurly];

/** Is the word at `i` a name, as far as a look at its neighbour tells? */
function isName(tokens: Tokens, i: number): boolean {
  const token = tokens.at(i);
  if (token?.tokenType !== T.Identifier || RESERVED.has(token.image)) return false;
  return !INFIX.has(token.image) || AFTER_NAME.includes(tokens.type(i + 1));
}

function foreignAt(tokens: Tokens, i: number, before: IToken | undefined): Foreign | undefined {
  const token = tokens.at(i);
  if (token?.tokenType === T.ForeignSymbol) return foreignSymbols.get(token.image);
  if (token?.tokenType === T.SingleQuoted)
    return { as: T.String, instead: 'strings stand in double quotes: `"…"`' };
  if (token?.tokenType !== T.Identifier) return undefined;
  const word = token.image;
  const next = tokens.type(i + 1);
  const previous = before?.tokenType;
  if (foreignOperands.has(word) && previous !== T.Dot && next !== T.Colon && next !== T.Equals)
    return foreignOperands.get(word);
  if (next !== T.Identifier || tokens.startsLine(i + 1)) return undefined;
  const begins =
    previous === undefined || previous === T.LCurly || previous === T.RCurly || previous === T.Semicolon;
  if (foreignDeclarations.has(word) && (begins || tokens.inFirstColumn(i)))
    return foreignDeclarations.get(word);
  if (begins || tokens.startsLine(i)) return foreignStatements.get(word);
  return undefined;
}

function reportForeign(token: IToken, foreign: Foreign, reporter: Reporter): void {
  const found = token.tokenType === T.SingleQuoted ? 'a string in single quotes' : `\`${token.image}\``;
  const label = reporter.here(token.startOffset, endOf(token), 'written differently here');
  reporter.report('E0107', { found, instead: foreign.instead }, label);
}
