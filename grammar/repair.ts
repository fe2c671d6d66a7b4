/** Mistakes that are understood well enough to go on as if they had not been made. */
import type { IToken, TokenType } from 'chevrotain';
import type { Reporter } from './problems.ts';
import { suggest } from './suggest.ts';
import { endOf, retype, T, virtualToken } from './tokens.ts';
import type { Tokens } from './words.ts';
import { declarationKeywords, statementKeywords } from './words.ts';

/** `modle Net {`, `inptu x: …`: reads a misspelt keyword as what it is most like. Returns whether it could. */
export function repairKeyword(
  tokens: Tokens,
  i: number,
  of: 'declaration' | 'statement',
  reporter: Reporter,
): boolean {
  const token = tokens.at(i);
  if (token?.tokenType !== T.Identifier || tokens.type(i + 1) !== T.Identifier || tokens.startsLine(i + 1))
    return false;
  const keywords = of === 'declaration' ? declarationKeywords : statementKeywords;
  const word = suggest(token.image, [...keywords.keys()]);
  const type = word === undefined ? undefined : keywords.get(word);
  if (word === undefined || type === undefined) return false;
  const label = reporter.here(token.startOffset, endOf(token), `no ${of} begins so`);
  const fields = { what: `\`${token.image}\` does not begin a ${of}`, help: `did you mean \`${word}\`?` };
  reporter.report('E0104', fields, label);
  retype(token, type);
  return true;
}

const BEFORE_NAME: readonly (TokenType | undefined)[] = [
  T.LParen, T.Comma, T.Input, T.Output, T.Param, T.State,
]; // prettier-ignore

/** `name type` in a parameter list or a port: the `:` that is missing before the type at `i`. */
export function missingColon(
  tokens: Tokens,
  i: number,
  inParameters: boolean,
  reporter: Reporter,
): IToken | undefined {
  const name = tokens.at(i - 1);
  const type = tokens.at(i);
  const before = tokens.type(i - 2);
  if (name?.tokenType !== T.Identifier || type?.tokenType !== T.Identifier || tokens.startsLine(i))
    return undefined;
  const afterBracket = before === T.LParen || before === T.Comma;
  if (!BEFORE_NAME.includes(before) || afterBracket !== inParameters) return undefined;
  const label = reporter.here(type.startOffset, endOf(type), 'expected `:` before this');
  const help = `a type follows a colon: \`${name.image}: ${type.image}\``;
  reporter.report('E0101', { expected: '`:`', found: `\`${type.image}\``, help }, label);
  return virtualToken(T.Colon, endOf(name));
}
