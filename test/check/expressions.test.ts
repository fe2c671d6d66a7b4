/** Operators, builtins, functions and control outside of index notation. */
import { describe, expect, it } from 'vitest';
import { codesOf, noise, ramp, run } from './support.ts';

const model = (ports: string, body: string, more = ''): string =>
  `${more}\nmodel M() {\n${ports}\n${body}\n}`;
const one = (body: string, x: readonly number[], type = `f32[${x.length}]`, out = type): number[] =>
  run(model(`input x: ${type} output y: ${out}`, body), { x }).y!;

describe('element-wise', () => {
  it.each<[string, (x: number) => number]>([
    ['exp(x)', Math.exp],
    ['log(abs(x) + 1)', (x) => Math.log(Math.abs(x) + 1)],
    ['sqrt(x ^ 2)', Math.abs],
    ['sin(x) + cos(x)', (x) => Math.sin(x) + Math.cos(x)],
    ['tanh(-x)', (x) => Math.tanh(-x)],
    ['sigmoid(-x)', (x) => 1 / (1 + Math.exp(x))],
    ['floor(x) + ceil(x)', (x) => Math.floor(x) + Math.ceil(x)],
    ['max(x, 0.25)', (x) => Math.max(x, 0.25)],
    ['min(1, x)', (x) => Math.min(1, x)],
    ['where(x > 0, x, x * 2)', (x) => (x > 0 ? x : 2 * x)],
    ['if x > 0 and not (x > 1) then 1 else 0.5', (x) => (x > 0 && !(x > 1) ? 1 : 0.5)],
    ['x % 0.75', (x) => x - 0.75 * Math.floor(x / 0.75)],
    ['x div 0.75', (x) => Math.floor(x / 0.75)],
    ['x ^ 3 - 2 ^ x', (x) => x ** 3 - 2 ** x],
    ['1 - x / 3', (x) => 1 - x / 3],
    ['f32(x >= 0.5) + f32(x != 0.5)', (x) => Number(x >= 0.5) + Number(x !== 0.5)],
  ])('%s', (text, f) => {
    const x = [-2.3, -0.5, 0, 0.5, 0.7, 1.9];
    one(`y = ${text}`, x).forEach((v, i) => expect(v).toBeCloseTo(f(x[i]!), 6));
  });

  it('rounds halves to even', () => {
    expect(one('y = round(x) + 0', [0.5, 1.5, 2.5, 3.5, -1.5])).toEqual([0, 2, 2, 4, -2]);
  });
});

describe('dtypes', () => {
  it('divides integers as numbers, and `div` as integers', () => {
    expect(one('y = x / 2', [3, -3], 'i32[2]', 'f32[2]')).toEqual([1.5, -1.5]);
    expect(one('y = x div 2', [3, -3], 'i32[2]')).toEqual([1, -2]);
    expect(one('y = x % 2', [3, -3], 'i32[2]')).toEqual([1, 1]);
  });

  it('meets in f32, and only with f32', () => {
    const ports = 'input x: f32[2] input i: i32[2] output y: f32[2] output z: i32[2]';
    expect(run(model(ports, 'y = x + i z = i * 2'), { x: [0.5, 1.5], i: [1, 2] })).toEqual({
      y: [1.5, 3.5],
      z: [2, 4],
    });
  });

  it.each([
    ['input x: i32[2] output y: f32[2]', 'y = x', 'E0303'],
    ['input x: i32[2] output y: f32[2]', 'y = relu(x)', 'E0303'],
    ['input x: bool[2] output y: i32[2]', 'y = x + 1', 'E0316'],
    ['input x: u32[2] input i: i32[2] output y: i32[2]', 'y = x + i', 'E0316'],
    ['input x: f32[2] output y: f32[2]', 'y = x and x', 'E0316'],
    ['input x: f32[2] output y: f32[2]', 'y = not x', 'E0316'],
    ['input x: f32[2] output y: f32[2]', 'y = if x then x else 0', 'E0402'],
  ])('%s; %s', (ports, body, code) => {
    expect(codesOf(model(ports, body))).toEqual([code]);
  });
});

describe('shapes', () => {
  it('broadcasts trailing dimensions', () => {
    const ports = 'input x: f32[2, 3] input r: f32[3] input c: f32[2, 1] input s: f32[] output y: f32[2, 3]';
    expect(
      run(model(ports, 'y = x * s + r - c'), { x: ramp(6), r: [10, 20, 30], c: [1, 2], s: [2] }),
    ).toEqual({ y: [9, 21, 33, 14, 26, 38] });
  });

  it('matrix products: batched, broadcast, with vectors', () => {
    const ports =
      'input a: f32[2, 2, 3] input b: f32[3, 2] input v: f32[3] output m: f32[2, 2, 2] output l: f32[2] output r: f32[2, 2] output d: f32[]';
    const out = run(model(ports, 'm = a @ b l = v @ b r = a @ v d = v @ v'), {
      a: ramp(12),
      b: ramp(6),
      v: [1, 2, 3],
    });
    expect(out).toEqual({ m: [10, 13, 28, 40, 46, 67, 64, 94], l: [16, 22], r: [8, 26, 44, 62], d: [14] });
  });

  it('reshapes with every kind of grouping', () => {
    const x = ramp(24);
    for (const [from, to] of [
      ['[24]', '2, 3, 4'],
      ['[2, 3, 4]', '-1'],
      ['[2, 3, 4]', '6, 4'],
      ['[2, 3, 4]', '4, 3, 2'],
      ['[6, 4]', '8, 3'],
      ['[2, 12]', '2, 3, -1'],
      ['[1, 24]', '24, 1'],
      ['[2, 1, 12]', '1, 2, 4, 3'],
    ]) {
      const text = model(`input x: f32${from} output y: f32[...s]`, `y = reshape(x, (${to},))`);
      expect(run(text, { x }).y, `${from} to ${to}`).toEqual(x);
    }
  });

  it('keeps an open dimension out of divisions', () => {
    const { y } = run(
      model('input x: f32[b, 2, 3] output y: f32[b, 6]', 'y = reshape(x, (b, -1))'),
      { x: ramp(12) },
      { b: 2 },
    );
    expect(y).toEqual(ramp(12));
    expect(
      run(
        model('input x: f32[b, 6] output y: f32[3, b, 2]', 'y = transpose(reshape(x, (b, 3, 2)), 1, 0, 2)'),
        { x: ramp(12) },
        { b: 2 },
      ).y,
    ).toEqual([0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
  });

  it('transposes, concatenates, pads', () => {
    expect(one('y = transpose(x)', ramp(6), 'f32[2, 3]', 'f32[3, 2]')).toEqual([0, 3, 1, 4, 2, 5]);
    expect(one('y = concat([x, 10 * x, x[:1]], axis: 0)', ramp(4), 'f32[2, 2]', 'f32[5, 2]')).toEqual([
      0, 1, 2, 3, 0, 10, 20, 30, 0, 1,
    ]);
    expect(one('y = concat([x, x], axis: -1)', ramp(4), 'f32[2, 2]', 'f32[2, 4]')).toEqual([
      0, 1, 0, 1, 2, 3, 2, 3,
    ]);
    expect(one('y = pad(x, [1, 0], [0, 2], value: 9)', ramp(4), 'f32[2, 2]', 'f32[3, 4]')).toEqual([
      9, 9, 9, 9, 0, 1, 9, 9, 2, 3, 9, 9,
    ]);
    expect(one('y = pad(x, 1)', ramp(3), 'f32[1, 3]', 'f32[1, 5]')).toEqual([0, 0, 1, 2, 0]);
  });

  it('reduces along axes', () => {
    expect(one('y = sum(x, axis: 0)', ramp(6), 'f32[2, 3]', 'f32[3]')).toEqual([3, 5, 7]);
    expect(one('y = mean(x, axis: [0, 2])', ramp(8), 'f32[2, 2, 2]', 'f32[2]')).toEqual([2.5, 4.5]);
    expect(one('y = max(x)', ramp(6), 'f32[2, 3]', 'f32[]')).toEqual([5]);
    expect(one('y = argmax(x)', [1, 5, 2, 9, 0, 3], 'f32[2, 3]', 'i32[2]')).toEqual([1, 0]);
    expect(one('y = argmin(x, axis: 0)', [1, 5, 2, 9, 0, 3], 'f32[2, 3]', 'i32[3]')).toEqual([0, 1, 0]);
    expect(one('y = mean(x > 2)', ramp(6), 'f32[2, 3]', 'f32[]')).toEqual([0.5]);
  });

  it('gives sizes as numbers', () => {
    const text = model(
      'input x: f32[b, 3] output y: f32[]',
      'y = dim(x, 0) * 10 + dim(x, -1) + len(shape(x)) + 0.5',
    );
    expect(run(text, { x: ramp(6) }, { b: 2 })).toEqual({ y: [25.5] });
    expect(one('y = range(3) + x', [10], 'i32[1]', 'i32[3]')).toEqual([10, 11, 12]);
    expect(one('y = full(shape(x), 2) * size(x)', ramp(4), 'f32[2, 2]')).toEqual([8, 8, 8, 8]);
  });
});

describe('functions', () => {
  it('bind dimensions at each call, and solve for them', () => {
    const fn = 'fn halves(x: f32[b, 2 * d]) -> f32[b, d] = x[:, :d] + x[:, d:]';
    expect(
      run(model('input x: f32[b, 4] output y: f32[b, 2]', 'y = halves(x)', fn), { x: ramp(4) }, { b: 1 }),
    ).toEqual({ y: [2, 4] });
    expect(codesOf(model('input x: f32[b, 5] output y: f32[b, 2]', 'y = halves(x)', fn))).toEqual(['E0317']);
  });

  it('take functions, with some arguments given', () => {
    const fn =
      'fn twice(x: f32[...b], f: fn) -> f32[...b] = f(f(x))\nfn add_to(x: f32[...b], by: float = 1) -> f32[...b] = x + by';
    expect(
      run(model('input x: f32[2] output y: f32[2]', 'y = x |> twice(add_to) |> add_to(by: 10)', fn), {
        x: [1, 2],
      }),
    ).toEqual({ y: [13, 14] });
  });

  it('recurse when the recursion ends', () => {
    const fn = 'fn power(x: f32[], n: int) = if n == 0 then 1 else x * power(x, n - 1)';
    expect(run(model('input x: f32[] output y: f32[]', 'y = power(x, 5)', fn), { x: [2] })).toEqual({
      y: [32],
    });
  });
});

describe('static values', () => {
  it('decide what is built', () => {
    const text = (deep: boolean): string =>
      model('input x: f32[2] output y: f32[2]', 'y = if deep then x * 2 else x', '').replace(
        'M()',
        `M(deep: bool = ${deep})`,
      );
    expect(run(text(true), { x: [1, 2] })).toEqual({ y: [2, 4] });
    expect(run(text(false), { x: [1, 2] })).toEqual({ y: [1, 2] });
  });

  it('repeat copies the body, each copy with its own parameters', () => {
    const text =
      'model M() { input x: f32[b, 2] output y: f32[b, 2]\n h = x\n repeat i in 2 { h = h |> Dense(2, use_bias: false)\n h = h * (i + 1) }\n y = h }';
    const { y } = run(
      text,
      { x: [1, 0] },
      { b: 1 },
      { 'dense1.weight': [1, 2, 3, 4], 'dense2.weight': [0, 1, 1, 0] },
    );
    expect(y).toEqual([4, 2]);
  });

  it('repeat declares a parameter for each copy', () => {
    const body = (more: string): string =>
      `model M() { input x: f32[b, 2] output y: f32[b, 2]\n h = x\n repeat 2 { param s: f32[2] = ones\n ${more} h = h * s }\n y = h }`;
    const { y } = run(body(''), { x: [1, 2] }, { b: 1 }, { 's.0': [2, 3], 's.1': [5, 7] });
    expect(y).toEqual([10, 42]);
    expect(codesOf(body('param s: f32[2] = ones\n'))).toEqual(['E0202']);
  });

  it('lists', () => {
    const text =
      'model M(sizes: [int] = [3, 2]) { input x: f32[b, 4] output y: f32[b, m]\n h = x\n repeat n in sizes + [1] { h = h |> Dense(n, use_bias: false) }\n y = h }';
    const { y } = run(
      text,
      { x: [1, 1, 1, 1] },
      { b: 1 },
      { 'dense1.weight': ramp(12, 0, 1), 'dense2.weight': ramp(6, 0, 1), 'dense3.weight': ramp(2, 0, 1) },
    );
    expect(y).toEqual([24]);
  });
});

describe('gradients as expressions', () => {
  it('grad(e, x)', () => {
    const x = noise(3);
    const { y } = run(model('input x: f32[3] output y: f32[3]', 'y = grad(sum(x ^ 3), x)'), { x });
    y!.forEach((v, i) => expect(v).toBeCloseTo(3 * x[i]! ** 2, 12));
  });

  it('of a gradient, and past stop_gradient', () => {
    const { y } = run(
      model('input x: f32[] output y: f32[]', 'g = grad(x ^ 4, x)\n y = grad(g * stop_gradient(x), x)'),
      { x: [2] },
    );
    expect(y).toEqual([96]);
    expect(codesOf(model('input x: f32[] output y: f32[]', 'y = grad(stop_gradient(x), x)'))).toEqual([
      'E0514',
    ]);
  });
});
