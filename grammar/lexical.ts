/** Text to tokens: runs the lexer and reports what single tokens can have wrong. */
import type { ILexingError, IToken, Lexer } from 'chevrotain';
import type { Reporter } from './problems.ts';
import { endOf, T } from './tokens.ts';

export interface Lexed {
  readonly tokens: readonly IToken[];
  readonly comments: readonly IToken[];
  readonly docs: readonly IToken[];
}

/** A well-formed number: underscores stand between digits, hexadecimal ones are whole. */
const NUMBER = /^(?:0[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?)$/;

/** Splits `text` into tokens; comments and documentation come apart. */
export function lex(lexer: Lexer, text: string, reporter: Reporter): Lexed {
  const { tokens, groups, errors } = lexer.tokenize(text);
  for (const error of errors) reportUnknown(error, text, reporter);
  const foreign = groups['foreign'] ?? [];
  for (const token of foreign) {
    const found = token.image.startsWith('#') ? 'a comment with `#`' : 'a comment with `/* */`';
    const label = reporter.here(
      token.startOffset,
      Math.min(endOf(token), token.startOffset + 2),
      'begins a comment',
    );
    reporter.report('E0107', { found, instead: 'a comment begins with `//` and ends with its line' }, label);
  }
  for (const token of tokens) {
    // The lexer tracks starts only; the spans of nodes are made from both ends.
    token.endOffset = endOf(token) - 1;
    if (token.tokenType === T.Number) checkNumber(token, reporter);
    else if (token.tokenType === T.String) checkString(token, reporter);
  }
  return { tokens, comments: groups['comments'] ?? [], docs: groups['docs'] ?? [] };
}

function reportUnknown(error: ILexingError, text: string, reporter: Reporter): void {
  const found = text.slice(error.offset, error.offset + error.length);
  const shown = found.length > 20 ? `${found.slice(0, 20)}…` : found;
  const label = reporter.here(error.offset, error.offset + error.length, 'not understood');
  reporter.report('E0102', { text: visible(shown) }, label);
}

/** Control characters by their code, so that a message shows them. */
function visible(text: string): string {
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (c) => `U+${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`,
  );
}

/** The value of a number as written, or `undefined` if it is malformed or cannot be represented. */
export function numberValue(text: string): { value: number; integer: boolean } | undefined {
  if (!NUMBER.test(text)) return undefined;
  const value = Number(text.replaceAll('_', ''));
  const integer = /^(?:0[xX].*|[\d_]+)$/.test(text);
  if (!Number.isFinite(value) || (integer && !Number.isSafeInteger(value))) return undefined;
  return { value, integer };
}

function checkNumber(token: IToken, reporter: Reporter): void {
  if (numberValue(token.image) !== undefined) return;
  const label = reporter.here(token.startOffset, endOf(token), 'not a number');
  reporter.report('E0105', { text: token.image, ...numberTrouble(token.image) }, label);
}

function numberTrouble(text: string): { reason: string; help: string } {
  if (NUMBER.test(text))
    return { reason: 'it is too large', help: 'whole numbers reach to 2^53 - 1, others to about 1e308' };
  if (/^0[xX]/.test(text))
    return { reason: 'hexadecimal digits are 0 to 9 and a to f', help: 'write it as `0xff`' };
  if (/[eE][+-]?$/.test(text)) return { reason: 'its exponent has no digits', help: 'write it as `1e-3`' };
  if (/[A-Za-z]/.test(text.replace(/[eE][+-]?\d/, ''))) {
    return {
      reason: 'letters follow it',
      help: 'a name cannot begin with a digit; a product is written `2 * x`',
    };
  }
  return { reason: 'an underscore stands between two digits', help: 'write it as `1_000`' };
}

function checkString(token: IToken, reporter: Reporter): void {
  const { image, startOffset } = token;
  if (!isClosed(image)) {
    reporter.report('E0103', {}, reporter.here(startOffset, endOf(token), 'not closed on this line'));
    return;
  }
  for (const match of image.matchAll(/\\[\s\S]/g)) {
    if ('"\\nt'.includes(match[0].charAt(1))) continue;
    const at = startOffset + match.index;
    reporter.report('E0109', { escape: match[0] }, reporter.here(at, at + 2, 'unknown'));
  }
}

function isClosed(image: string): boolean {
  return image.length >= 2 && /^"(?:[^"\\]|\\.)*"$/.test(image);
}

/** What a string token says; an unknown escape stands for itself. */
export function stringValue(image: string): string {
  if (image.startsWith("'")) return image.slice(1, -1);
  const inner = isClosed(image) ? image.slice(1, -1) : image.slice(1);
  return inner.replace(/\\([\s\S])/g, (whole: string, c: string) => {
    if (c === 'n') return '\n';
    if (c === 't') return '\t';
    return c === '"' || c === '\\' ? c : whole;
  });
}
