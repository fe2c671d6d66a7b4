/** Whole layers as people write them: they elaborate without a mistake, used or not. */
import { expect, it } from 'vitest';
import { check, elaborateModel } from '../../compiler/check/index.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import { hostOf, library, modelOf, run, shown } from './support.ts';

const batchNorm = `layer BatchNorm(momentum: float = 0.1, eps: float = 1e-5) {
  input  x: f32[n, c, h, w]
  output y: f32[n, c, h, w]
  param  scale: f32[c] = ones
  param  shift: f32[c] = zeros
  state  running_mean: f32[c] = zeros
  state  running_var:  f32[c] = ones

  mean_now[f] = mean(b, i, j) x[b, f, i, j]
  var_now[f]  = mean(b, i, j) (x[b, f, i, j] - mean_now[f])^2
  mu    = if training then mean_now else running_mean
  sigma = if training then var_now else running_var
  running_mean' = (1 - momentum) * running_mean + momentum * mean_now when training
  running_var'  = (1 - momentum) * running_var + momentum * var_now when training
  y[b, f, i, j] = (x[b, f, i, j] - mu[f]) / sqrt(sigma[f] + eps) * scale[f] + shift[f]
}`;

const attention = `layer Attention(heads: int, causal: bool = true) {
  input  x: f32[batch, time, width]
  output y: f32[batch, time, width]
  size = width div heads
  qkv  = reshape(x |> Dense(3 * width, use_bias: false), (batch, time, 3, heads, size))
  score[b, h, t, s] = if s <= t or not causal then sum(d) qkv[b, t, 0, h, d] * qkv[b, s, 1, h, d] / sqrt(size) else -inf
  weight = softmax(score)
  mixed[b, t, h, d] = sum(s) weight[b, h, t, s] * qkv[b, s, 2, h, d]
  y = reshape(mixed, (batch, time, width)) |> Dense(width)
}`;

const others = `
/// Rows of a table by token.
layer Embedding(count: int, size: int) {
  input  tokens: i32[...b]
  output y: f32[...b, size]
  param  table: f32[count, size] = normal(std: 0.02)
  y = table[tokens]
}

layer LayerNorm(eps: float = 1e-5) {
  input  x: f32[...b, n]
  output y: f32[...b, n]
  param  gain: f32[n] = ones
  mu[...b]  = mean(i) x[...b, i]
  var[...b] = mean(i) (x[...b, i] - mu[...b])^2
  y[...b, i] = (x[...b, i] - mu[...b]) / sqrt(var[...b] + eps) * gain[i]
}

layer Residual(inner: layer) {
  input  x: f32[...b]
  output y: f32[...b]
  y = x + inner(x)
}

fn one_hot(label: i32[...b], classes: int) -> f32[...b, classes] {
  r = range(classes)
  y[...b, c] = if r[c] == label[...b] then 1.0 else 0.0
  return y
}

/// Kept for the next reader: nothing uses it.
layer Unused(k: int, size: int = 4) {
  input  x: f32[b, n, n]
  output y: f32[b, m]
  y = reshape(x, (b, -1)) |> Dense(k * size) |> relu
}`;

const gpt = `model M(width: int = 8, blocks: int = 2) {
  input  tokens: i32[batch, 6]
  output logits: f32[batch, 6, 11]
  h = tokens |> Embedding(11, width)
  repeat blocks {
    h = h |> LayerNorm() |> Residual(Attention(2)) |> Residual(Dense(width))
  }
  logits = h |> Dense(11)
}`;

it('a small language model', () => {
  const text = [batchNorm, attention, others, gpt].join('\n');
  expect(
    shown(check('main.nnet', hostOf({ 'main.nnet': text }), { library, differentiate: gradient }).problems),
  ).toEqual([]);
  const { graphs, problems } = elaborateModel(modelOf(text), 'M', { blocks: 1 });
  expect(shown(problems)).toEqual([]);
  for (const c of Object.values(graphs!.computations)) verify(c, 'elaborate');
  expect(graphs!.tensors.map((t) => t.path)).toEqual([
    'embedding1.table',
    'layer_norm1.gain',
    'attention1.dense1.weight',
    'attention1.dense2.weight',
    'attention1.dense2.bias',
    'dense1.weight',
    'dense1.bias',
    'dense2.weight',
    'dense2.bias',
  ]);
});

it('attention looks at nothing that comes later', () => {
  const text = `${attention}\nmodel M() { input x: f32[batch, 3, 2] output y: f32[batch, 3, 2]\n y = x |> Attention(1) }`;
  const weights = {
    'attention1.dense1.weight': [1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1],
    'attention1.dense2.weight': [1, 0, 0, 1],
    'attention1.dense2.bias': [0, 0],
  };
  const of = (x: number[]): number[] => run(text, { x }, { batch: 1 }, weights)['y']!;
  const [a, b] = [of([1, 2, 3, 4, 5, 6]), of([1, 2, 3, 4, -7, 9])];
  expect(a.slice(0, 4)).toEqual(b.slice(0, 4));
  expect(a.slice(4)).not.toEqual(b.slice(4));
  expect(a.slice(0, 2)).toEqual([1, 2]);
});

it('normalisation over a batch of images', () => {
  const text = `${batchNorm}\nmodel M() { input x: f32[batch, 1, 1, 2] output y: f32[batch, 1, 1, 2]\n y = x |> BatchNorm(eps: 0.0) }`;
  const kept = {
    'batch_norm1.scale': [2],
    'batch_norm1.shift': [1],
    'batch_norm1.running_mean': [3],
    'batch_norm1.running_var': [4],
  };
  expect(run(text, { x: [3, 5] }, { batch: 1 }, kept)['y']).toEqual([1, 3]);
});
