/** What a person expects of the language when he writes layers down: inputs with defaults, repeated layers, static functions. */
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/index.ts';
import { elaborateModel } from '../../compiler/check/index.ts';
import { codesOf, library, modelOf, noise, run, shown } from './support.ts';

const paths = (text: string): string[] => {
  const { graphs, problems } = elaborateModel(modelOf(text), 'M');
  if (!graphs) throw new Error(shown(problems).join('\n'));
  return graphs.tensors.map((t) => t.path);
};

describe('an input with a default', () => {
  const layer = `layer Look() {
    input x: f32[b, n] input other: f32[b, n] = x input weight: f32[b, n] = 1 input mask: bool[...m] = true
    output y: f32[b, n]
    y = where(mask, x + weight * other, 0)
  }`;
  const model = (call: string): string =>
    `${layer} model M() { input x: f32[b, 2] input z: f32[b, 2] output y: f32[b, 2]\n look = Look() y = ${call} }`;
  const inputs = { x: [1, 2, 3, 4], z: [10, 20, 30, 40] };

  it.each<[string, number[]]>([
    ['look(x)', [2, 4, 6, 8]],
    ['look(x, z)', [11, 22, 33, 44]],
    ['look(x, weight: z)', [11, 42, 93, 164]],
    ['look(x, z, mask: x > 2)', [0, 0, 33, 44]],
  ])('%s', (call, y) => {
    expect(run(model(call), inputs, { b: 2 })['y']).toEqual(y);
  });

  it('is needed when it has none', () => {
    expect(codesOf(model('look(weight: x)'))).toEqual(['E0403']);
  });

  it('must fit', () => {
    expect(codesOf(model('look(x, z[:, 0])'))).toEqual(['E0302']);
    expect(codesOf(model('look(x, mask: z)'))).toEqual(['E0303']);
  });

  it('stands in functions too', () => {
    const text = `fn scaled(x: f32[b, n], by: f32[n] = 2) -> f32[b, n] {
      y[i, j] = x[i, j] * by[j]
      return y }
      model M() { input x: f32[b, 2] output y: f32[b, 2]\n y = scaled(x) + scaled(x, x[0, :]) }`;
    expect(run(text, { x: [1, 2, 3, 4] }, { b: 2 })['y']).toEqual([3, 8, 9, 16]);
  });
});

describe('a function that states its result', () => {
  it('gives the index of the returned equation its range', () => {
    const text = `fn first(x: f32[n], k: int) -> f32[k] {
      y[i] = sum(j) (if j == i then x[j] else 0)
      return y }
      model M() { input x: f32[4] output y: f32[2]\n y = first(x, 2) }`;
    expect(run(text, { x: [5, 6, 7, 8] })['y']).toEqual([5, 6]);
  });
});

describe('repeated layers', () => {
  it('have the number of their repetition in their path', () => {
    const text = `layer Block() { input x: f32[b, n] output y: f32[b, n]\n query = Dense(n, use_bias: false) y = query(x) }
      model M() { input x: f32[b, 2] output y: f32[b, 2]
      h = x
      repeat 2 { blocks = Block() h = blocks(h) }
      repeat i in 2 { repeat j in 2 { param w: f32[2] = ones h = h * w } }
      y = h }`;
    expect(paths(text)).toEqual([
      'blocks.0.query.weight',
      'blocks.1.query.weight',
      'w.0.0',
      'w.0.1',
      'w.1.0',
      'w.1.1',
    ]);
  });

  it('are a list under their name', () => {
    const text = `layer Stack() { input x: f32[b, 2] output y: f32[b, 2]
      h = x
      repeat 3 { step = Dense(2, use_bias: false) h = step(h) }
      y = h }
      model M() { input x: f32[b, 2] output y: f32[2, 2] output n: f32[]
      stack = Stack() z = stack(x)
      y = stack.step[1].weight n = f32(len(stack.step)) + 0 * sum(z) }`;
    const weights = Object.fromEntries([0, 1, 2].map((i) => [`stack.step.${i}.weight`, [i, 1, 2, 3]]));
    const found = run(text, { x: [1, 2] }, { b: 1 }, weights);
    expect(found['y']).toEqual([1, 1, 2, 3]);
    expect(found['n']).toEqual([3]);
  });
});

describe('parameters', () => {
  const model = (value: string): string =>
    `layer Two() { input x: f32[b, 2] output y: f32[b, 2]\n inner = Dense(2) y = x |> inner |> LayerNorm() }
     model M() { input x: f32[b, 2] output y: f32[]\n two = Two() z = two(x) other = Dense(2) w = other(z) y = ${value} + 0 * sum(w) }`;
  const weights = {
    'two.inner.weight': [1, 2, 3, 4],
    'two.inner.bias': [5, -6],
    'two.layer_norm1.weight': [1, 1],
    'two.layer_norm1.bias': [0, 0],
    'other.weight': [9, 9, 9, 9],
    'other.bias': [9, 9],
  };
  it.each([
    ['penalty(parameters(two))', 30 + 61 + 2],
    ['penalty(parameters(two, "inner"), l1)', 10 + 11],
    ['penalty(parameters(two, "*.weight"), measure: l1)', 10 + 2],
    ['f32(len(parameters(other)))', 2],
  ])('%s', (value, expected) => {
    expect(run(model(value), { x: [1, 2] }, { b: 1 }, weights)['y']).toEqual([expected]);
  });
  it.each([
    ['penalty(parameters(two, "inner.wait"))', 'E0515'],
    ['penalty(parameters(x))', 'E0402'],
    ['penalty(parameters(two, 3))', 'E0402'],
    ['penalty(parameters(Dense(3)))', 'E0414'],
  ])('%s is %s', (value, code) => {
    expect(codesOf(model(value))).toEqual([code]);
  });
});

describe('functions and layers as static arguments', () => {
  it.each([
    ['relu', 'act: relu'],
    ['a function with an argument that has a default', 'act: leaky_relu'],
    ['a layer', 'act: PRelu'],
  ])('%s', (_, arg) => {
    const text = `layer Two(act: fn = tanh) { input x: f32[b, 3] output y: f32[b, 3]\n y = x |> Dense(3) |> act |> Dense(3) }
      model M() { input x: f32[b, 3] output y: f32[b, 3]\n y = Two(${arg})(x) }`;
    expect(paths(text).filter((p) => p.endsWith('dense1.weight'))).toEqual(['two1.dense1.weight']);
  });
});

describe('pad', () => {
  it('cuts off where a width is negative', () => {
    const text = 'model M() { input x: f32[2, 4] output y: f32[2, 3]\n y = pad(x, [-2], [1]) }';
    expect(run(text, { x: [1, 2, 3, 4, 5, 6, 7, 8] })['y']).toEqual([3, 4, 0, 7, 8, 0]);
    expect(codesOf(text.replace('-2', '-5').replace('f32[2, 3]', 'f32[2, 1]'))).toEqual(['E0402']);
  });
});

describe('the library', () => {
  it('has one meaning for every name, each with its documentation', () => {
    const seen = new Map<string, string>();
    for (const [path, source] of library.sources)
      for (const d of parse(source).syntax.declarations) {
        if (d.kind === 'import') continue;
        expect(seen.get(d.name.name), `${d.name.name} in ${path}`).toBeUndefined();
        expect(d.doc, `${d.name.name} in ${path}`).toBeTruthy();
        seen.set(d.name.name, path);
      }
    expect(seen.size).toBeGreaterThan(120);
  });

  it('binary cross-entropy has its slope at 0 too', () => {
    const text = `model M() { input x: f32[b] input t: f32[b] output y: f32[b]\n y = grad(binary_cross_entropy(x, t), x) }`;
    expect(run(text, { x: [0, 0], t: [1, 0] }, { b: 2 })['y']).toEqual([-0.25, 0.25]);
  });

  it('an ignored label does not need to be a class', () => {
    const text = `model M() { input x: f32[b, 3] input label: i32[b] output y: f32[]\n y = cross_entropy(x, label, ignore_index: -100) }`;
    const x = noise(6);
    const one = run(text, { x: x.slice(0, 3), label: [1] }, { b: 1 })['y'];
    expect(run(text, { x, label: [1, -100] }, { b: 2 })['y']).toEqual(one);
  });
});
