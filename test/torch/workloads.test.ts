/**
 * The workloads that are measured (bench/workloads) compute what PyTorch computes: the loss of the first step and the mean
 * |output| of the first sample, from the same weights on the same batch, as `bench/peers/pytorch.py WORKLOAD` prints them.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { data, inferenceInputs, models, operators, trainBatch, weights } from '../../bench/lib/data.mjs';
import { plot } from '../../bench/lib/plot.mjs';
import { compileModel, compileTask, load, modelsOf } from '../../compiler/index.ts';
import type { Program } from '../../compiler/plan.ts';
import type { Session } from '../../runtime/device.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { expectClose } from '../support/tolerance.ts';

/** `loss`: none where the step draws random numbers. */
const torch: Readonly<Record<string, { readonly loss?: number; readonly output: number }>> = {
  mlp: { loss: 2.32147216796875, output: 0.06084689497947693 },
  lenet: { loss: 2.302034854888916, output: 0.006562204100191593 },
  cnn: { output: 0.02081458829343319 },
  lstm: { loss: 2.301846981048584, output: 0.0051740421913564205 },
  gpt: { loss: 4.313438892364502, output: 0.45562440156936646 },
};

const options = { target: 'wasm', relaxed: false } as const;

/** The file with data of the shapes that bench/lib/data.mjs gives. */
function loaded(workload: string) {
  const { fields, count } = data(workload);
  return load(`bench/workloads/${workload}.nnet`, { ...testHost(), describeData: () => ({ fields, count }) });
}

async function opened(workload: string, program: Program): Promise<Session> {
  const session = await openSession(program, 'wasm');
  await session.run('init', {}, {}, { seed: 1 });
  const given = weights(workload);
  for (const [path, values] of given) await session.write(path, values);
  const params = program.tensors.filter((t) => t.role === 'param').map((t) => t.path);
  expect(params.filter((path) => !given.has(path) && models.includes(workload))).toEqual([]);
  return session;
}

async function train(workload: string): Promise<Session> {
  const source = data(workload);
  const sets = 'image' in source.fields ? { scale: '1.0' } : {};
  const { program } = must(compileTask(loaded(workload), 'train', { ...options, sets, predict: false }));
  const session = await opened(workload, program);
  const batch = trainBatch(workload);
  await session.run('train', { batch }, source.batch(0, batch), {
    seed: 1,
    step: 1,
    epoch: 1,
    epochs: 1,
    steps_per_epoch: 100,
  });
  return session;
}

describe.each(Object.entries(torch))('%s', (workload, { loss, output }) => {
  it.runIf(loss !== undefined)('has the loss of PyTorch in its first step', async () => {
    const session = await train(workload);
    expectClose(await session.output('train', 'loss'), [loss ?? NaN], 1e-6, 'loss');
    session.close();
  });

  it('has the outputs of PyTorch', async () => {
    const model = loaded(workload);
    const { program, info } = must(compileModel(model, modelsOf(model)[0]!, options));
    const session = await opened(workload, program);
    await session.run(info.predict, { batch: 1 }, inferenceInputs(data(workload), workload, 0, 1));
    const values = await session.output(info.predict, 'logits');
    const mean = Array.from(values).reduce((sum, x) => sum + Math.abs(x), 0) / values.length;
    expectClose([mean], [output], 2e-6, 'mean |output|');
    session.close();
  });
});

describe('operators', () => {
  // What `bench/peers/pytorch.py` prints as `check`: the first element of the result.
  it.each([
    ['matmul', 6.187160015106201],
    ['softmax', 0.00030251609859988093],
    ['layernorm', 0.6235958933830261],
    ['elementwise', -1.664000153541565],
  ])('%s has the result of PyTorch', async (workload, first) => {
    const session = await train(workload);
    expectClose([(await session.read('result'))[0]!], [first], 3e-6, workload);
    session.close();
  });

  it('are all compared', () => {
    expect(operators.toSorted()).toEqual(['elementwise', 'layernorm', 'matmul', 'softmax']);
  });
});

it('every file compiles', () => {
  for (const file of readdirSync('bench/workloads').filter((name) => name.endsWith('.nnet'))) {
    const model = load(`bench/workloads/${file}`, testHost());
    must(compileTask(model, 'train', options));
  }
});

describe('plots', () => {
  const text = plot([
    {
      title: 'a < b & c',
      x: 'n',
      y: 'ms',
      series: [
        {
          name: 'n',
          points: [
            [1, 0.5],
            [2, 1],
            [1024, 700],
          ],
          proportional: true,
        },
      ],
    },
  ]);

  it('show every point inside the picture, and escape text', () => {
    const circles = [...text.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)];
    expect(circles).toHaveLength(3);
    const places = circles.map(([, x, y]) => [Number(x), Number(y)]);
    for (const [x, y] of places) {
      expect(x).toBeGreaterThan(0);
      expect(x).toBeLessThan(340);
      expect(y).toBeGreaterThan(0);
      expect(y).toBeLessThan(240);
    }
    expect(text).toContain('a &lt; b &amp; c');
    expect(text).not.toContain('NaN');
  });
});
