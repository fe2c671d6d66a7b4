/** Index notation: each construct against loops written by hand. */
import { describe, expect, it } from 'vitest';
import { codesOf, noise, ramp, run } from './support.ts';

const model = (ports: string, body: string, more = ''): string =>
  `${more}\nmodel M() {\n${ports}\n${body}\n}`;

describe('reductions over indices', () => {
  it('sums a product: a matrix product', () => {
    const [a, b] = [noise(2 * 3), noise(3 * 4, 2)];
    const { y } = run(
      model(
        'input a: f32[n, 3] input b: f32[3, 4] output y: f32[n, 4]',
        'y[i, j] = sum(k) a[i, k] * b[k, j]',
      ),
      { a, b },
      { n: 2 },
    );
    const expected = ramp(8).map((_, at) =>
      [0, 1, 2].reduce((s, k) => s + a[Math.floor(at / 4) * 3 + k]! * b[k * 4 + (at % 4)]!, 0),
    );
    y!.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 12));
  });

  it.each([
    ['sum', 10],
    ['mean', 2.5],
    ['prod', 24],
    ['max', 4],
    ['min', 1],
  ])('%s', (reducer, expected) => {
    const { y } = run(model('input x: f32[4] output y: f32[]', `y = ${reducer}(i) x[i]`), {
      x: [3, 1, 4, 2],
    });
    expect(y).toEqual([expected]);
  });

  it('finds the first of equal extremes', () => {
    const ports = 'input x: f32[b, 4] output hi: i32[b] output lo: i32[b]';
    const out = run(
      model(ports, 'hi[n] = argmax(i) x[n, i] lo[n] = argmin(i) x[n, i]'),
      { x: [1, 7, 7, 0, 5, 5, 5, 5] },
      { b: 2 },
    );
    expect(out).toEqual({ hi: [1, 0], lo: [3, 0] });
  });

  it('any and all', () => {
    const ports = 'input x: f32[b, 3] output some: bool[b] output both: bool[b]';
    const out = run(
      model(ports, 'some[n] = any(i) (x[n, i] > 0) both[n] = all(i) (x[n, i] > 0)'),
      { x: [1, -1, 0, -1, -1, -1, 1, 2, 3] },
      { b: 3 },
    );
    expect(out).toEqual({ some: [1, 0, 1], both: [0, 0, 1] });
  });

  it('multiplies by the range when the body lacks the index', () => {
    expect(
      run(model('input x: f32[2] output y: f32[2]', 'y[i] = sum(k in 0:5) x[i]'), { x: [1, 2] }),
    ).toEqual({ y: [5, 10] });
  });

  it('binds tighter than + and looser than *', () => {
    expect(
      run(model('input x: f32[3] output y: f32[]', 'y = sum(i) 2 * x[i] + 100'), { x: [1, 2, 3] }),
    ).toEqual({ y: [112] });
  });

  it('nests, each index over its own range', () => {
    const { y } = run(model('input x: f32[2, 3] output y: f32[]', 'y = max(i) (sum(j) x[i, j])'), {
      x: [1, 2, 3, 4, 5, 6],
    });
    expect(y).toEqual([15]);
  });

  it('spreads', () => {
    const text = model(
      'input x: f32[2, 3, 2] output y: f32[2] output z: f32[]',
      'y[i] = sum(...r) x[i, ...r] z = sum(...r) x[...r]',
    );
    expect(run(text, { x: ramp(12) })).toEqual({ y: [15, 51], z: [66] });
  });
});

describe('subscripts', () => {
  it('transposes by the order on the left', () => {
    expect(run(model('input x: f32[2, 3] output y: f32[3, 2]', 'y[j, i] = x[i, j]'), { x: ramp(6) })).toEqual(
      { y: [0, 3, 1, 4, 2, 5] },
    );
  });

  it('slides a window: the range follows from stride and size', () => {
    const x = ramp(10);
    const { y } = run(
      model('input x: f32[10] input w: f32[3] output y: f32[m]', 'y[i] = sum(r) x[2*i + r] * w[r]'),
      { x, w: [1, 10, 100] },
    );
    expect(y).toEqual([210, 432, 654, 876]);
  });

  it('reverses: a negative coefficient', () => {
    expect(run(model('input x: f32[4] output y: f32[4]', 'y[i] = x[3 - i]'), { x: ramp(4) })).toEqual({
      y: [3, 2, 1, 0],
    });
  });

  it('takes the diagonal: one index, two dimensions of one size', () => {
    expect(run(model('input x: f32[3, 3] output y: f32[3]', 'y[i] = x[i, i]'), { x: ramp(9) })).toEqual({
      y: [0, 4, 8],
    });
  });

  it('states ranges that do not begin at 0', () => {
    expect(run(model('input x: f32[5] output y: f32[]', 'y = sum(i in 1:4) x[i]'), { x: ramp(5) })).toEqual({
      y: [6],
    });
  });

  it('divides and takes remainders', () => {
    expect(run(model('input x: f32[3] output y: f32[6]', 'y[i] = x[i div 2]'), { x: ramp(3) })).toEqual({
      y: [0, 0, 1, 1, 2, 2],
    });
    expect(run(model('input x: f32[2] output y: f32[6]', 'y[i] = x[i % 2]'), { x: ramp(2) })).toEqual({
      y: [0, 1, 0, 1, 0, 1],
    });
  });

  it('looks up by data, with data of several dimensions', () => {
    const text = model(
      'input table: f32[4, 2] input tokens: i32[b, t] output y: f32[b, t, 2]',
      'y[n, k, d] = table[tokens[n, k], d]',
    );
    expect(run(text, { table: ramp(8), tokens: [3, 0, 1, 1] }, { b: 2, t: 2 })).toEqual({
      y: [6, 7, 0, 1, 2, 3, 2, 3],
    });
  });

  it('guards an access by the condition around it', () => {
    const text = model('input x: f32[4] output y: f32[4]', 'y[i] = if i > 0 then x[i] - x[i - 1] else x[i]');
    expect(run(text, { x: [1, 3, 6, 10] })).toEqual({ y: [1, 2, 3, 4] });
    const other = model('input x: f32[4] output y: f32[4]', 'y[i] = if i >= 3 then 0 else x[i + 1]');
    expect(run(other, { x: [1, 3, 6, 10] })).toEqual({ y: [3, 6, 10, 0] });
    expect(
      codesOf(model('input x: f32[4] output y: f32[4]', 'y[i] = if i > 1 then x[i + 1] else x[i]')),
    ).toEqual(['E0309']);
  });

  it('compares indices', () => {
    const text = model('input x: f32[3, 3] output y: f32[3, 3]', 'y[i, j] = if j <= i then x[i, j] else 0');
    expect(run(text, { x: [1, 2, 3, 4, 5, 6, 7, 8, 9] })).toEqual({ y: [1, 0, 0, 4, 5, 0, 7, 8, 9] });
  });

  it('uses indices as numbers', () => {
    expect(
      run(model('input x: f32[3] output y: f32[3]', 'y[i] = x[i] * i + i / 2'), { x: [1, 1, 1] }),
    ).toEqual({ y: [0, 1.5, 3] });
  });

  it('has dimensions of size 1', () => {
    expect(
      run(model('input x: f32[1, 3] output y: f32[3, 1]', 'y[j, i] = x[i, j] + i'), { x: ramp(3) }),
    ).toEqual({ y: [0, 1, 2] });
  });

  it('leaves trailing dimensions whole outside of equations', () => {
    expect(run(model('input x: f32[2, 3] output y: f32[3]', 'y = x[1]'), { x: ramp(6) })).toEqual({
      y: [3, 4, 5],
    });
  });

  it('slices, from the end and by steps', () => {
    const ports = 'input x: f32[2, 5] output a: f32[2, 2] output b: f32[2] output c: f32[2, 3]';
    const out = run(model(ports, 'a = x[:, 1:-2] b = x[:, -1] c = x[:, ::2]'), { x: ramp(10) });
    expect(out).toEqual({ a: [1, 2, 6, 7], b: [4, 9], c: [0, 2, 4, 5, 7, 9] });
  });

  it('gathers rows outside of equations', () => {
    const { y } = run(
      model('input table: f32[3, 2] input i: i32[n] output y: f32[n, 2]', 'y = table[i]'),
      { table: ramp(6), i: [2, 0] },
      { n: 2 },
    );
    expect(y).toEqual([4, 5, 0, 1]);
  });
});

describe('functions inside index notation', () => {
  it('are applied for every value of the indices', () => {
    const fn = 'fn norm(v: f32[n]) -> f32[] = sqrt(sum(i) v[i] * v[i])';
    const { y } = run(model('input x: f32[2, 2] output y: f32[2]', 'y[i] = norm(x[i])', fn), {
      x: [3, 4, 6, 8],
    });
    expect(y).toEqual([5, 10]);
  });

  it('with index equations of their own, in any order', () => {
    const fn = 'fn flip(v: f32[n, m]) -> f32[m, n] { w[j, i] = v[i, j] return w }';
    const text = model('input x: f32[2, 2, 3] output y: f32[2, 3, 2]', 'y[b, i, j] = flip(x[b])[i, j]', fn);
    const { y } = run(text, { x: ramp(12) });
    expect(y).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
  });
});

describe('mistakes', () => {
  const codes = (ports: string, body: string): string[] => codesOf(model(ports, body));
  it.each([
    ['input x: f32[4] output y: f32[]', 'y = sum(i, j) x[i + j]', 'E0307'],
    ['input x: f32[4] input w: f32[5] output y: f32[]', 'y = sum(i) x[i] * w[i]', 'E0308'],
    ['input x: f32[4] output y: f32[4]', 'y[i] = x[i + 1]', 'E0309'],
    ['input x: f32[4] output y: f32[4]', 'y[i] = x[i - 1]', 'E0309'],
    ['input x: f32[4] input w: f32[5] output y: f32[m]', 'y[i] = sum(r) x[i + r] * w[r]', 'E0310'],
    ['input x: f32[4] output y: f32[]', 'y = x[0, 0]', 'E0311'],
    ['input x: f32[4, 2] output y: f32[4]', 'y[i] = x[i]', 'E0312'],
    ['input x: f32[4] input k: f32[] output y: f32[]', 'y = x[k]', 'E0303'],
    ['input x: f32[4] output y: f32[3]', 'y[i] = x[i]', 'E0308'],
    ['input x: f32[b, 4] output y: f32[b]', 'y[n] = x[n, 4]', 'E0309'],
    ['input x: f32[4] output y: f32[]', 'y = x[1:9] |> sum', 'E0309'],
    ['input x: f32[4, 4] output y: i32[]', 'y = argmax(i, j) x[i, j]', 'E0402'],
  ])('%s; %s', (ports, body, code) => {
    expect(codes(ports, body)).toEqual([code]);
  });

  it('names no generated index', () => {
    expect(JSON.stringify(codes('input x: f32[4] output y: f32[4]', 'y[i] = x[i + 1]'))).not.toMatch(/[$@·]/);
  });
});
