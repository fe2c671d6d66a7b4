/** Contractions that are computed where they are read: what they mean, what is stored, and what stays as it was. */
import { describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { elaborateTask } from '../../compiler/check/index.ts';
import { load, optimise } from '../../compiler/compile.ts';
import type { Computation } from '../../compiler/ir/graph.ts';
import { hasNested } from '../../compiler/kernel/flops.ts';
import { schedule, type Scheduled } from '../../compiler/schedule/schedule.ts';
import { type Target, wasmTarget, webgpuTarget } from '../../compiler/schedule/target.ts';
import { evaluate as evaluatePoly } from '../../compiler/shape/poly.ts';
import { attentionCases, attentionModel, computationOf, valuesFor } from '../support/attention.ts';
import { evaluate } from '../support/evaluate.ts';
import { root } from '../support/examples.ts';
import { runSchedule } from '../support/run-schedule.ts';

type Dims = Readonly<Record<string, number>>;

/** Elements of the largest buffer that is no leaf. */
const largest = ({ buffers }: Scheduled, dims: Dims): number =>
  Math.max(...buffers.map((b) => (b.leaf ? 0 : evaluatePoly(b.size, (s) => dims[s] ?? NaN))));

const nestedNotes = ({ kernels }: Scheduled): string[] =>
  kernels.flatMap((k) => k.kernel.notes.filter((n) => n.includes('never stored')));

function expectMeans(computation: Computation, scheduled: Scheduled, dims: Dims): void {
  const values = valuesFor(computation, dims);
  const wanted = evaluate(computation, dims, values);
  const found = runSchedule(scheduled, dims, values);
  const all = new Map([...found.kept, ...found.outputs]);
  for (const name of [
    ...computation.outputs.map((o) => o.name),
    ...computation.updates.map((u) => u.leaf.name),
  ]) {
    const [f, w] = [all.get(name), wanted.get(name)];
    expect(f?.length, name).toBe(w?.length);
    w?.forEach((x, i) => {
      if (!(Math.abs(x - (f?.[i] ?? NaN)) <= 1e-9 * (1 + Math.abs(x))))
        expect.fail(`${name}[${i}]: ${f?.[i]} is not ${x}`);
    });
  }
}

describe.each(Object.entries(attentionCases))('attention and its gradients, %s', (name, given) => {
  const computation = computationOf(attentionModel(given));
  const scheduled = schedule(computation, webgpuTarget);

  it.each([
    { batch: 2, t: 7, s: 9 },
    { batch: 1, t: 1, s: 3 },
  ])('mean what they meant, $t by $s', (dims) => {
    expectMeans(computation, scheduled, dims);
  });

  it('store no scores on WebGPU', () => {
    const dims = { batch: 3, t: 500, s: 500 };
    // With a mask the gradients of query and key would read 9 buffers: the gradient of the probabilities is stored.
    if (name === 'masked') return expect(largest(scheduled, dims)).toBe(3 * 2 * 500 * 500);
    expect(largest(scheduled, dims)).toBeLessThan(3 * 2 * 500 * 500);
    expect(largest(schedule(computation, { ...webgpuTarget, nestedDepth: 0 }), dims)).toBe(3 * 2 * 500 * 500);
  });

  it('say so', () => {
    const kernels = scheduled.kernels.filter(({ kernel }) => hasNested(kernel));
    expect(kernels.length).toBeGreaterThanOrEqual(4);
    for (const { kernel } of kernels)
      expect(kernel.notes.join()).toMatch(/computed again here; never stored/);
  });

  it('store them on Wasm', () => {
    expect(nestedNotes(schedule(computation, wasmTarget))).toEqual([]);
    expect(largest(schedule(computation, wasmTarget), { batch: 3, t: 500, s: 500 })).toBe(3 * 2 * 500 * 500);
  });

  it('touch no more buffers than they may', () => {
    for (const maxBuffers of [4, 6, 8, 10]) {
      const target: Target = { ...webgpuTarget, maxBuffers };
      const cut = schedule(computation, target);
      for (const { kernel } of cut.kernels) expect(kernel.buffers.length).toBeLessThanOrEqual(maxBuffers);
      expectMeans(computation, cut, { batch: 1, t: 3, s: 4 });
    }
  });
});

/** A training step whose probabilities are dropped at random: the same are dropped wherever they are computed again. */
const dropped = `
model Net(symbols: int) {
  input  token:  i32[batch, time]
  output logits: f32[batch, time, symbols]
  embedding = Embedding(symbols, 4)
  attn = MultiHeadAttention(2, causal: true, dropout: 0.4)
  h = token |> embedding
  logits = attn(h) @ transpose(embedding.weight)
}
task train() {
  book = text("../docs/language.md", length: 6)
  net  = Net(book.vocabulary)
  fit(epochs: 1, batch: 2, seed: 1) on book {
    minimize cross_entropy(net(token), next) with Sgd(lr: 0.1)
  }
}`;

describe('a training step with dropped probabilities', () => {
  const computation = computationOf(dropped, 'train');
  const scheduled = schedule(computation, webgpuTarget);

  it('means what it meant', () => expectMeans(computation, scheduled, { batch: 1 }));

  it('computes the scores again', () => expect(nestedNotes(scheduled).length).toBeGreaterThan(3));
});

describe('what is not nested', () => {
  const notes = (body: string): string[] =>
    nestedNotes(
      schedule(
        computationOf(`model Case() {
          input x: f32[batch, 8]
          input z: f32[batch, 8]
          input label: i32[batch]
          output y: f32[batch]
          ${body}
        }`),
        webgpuTarget,
      ),
    );

  it.each([
    [
      'similarities that only a row of sums reads are',
      's[i, j] = sum(d) x[i, d] * z[j, d]; y[i] = sum(j) exp(s[i, j])',
      1,
    ],
    [
      'but not where a result shows them',
      'output s: f32[batch, batch]; s[i, j] = sum(d) x[i, d] * z[j, d]; y[i] = sum(j) exp(s[i, j])',
      0,
    ],
    ['nor where they are looked for', 's[i, j] = sum(d) x[i, d] * z[j, d]; y = f32(argmax(s))', 0],
    [
      'nor where they are read across',
      's[i, j] = sum(d) x[i, d] * z[j, d]; y[i] = sum(j) s[i, j] * s[i, batch - 1 - j]',
      0,
    ],
    [
      'nor where the sums are over everything',
      's[i, j] = sum(d) x[i, d] * z[j, d]; t = sum(i, j) exp(s[i, j]); y = x[:, 0] * t',
      0,
    ],
    ['nor a layer', 'net = Dense(64); h = net(x); y[i] = sum(j) exp(h[i, j])', 0],
    [
      'nor a long sum',
      's[i, j] = sum(d) x[i, d] * z[j, d]; t[i, j] = sum(d) s[i, d] * s[j, d]; y[i] = sum(j) exp(t[i, j])',
      0,
    ],
  ])('%s', (_, body, count) => expect(notes(body)).toHaveLength(count));
});

describe('no example stores a matrix of scores on WebGPU', () => {
  // Heads times length times length, for 2 examples.
  it.each([
    ['gpt', 'write', 'train', 2 * 4 * 64 * 64],
    ['gpt', 'write', 'predict', 2 * 4 * 40 * 40],
    ['bert', 'train', 'train', 2 * 4 * 50 * 50],
  ])('%s %s: %s', (name, task, plan, scores) => {
    const { graphs } = elaborateTask(load(`examples/${name}.nnet`, fileHost(root)), task);
    const computation = graphs && optimise(graphs.computations)[plan];
    if (!computation) throw new Error(`no ${plan}`);
    const dims = { batch: 2, time: 40 };
    expect(largest(schedule(computation, wasmTarget), dims)).toBeGreaterThanOrEqual(scores);
    expect(largest(schedule(computation, webgpuTarget), dims)).toBeLessThan(scores);
  });
});
