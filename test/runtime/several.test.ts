/** A `fit` whose steps are not all alike, averages of weights, plateaus, early stopping by target; several fits. */
import { expect, it } from 'vitest';
import type { FitStep, Program, TaskInfo } from '../../compiler/plan.ts';
import { dataset } from '../../runtime/data/column.ts';
import type { RunEvent } from '../../runtime/events.ts';
import type { RunResult } from '../../runtime/train.ts';
import { runTask } from '../../runtime/train.ts';
import type { FakePlan } from './fake.ts';
import { FakeSession, plan, tensor } from './fake.ts';

const count = 12;
const x = dataset([
  {
    name: 'x',
    file: 'x',
    type: 'f32',
    count,
    shape: [],
    values: Float32Array.from({ length: count }, (_, i) => i),
  },
]);
const inputs = [{ name: 'x', dtype: 'f32', shape: ['batch'], buffer: 0 }] as const;
const fit: FitStep = {
  kind: 'fit',
  data: 'x',
  epochs: 2,
  batch: 4,
  valid: 0.25,
  seed: 1,
  shuffle: false,
  train: 'train',
  evaluate: 'valid',
  metrics: ['loss'],
  earlyStopping: undefined,
};
const fits = (...steps: readonly Partial<FitStep>[]): TaskInfo => ({
  name: 'train',
  models: [],
  steps: steps.map((s) => ({ ...fit, ...s })),
  data: [{ name: 'x', kind: 'idx', args: {}, file: 'a', count, fields: { x: { dtype: 'f32', shape: [] } } }],
});
const names = ['train', 'train2', 'valid'];
const program: Program = {
  format: 1,
  stores: [],
  tensors: [
    tensor('w', 'param'),
    tensor('w/average', 'slot'),
    tensor('metrics/loss', 'metric'),
    tensor('metrics/count', 'metric'),
  ],
  plans: {
    init: plan('init'),
    begin: plan('begin'),
    average: plan('average'),
    ...Object.fromEntries(names.map((n) => [n, plan(n, { inputs })])),
  },
};

/** A session in which the validation losses of the epochs are these. */
function session(losses: readonly number[] = [3, 2, 1]): FakeSession {
  let epoch = 0;
  const measure =
    (loss: () => number): FakePlan =>
    (tensors, run) => {
      tensors.get('metrics/loss')![0]! += loss() * run.dims['batch']!;
      tensors.get('metrics/count')![0]! += run.dims['batch']!;
      return {};
    };
  const step: FakePlan = (tensors, run) => {
    tensors.get('w')![0]! += 1;
    tensors.get('w/average')![0]! += 0.5;
    return measure(() => 1)(tensors, run);
  };
  return new FakeSession(program, {
    init: () => ({}),
    begin: (tensors) => {
      tensors.get('w/average')!.set(tensors.get('w')!);
      return {};
    },
    average: (tensors) => {
      const [w, average] = [tensors.get('w')!, tensors.get('w/average')!];
      [w[0], average[0]] = [average[0]!, w[0]!];
      return {};
    },
    train: step,
    train2: step,
    valid: measure(() => losses[epoch++] ?? 0),
  });
}

async function go(s: FakeSession, info: TaskInfo): Promise<RunResult & { events: RunEvent[] }> {
  const events: RunEvent[] = [];
  const result = await runTask(info, s, new Map([['x', x]]), { onEvent: (e) => events.push(e) });
  return { ...result, events };
}

const stepsOf = (s: FakeSession) => s.runs.filter((r) => r.plan.startsWith('train'));

it('takes the plans of the cycle in turn, across epochs', async () => {
  const s = session();
  await go(s, fits({ cycle: ['train', 'train2'] }));
  expect(stepsOf(s).map((r) => [r.plan, r.clocks['step']])).toEqual([
    ['train2', 1],
    ['train', 2],
    ['train2', 3],
    ['train', 4],
    ['train2', 5],
    ['train', 6],
  ]);
});

it('counts the steps of each fit from 1, with random numbers of their own', async () => {
  const s = session();
  const { state } = await go(s, fits({ epochs: 1 }, { epochs: 1, begin: 'begin' }));
  expect(stepsOf(s).map((r) => r.clocks['step'])).toEqual([1, 2, 3, 1, 2, 3]);
  expect(new Set(stepsOf(s).map((r) => r.clocks['seed'])).size).toBe(2);
  expect(s.runs.map((r) => r.plan).indexOf('begin')).toBe(5);
  expect(state.step).toBe(6);
});

it('measures averages, trains on weights, and ends with the averages', async () => {
  const s = session([3, 2]);
  const seen: number[] = [];
  const { plans } = s as unknown as { plans: Record<string, FakePlan> };
  const valid = plans['valid']!;
  plans['valid'] = (tensors, run) => {
    seen.push(tensors.get('w')![0]!);
    return valid(tensors, run);
  };
  await go(s, fits({ begin: 'begin', average: 'average' }));
  // Three steps an epoch: the weight is 3 and then 6, the average half of it.
  expect(seen).toEqual([1.5, 3]);
  expect(s.tensors.get('w')![0]).toBe(3);
  expect(s.tensors.get('w/average')![0]).toBe(6);
});

it('puts the averages of the best epoch back', async () => {
  const s = session([1, 2, 3]);
  const { events } = await go(s, fits({ epochs: 3, begin: 'begin', average: 'average' }));
  expect(events.some((e) => e.type === 'restored' && e.epoch === 1)).toBe(true);
  expect(s.tensors.get('w')![0]).toBe(1.5);
});

it('counts a plateau after so many epochs without a better one, and then cools down', async () => {
  const watch = { monitor: 'valid.loss', minDelta: 0, mode: 'min', patience: 2, cooldown: 1 } as const;
  const s = session([5, 6, 6, 6, 6, 6, 4, 7]);
  const { state } = await go(s, fits({ epochs: 8, plateau: watch }));
  const byEpoch = stepsOf(s).filter((r) => r.clocks['step']! % 3 === 1);
  // Epochs 2 and 3 bring nothing: from the fourth it is 1. Epoch 4 cools down, 5 and 6 bring nothing.
  expect(byEpoch.map((r) => r.clocks['plateaus'])).toEqual([0, 0, 0, 1, 1, 1, 2, 2]);
  expect(state.plateau).toEqual({ count: 2, best: 4, waited: 1, cooling: 0 });
});

const stopping = { monitor: 'valid.loss', patience: 2, minDelta: 0, mode: 'min' } as const;

it('stops at the target', async () => {
  const s = session([3, 2, 1, 0]);
  const { events, history } = await go(s, fits({ epochs: 9, earlyStopping: { ...stopping, target: 2.5 } }));
  expect(history.length).toBe(2);
  expect(events.find((e) => e.type === 'stopped')).toMatchObject({ epoch: 2, reached: 2.5 });
});

it('waits only from the given epoch on, and keeps the last weights when told to', async () => {
  const s = session([1, 2, 2, 2, 2, 2, 2]);
  const { history, events } = await go(
    s,
    fits({ epochs: 9, earlyStopping: { ...stopping, start: 3, restore: false } }),
  );
  expect(history.length).toBe(5);
  expect(events.some((e) => e.type === 'restored')).toBe(false);
  expect(s.tensors.get('w')![0]).toBe(15);
});
