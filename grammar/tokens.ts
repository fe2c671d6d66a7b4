/**
 * The tokens of `.nnet`. The lexer knows words, numbers, strings and punctuation; which words are
 * keywords depends on where they stand (`words.ts`), and where statements begin is marked by tokens
 * without width (`outline.ts`), so that the parser itself needs little lookahead and recovers well.
 */
import { createToken, createTokenInstance, Lexer } from 'chevrotain';
import type { IToken, TokenType } from 'chevrotain';

/** A class of tokens, named by how a message calls it. */
function category(name: string, label: string): TokenType {
  return createToken({ name, label, pattern: Lexer.NA });
}

function keyword(word: string, categories: TokenType[] = []): TokenType {
  const name = word.charAt(0).toUpperCase() + word.slice(1);
  return createToken({ name, label: `\`${word}\``, pattern: Lexer.NA, categories });
}

function symbol(name: string, text: string, categories: TokenType[] = []): TokenType {
  return createToken({ name, label: `\`${text}\``, pattern: text, categories });
}

const BinaryOp = category('BinaryOp', 'an operator');
const PortRole = category('PortRole', '`input`, `output`, `param` or `state`');

/** `'text'` where no prime can stand: taken whole, so that one message explains it. */
const SingleQuoted = createToken({
  name: 'SingleQuoted',
  label: 'a string',
  pattern: (text: string, offset: number): RegExpExecArray | null => {
    if (/[\w']/.test(text.charAt(offset - 1))) return null;
    const pattern = /'[^'\n\r]*'/y;
    pattern.lastIndex = offset;
    return pattern.exec(text);
  },
  start_chars_hint: ["'"],
  line_breaks: false,
});

const FOREIGN_SYMBOLS = /=>|&&|\|\||\*\*|:=|===|!==|[-+*/@%]=|!(?!=)|[?…≤≥≠×·−→]/;

/** Every token type by name; the parser and the passes before it read them from here. */
export const T = {
  BinaryOp,
  PortRole,

  // Found by the lexer. The order matters: the first pattern that matches wins.
  Space: createToken({
    name: 'Space',
    pattern: /[ \t\r\n\u00a0\ufeff]+/,
    group: Lexer.SKIPPED,
    line_breaks: true,
  }),
  Doc: createToken({ name: 'Doc', pattern: /\/\/\/(?!\/)[^\n\r]*/, group: 'docs' }),
  Comment: createToken({ name: 'Comment', pattern: /\/\/[^\n\r]*/, group: 'comments' }),
  ForeignComment: createToken({
    name: 'ForeignComment',
    pattern: /#[^\n\r]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?/,
    group: 'foreign',
    line_breaks: true,
  }),
  Number: createToken({
    name: 'Number',
    label: 'a number',
    pattern: /0[xX]\w*|[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9_]+)?[A-Za-z0-9_]*/,
  }),
  Identifier: createToken({ name: 'Identifier', label: 'a name', pattern: /[A-Za-z_][A-Za-z0-9_]*/ }),
  String: createToken({ name: 'String', label: 'a string', pattern: /"(?:[^"\\\n\r]|\\[^\n\r]?)*"?/ }),
  SingleQuoted,
  ForeignSymbol: createToken({ name: 'ForeignSymbol', pattern: FOREIGN_SYMBOLS, line_breaks: false }),
  PipeTo: symbol('PipeTo', '|>'),
  Arrow: symbol('Arrow', '->'),
  Ellipsis: symbol('Ellipsis', '...'),
  EqualTo: symbol('EqualTo', '==', [BinaryOp]),
  NotEqual: symbol('NotEqual', '!=', [BinaryOp]),
  LessEqual: symbol('LessEqual', '<=', [BinaryOp]),
  GreaterEqual: symbol('GreaterEqual', '>=', [BinaryOp]),
  Less: symbol('Less', '<', [BinaryOp]),
  Greater: symbol('Greater', '>', [BinaryOp]),
  Plus: symbol('Plus', '+', [BinaryOp]),
  Minus: symbol('Minus', '-', [BinaryOp]),
  Star: symbol('Star', '*', [BinaryOp]),
  Slash: symbol('Slash', '/', [BinaryOp]),
  Percent: symbol('Percent', '%', [BinaryOp]),
  At: symbol('At', '@', [BinaryOp]),
  Caret: symbol('Caret', '^', [BinaryOp]),
  Equals: symbol('Equals', '='),
  Bar: symbol('Bar', '|'),
  Prime: symbol('Prime', "'"),
  Comma: symbol('Comma', ','),
  Colon: symbol('Colon', ':'),
  Semicolon: symbol('Semicolon', ';'),
  Dot: symbol('Dot', '.'),
  LParen: symbol('LParen', '('),
  RParen: symbol('RParen', ')'),
  LSquare: symbol('LSquare', '['),
  RSquare: symbol('RSquare', ']'),
  LCurly: symbol('LCurly', '{'),
  RCurly: symbol('RCurly', '}'),

  // Words that `words.ts` recognises.
  Import: keyword('import'),
  Model: keyword('model'),
  Layer: keyword('layer'),
  Fn: keyword('fn'),
  Optimizer: keyword('optimizer'),
  Task: keyword('task'),
  Input: keyword('input', [PortRole]),
  Output: keyword('output', [PortRole]),
  Param: keyword('param', [PortRole]),
  State: keyword('state', [PortRole]),
  Return: keyword('return'),
  Scan: keyword('scan'),
  Metric: keyword('metric'),
  Repeat: keyword('repeat'),
  Fit: keyword('fit'),
  Evaluate: keyword('evaluate'),
  Minimize: keyword('minimize'),
  If: keyword('if'),
  Then: keyword('then'),
  Else: keyword('else'),
  When: keyword('when'),
  True: keyword('true'),
  False: keyword('false'),
  Not: keyword('not'),
  And: keyword('and', [BinaryOp]),
  Or: keyword('or', [BinaryOp]),
  Div: keyword('div', [BinaryOp]),
  On: keyword('on'),
  Over: keyword('over'),
  Every: keyword('every'),
  With: keyword('with'),
  In: keyword('in'),
  Reversed: keyword('reversed'),
  From: keyword('from'),
  As: keyword('as'),

  // Set by `outline.ts`. The last three have no width.
  Reducer: category('Reducer', 'a reduction'),
  IfStatement: category('IfStatement', '`if`'),
  EquationStart: category('EquationStart', 'an equation'),
  BareStart: category('BareStart', 'a statement'),
  Missing: category('Missing', 'an expression'),
} as const;

/** All token types, in the lexer's order of preference. */
export const tokenTypes: readonly TokenType[] = Object.values(T);

/** A new lexer; costs about a millisecond, so callers keep it. */
export function createLexer(validate: boolean): Lexer {
  return new Lexer([...tokenTypes], {
    positionTracking: 'onlyOffset',
    ensureOptimizations: true,
    skipValidations: !validate,
  });
}

/** Offset after the last character of a token; `endOffset` of Chevrotain is inclusive. */
export function endOf(token: IToken): number {
  return (token.endOffset ?? token.startOffset + token.image.length - 1) + 1;
}

/** A token that stands for nothing in the text: a marker or a bracket that was forgotten. */
export function virtualToken(type: TokenType, offset: number): IToken {
  return createTokenInstance(type, '', offset, offset - 1, NaN, NaN, NaN, NaN);
}

/** Gives a token another type. Tokens belong to one parse, so nobody else sees the change. */
export function retype(token: IToken, type: TokenType): void {
  token.tokenType = type;
  token.tokenTypeIdx = type.tokenTypeIdx ?? 0;
}

/** Can an expression end with this token? */
export function endsOperand(token: IToken | undefined): boolean {
  switch (token?.tokenType) {
    case T.Identifier:
    case T.Number:
    case T.String:
    case T.RParen:
    case T.RSquare:
    case T.Prime:
    case T.True:
    case T.False:
    case T.Missing:
      return true;
    default:
      return false;
  }
}

const DECLARATIONS: readonly TokenType[] = [T.Import, T.Model, T.Layer, T.Fn, T.Optimizer, T.Task];

/** Does a declaration begin with this token? */
export function startsDeclaration(token: IToken): boolean {
  return DECLARATIONS.includes(token.tokenType);
}
