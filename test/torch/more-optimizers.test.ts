/**
 * Optimizers against PyTorch's or their formulas (test/fixtures/make_optimizer_fixtures.py): five steps of a vector, a
 * matrix and a kernel from given gradients, on every backend. The gradient of `sum(w * g)` is `g`.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import { decodeSafetensors, decodeTensor } from '../../runtime/safetensors.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';

const cases: Readonly<Record<string, string>> = {
  adam_amsgrad: 'Adam(lr: 0.01, beta1: 0.9, beta2: 0.9, amsgrad: true)',
  adam_weight_decay: 'Adam(lr: 0.01, weight_decay: 0.1)',
  adamw_amsgrad: 'AdamW(lr: 0.01, beta1: 0.9, beta2: 0.9, weight_decay: 0.1, amsgrad: true)',
  rmsprop_centered: 'RmsProp(lr: 0.01, alpha: 0.9, eps: 1e-6, centered: true)',
  adagrad_decay: 'Adagrad(lr: 0.1, lr_decay: 0.1, initial: 0.5, weight_decay: 0.1)',
  adadelta: 'Adadelta()',
  adadelta_other: 'Adadelta(lr: 0.5, rho: 0.8, eps: 1e-4, weight_decay: 0.1)',
  adamax: 'Adamax(lr: 0.01)',
  nadam: 'Nadam(lr: 0.01)',
  nadam_other: 'Nadam(lr: 0.01, beta1: 0.8, beta2: 0.95, momentum_decay: 0.1, weight_decay: 0.1)',
  radam: 'Radam(lr: 0.01)',
  radam_rectified: 'Radam(lr: 0.01, beta1: 0.9, beta2: 0.9, weight_decay: 0.1)',
  lion: 'Lion(lr: 0.01)',
  lion_weight_decay: 'Lion(lr: 0.02, beta1: 0.8, beta2: 0.95, weight_decay: 0.1)',
  lamb: 'Lamb(lr: 0.01)',
  adafactor: 'Adafactor(lr: 0.05)',
  adafactor_other: 'Adafactor(lr: 2.0, decay: -0.5, eps2: 0.01, clip: 0.5, weight_decay: 0.01)',
  muon: 'Muon(lr: 0.02, other_lr: 0.01)',
  muon_plain: 'Muon(lr: 0.05, momentum: 0.9, nesterov: false, weight_decay: 0.1, other_lr: 0.02)',
};

const shapes = { vector: [7], matrix: [6, 4], kernel: [3, 2, 2, 3] } as const;
const steps = 5;

const text = (optimizer: string): string => `
model Linear() {
  input  vector: f32[batch, 7]
  input  matrix: f32[batch, 6, 4]
  input  kernel: f32[batch, 3, 2, 2, 3]
  output y: f32[]
  param  a: f32[7] = zeros
  param  b: f32[6, 4] = zeros
  param  c: f32[3, 2, 2, 3] = zeros

  y = sum(vector * a) + sum(matrix * b) + sum(kernel * c)
}

task train {
  net = Linear()
  data = idx(vector: "v", matrix: "m", kernel: "k")
  fit(epochs: 1, batch: 1) on data {
    minimize net(vector, matrix, kernel) with ${optimizer}
  }
}
`;

const host = (optimizer: string) => ({
  ...testHost({ 'case.nnet': text(optimizer) }),
  describeData: () => ({
    fields: Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'f32' as const, shape }]),
    ),
    count: steps,
  }),
});

const fixture = decodeSafetensors(
  'more optimizers',
  readFileSync(new URL('../fixtures/more_optimizers.safetensors', import.meta.url)),
);

function recorded(name: string): Float32Array {
  const t = fixture.tensors.get(name)!;
  return decodeTensor('more optimizers', t, fixture.bytesOf(t), 'f32') as Float32Array;
}

const parameters = { vector: 'a', matrix: 'b', kernel: 'c' } as const;
const kinds = ['vector', 'matrix', 'kernel'] as const;

async function compare(name: string, target: Target): Promise<void> {
  const { program } = must(
    compileTask(load('case.nnet', host(cases[name]!)), 'train', { target, relaxed: false, predict: false }),
  );
  const session = await openSession(program, target);
  try {
    await session.run('init', {}, {}, { seed: 1 });
    for (const kind of kinds) await session.write(parameters[kind], recorded(`start/${kind}`));
    for (let i = 0; i < steps; i++) {
      const row = (all: Float32Array): Float32Array =>
        all.slice((i * all.length) / steps, ((i + 1) * all.length) / steps);
      const inputs = Object.fromEntries(kinds.map((kind) => [kind, row(recorded(`gradients/${kind}`))]));
      await session.run('train', { batch: 1 }, inputs, { step: i + 1, epoch: 1, epochs: 1 });
      for (const kind of kinds)
        expectClose(
          await session.read(parameters[kind]),
          row(recorded(`${name}/${kind}`)),
          tolerance[target],
          `${name}: ${kind} after step ${i + 1}`,
        );
    }
  } finally {
    session.close();
  }
}

it('every recorded optimizer is tested', () => {
  const names = [...fixture.tensors.keys()].map((key) => key.split('/')[0]!);
  expect([...Object.keys(cases), 'start', 'gradients'].sort()).toEqual([...new Set(names)].sort());
});

describe.each(['reference', 'wasm'] as const)('five steps agree on %s:', (target) => {
  it.each(Object.keys(cases))('%s', (name) => compare(name, target));
});
describeGpu('five steps agree on webgpu:', () => {
  it.each(Object.keys(cases))('%s', (name) => compare(name, 'webgpu'), 60_000);
});
