/** Metrics, and initialisers that are computed, against definitions written by hand. */
import { describe, expect, it } from 'vitest';
import { elaborateModel } from '../../compiler/check/index.ts';
import { evaluate } from '../support/evaluate.ts';
import { modelOf, noise, run, shown } from './support.ts';

const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;

describe('metrics', () => {
  const scores = noise(12, 3).map((v) => Math.round(v * 4) / 4);
  const target = noise(12, 5).map((v) => Number(v > 0));
  const binary = (call: string): number =>
    run(
      `model M() { input x: f32[b] input t: f32[b] output y: f32[]\n y = ${call} }`,
      { x: scores, t: target },
      { b: 12 },
    )['y']![0]!;
  const count = (f: (score: number, t: boolean) => boolean): number =>
    scores.filter((s, i) => f(s, target[i] === 1)).length;
  const hits = count((s, t) => s > 0 && t);

  it('precision, recall, f1, iou', () => {
    expect(hits).toBeGreaterThan(0);
    const [found, real] = [count((s) => s > 0), count((_, t) => t)];
    expect(binary('precision(x, t)')).toBeCloseTo(hits / found, 12);
    expect(binary('recall(x, t)')).toBeCloseTo(hits / real, 12);
    expect(binary('f1(x, t)')).toBeCloseTo((2 * hits) / (found + real), 12);
    expect(binary('iou(x, t)')).toBeCloseTo(hits / count((s, t) => s > 0 || t), 12);
    expect(binary('precision(x, t, threshold: 10.0)')).toBe(0);
    expect(binary('recall(x, 0 * t)')).toBe(0);
  });

  it('auc counts pairs', () => {
    const pairs = scores.flatMap((a, i) =>
      scores.flatMap((b, j) => (target[i] === 1 && target[j] === 0 ? [a > b ? 1 : a === b ? 0.5 : 0] : [])),
    );
    expect(binary('auc(x, t)')).toBeCloseTo(mean(pairs), 12);
    expect(binary('auc(t, t)')).toBe(1);
  });

  const logits = noise(20, 2);
  const label = [1, 3, 0, 2, 3];
  const rows = [0, 1, 2, 3, 4].map((n) => logits.slice(4 * n, 4 * n + 4));
  const classes = (call: string, type: string): number[] =>
    run(
      `model M() { input x: f32[b, 4] input label: i32[b] output y: f32${type}\n y = ${call} }`,
      { x: logits, label },
      { b: 5 },
    )['y']!;

  it.each([1, 2, 3, 4])('top %i accuracy', (k) => {
    const found = rows.map((r, n) =>
      Number(
        [...r]
          .sort((a, b) => b - a)
          .slice(0, k)
          .includes(r[label[n]!]!),
      ),
    );
    expect(classes(`top_k_accuracy(x, label, k: ${k})`, '[]')[0]).toBeCloseTo(mean(found), 12);
  });

  it('confusion matrix', () => {
    const expected = Array<number>(16).fill(0);
    rows.forEach((r, n) => expected[label[n]! * 4 + r.indexOf(Math.max(...r))]!++);
    expect(classes('confusion_matrix(x, label)', '[4, 4]')).toEqual(expected);
  });
});

describe('orders', () => {
  const x = [3, 1, 2, 1, -1, 5];
  const of = (call: string, dtype: string, n: number): number[] =>
    run(`model M() { input x: f32[1, 6] output y: ${dtype}[1, ${n}]\n y = ${call} }`, { x })['y']!;

  it('of equal elements the first is first', () => {
    expect(of('sort(x)', 'f32', 6)).toEqual([-1, 1, 1, 2, 3, 5]);
    expect(of('argsort(x)', 'i32', 6)).toEqual([4, 1, 3, 2, 0, 5]);
    expect(of('top_k(x, 3)', 'f32', 3)).toEqual([5, 3, 2]);
    expect(of('top_k_indices(x, 5)', 'i32', 5)).toEqual([5, 0, 2, 1, 3]);
  });
});

describe('initialisers', () => {
  const initial = (init: string, shape: string): Float64Array => {
    const text = `model M() { input x: f32[1] output y: f32[1] param w: f32[${shape}] = ${init}\n y = x + 0 * sum(w) }`;
    const { graphs, problems } = elaborateModel(modelOf(text), 'M');
    if (!graphs) throw new Error(shown(problems).join('\n'));
    return evaluate(graphs.computations['init']!, {}, new Map([['seed', Float64Array.of(3)]])).get('w')!;
  };
  const deviation = (v: Float64Array): number => Math.sqrt(mean([...v].map((x) => x * x)));

  it('truncated normal', () => {
    const v = initial('truncated_normal(std: 0.5)', '100, 100');
    expect(Math.max(...v.map(Math.abs))).toBeLessThanOrEqual(1);
    expect(Math.max(...v)).toBeGreaterThan(0.99);
    // Variance of the standard normal distribution between -2 and 2.
    expect(deviation(v) / 0.5).toBeCloseTo(Math.sqrt(0.7737), 1);
    const within = [...v].filter((x) => Math.abs(x) < 0.5).length / v.length;
    expect(within).toBeCloseTo(0.6827 / 0.9545, 1);
  });

  it('lecun, constant', () => {
    expect(deviation(initial('lecun_normal', '100, 200')) * 10).toBeCloseTo(1, 1);
    expect(Math.max(...initial('lecun_uniform', '100, 200'))).toBeCloseTo(Math.sqrt(0.03), 2);
    expect([...initial('constant(value: 0.25)', '3')]).toEqual([0.25, 0.25, 0.25]);
  });

  it.each([
    ['6, 4', 6, 4],
    ['4, 6', 4, 6],
    ['5, 5', 5, 5],
    ['3, 2, 2, 2', 3, 8],
  ])('orthogonal of [%s]', (shape, rows, columns) => {
    const w = initial('orthogonal(gain: 2.0)', shape);
    const at = (i: number, j: number): number => w[i * columns + j]!;
    const small = Math.min(rows, columns);
    for (let a = 0; a < small; a++)
      for (let b = 0; b < small; b++) {
        let sum = 0;
        for (let k = 0; k < Math.max(rows, columns); k++)
          sum += rows <= columns ? at(a, k) * at(b, k) : at(k, a) * at(k, b);
        expect(sum).toBeCloseTo(a === b ? 4 : 0, 5);
      }
  });
});
