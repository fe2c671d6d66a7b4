/** Turns the parser's exceptions into problems a user understands. */
import { tokenLabel } from 'chevrotain';
import type { IParserErrorMessageProvider, IRecognitionException, IToken, TokenType } from 'chevrotain';
import type { Problem } from './problem.ts';
import type { Reporter } from './problems.ts';
import { isStatementKeyword } from './starts.ts';
import { endOf, startsDeclaration, T } from './tokens.ts';

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
  text: string,
  reporter: Reporter,
): void {
  const damaged = reporter.damaged();
  for (const exception of exceptions) {
    const { found, previous, place } = placeOf(exception, text);
    const statement = reporter.statementAt(place.start);
    if (damaged.has(statement)) continue;
    damaged.add(statement);
    const expected = exception.message;
    const next = text.charAt(place.end);
    const before = text.slice(reporter.statementStart(place.start), place.start);
    const help = helpFor({ expected, found, previous, next, before });
    const label = reporter.here(place.start, place.end, `expected ${expected}`);
    reporter.report('E0101', { expected, found: describe(found, text), help }, label);
  }
}

/** Removes bracket problems of statements in which an unclosed string swallowed the bracket. */
export function dropEchoes(reporter: Reporter): void {
  const { problems } = reporter;
  const place = (problem: Problem): number => reporter.statementAt(problem.labels[0]?.span.start ?? 0);
  const swallowed = new Set(problems.filter((p) => p.code === 'E0103').map(place));
  const kept = problems.filter(
    (p) => !((p.code === 'E0106' || p.code === 'E0111') && swallowed.has(place(p))),
  );
  problems.splice(0, problems.length, ...kept);
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
    token.tokenType === T.RCurly || token.tokenType === T.IfStatement || isStatementKeyword(token.tokenType)
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

interface Mistake {
  readonly expected: string;
  readonly found: IToken;
  readonly previous: IToken | undefined;
  /** The character after what was found. */
  readonly next: string;
  /** What was understood of the statement. */
  readonly before: string;
}

/** How to mend what people do most, first match first. */
const HELP: readonly { readonly when: (m: Mistake) => boolean; readonly say: (m: Mistake) => string }[] = [
  {
    when: (m) => m.found.tokenType === T.Dot && /[0-9]/.test(m.next),
    say: () => 'a number has a digit before its point: `0.5`',
  },
  {
    when: (m) => m.previous?.tokenType === T.Dot && /[0-9]\.$/.test(m.before),
    say: () => 'a number has a digit after its point: `1.0`',
  },
  {
    when: (m) => m.found.tokenType === T.Equals,
    say: () => '`==` compares; `=` gives a name its value at the beginning of a statement',
  },
  {
    when: (m) => m.found.tokenType === T.Plus && m.expected === EXPRESSION,
    say: () => 'a number needs no `+` sign',
  },
  {
    when: (m) => m.found.tokenType === T.If && m.expected === EXPRESSION,
    say: () => 'put the conditional in parentheses: `(if c then a else b)`',
  },
  { when: (m) => m.found.tokenType === T.Semicolon, say: () => '`;` separates statements only' },
  {
    when: (m) => m.found.tokenType === T.LCurly && m.expected === '`then`',
    say: () => 'in an expression a conditional is `if c then a else b`',
  },
  {
    when: (m) => m.expected === 'a name' && /^[a-z]+$/.test(m.found.image),
    say: (m) => `\`${m.found.image}\` is a keyword; choose another name`,
  },
  {
    when: (m) => m.found.tokenType === T.Then || m.found.tokenType === T.Else,
    say: () => 'a conditional is `if c then a else b`',
  },
  {
    when: (m) => m.before.includes('|>') && isOperator(m.found),
    say: (m) => `\`|>\` binds weaker than any operator: write \`(x |> f) ${m.found.image} …\``,
  },
];

function isOperator(token: IToken): boolean {
  return token.tokenType.CATEGORIES?.includes(T.BinaryOp) ?? false;
}

function helpFor(mistake: Mistake): string | undefined {
  return HELP.find((row) => row.when(mistake))?.say(mistake);
}
