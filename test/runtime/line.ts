/** A line that is fitted to samples on a fake device. */
import { expect } from 'vitest';
import type { FitStep, Plan, Program, TaskInfo } from '../../compiler/plan.ts';
import type { Column } from '../../runtime/data/column.ts';
import { dataset } from '../../runtime/data/column.ts';
import type { Data } from '../../runtime/device.ts';
import type { RuntimeError } from '../../runtime/errors.ts';
import type { RunEvent } from '../../runtime/events.ts';
import type { RunOptions, RunResult } from '../../runtime/train.ts';
import { runTask } from '../../runtime/train.ts';
import type { FakePlan, FakeRun } from './fake.ts';
import { FakeSession, plan, tensor } from './fake.ts';

export const samples = 25;
export const column = (name: string, values: Column['values'], shape: number[] = []): Column => ({
  name,
  file: `${name}.idx`,
  type: values instanceof Float32Array ? 'f32' : 'u8',
  count: values.length / shape.reduce((a, b) => a * b, 1),
  shape,
  values,
});
export const line = dataset([
  column(
    'x',
    Float32Array.from({ length: samples }, (_, i) => i / samples),
  ),
  column(
    'label',
    Uint8Array.from({ length: samples }, (_, i) => i % 4),
  ),
]);

export const fit: FitStep = {
  kind: 'fit',
  data: 'line',
  epochs: 3,
  batch: 4,
  valid: 0.2,
  seed: 1,
  shuffle: true,
  train: 'train',
  evaluate: 'valid',
  metrics: ['loss', 'accuracy'],
  earlyStopping: undefined,
};
export const task = (
  step: Partial<FitStep> = {},
  steps: TaskInfo['steps'] = [{ ...fit, ...step }],
): TaskInfo => ({
  name: 'train',
  models: [],
  steps,
  data: [
    {
      name: 'line',
      kind: 'idx',
      args: {},
      file: 'a.nnet',
      count: samples,
      fields: { x: { dtype: 'f32', shape: [] }, label: { dtype: 'i32', shape: [], limit: 4 } },
    },
  ],
});

export const inputs: Plan['inputs'] = [
  { name: 'x', dtype: 'f32', shape: ['batch'], buffer: 0 },
  { name: 'label', dtype: 'i32', shape: ['batch'], buffer: 1 },
];
export const program: Program = {
  format: 1,
  stores: [],
  tensors: [
    tensor('w', 'param', [2]),
    tensor('w/m', 'slot', [2]),
    tensor('metrics/loss', 'metric'),
    tensor('metrics/accuracy', 'metric'),
    tensor('metrics/count', 'metric'),
  ],
  plans: { init: plan('init'), train: plan('train', { inputs }), valid: plan('valid', { inputs }) },
};

export function add(tensors: Map<string, Data>, run: FakeRun, loss: number): void {
  const n = run.dims['batch']!;
  tensors.get('metrics/loss')![0]! += loss * n;
  tensors.get('metrics/accuracy')![0]! += 0.5 * n;
  tensors.get('metrics/count')![0]! += n;
}

/** Fits label = w0 + w1 x by SGD with momentum: the order of the samples leaves its mark in every bit. */
export const sgd: FakePlan = (tensors, run) => {
  const w = tensors.get('w')!;
  const m = tensors.get('w/m')!;
  const { x, label } = run.inputs;
  const gradient = [0, 0];
  let loss = 0;
  x!.forEach((value, i) => {
    const error = w[0]! + w[1]! * value - label![i]!;
    loss += (error * error) / x!.length;
    gradient[0]! += (2 * error) / x!.length;
    gradient[1]! += (2 * error * value) / x!.length;
  });
  for (const k of [0, 1]) {
    m[k] = 0.9 * m[k]! + gradient[k]!;
    w[k]! -= 0.01 * (1 + run.clocks['step']! / 100) * m[k]!;
  }
  add(tensors, run, loss);
  return {};
};
export const valid: FakePlan = (tensors, run) => {
  add(tensors, run, Math.abs(tensors.get('w')![0]!));
  return {};
};
export const init: FakePlan = (tensors, run) => {
  tensors.get('w')!.fill(run.clocks['seed']!);
  return {};
};

export const session = (plans: Partial<Record<'init' | 'train' | 'valid', FakePlan>> = {}): FakeSession =>
  new FakeSession(program, { init, train: sgd, valid, ...plans });

export const go = async (
  s: FakeSession,
  info: TaskInfo = task(),
  options: RunOptions = {},
): Promise<RunResult & { events: RunEvent[] }> => {
  const events: RunEvent[] = [];
  const onEvent = (event: RunEvent): unknown => events.push(event);
  return { ...(await runTask(info, s, new Map([['line', line]]), { onEvent, ...options })), events };
};

export const failure = async (body: () => Promise<unknown>): Promise<RuntimeError> =>
  await body().then(
    () => expect.fail('nothing was thrown'),
    (error: RuntimeError) => error,
  );
