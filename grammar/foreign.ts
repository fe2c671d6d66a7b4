/** Spellings that people bring from other languages: what they should have written, by what was written. */
import type { TokenType } from 'chevrotain';
import { T } from './tokens.ts';

export interface Foreign {
  /** The token it is read as, so that parsing goes on; `undefined` leaves it out. */
  readonly as: TokenType | undefined;
  readonly instead: string;
}

export const foreignSymbols: ReadonlyMap<string, Foreign> = new Map<string, Foreign>([
  ['=>', { as: T.Equals, instead: 'a body follows `=`; a result type follows `->`' }],
  ['&&', { as: T.And, instead: 'write `and`' }],
  ['||', { as: T.Or, instead: 'write `or`' }],
  ['!', { as: T.Not, instead: 'write `not`' }],
  ['**', { as: T.Caret, instead: 'a power is written `^`' }],
  [':=', { as: T.Equals, instead: 'write `=`' }],
  ['===', { as: T.EqualTo, instead: 'write `==`' }],
  ['!==', { as: T.NotEqual, instead: 'write `!=`' }],
  ...['+', '-', '*', '/', '@', '%'].map((op): [string, Foreign] => [
    `${op}=`,
    {
      as: T.Equals,
      instead: `an equation is no assignment: write \`name = … ${op} …\`; the next value of a state is \`name' = name ${op} …\``,
    },
  ]),
  ['?', { as: undefined, instead: 'a conditional is `if c then a else b`' }],
  ['…', { as: T.Ellipsis, instead: 'write three dots: `...`' }],
  ['≤', { as: T.LessEqual, instead: 'write `<=`' }],
  ['≥', { as: T.GreaterEqual, instead: 'write `>=`' }],
  ['≠', { as: T.NotEqual, instead: 'write `!=`' }],
  ['×', { as: T.Star, instead: 'write `*`' }],
  ['·', { as: T.Star, instead: 'write `*`' }],
  ['−', { as: T.Minus, instead: 'write `-`' }],
  ['→', { as: T.Arrow, instead: 'write `->`' }],
]);

/** Words in an operand's place. */
export const foreignOperands: ReadonlyMap<string, Foreign> = new Map<string, Foreign>([
  ['True', { as: T.True, instead: 'write `true`' }],
  ['False', { as: T.False, instead: 'write `false`' }],
]);

/** Words that begin a declaration elsewhere. */
export const foreignDeclarations: ReadonlyMap<string, Foreign> = new Map<string, Foreign>([
  ...['def', 'function', 'func', 'fun'].map((word): [string, Foreign] => [
    word,
    { as: T.Fn, instead: 'a function is declared with `fn`' },
  ]),
  ...['class', 'module', 'struct'].map((word): [string, Foreign] => [
    word,
    { as: T.Layer, instead: 'write `layer`, or `model` for what stands at the outside' },
  ]),
]);

/** Words that begin a statement elsewhere. */
export const foreignStatements: ReadonlyMap<string, Foreign> = new Map<string, Foreign>([
  ...['let', 'const', 'var', 'val'].map((word): [string, Foreign] => [
    word,
    { as: undefined, instead: 'an equation needs no keyword: `name = …`' },
  ]),
  ...['for', 'foreach'].map((word): [string, Foreign] => [
    word,
    {
      as: T.Repeat,
      instead:
        '`repeat i in 4 { … }` repeats while compiling, `scan t in time { … }` walks along a dimension',
    },
  ]),
]);
