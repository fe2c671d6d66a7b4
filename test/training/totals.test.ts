/** Metrics over an evaluation: exact over the data, not means of those of the batches; matrices too. */
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import type { Dataset } from '../../runtime/data/column.ts';
import type { RunEvent } from '../../runtime/events.ts';
import { runTask } from '../../runtime/train.ts';
import { must, openSession, testHost } from '../support/backends.ts';

const n = 23;
const score = Array.from({ length: n }, (_, i) => Math.round(Math.sin(i * 2.7) * 16) / 8);
const target = Array.from({ length: n }, (_, i) => Number(Math.cos(i * 1.9) > 0.2));
const label = Array.from({ length: n }, (_, i) => (i * 7 + (i % 4)) % 3);
const logits = Array.from({ length: n * 3 }, (_, i) => Math.sin(i * 0.77) * 2);

const metrics = {
  precision: 'precision(score, target)',
  recall: 'recall(score, target)',
  f1: 'f1(score, target)',
  iou: 'iou(score, target)',
  auc: 'auc(score, target)',
  r2: 'r2(score, target)',
  perplexity: 'perplexity(logits, label)',
  accuracy: 'accuracy(logits, label)',
};

const text = `
model Scale() {
  input  x: f32[batch]
  output y: f32[batch]
  param  factor: f32[] = 1.0
  y = x * factor
}
task train {
  net = Scale()
  data = idx(score: "s", target: "t", label: "l", logits: "g")
  fit(epochs: 2, batch: 6, shuffle: false, valid: 0.35) on data {
    minimize mse(net(score), target) with Sgd(lr: 0.0)
    metric hits = total(sum(target))
    metric confusion = confusion_matrix(logits, label)
    metric recall = recall(score, target)
  }
  evaluate(batch: 6) on data {
    ${Object.entries(metrics)
      .map(([name, e]) => `metric ${name} = ${e}`)
      .join('\n    ')}
    metric confusion = confusion_matrix(logits, label)
    metric means = mean(logits, axis: 0)
  }
}`;

const field = (dtype: 'f32' | 'i32', shape: readonly number[] = []) => ({ dtype, shape });
const fields = { score: field('f32'), target: field('f32'), label: field('i32'), logits: field('f32', [3]) };

function data(): Dataset {
  const column = (name: string, values: readonly number[], shape: readonly number[] = []) =>
    [name, { name, file: name, type: 'f64', count: n, shape, values: Float64Array.from(values) }] as const;
  const columns = [
    column('score', score),
    column('target', target),
    column('label', label),
    column('logits', logits, [3]),
  ];
  return { count: n, columns: new Map(columns) };
}

async function events(target: Target): Promise<RunEvent[]> {
  const host = { ...testHost({ 'case.nnet': text }), describeData: () => ({ fields, count: n }) };
  const options = { target, relaxed: false, predict: false };
  const { program, info } = must(compileTask(load('case.nnet', host), 'train', options));
  const session = await openSession(program, target);
  const all: RunEvent[] = [];
  try {
    await runTask(info, session, new Map([['data', data()]]), { onEvent: (e) => all.push(e) });
    return all;
  } finally {
    session.close();
  }
}

const count = (f: (i: number) => boolean): number => score.filter((_, i) => f(i)).length;
const sum = (f: (i: number) => number): number => score.reduce((s, _, i) => s + f(i), 0);

/** Each metric by its definition, over all samples at once. */
function wanted(): Record<keyof typeof metrics, number> {
  const [said, is] = [(i: number) => score[i]! > 0, (i: number) => target[i] === 1];
  const hits = count((i) => said(i) && is(i));
  const pairs = score.flatMap((a, i) =>
    score.flatMap((b, j) => (is(i) && !is(j) ? [a > b ? 1 : a === b ? 0.5 : 0] : [])),
  );
  const mean = sum((i) => target[i]!) / n;
  const row = (i: number): number[] => logits.slice(3 * i, 3 * i + 3);
  const nll = (i: number): number =>
    Math.log(row(i).reduce((s, v) => s + Math.exp(v), 0)) - row(i)[label[i]!]!;
  return {
    precision: hits / count(said),
    recall: hits / count(is),
    f1: (2 * hits) / (count(said) + count(is)),
    iou: hits / count((i) => said(i) || is(i)),
    auc: pairs.reduce((a, b) => a + b, 0) / pairs.length,
    r2: 1 - sum((i) => (target[i]! - score[i]!) ** 2) / sum((i) => (target[i]! - mean) ** 2),
    perplexity: Math.exp(sum(nll) / n),
    accuracy: count((i) => row(i).indexOf(Math.max(...row(i))) === label[i]) / n,
  };
}

function confusion(samples: readonly number[]): number[] {
  const counts = Array<number>(9).fill(0);
  for (const i of samples) {
    const row = logits.slice(3 * i, 3 * i + 3);
    counts[3 * label[i]! + row.indexOf(Math.max(...row))]!++;
  }
  return counts;
}

describe.each(['reference', 'wasm'] as const)('on %s', (device) => {
  it('are those of all samples, the last batch smaller', async () => {
    const all = await events(device);
    const test = all.find((e) => e.type === 'test')!;
    const scores = test.type === 'test' ? test.scores : {};
    const exact = wanted();
    for (const [name, value] of Object.entries(exact)) expect(scores[name], name).toBeCloseTo(value, 5);
    const tables = test.type === 'test' ? test.tables! : {};
    expect(tables['confusion']!.shape).toEqual([3, 3]);
    tables['confusion']!.values.forEach((v, i) => expect(v).toBeCloseTo(confusion([...score.keys()])[i]!, 4));
    // Without sums of its own a vector is averaged as numbers are.
    const mean = (c: number): number => sum((i) => logits[3 * i + c]!) / n;
    tables['means']!.values.forEach((v, c) => expect(v).toBeCloseTo(mean(c), 5));
  });

  it('begin anew with each epoch and with validation', async () => {
    const all = await events(device);
    const [first, second] = all.flatMap((e) => (e.type === 'epoch' ? [e] : []));
    expect(first!.train).toEqual(second!.train);
    expect(first!.valid).toEqual(second!.valid);
    const [train, valid] = [first!.train['hits']!, first!.valid!['hits']!];
    expect(train + valid).toBeCloseTo(
      sum((i) => target[i]!),
      4,
    );
    expect(valid).toBeGreaterThan(0);
    // Of the validation.
    const samples = first!.tables!['confusion']!.values.reduce((a, b) => a + b, 0);
    expect(samples).toBeCloseTo(Math.round(0.35 * n), 4);
  });
});
