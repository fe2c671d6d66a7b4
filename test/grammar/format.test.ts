import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse, print } from '../../grammar/index.ts';
import { random } from './mutate.ts';
import { strip } from './strip.ts';

function format(text: string): string {
  const { syntax, problems } = parse({ path: 'test.nnet', text });
  expect(problems).toEqual([]);
  const once = print(syntax);
  expect(print(parse({ path: 'test.nnet', text: once }).syntax)).toBe(once);
  return once;
}

describe('the formatter', () => {
  it('keeps comments, blank lines and pipelines in several lines', () => {
    const text = `// A file.

/// A layer.
layer   A(
  // before a
  a: int,   // after a
  /// documents b
  b = 2
  // last
) { // opens


  // own line
  input x : f32[batch,n]   // the input

  state m = zeros; state v = zeros // two


  y = x
    |> Conv2d(6, kernel: 5)   // C1
    // between
    |> relu // the end
  z = f( // first
    a, // one
    b
  )
  w = (a // inside
    + b) // after
  if c { // then
    q = 1
    // end of then
  } else { // else
    // start of else
    q = 2
  }
  // end of layer
}
// end of file`;
    expect(format(text)).toBe(`// A file.

/// A layer.
layer A(
  // before a
  a: int, // after a
  /// documents b
  b = 2,
  // last
) { // opens
  // own line
  input x: f32[batch, n] // the input

  state m = zeros
  state v = zeros // two

  y = x
    |> Conv2d(6, kernel: 5) // C1
    // between
    |> relu // the end
  z = f( // first
    a, // one
    b,
  )
  // inside
  w = a + b // after
  if c { // then
    q = 1
    // end of then
  } else { // else
    // start of else
    q = 2
  }
  // end of layer
}
// end of file
`);
  });

  it('breaks what does not fit into a line', () => {
    const text = `layer A(filters: int, kernel: int | (int, int), stride: int = 1, padding: int | "same" | "valid" = "valid") {
  y = image |> Conv2d(32, kernel: 3, padding: "same") |> BatchNorm() |> relu |> MaxPool2d(2) |> Flatten()
  z = first_operand * second_operand + third_operand * fourth_operand - fifth_operand * sixth_operand + seventh
  w = some_function(first_operand * second_operand, third: [1, 2, 3], fourth_argument: other(5), fifth: 1)
  v = if some_condition and another_condition then some_value_that_is_long + 1 else another_value_that_is_long
  u[n, f, i, j] = sum(c, r, s) xp[n, c, i * stride + r, j * stride + s] * weight[f, c, r, s] when use_some_thing
}`;
    expect(format(text)).toBe(`layer A(
  filters: int,
  kernel: int | (int, int),
  stride: int = 1,
  padding: int | "same" | "valid" = "valid",
) {
  y = image
    |> Conv2d(32, kernel: 3, padding: "same")
    |> BatchNorm()
    |> relu
    |> MaxPool2d(2)
    |> Flatten()
  z = first_operand * second_operand
    + third_operand * fourth_operand
    - fifth_operand * sixth_operand
    + seventh
  w = some_function(
    first_operand * second_operand,
    third: [1, 2, 3],
    fourth_argument: other(5),
    fifth: 1,
  )
  v = if some_condition and another_condition
    then some_value_that_is_long + 1
    else another_value_that_is_long
  u[n, f, i, j] = sum(c, r, s) xp[n, c, i*stride + r, j*stride + s] * weight[f, c, r, s]
    when use_some_thing
}
`);
  });

  it('sets declarations apart and imports together', () => {
    expect(format('import {A} from "a" import {B as C} from "b" model M{} fn f(x)=x')).toBe(
      'import { A } from "a"\nimport { B as C } from "b"\n\nmodel M {}\n\nfn f(x) = x\n',
    );
  });

  it('writes no more parentheses than needed', () => {
    expect(format('fn f() = ((a * b) + (c)) * (-(d)) ^ ((2))')).toBe('fn f() = (a * b + c) * (-d)^2\n');
    expect(format('fn f() = (sum(i) (x[i])) + a * (max(j) y[j])')).toBe(
      'fn f() = sum(i) x[i] + a * (max(j) y[j])\n',
    );
    expect(format('fn f() = x[(a+1) : b, (a):(b), : n-1]')).toBe('fn f() = x[a + 1 : b, a:b, : n - 1]\n');
  });

  it('prints nothing for nothing', () => {
    expect(format('')).toBe('');
    expect(format('\n// only this\n')).toBe('// only this\n');
  });

  it('loses no comment, wherever it stands', () => {
    const sample = readFileSync(new URL('samples/design.nnet', import.meta.url), 'utf8');
    const next = random(7);
    const tree = strip(parse({ path: 'test.nnet', text: sample }).syntax);
    for (let run = 0; run < 100; run++) {
      let text = sample;
      for (let i = 0; i < 4; i++) {
        const at = text.indexOf(' ', Math.floor(next() * text.length));
        const comment = next() < 0.5 ? ` // c${String(i)}\n` : `\n  // c${String(i)}\n\n`;
        if (at >= 0) text = text.slice(0, at) + comment + text.slice(at);
      }
      const { syntax, problems } = parse({ path: 'test.nnet', text });
      // In the middle of a string or a comment it is none.
      if (problems.length > 0 || JSON.stringify(strip(syntax)) !== JSON.stringify(tree)) continue;
      const printed = print(syntax);
      const again = parse({ path: 'test.nnet', text: printed });
      // Two comments that end one line become one.
      for (const comment of syntax.comments) expect(printed).toContain(`//${comment.text}`);
      expect(strip(again.syntax), text).toEqual(tree);
      expect(print(again.syntax), text).toBe(printed);
    }
  });
});
