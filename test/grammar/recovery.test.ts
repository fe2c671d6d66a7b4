import { describe, expect, it } from 'vitest';
import { parse, syntaxProblems } from '../../grammar/index.ts';
import type { SyntaxCode } from '../../grammar/index.ts';
import type { Fields, Problem } from '../../grammar/problem.ts';
import { showBody } from './show.ts';

interface Prose {
  message: (fields: Fields) => string;
  help?: (fields: Fields) => string | undefined;
}

function prose(problem: Problem): { message: string; help: string } {
  const kind = syntaxProblems[problem.code as SyntaxCode] as unknown as Prose;
  return { message: kind.message(problem.fields), help: kind.help?.(problem.fields) ?? '' };
}

/** `CODE line:column "text under the primary label" message`, one for each problem. */
function report(text: string): readonly string[] {
  return parse({ path: 'test.nnet', text }).problems.map((problem) => {
    const span = problem.labels.find((label) => label.primary)?.span;
    const before = text.slice(0, span?.start).split('\n');
    const place = `${String(before.length)}:${String((before.at(-1)?.length ?? 0) + 1)}`;
    return `${problem.code} ${place} ${JSON.stringify(text.slice(span?.start, span?.end))} ${prose(problem).message}`;
  });
}

function help(text: string): string {
  return parse({ path: 'test.nnet', text })
    .problems.map((problem) => prose(problem).help)
    .join('\n');
}

describe('recovery', () => {
  it('reports independent mistakes in one go, each at its place', () => {
    const text = `layer A(n int) {
  input x: f32[batch, n
  y = (x + 1
  z = x + * 2
  inptu w: f32[3]
  s = "abc
  k = 3x + 1
}
modle B {
  q = if a then b
  r = a $ b
}
}
fn f(x) {
  y = x
  y / 2
}
layer C {
  ok = 1
`;
    expect(report(text)).toEqual([
      'E0101 1:11 "int" expected `:`, found `int`',
      'E0106 2:15 "[" this `[` is never closed',
      'E0106 3:7 "(" this `(` is never closed',
      'E0101 4:11 "*" expected an expression, found `*`',
      'E0104 5:3 "inptu" `inptu` does not begin a statement',
      'E0103 6:7 "\\"abc" this string is never closed',
      'E0105 7:7 "3x" `3x` is not a number: letters follow it',
      'E0104 9:1 "modle" `modle` does not begin a declaration',
      'E0101 10:18 "" expected `else`, found the next statement, `r …`',
      'E0102 11:9 "$" `$` means nothing in a .nnet file',
      'E0111 13:1 "}" this `}` closes nothing',
      'E0104 16:3 "y / 2" an expression alone is no statement',
      'E0106 18:9 "{" this `{` is never closed',
    ]);
  });

  it('keeps what it understood', () => {
    const text = `layer A(n int, m: int) {
  input x: f32[batch, n
  y = (x + 1
  z = x + * 2
  w[i] = x[i
  v = 4
}`;
    const { syntax } = parse({ path: 'test.nnet', text });
    const [layer] = syntax.declarations;
    expect(layer?.kind === 'layer' && layer.params.map((p) => p.name.name)).toEqual(['n', 'm']);
    expect(layer?.kind === 'layer' && showBody(layer.body)).toEqual([
      ...['input x: f32[batch, n]', 'y = (x + 1)', 'z = ?', 'w[i] = x[i]', 'v = 4'],
    ]);
  });

  it.each([
    ['x = 1', 'E0104 1:1 "x" `x` does not begin a declaration'],
    ['model { }', 'E0104 1:1 "model" `model` does not begin a declaration'],
    ['model A', 'E0101 1:8 "" expected `{`, found the end of the file'],
    ['model A( {}', 'E0106 1:8 "(" this `(` is never closed'],
    ['fn f(x) x', 'E0101 1:9 "x" expected a body: `{ … return e }` or `= e`, found `x`'],
    ['fn f(x: ) = 1', 'E0101 1:9 ")" expected a type, such as `f32[batch, n]` or `int`, found `)`'],
    ['fn f(if) = 1', 'E0101 1:6 "if" expected `,` or `)`, found the keyword `if`'],
    ['import { A } "a"', 'E0101 1:14 "\\"a\\"" expected `from`, found a string'],
    ['import A from "a"', 'E0101 1:8 "A" expected `{`, found `A`'],
    ['fn f() = g(a b)', 'E0101 1:14 "b" expected `,` or `)`, found `b`'],
    ['fn f() = g(a, + )', 'E0101 1:15 "+" expected an expression or `)`, found `+`'],
    ['fn f() = x[1, ]]', 'E0111 1:16 "]" this `]` closes nothing'],
    ['fn f() = (a]', 'E0111 1:12 "]" `(` cannot be closed by `]`'],
    ['fn f() = 1__0', 'E0105 1:10 "1__0" `1__0` is not a number: an underscore stands between two digits'],
    ['fn f() = 0xg', 'E0105 1:10 "0xg" `0xg` is not a number: hexadecimal digits are 0 to 9 and a to f'],
    ['fn f() = 1e', 'E0105 1:10 "1e" `1e` is not a number: its exponent has no digits'],
    ['fn f() = 1e999', 'E0105 1:10 "1e999" `1e999` is not a number: it is too large'],
    [
      'fn f() = 9007199254740993',
      'E0105 1:10 "9007199254740993" `9007199254740993` is not a number: it is too large',
    ],
    ['fn f() = "a\\q"', 'E0109 1:12 "\\\\q" `\\q` is not an escape'],
    ['fn f() = a < b < c', 'E0110 1:16 "<" comparisons cannot be chained'],
    ['fn f() = [...b]', 'E0112 1:11 "...b" `...b` cannot stand in a list'],
    ['layer A { minimize x with y }', 'E0112 1:11 "minimize" `minimize` cannot stand in a layer'],
    ['layer A { f(x) }', 'E0112 1:11 "f(x)" a call alone cannot stand in a layer'],
    ['task t { input x: f32 }', 'E0112 1:10 "input" `input` cannot stand in a task'],
    ['fn f() { param x: f32 }', 'E0112 1:10 "param" `param` cannot stand in a function'],
    [
      'task t { layer B { x = 1 } y = 2 }',
      'E0112 1:10 "layer" `layer` cannot stand inside another declaration',
    ],
    ['layer A { x = \u0000 }', 'E0102 1:15 "\\u0000" `U+0000` means nothing in a .nnet file'],
  ])('%s', (text, expected) => {
    expect(report(text)).toEqual([expected]);
  });

  it.each([
    ['fn f() => 1', 'a body follows `=`'],
    ['fn f() = a && b', 'write `and`'],
    ['fn f() = a || b', 'write `or`'],
    ['fn f() = !a', 'write `not`'],
    ['fn f() = a ** b', 'a power is written `^`'],
    ['fn f() = a ≤ b', 'write `<=`'],
    ["fn f() = 'a'", 'double quotes'],
    ['fn f() = True', 'write `true`'],
    ['fn f() = a ? b : c', '`if c then a else b`'],
    ['def f(x) = x', 'declared with `fn`'],
    ['class A { }', 'write `layer`'],
    ['layer A { let x = 1 }', 'needs no keyword'],
    ['layer A { x += 1 }', 'no assignment'],
    ['layer A { for i in 3 { x = 1 } }', '`repeat i in 4'],
    ['layer A { x = f(n = 1) }', '`name: value`'],
    ['# a comment', '`//`'],
    ['/* a comment */', '`//`'],
    ['fn f() = .5', '`0.5`'],
    ['fn f() = 1.', '`1.0`'],
    ['fn f() = x |> g * 2', '(x |> f) * …'],
    ['fn f() = 1 + if a then b else c', 'in parentheses'],
    ['layer A { input x f32[n] }', '`x: f32`'],
    ['layer A { outptu x: f32 }', 'did you mean `output`?'],
    ['taks t { }', 'did you mean `task`?'],
    ['fn f(x) { x + 1 }', 'write `return …`'],
    ['fn f() = a < b <= 2 * c', 'write `a < b and b <= 2 * c`'],
  ])('%s: help says %s', (text, expected) => {
    expect(report(text)).toHaveLength(1);
    expect(help(text)).toContain(expected);
  });

  it('says something for every code', () => {
    for (const [code, kind] of Object.entries(syntaxProblems)) {
      expect(code).toMatch(/^E01\d\d$/);
      expect(kind.title).not.toBe('');
    }
  });
});
