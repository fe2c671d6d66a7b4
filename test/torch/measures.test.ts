/**
 * Metrics, places of elements and computed initialisers on every backend: the metrics against their definitions, the
 * initialisers against the reference (whose distributions test/check/measures.test.ts measures).
 */
import { describe, expect, it } from 'vitest';
import { compileModel, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose } from '../support/tolerance.ts';
import { uniform } from '../support/weights.ts';

const [rows, classes] = [12, 5];
/** In steps of a quarter, so that some are equal. */
const logits = uniform(70, rows * classes, 2).map((v) => Math.round(4 * v) / 4);
const label = Int32Array.from(uniform(71, rows), (v) => Math.floor(((v + 1) / 2) * classes));
const score = logits.slice(0, rows);
const target = uniform(72, rows).map((v) => Number(v > 0));

const row = (n: number): readonly number[] => [...logits.slice(n * classes, (n + 1) * classes)];
const all = Array.from({ length: rows }, (_, n) => n);
const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
const count = (f: (score: number, truth: boolean) => boolean): number =>
  all.filter((n) => f(score[n]!, target[n] === 1)).length;
/** Places of a row's elements, the greatest first; of equal ones the first is first. */
const downwards = (v: readonly number[]): readonly number[] =>
  v.map((_, i) => i).sort((i, j) => v[j]! - v[i]! || i - j);
const upwards = (v: readonly number[]): readonly number[] =>
  v.map((_, i) => i).sort((i, j) => v[i]! - v[j]! || i - j);

const hits = count((s, t) => s > 0 && t);
const [found, real] = [count((s) => s > 0), count((_, t) => t)];
const best = all.map((n) => downwards(row(n))[0]!);
const pairs = all.flatMap((i) =>
  all.flatMap((j) =>
    target[i] === 1 && target[j] === 0 ? [score[i]! > score[j]! ? 1 : score[i] === score[j] ? 0.5 : 0] : [],
  ),
);

/** By expression: the type of what it gives, and its values. */
const measures: Readonly<Record<string, readonly [string, readonly number[]]>> = {
  'accuracy(logits, label)': ['f32[]', [mean(best.map((b, n) => Number(b === label[n])))]],
  'top_k_accuracy(logits, label, k: 2)': [
    'f32[]',
    [mean(all.map((n) => Number(downwards(row(n)).slice(0, 2).includes(label[n]!))))],
  ],
  'precision(score, truth)': ['f32[]', [hits / found]],
  'recall(score, truth)': ['f32[]', [hits / real]],
  'f1(score, truth)': ['f32[]', [(2 * hits) / (found + real)]],
  'iou(score, truth)': ['f32[]', [hits / count((s, t) => s > 0 || t)]],
  'auc(score, truth)': ['f32[]', [mean(pairs)]],
  'confusion_matrix(logits, label)': [
    `f32[${classes}, ${classes}]`,
    Array.from(
      { length: classes ** 2 },
      (_, i) => all.filter((n) => label[n] === Math.floor(i / classes) && best[n] === i % classes).length,
    ),
  ],
  'argsort(logits)': [`i32[batch, ${classes}]`, all.flatMap((n) => upwards(row(n)))],
  'rank(logits)': [
    `i32[batch, ${classes}]`,
    all.flatMap((n) => row(n).map((_, i) => upwards(row(n)).indexOf(i))),
  ],
  'top_k_indices(logits, 2)': ['i32[batch, 2]', all.flatMap((n) => downwards(row(n)).slice(0, 2))],
  'logits |> Flatten()': [`f32[batch, ${classes}]`, [...logits]],
};
const initialisers = [
  'truncated_normal(std: 0.5)',
  'orthogonal',
  'glorot_normal',
  'he_normal',
  'lecun_uniform',
];

const text = `
model Measures() {
  input logits: f32[batch, ${classes}]
  input label: i32[batch]
  input score: f32[batch]
  input truth: f32[batch]
${Object.values(measures)
  .map(([type], i) => `  output found${i}: ${type}`)
  .join('\n')}
  output first: f32[]
${initialisers.map((init, i) => `  param w${i}: f32[3, 8] = ${init}`).join('\n')}
${Object.keys(measures)
  .map((call, i) => `  found${i} = ${call}`)
  .join('\n')}
  first = ${initialisers.map((_, i) => `w${i}[0, 0]`).join(' + ')}
}`;

interface Run {
  readonly measured: readonly Data[];
  readonly weights: readonly Data[];
}

async function run(on: Target): Promise<Run> {
  const model = load('case.nnet', testHost({ 'case.nnet': text }));
  const { program } = must(compileModel(model, 'Measures', { target: on, relaxed: false }));
  const session = await openSession(program, on);
  try {
    await session.run('init', {}, {}, { seed: 5 });
    await session.run('predict', { batch: rows }, { logits, label, score, truth: target });
    const measured: Data[] = [];
    for (const i of Object.keys(measures).keys()) measured.push(await session.output('predict', `found${i}`));
    const weights: Data[] = [];
    for (const i of initialisers.keys()) weights.push(await session.read(`w${i}`));
    return { measured, weights };
  } finally {
    session.close();
  }
}

/** The iterations of some initialisers leave a few roundings. */
const allowed: { readonly [T in Target]: number } = { reference: 1e-7, wasm: 5e-6, webgpu: 2e-5 };

function compare(on: Target): void {
  it('measures, places and initial values', async () => {
    const { measured, weights } = await run(on);
    for (const [i, [call, [, expected]]] of Object.entries(measures).entries())
      expectClose(measured[i]!, expected, allowed[on], call);
    const expected = on === 'reference' ? weights : (await run('reference')).weights;
    for (const [i, init] of initialisers.entries()) expectClose(weights[i]!, expected[i]!, allowed[on], init);
  }, 120_000);
}

it('the samples tell the definitions apart', () => {
  expect(hits).toBeGreaterThan(0);
  expect(new Set([hits / found, hits / real]).size).toBe(2);
  expect(pairs).toContain(0.5);
});
describe.each(['reference', 'wasm'] as const)('measures on %s', (on) => compare(on));
describeGpu('measures on webgpu', () => compare('webgpu'));
