/** Turns the parser's exceptions into problems a user understands. */
import { tokenLabel } from 'chevrotain';
import type { IParserErrorMessageProvider, IRecognitionException, IToken, TokenType } from 'chevrotain';
import type { Problem } from './problem.ts';
import type { Reporter } from './problems.ts';
import { suggest } from './suggest.ts';
import { endOf, startsDeclaration, T } from './tokens.ts';
import type { Outline } from './outline.ts';
import { statementWords } from './words.ts';

const EXPRESSION = 'an expression';

/** What a rule was looking for, where several tokens would do. */
const RULE_WORDS: ReadonlyMap<string, string> = new Map([
  ['primary', EXPRESSION],
  ['expression', EXPRESSION],
  ['operand', EXPRESSION],
  ['item', EXPRESSION],
  ['subscript', 'an index, a slice or `...name`'],
  ['simpleType', 'a type, such as `f32[batch, n]` or `int`'],
  ['statement', 'a statement'],
  ['declaration', 'a declaration'],
  ['fn', 'a body: `{ … return e }` or `= e`'],
]);

/** What may stand before a token that ends a list or a block: said together with it. */
const ALTERNATIVES: ReadonlyMap<string, string> = new Map([
  ['arguments', '`,` or `)`'],
  ['group', '`,` or `)`'],
  ['parameters', '`,` or `)`'],
  ['prefix', '`,` or `)`'],
  ['tupleType', '`,` or `)`'],
  ['subscripts', '`,` or `]`'],
  ['dimensions', '`,` or `]`'],
  ['list', '`,` or `]`'],
  ['block', 'a statement or `}`'],
  ['import', 'a name or `}`'],
  ['container', '`(` or `{`'],
]);

/** The messages Chevrotain asks for: only what was expected; the rest is made from the exception. */
export function expectations(): IParserErrorMessageProvider {
  return {
    buildMismatchTokenMessage: ({ expected, previous, ruleName }) => mismatch(expected, previous, ruleName),
    buildNotAllInputParsedMessage: () => 'a declaration',
    buildNoViableAltMessage: ({ ruleName }) => RULE_WORDS.get(ruleName) ?? EXPRESSION,
    buildEarlyExitMessage: ({ ruleName }) => RULE_WORDS.get(ruleName) ?? EXPRESSION,
  };
}

const CLOSERS: readonly TokenType[] = [T.RParen, T.RSquare, T.RCurly];

function mismatch(expected: TokenType, previous: IToken, rule: string): string {
  if (CLOSERS.includes(expected)) {
    if (previous.tokenType === T.Comma && rule !== 'import') {
      return rule === 'parameters' || rule === 'prefix'
        ? 'a name'
        : `${EXPRESSION} or ${tokenLabel(expected)}`;
    }
    return ALTERNATIVES.get(rule) ?? tokenLabel(expected);
  }
  if (expected === T.Identifier && rule === 'prefix') return 'the name of an index';
  return tokenLabel(expected);
}

/**
 * Reports what the parser found wrong, one problem for each statement: what follows the first mistake
 * in a statement, or comes from a mistake that was reported before, is noise.
 */
export function reportExceptions(
  exceptions: readonly IRecognitionException[],
  { starts }: Outline,
  text: string,
  reporter: Reporter,
): void {
  const damaged = new Set<number>();
  for (const problem of reporter.problems) {
    for (const label of problem.labels) damaged.add(statementAt(starts, label.span.start));
  }
  for (const exception of exceptions) {
    const { found, previous, place } = placeOf(exception, text);
    const statement = statementAt(starts, place.start);
    if (damaged.has(statement)) continue;
    damaged.add(statement);
    const fields = {
      expected: exception.message,
      found: describe(found, text),
      help: helpFor(exception.message, found, previous, text),
    };
    reporter.report('E0101', fields, reporter.here(place.start, place.end, `expected ${exception.message}`));
  }
}

/** Removes bracket problems of statements in which an unclosed string swallowed the bracket. */
export function dropEchoes(reporter: Reporter, starts: readonly number[]): void {
  const { problems } = reporter;
  const place = (problem: Problem): number => statementAt(starts, problem.labels[0]?.span.start ?? 0);
  const swallowed = new Set(problems.filter((p) => p.code === 'E0103').map(place));
  const kept = problems.filter(
    (p) => !((p.code === 'E0106' || p.code === 'E0111') && swallowed.has(place(p))),
  );
  problems.splice(0, problems.length, ...kept);
}

/** Index of the statement an offset lies in. */
function statementAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

interface Place {
  readonly found: IToken;
  readonly previous: IToken | undefined;
  readonly place: { readonly start: number; readonly end: number };
}

/** Where an exception is shown: at the token found, or after the last one if the statement just ends. */
function placeOf(exception: IRecognitionException, text: string): Place {
  const found = exception.token;
  const previous = 'previousToken' in exception ? (exception.previousToken as IToken | undefined) : undefined;
  const known = previous !== undefined && !Number.isNaN(previous.startOffset) ? previous : undefined;
  const ended = endsStatement(found);
  if (ended && known) return { found, previous: known, place: { start: endOf(known), end: endOf(known) } };
  if (Number.isNaN(found.startOffset))
    return { found, previous: known, place: { start: text.length, end: text.length } };
  return { found, previous: known, place: { start: found.startOffset, end: endOf(found) } };
}

function endsStatement(token: IToken): boolean {
  if (Number.isNaN(token.startOffset) || token.image === '') return true;
  if (startsDeclaration(token)) return true;
  return (
    token.tokenType === T.RCurly || token.tokenType === T.IfStatement || statementWords.includes(token.image)
  );
}

function describe(token: IToken, text: string): string {
  if (Number.isNaN(token.startOffset)) return 'the end of the file';
  if (token.tokenType === T.EquationStart || token.tokenType === T.BareStart) {
    const word = /^[A-Za-z_]\w*/.exec(text.slice(token.startOffset, token.startOffset + 60))?.[0];
    return word === undefined ? 'the next statement' : `the next statement, \`${word} …\``;
  }
  if (token.image === '') return 'nothing';
  if (token.tokenType === T.String) return 'a string';
  if (token.tokenType === T.Identifier || token.tokenType === T.Number) return `\`${token.image}\``;
  return /^[a-z]/.test(token.image) ? `the keyword \`${token.image}\`` : `\`${token.image}\``;
}

function helpFor(
  expected: string,
  found: IToken,
  previous: IToken | undefined,
  text: string,
): string | undefined {
  const next = text.slice(endOf(found), endOf(found) + 1);
  if (found.tokenType === T.Dot && /[0-9]/.test(next)) return 'a number has a digit before its point: `0.5`';
  if (found.tokenType === T.Dot && previous?.tokenType === T.Number)
    return 'a number has a digit after its point: `1.0`';
  if (found.tokenType === T.Equals)
    return '`==` compares; `=` gives a name its value at the beginning of a statement';
  if (found.tokenType === T.Plus && expected === EXPRESSION) return 'a number needs no `+` sign';
  if (found.tokenType === T.If && expected === EXPRESSION)
    return 'put the conditional in parentheses: `(if c then a else b)`';
  if (found.tokenType === T.Semicolon) return '`;` separates statements only';
  if (found.image === '{' && expected === '`then`')
    return 'in an expression a conditional is `if c then a else b`';
  if (found.tokenType === T.Identifier && expected.startsWith('a statement')) {
    const word = suggest(found.image, statementWords);
    if (word !== undefined) return `did you mean \`${word}\`?`;
  }
  if (/^[a-z]+$/.test(found.image) && expected === 'a name')
    return `\`${found.image}\` is a keyword; choose another name`;
  if (found.tokenType === T.Then || found.tokenType === T.Else)
    return 'a conditional is `if c then a else b`';
  return undefined;
}
