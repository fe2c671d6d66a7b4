/** The examples elaborate without a problem, to graphs that verify. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { check, elaborateTask, resolve, tasksOf } from '../../compiler/check/index.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { testHost } from '../support/backends.ts';
import { hostOf, library, modelOf, shown } from './support.ts';

it('the library has no mistakes', () => {
  const files = Object.fromEntries(
    [...library.sources].map(([path, s]) => [path.replace('nnet:', ''), s.text]),
  );
  for (const path of Object.keys(files)) {
    const { problems } = check(path, hostOf(files), { library, differentiate: gradient });
    expect(shown(problems)).toEqual([]);
  }
});

it.each(readdirSync('examples').filter((f) => f.endsWith('.nnet')))('%s', (name) => {
  const path = `examples/${name}`;
  const options = { library, differentiate: gradient };
  expect(shown(check(path, testHost(), options).problems)).toEqual([]);
  const model = resolve(path, testHost(), options);
  for (const task of tasksOf(model)) {
    const { graphs, problems } = elaborateTask(model, task);
    expect(shown(problems)).toEqual([]);
    for (const c of Object.values(graphs!.computations)) verify(c, 'elaborate');
  }
});

it('mnist.nnet says what the runtime has to do', () => {
  const { graphs } = elaborateTask(modelOf(readFileSync('examples/mnist.nnet', 'utf8')), 'train', {
    epochs: '5',
    lr: 0.01,
  });
  const { tensors, steps, models, data, computations } = graphs!;
  expect(tensors.filter((t) => t.role === 'param')).toEqual([
    { path: 'dense1.weight', role: 'param', dtype: 'f32', shape: [784, 500] },
    { path: 'dense1.bias', role: 'param', dtype: 'f32', shape: [500] },
    { path: 'dense2.weight', role: 'param', dtype: 'f32', shape: [500, 10] },
    { path: 'dense2.bias', role: 'param', dtype: 'f32', shape: [10] },
  ]);
  expect(tensors.filter((t) => t.role === 'slot').map((t) => t.path)).toContain('dense1.weight/m');
  expect(tensors.filter((t) => t.role === 'metric').map((t) => t.path)).toEqual([
    'metrics/loss',
    'metrics/accuracy',
    'metrics/count',
  ]);
  expect(Object.keys(computations)).toEqual(['init', 'train', 'evaluate', 'predict']);
  expect(steps).toEqual([
    {
      kind: 'fit',
      data: 'mnist',
      epochs: 5,
      batch: 64,
      valid: 0,
      seed: 1,
      shuffle: true,
      train: 'train',
      evaluate: 'evaluate',
      metrics: ['loss', 'accuracy'],
      earlyStopping: undefined,
    },
    { kind: 'evaluate', data: 'test', batch: 64, evaluate: 'evaluate', metrics: ['loss', 'accuracy'] },
  ]);
  expect(models).toEqual([
    {
      name: 'net',
      declaration: 'Mlp',
      prefix: '',
      predict: 'predict',
      from: undefined,
      inputs: [{ name: 'image', dtype: 'f32', shape: ['batch', 28, 28] }],
      outputs: [{ name: 'logits', dtype: 'f32', shape: ['batch', 10] }],
    },
  ]);
  expect(data.map((d) => d.name)).toEqual(['mnist', 'test']);
  expect(Object.keys(data[0]!.fields)).toEqual(['image', 'label']);
});
