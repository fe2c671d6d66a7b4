/**
 * The library's optimizers against PyTorch's: five steps from the same weights with given gradients, on every backend.
 * The gradient of `sum(w * g)` with respect to `w` is `g`, so the data of each step are its gradients.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import { decodeSafetensors, decodeTensor } from '../../runtime/safetensors.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';
import { uniform } from '../support/weights.ts';

/** As configured in make_fixtures.py. */
const cases: Readonly<Record<string, string>> = {
  sgd: 'Sgd(lr: 0.1)',
  sgd_momentum: 'Sgd(lr: 0.1, momentum: 0.9)',
  sgd_nesterov: 'Sgd(lr: 0.1, momentum: 0.9, nesterov: true)',
  sgd_weight_decay: 'Sgd(lr: 0.1, momentum: 0.9, weight_decay: 0.01)',
  rmsprop: 'RmsProp(lr: 0.01)',
  rmsprop_momentum: 'RmsProp(lr: 0.01, alpha: 0.9, eps: 1e-6, momentum: 0.9)',
  adagrad: 'Adagrad(lr: 0.1)',
  adam: 'Adam(lr: 0.01)',
  adam_other: 'Adam(lr: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-3)',
  adamw: 'AdamW(lr: 0.01, weight_decay: 0.1)',
};

const size = 7;
const steps = 5;

const text = (optimizer: string): string => `
model Linear() {
  input  g: f32[batch, ${size}]
  output y: f32[batch]
  param  w: f32[${size}] = zeros

  y = g @ w
}

task train {
  net = Linear()
  data = idx(g: "gradients")
  fit(epochs: 1, batch: 1) on data {
    minimize sum(net(g)) with ${optimizer}
  }
}
`;

const host = (optimizer: string) => ({
  ...testHost({ 'case.nnet': text(optimizer) }),
  describeData: () => ({ fields: { g: { dtype: 'f32' as const, shape: [size] } }, count: steps }),
});

const fixture = decodeSafetensors(
  'optimizers',
  readFileSync(new URL('../fixtures/optimizers.safetensors', import.meta.url)),
);

function recorded(name: string): Float32Array {
  const t = fixture.tensors.get(name)!;
  return decodeTensor('optimizers', t, fixture.bytesOf(t), 'f32') as Float32Array;
}

async function compare(name: string, target: Target): Promise<void> {
  const model = load('case.nnet', host(cases[name]!));
  const { program } = must(compileTask(model, 'train', { target, relaxed: false }));
  const session = await openSession(program, target);
  try {
    const { path } = program.tensors.find((t) => t.role === 'param')!;
    await session.run('init', {}, {}, { seed: 1 });
    await session.write(path, recorded('start'));
    for (let i = 0; i < steps; i++) {
      const row = (all: Float32Array): Float32Array => all.slice(i * size, (i + 1) * size);
      await session.run(
        'train',
        { batch: 1 },
        { g: row(recorded('gradients')) },
        { step: i + 1, epoch: 1, epochs: 1 },
      );
      const w = await session.read(path);
      expectClose(w, row(recorded(name)), tolerance[target], `${name} after step ${i + 1}`);
    }
  } finally {
    session.close();
  }
}

it('every recorded optimizer is tested', () => {
  const names = [...fixture.tensors.keys()].filter((n) => n !== 'start' && n !== 'gradients');
  expect(Object.keys(cases).sort()).toEqual(names.sort());
});

it('deterministic numbers are the same here and in make_fixtures.py', () => {
  expect(recorded('start')).toEqual(uniform(11, size));
  const gradients = uniform(12, steps * size);
  gradients[2 * size + 3] = 0;
  expect(recorded('gradients')).toEqual(gradients);
});

describe.each(['reference', 'wasm'] as const)('PyTorch agrees with %s on', (target) => {
  it.each(Object.keys(cases))('%s', (name) => compare(name, target));
});
describeGpu('PyTorch agrees with webgpu on', () => {
  it.each(Object.keys(cases))('%s', (name) => compare(name, 'webgpu'), 60_000);
});
