/** Schedules of the library against PyTorch's, step by step, on every backend; the rest against its formula. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose } from '../support/tolerance.ts';

interface Recorded {
  readonly epochs: number;
  readonly steps_per_epoch: number;
  readonly rates: Readonly<Record<string, readonly number[]>>;
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/schedules.json', import.meta.url), 'utf8'),
) as Recorded;
const total = recorded.epochs * recorded.steps_per_epoch;

const schedules: Readonly<Record<string, string>> = {
  step_decay: 'step_decay(0.1, each: 4, factor: 0.5)',
  multistep: 'multistep(0.1, [3, 7, 8], factor: 0.3)',
  exponential: 'exponential(0.1, factor: 0.9)',
  cosine_epochs: 'cosine(0.1, least: 0.01, length: epochs, at: epoch - 1)',
  cosine_restarts: 'cosine_restarts(0.1, first: 4, least: 0.01)',
  cosine_restarts_longer: 'cosine_restarts(0.1, first: 2, longer: 2)',
  polynomial: 'polynomial(0.1, power: 2)',
  linear: 'linear(0.1, least: 0.01, length: 20)',
  cosine: 'cosine(0.1)',
  one_cycle: 'one_cycle(0.1)',
  one_cycle_other: 'one_cycle(0.1, rise: 0.25, start: 10, end: 100)',
  cyclic: 'cyclic(0.1, least: 0.01, half: 5)',
  warmup: 'warmup(0.1, steps: 8, start: 0.25, at: step - 1)',
};
const steps = Array.from({ length: total }, (_, i) => i + 1);
const formulas: Readonly<Record<string, readonly [string, (step: number) => number]>> = {
  rises: ['warmup(cosine(0.1), steps: 5)', (t) => Math.min(t / 5, 1) * recorded.rates['cosine']![t - 1]!],
  noam: ['inverse_sqrt(0.1, warmup: 6)', (t) => 0.1 * Math.min(t / 6, Math.sqrt(6 / t))],
  falls: ['on_plateau(0.1, factor: 0.5, least: 0.02)', (t) => Math.max(0.1 * 0.5 ** Math.floor(t / 9), 0.02)],
};

const expected: Readonly<Record<string, readonly number[]>> = {
  ...recorded.rates,
  ...Object.fromEntries(Object.entries(formulas).map(([name, [, of]]) => [name, steps.map(of)])),
};
const texts = {
  ...schedules,
  ...Object.fromEntries(Object.entries(formulas).map(([name, [text]]) => [name, text])),
};

const text = `
model Constant() {
  input  x: f32[batch]
  output y: f32[]
  param  w: f32[] = zeros
  y = mean(x) * w
}
task train {
  net = Constant()
  data = idx(x: "x")
  fit(epochs: ${recorded.epochs}) on data {
    minimize net(x) with Sgd(lr: cosine(0.1))
${Object.entries(texts)
  .map(([name, schedule]) => `    metric ${name} = ${schedule}`)
  .join('\n')}
  }
}`;
const host = {
  ...testHost({ 'case.nnet': text }),
  describeData: () => ({ fields: { x: { dtype: 'f32' as const, shape: [] } }, count: total }),
};

/** Angles of up to pi, and powers, in float32. */
const tolerances = { reference: 1e-7, wasm: 2e-6, webgpu: 5e-6 };

function compare(target: Target): void {
  it('gives the rates of all steps', async () => {
    const options = { target, relaxed: false, predict: false };
    const { program } = must(compileTask(load('case.nnet', host), 'train', options));
    const session = await openSession(program, target);
    try {
      await session.run('init', {}, {}, { seed: 1 });
      const found: Record<string, number[]> = Object.fromEntries(Object.keys(expected).map((n) => [n, []]));
      let w = 0;
      for (const step of steps) {
        const clocks = {
          step,
          epoch: Math.ceil(step / recorded.steps_per_epoch),
          epochs: recorded.epochs,
          steps_per_epoch: recorded.steps_per_epoch,
          plateaus: Math.floor(step / 9),
        };
        await session.run('train', { batch: 1 }, { x: Float32Array.of(1) }, clocks);
        for (const name of Object.keys(expected))
          found[name]!.push((await session.output('train', name))[0]!);
        w -= recorded.rates['cosine']![step - 1]!;
      }
      for (const [name, rates] of Object.entries(expected))
        expectClose(found[name]!, rates, tolerances[target], name);
      expectClose(await session.read('w'), [w], 1e-5, 'what the optimizer made of its rates');
    } finally {
      session.close();
    }
  }, 120_000);
}

it('every recorded schedule is tested', () => {
  expect(Object.keys(schedules).sort()).toEqual(Object.keys(recorded.rates).sort());
});

describe.each(['reference', 'wasm'] as const)('schedules on %s', (target) => compare(target));
describeGpu('schedules on webgpu', () => compare('webgpu'));
