/**
 * Small whole models from given initial weights: the losses of 20 steps are PyTorch's on wasm, and the gradients of the
 * first step on every backend (test/fixtures/make_model_fixtures.py).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileTask, type Host, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import type { Data, Session } from '../../runtime/device.ts';
import { must, openSession, startFromZero, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose } from '../support/tolerance.ts';
import { mulberry32, uniform } from '../support/weights.ts';
import { models } from './model-cases.ts';

interface Given {
  readonly name: string;
  readonly seed: number;
  readonly shape: readonly number[];
  /** null: floats; a number: whole numbers below it; `bits`: 0 or 1; `some`: below 9, or -1. */
  readonly kind: number | 'bits' | 'some' | null;
}
interface Recorded {
  readonly inputs: readonly Given[];
  readonly params: readonly {
    readonly path: string;
    readonly seed: number;
    readonly shape: readonly number[];
    readonly bound: number;
    readonly gradient: readonly number[];
  }[];
  readonly losses: readonly number[];
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/models.json', import.meta.url), 'utf8'),
) as Record<string, Recorded>;

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const isWhole = ({ kind }: Given): boolean => kind !== null && kind !== 'bits';

/** Twin of `data` in make_model_fixtures.py. */
function dataOf(given: Given): Data {
  const { seed, shape, kind } = given;
  const size = sizeOf(shape);
  if (kind === null) return uniform(seed, size);
  // Python rounds to float32 in between.
  const u = Array.from({ length: size }, (_, i) => (Math.fround(mulberry32(seed, i) * 2 - 1) + 1) / 2);
  if (kind === 'bits') return Float32Array.from(u, (v) => Number(v >= 0.5));
  return Int32Array.from(u, (v) =>
    kind === 'some' ? (v >= 0.5 ? Math.floor(v * 9) : -1) : Math.floor(v * kind),
  );
}

async function open(name: string, optimizer: string, target: Target): Promise<Session> {
  const { inputs, params } = recorded[name]!;
  const text = models[name]!.replace('OPTIMIZER', optimizer);
  const fields = inputs.map(
    (g) => [g.name, { dtype: isWhole(g) ? 'i32' : 'f32', shape: g.shape.slice(1) }] as const,
  );
  const host: Host = {
    ...testHost({ 'model.nnet': text }),
    describeData: () => ({ fields: Object.fromEntries(fields), count: inputs[0]!.shape[0]! }),
  };
  const { program } = must(
    compileTask(load('model.nnet', host), 'train', { target, relaxed: false, predict: false }),
  );
  const session = await openSession(program, target);
  // Running statistics begin at 1, and are not read by a step of training but for the next ones.
  await startFromZero(session, target);
  const found = program.tensors.filter((t) => t.role === 'param');
  expect(found.map((t) => t.path).sort()).toEqual(params.map((p) => p.path).sort());
  for (const { path, seed, shape, bound } of params)
    await session.write(path, uniform(seed, sizeOf(shape), bound));
  return session;
}

async function step(session: Session, name: string, number: number): Promise<number> {
  const { inputs } = recorded[name]!;
  const data = Object.fromEntries(inputs.map((g) => [g.name, dataOf(g)]));
  const clocks = { seed: 1, step: number, epoch: 1, epochs: 1, steps_per_epoch: 20 };
  await session.run('train', { batch: inputs[0]!.shape[0]! }, data, clocks);
  return (await session.output('train', 'loss'))[0]!;
}

/** Of the greatest gradient of all: what a softmax does not see has none of its own but rounding. */
const allowed: { readonly [T in Target]: number } = { reference: 1e-6, wasm: 2e-5, webgpu: 2e-5 };

async function gradients(name: string, target: Target): Promise<void> {
  // After one step the momentum is the gradient.
  const session = await open(name, 'Sgd(lr: 0.1, momentum: 0.9)', target);
  try {
    expectClose([await step(session, name, 1)], recorded[name]!.losses.slice(0, 1), allowed[target], 'loss');
    const { params } = recorded[name]!;
    const greatest = Math.max(...params.flatMap((p) => p.gradient.map(Math.abs)));
    for (const { path, gradient } of params) {
      const got = await session.read(`${path}/velocity`);
      expectClose([...got, greatest], [...gradient, greatest], allowed[target], `gradient of ${path}`);
    }
  } finally {
    session.close();
  }
}

const names = Object.keys(models);

it('every recorded model is tested', () => {
  expect(names.sort()).toEqual(Object.keys(recorded).sort());
});

describe('twenty steps on wasm', () => {
  it.each(names)(
    '%s',
    async (name) => {
      const optimizer = name === 'resnet' ? 'Sgd(lr: 0.05, momentum: 0.9)' : 'Adam(lr: 0.01)';
      const session = await open(name, optimizer, 'wasm');
      try {
        const losses: number[] = [];
        for (let i = 1; i <= 20; i++) losses.push(await step(session, name, i));
        expectClose(losses, recorded[name]!.losses, 1e-4, `losses of ${name}`);
      } finally {
        session.close();
      }
    },
    120_000,
  );
});

describe.each(['reference', 'wasm'] as const)('the first gradients on %s', (target) => {
  it.each(names)('%s', (name) => gradients(name, target), 120_000);
});
describeGpu('the first gradients on webgpu', () => {
  it.each(names)('%s', (name) => gradients(name, 'webgpu'), 300_000);
});
