/** The library's layers, losses and initialisers against loops and formulas written by hand. */
import { describe, expect, it } from 'vitest';
import { elaborateModel } from '../../compiler/check/index.ts';
import { evaluate } from '../support/evaluate.ts';
import { modelOf, noise, run, shown } from './support.ts';

const close = (found: readonly number[] | undefined, expected: readonly number[], digits = 10): void => {
  expect(found?.length).toBe(expected.length);
  found!.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, digits));
};

const layer = (use: string, input: string, output: string): string =>
  `model M() { input x: ${input} output y: ${output}\n l = ${use}\n y = l(x) }`;

describe('Dense', () => {
  it('is x · weight + bias over the last dimension, any number before it', () => {
    const [x, w, b] = [noise(12), noise(6, 2), noise(2, 3)];
    const { y } = run(
      layer('Dense(2)', 'f32[b, 2, 3]', 'f32[b, 2, 2]'),
      { x },
      { b: 2 },
      { 'l.weight': w, 'l.bias': b },
    );
    const expected = Array.from({ length: 8 }, (_, at) => {
      const [row, o] = [Math.floor(at / 2), at % 2];
      return [0, 1, 2].reduce((s, i) => s + x[row * 3 + i]! * w[i * 2 + o]!, b[o]!);
    });
    close(y, expected);
  });
});

interface Conv {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly f: number;
  readonly k: readonly [number, number];
  readonly s: readonly [number, number];
  readonly p: readonly [number, number, number, number];
  readonly d: readonly [number, number];
  readonly g: number;
}

/** Convolution by its definition; `p`: top, bottom, left, right. */
function convolve(
  x: readonly number[],
  weight: readonly number[],
  bias: readonly number[],
  v: Conv,
): number[] {
  const [kh, kw] = v.k;
  const oh = Math.floor((v.h + v.p[0] + v.p[1] - v.d[0] * (kh - 1) - 1) / v.s[0]) + 1;
  const ow = Math.floor((v.w + v.p[2] + v.p[3] - v.d[1] * (kw - 1) - 1) / v.s[1]) + 1;
  const each = v.c / v.g;
  const out: number[] = [];
  for (let n = 0; n < v.n; n++)
    for (let f = 0; f < v.f; f++)
      for (let i = 0; i < oh; i++)
        for (let j = 0; j < ow; j++) {
          let sum = bias[f]!;
          for (let c = 0; c < each; c++)
            for (let r = 0; r < kh; r++)
              for (let q = 0; q < kw; q++) {
                const [a, b] = [i * v.s[0] + r * v.d[0] - v.p[0], j * v.s[1] + q * v.d[1] - v.p[2]];
                if (a < 0 || b < 0 || a >= v.h || b >= v.w) continue;
                const channel = Math.floor(f / (v.f / v.g)) * each + c;
                sum +=
                  x[((n * v.c + channel) * v.h + a) * v.w + b]! * weight[((f * each + c) * kh + r) * kw + q]!;
              }
          out.push(sum);
        }
  return out;
}

describe('Conv2d', () => {
  const base: Conv = { n: 2, c: 2, h: 6, w: 5, f: 4, k: [3, 3], s: [1, 1], p: [0, 0, 0, 0], d: [1, 1], g: 1 };
  it.each<[string, Partial<Conv>]>([
    ['kernel: 3', {}],
    ['kernel: (3, 2)', { k: [3, 2] }],
    ['kernel: 3, stride: 2', { s: [2, 2] }],
    ['kernel: 3, stride: (2, 1), padding: 1', { s: [2, 1], p: [1, 1, 1, 1] }],
    ['kernel: 3, padding: (2, 0)', { p: [2, 2, 0, 0] }],
    ['kernel: 3, padding: "same"', { p: [1, 1, 1, 1] }],
    ['kernel: 2, padding: "same"', { k: [2, 2], p: [0, 1, 0, 1] }],
    ['kernel: 3, stride: 2, padding: "same"', { s: [2, 2], p: [0, 1, 1, 1] }],
    ['kernel: 2, dilation: 2', { k: [2, 2], d: [2, 2] }],
    ['kernel: 3, groups: 2', { g: 2 }],
    ['kernel: 1', { k: [1, 1] }],
  ])('%s', (args, change) => {
    const v = { ...base, ...change };
    const [x, weight, bias] = [
      noise(v.n * v.c * v.h * v.w),
      noise((v.f * v.c * v.k[0] * v.k[1]) / v.g, 2),
      noise(v.f, 3),
    ];
    const text = layer(`Conv2d(4, ${args})`, 'f32[b, 2, 6, 5]', 'f32[b, 4, oh, ow]');
    close(run(text, { x }, { b: 2 }, { 'l.weight': weight, 'l.bias': bias }).y, convolve(x, weight, bias, v));
  });
});

/** Windows of images by their definition; `empty` is what stands outside. */
function pool(
  x: readonly number[],
  size: number,
  k: number,
  s: number,
  p: number,
  empty: number,
  fold: (v: number[]) => number,
): number[] {
  const out = Math.floor((size + 2 * p - k) / s) + 1;
  const result: number[] = [];
  for (let c = 0; c < x.length / size / size; c++)
    for (let i = 0; i < out; i++)
      for (let j = 0; j < out; j++) {
        const window: number[] = [];
        for (let r = 0; r < k; r++)
          for (let q = 0; q < k; q++) {
            const [a, b] = [i * s + r - p, j * s + q - p];
            window.push(a < 0 || b < 0 || a >= size || b >= size ? empty : x[(c * size + a) * size + b]!);
          }
        result.push(fold(window));
      }
  return result;
}

describe('pooling', () => {
  const x = noise(2 * 3 * 25);
  it.each([
    ['()', 2, 2, 0],
    ['(3)', 3, 3, 0],
    ['(3, stride: 2)', 3, 2, 0],
    ['(3, stride: 2, padding: 1)', 3, 2, 1],
  ])('%s', (args, k, s, p) => {
    const text = (name: string): string => layer(`${name}${args}`, 'f32[b, 3, 5, 5]', 'f32[b, 3, oh, ow]');
    close(
      run(text('MaxPool2d'), { x }, { b: 2 }).y,
      pool(x, 5, k, s, p, -Infinity, (v) => Math.max(...v)),
    );
    close(
      run(text('AvgPool2d'), { x }, { b: 2 }).y,
      pool(x, 5, k, s, p, 0, (v) => v.reduce((a, b) => a + b) / v.length),
    );
  });
});

describe('Flatten and Dropout', () => {
  it('Flatten keeps row-major order', () => {
    const x = noise(24);
    close(run(layer('Flatten()', 'f32[b, 2, 3, 2]', 'f32[b, 12]'), { x }, { b: 2 }).y, x);
  });

  it('Dropout is the identity outside of training', () => {
    const x = noise(6);
    close(run(layer('Dropout(0.5)', 'f32[b, 3]', 'f32[b, 3]'), { x }, { b: 2 }).y, x);
  });
});

describe('activations', () => {
  const x = [-100, -3, -0.5, 0, 0.25, 2, 90];
  const erf = (v: number): number => {
    // Series and continued fraction would be long; the sum below converges for |v| < 4.
    let [sum, term] = [v, v];
    for (let n = 1; n < 200; n++) {
      term *= (-v * v) / n;
      sum += term / (2 * n + 1);
    }
    return Math.abs(v) > 4 ? Math.sign(v) : (2 / Math.sqrt(Math.PI)) * sum;
  };
  it.each<[string, (v: number) => number]>([
    ['relu', (v) => Math.max(v, 0)],
    ['leaky_relu(0.2)', (v) => (v > 0 ? v : 0.2 * v)],
    ['sigmoid', (v) => 1 / (1 + Math.exp(-v))],
    ['tanh', Math.tanh],
    ['gelu', (v) => 0.5 * v * (1 + erf(v / Math.SQRT2))],
  ])('%s', (name, f) => {
    close(run(`model M() { input x: f32[7] output y: f32[7]\n y = x |> ${name} }`, { x }).y, x.map(f), 6);
  });

  it('softmax and its logarithm do not overflow', () => {
    const rows = [
      [1000, 1001, 999],
      [0, 0, 0],
    ];
    const soft = rows.flatMap((r) => {
      const e = r.map((v) => Math.exp(v - Math.max(...r)));
      return e.map((v) => v / e.reduce((a, b) => a + b));
    });
    const text =
      'model M() { input x: f32[b, 3] output y: f32[b, 3] output z: f32[b, 3]\n y = softmax(x) z = log_softmax(x) }';
    const { y, z } = run(text, { x: rows.flat() }, { b: 2 });
    close(y, soft);
    close(z, soft.map(Math.log));
  });
});

describe('losses and metrics', () => {
  const logits = noise(12).map((v) => 5 * v);
  const label = [2, 0, 3];
  it('cross_entropy', () => {
    const expected = label.map((l, n) => {
      const row = logits.slice(4 * n, 4 * n + 4);
      return Math.log(row.reduce((s, v) => s + Math.exp(v), 0)) - row[l]!;
    });
    const text =
      'model M() { input x: f32[b, 4] input label: i32[b] output y: f32[]\n y = cross_entropy(x, label) }';
    close(run(text, { x: logits, label }, { b: 3 }).y, [expected.reduce((a, b) => a + b) / 3]);
  });

  it('mse, binary_cross_entropy, accuracy', () => {
    const text =
      'model M() { input x: f32[b, 4] input t: f32[b, 4] input label: i32[b] output m: f32[] output e: f32[] output a: f32[]\n m = mse(x, t) e = binary_cross_entropy(x, t) a = accuracy(x, label) }';
    const t = noise(12, 4).map((v) => (v > 0 ? 1 : 0));
    const out = run(text, { x: logits, t, label }, { b: 3 });
    const mean = (v: number[]): number => v.reduce((a, b) => a + b) / v.length;
    close(out['m'], [mean(logits.map((v, i) => (v - t[i]!) ** 2))]);
    const p = logits.map((v) => 1 / (1 + Math.exp(-v)));
    close(out['e'], [mean(p.map((q, i) => -(t[i]! * Math.log(q) + (1 - t[i]!) * Math.log(1 - q))))]);
    const best = [0, 1, 2].map((n) => logits.slice(4 * n, 4 * n + 4)).map((r) => r.indexOf(Math.max(...r)));
    close(out['a'], [mean(best.map((v, n) => Number(v === label[n])))]);
  });
});

describe('initialisers', () => {
  const initial = (init: string, shape: string, seed = 1): Float64Array => {
    const { graphs, problems } = elaborateModel(
      modelOf(
        `model M() { input x: f32[1] output y: f32[1] param w: f32[${shape}] = ${init}\n y = x + 0 * sum(w) }`,
      ),
      'M',
    );
    if (!graphs) throw new Error(shown(problems).join('\n'));
    return evaluate(graphs.computations['init']!, {}, new Map([['seed', Float64Array.of(seed)]])).get('w')!;
  };
  const moments = (v: Float64Array): { mean: number; std: number; least: number; most: number } => {
    const mean = v.reduce((a, b) => a + b) / v.length;
    return {
      mean,
      std: Math.sqrt(v.reduce((s, x) => s + (x - mean) ** 2, 0) / v.length),
      least: Math.min(...v),
      most: Math.max(...v),
    };
  };

  it.each<[string, string, number, number]>([
    // shape, expected deviation, bound (infinite for normal ones)
    ['uniform(low: -2, high: 4)', '100, 200', 6 / Math.sqrt(12), 4],
    ['normal(std: 0.5)', '100, 200', 0.5, Infinity],
    ['glorot_uniform', '100, 200', Math.sqrt(2 / 300), Math.sqrt(6 / 300)],
    ['glorot_normal', '100, 200', Math.sqrt(2 / 300), Infinity],
    ['he_uniform', '100, 200', Math.sqrt(2 / 100), Math.sqrt(6 / 100)],
    ['he_normal', '16, 32, 5, 5', Math.sqrt(2 / 800), Infinity],
    ['glorot_uniform', '16, 32, 5, 5', Math.sqrt(2 / (800 + 400)), Math.sqrt(6 / 1200)],
    ['he_uniform(fan_in: 3)', '100, 200', Math.sqrt(2 / 3), Math.sqrt(2)],
  ])('%s of [%s]', (init, shape, std, bound) => {
    const m = moments(initial(init, shape));
    expect(m.std / std).toBeGreaterThan(0.98);
    expect(m.std / std).toBeLessThan(1.02);
    expect(m.mean).toBeCloseTo(init.startsWith('uniform') ? 1 : 0, 1);
    expect(m.most).toBeLessThanOrEqual(bound);
    if (bound < Infinity) expect(m.most).toBeGreaterThan(0.99 * bound);
  });

  it('zeros, ones and numbers', () => {
    expect([...initial('zeros', '3')]).toEqual([0, 0, 0]);
    expect([...initial('ones', '3')]).toEqual([1, 1, 1]);
    expect([...initial('0.25', '2')]).toEqual([0.25, 0.25]);
  });

  it('depend on the seed and on the path, on nothing else', () => {
    const a = initial('normal', '50');
    expect([...initial('normal', '50')]).toEqual([...a]);
    expect([...initial('normal', '50', 2)]).not.toEqual([...a]);
    const two = elaborateModel(
      modelOf(
        'model M() { input x: f32[1] output y: f32[1] param v: f32[50] = normal param w: f32[50] = normal\n y = x + sum(v) + sum(w) }',
      ),
      'M',
    );
    const init = evaluate(two.graphs!.computations['init']!, {}, new Map([['seed', Float64Array.of(1)]]));
    expect([...init.get('w')!]).toEqual([...a]);
    expect([...init.get('v')!]).not.toEqual([...a]);
  });

  it('neighbouring numbers are not correlated', () => {
    const v = initial('uniform(low: -1, high: 1)', '20000');
    let lag = 0;
    for (let i = 1; i < v.length; i++) lag += v[i]! * v[i - 1]! * 3;
    expect(Math.abs(lag / v.length)).toBeLessThan(0.03);
  });
});
