import { describe, expect, it } from 'vitest';
import { showExpr } from './show.ts';

describe('expressions', () => {
  it.each([
    // literals and names
    ['12', '12'],
    ['1_000', '1_000'],
    ['0xff', '0xff'],
    ['1.5e3', '1.5e3'],
    ['"a\\"b\\n"', '"a\\"b\\n"'],
    ["h'", "h'"],
    ['true and false', '(true and false)'],
    // precedence, weakest first
    ['a |> f |> g(1)', '((a |> f) |> g(1))'],
    ['a + b |> f', '((a + b) |> f)'],
    ['LeNet() from "x"', '(LeNet() from "x")'],
    ['a |> f from "x"', '((a |> f) from "x")'],
    ['if c then a else b |> f', '(if c a (b |> f))'],
    ['if a then b else if c then d else e', '(if a b (if c d e))'],
    ['a or b and not c == d', '(a or (b and (not (c == d))))'],
    ['not a and b', '((not a) and b)'],
    ['a < b + c', '(a < (b + c))'],
    ['a - b - c', '((a - b) - c)'],
    ['a / b * c @ d % e div f', '(((((a / b) * c) @ d) % e) div f)'],
    ['-a * b', '((- a) * b)'],
    ['-a^2', '(- (a ^ 2))'],
    ['2^-x^2', '(2 ^ (- (x ^ 2)))'],
    ['a^b^c', '(a ^ (b ^ c))'],
    ["f(x)[0].w'", 'E0101'],
    ["h'[0](1).w", "h'[0](1).w"],
    ['(a + b)(c)', '(a + b)(c)'],
    // reductions
    ['sum(i) x[i] * w[i] + b', '({sum i: (x[i] * w[i])} + b)'],
    ['e / (sum(i) e[i])', '(e / {sum i: e[i]})'],
    ['max(i, ...r) x[i, ...r]^2 - 1', '({max i, ...r: (x[i, ...r] ^ 2)} - 1)'],
    ['sum(i in n) -x[i]', '{sum i in n: (- x[i])}'],
    ['sum(i in 1:n, j in f(a, b)) x', '{sum i in <1:n:>, j in f(a, b): x}'],
    ['sum(i) max(j) x[i, j]', '{sum i: {max j: x[i, j]}}'],
    ['- sum(i) x[i] * 2', '(- {sum i: (x[i] * 2)})'],
    ['all(i) (x[i] > 0)', '{all i: (x[i] > 0)}'],
    ['mean(argmax(logits) == label)', 'mean((argmax(logits) == label))'],
    ['max(a, b) + 1', '(max(a, b) + 1)'],
    ['max(a, b) - 1', '(max(a, b) - 1)'],
    ['max(a, 0)', 'max(a, 0)'],
    ['net.sum(i)', 'net.sum(i)'],
    // brackets
    ['x[]', 'x[]'],
    ['x[:, 1:, :-1, a:b, a:b:2, ::2, ...r, 3]', 'x[<::>, <1::>, <:(- 1):>, <a:b:>, <a:b:2>, <::2>, ...r, 3]'],
    ['f(a, lr: 1, on: 2, if: 3,)', 'f(a, lr: 1, on: 2, if: 3)'],
    ['[64, 32,]', '[64, 32]'],
    ['[]', '[]'],
    ['(a)', 'a'],
    ['(a,)', 'tuple(a)'],
    ['()', 'tuple()'],
    ['(...b, n)', 'tuple(...b, n)'],
    ['(...b)', 'tuple(...b)'],
    // words that are keywords elsewhere
    ['input + state * metric', '(input + (state * metric))'],
    ['valid.metric.on.if', 'valid.metric.on.if'],
    ['layer(model, task)', 'layer(model, task)'],
    ['(a < b) < c', '((a < b) < c)'],
    ['a < b < c', 'E0110'],
    ['a |> f + 1', 'E0101'],
    ['a b', 'E0101'],
    ['a +', 'E0101'],
    ['1 + if a then b else c', 'E0101'],
  ])('%s', (text, expected) => {
    expect(showExpr(text)).toBe(expected);
  });

  it('does not mind line breaks', () => {
    expect(showExpr('a\n  |> f\n  |> g\n')).toBe('((a |> f) |> g)');
    expect(showExpr('f\n(a)\n[0]\n- b')).toBe('(f(a)[0] - b)');
    expect(showExpr('sum(i)\n  x[i]')).toBe('{sum i: x[i]}');
  });
});
