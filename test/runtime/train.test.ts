import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { FitStep } from '../../compiler/plan.ts';
import { dataset } from '../../runtime/data/column.ts';
import type { RunEvent } from '../../runtime/events.ts';
import { split } from '../../runtime/random.ts';
import { RunFolder } from '../../runtime/run-folder.ts';
import type { RunOptions } from '../../runtime/train.ts';
import { runTask } from '../../runtime/train.ts';
import type { FakePlan } from './fake.ts';
import { FakeSession, plan } from './fake.ts';
import { program, samples, column, task, add, sgd, session, go, failure } from './line.ts';

const root = mkdtempSync(join(tmpdir(), 'nnetc-train-'));
afterAll(() => rmSync(root, { recursive: true }));

describe('a fit', () => {
  it('sees every training sample once an epoch, in batches, the last one partial', async () => {
    const s = session();
    await go(s);
    const parts = split(samples, 0.2, 1);
    const runs = s.runs.filter((r) => r.plan === 'train');
    expect(runs.map((r) => r.dims['batch'])).toEqual([4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
    const seen = (from: number): number[] =>
      runs.slice(from, from + 5).flatMap((r) => [...r.inputs['x']!].map((x) => Math.round(x * samples)));
    expect(seen(0).toSorted((a, b) => a - b)).toEqual([...parts.train]);
    expect(seen(0)).not.toEqual(seen(5));
    const checked = s.runs.filter((r) => r.plan === 'valid').slice(0, 2);
    expect(checked.map((r) => r.dims['batch'])).toEqual([4, 1]);
    expect(checked.flatMap((r) => [...r.inputs['x']!].map((x) => Math.round(x * samples)))).toEqual([
      ...parts.valid,
    ]);
    expect(runs[0]!.inputs['label']).toBeInstanceOf(Int32Array);
  });

  it('gives the last, partial batch arrays of its length', async () => {
    const s = session();
    await go(s, task({ batch: 16, epochs: 2 }));
    const runs = s.runs.filter((r) => r.plan === 'train');
    expect(runs.map((r) => [r.dims['batch'], r.inputs['x']!.length])).toEqual([
      [16, 16],
      [4, 4],
      [16, 16],
      [4, 4],
    ]);
  });

  it('counts steps and epochs from 1', async () => {
    const s = session();
    await go(s, task({ epochs: 2, batch: 10 }));
    expect(s.runs.filter((r) => r.plan === 'train').map((r) => r.clocks)).toEqual(
      [
        [1, 1],
        [2, 1],
        [3, 2],
        [4, 2],
      ].map(([step, epoch]) => ({ seed: 1, step, epoch, epochs: 2, steps_per_epoch: 2, plateaus: 0 })),
    );
    expect(s.runs[0]).toMatchObject({ plan: 'init', clocks: { seed: 1 } });
  });

  it('averages over samples, not batches', async () => {
    let batch = 0;
    const train: FakePlan = (tensors, run) => {
      add(tensors, run, ++batch);
      return {};
    };
    // 20 samples in batches of 16 and 4.
    const { history } = await go(session({ train }), task({ batch: 16, epochs: 1 }));
    expect(history[0]!.train['loss']).toBeCloseTo((16 * 1 + 4 * 2) / 20, 6);
    expect(history[0]!.train['accuracy']).toBe(0.5);
  });

  it('takes the seed and the epochs of its caller', async () => {
    const runs = async (options: RunOptions): Promise<unknown> => {
      const s = session();
      await go(s, task({ valid: 0 }), options);
      return s.tensors.get('w');
    };
    expect(await runs({})).toEqual(await runs({ seed: 1, epochs: 3 }));
    expect(await runs({})).not.toEqual(await runs({ seed: 2 }));
    expect(await runs({})).not.toEqual(await runs({ epochs: 1 }));
  });

  it('keeps file order without shuffling', async () => {
    const s = session();
    await go(s, task({ shuffle: false, valid: 0, epochs: 1 }));
    const seen = s.runs.flatMap((r) => [...(r.inputs['x'] ?? [])].map((x) => Math.round(x * samples)));
    expect(seen).toEqual([...Array(samples).keys()]);
  });

  it('reads the device back for progress only as often as asked', async () => {
    let time = 0;
    const slow: FakePlan = (t, run) => {
      time += 10;
      return sgd(t, run);
    };
    const { events } = await go(session({ train: slow }), task({ batch: 1, epochs: 1 }), {
      now: () => time,
      progressMs: 50,
    });
    const progress = events.filter((e) => e.type === 'progress' && e.phase === 'train');
    // 20 steps of 10 ms: after the first, then every 50 ms.
    expect(progress.map((e) => e.type === 'progress' && e.samples)).toEqual([1, 6, 11, 16]);
    expect(progress.at(-1)).toMatchObject({ samplesPerSecond: 100, secondsLeft: 0.04, of: 20, epoch: 1 });
  });
});

describe('early stopping', () => {
  const scripted = (losses: readonly number[]): FakePlan => {
    let pass = -1;
    return (tensors, run) => {
      if (tensors.get('metrics/count')![0] === 0) pass++;
      add(tensors, run, losses[pass] ?? NaN);
      return {};
    };
  };
  const counting: FakePlan = (tensors, run) => {
    tensors.get('w')!.fill(run.clocks['epoch']!);
    add(tensors, run, 1);
    return {};
  };
  const stop = (patience: number, minDelta = 0): Partial<FitStep> => ({
    epochs: 10,
    earlyStopping: { monitor: 'valid.loss', patience, minDelta, mode: 'min' },
  });
  const run = async (
    losses: readonly number[],
    step: Partial<FitStep>,
  ): Promise<{ epochs: number; w: number; events: RunEvent[] }> => {
    const s = session({ train: counting, valid: scripted(losses) });
    const { history, events } = await go(s, task(step));
    return { epochs: history.length, w: s.tensors.get('w')![0]!, events };
  };

  it('stops when nothing improved for so many epochs, and brings the best weights back', async () => {
    const { epochs, w, events } = await run([5, 3, 4, 4, 1], stop(2));
    expect([epochs, w]).toEqual([4, 2]);
    expect(events).toContainEqual({ type: 'stopped', epoch: 4, monitor: 'valid.loss', patience: 2 });
    expect(events).toContainEqual({ type: 'restored', monitor: 'valid.loss', epoch: 2, value: 3 });
  });

  it('begins to wait anew after an improvement, which has to be large enough', async () => {
    expect((await run([5, 6, 4, 5, 3, 9, 9], stop(2))).epochs).toBe(7);
    expect((await run([5, 4.9, 4.8, 4.7], stop(2, 0.5))).epochs).toBe(3);
  });

  it('watches what it is told, upwards too', async () => {
    const step = stop(1);
    const { epochs } = await run([1, 2, 3, 2], {
      ...step,
      earlyStopping: { ...step.earlyStopping!, mode: 'max' },
    });
    expect(epochs).toBe(4);
    const train = await run([1, 1, 1], {
      ...step,
      earlyStopping: { ...step.earlyStopping!, monitor: 'train.accuracy' },
    });
    expect(train.epochs).toBe(2);
  });

  it('takes a validation that is NaN for no improvement', async () => {
    expect((await run([5, NaN, NaN], stop(2))).epochs).toBe(3);
  });

  it('brings the best weights back without a word in the task, when there is validation', async () => {
    expect((await run([5, 3, 4], { epochs: 3 })).w).toBe(2);
    expect((await run([5, 3, 4], { epochs: 3, valid: 0 })).w).toBe(3);
  });
});

describe('what goes wrong', () => {
  it('stops at a loss that is not a number, naming step and checkpoint', async () => {
    const bad: FakePlan = (tensors, run) => {
      add(tensors, run, run.clocks['step'] === 7 ? NaN : 1);
      if (run.clocks['step'] === 7) tensors.get('w')![1] = Infinity;
      return {};
    };
    const folder = RunFolder.create(join(root, 'nan'));
    const error = await failure(() => go(session({ train: bad }), task(), { store: folder, progressMs: 0 }));
    expect(error.code).toBe('E0905');
    expect(error.message).toBe(
      `the loss became NaN at step 7; the last good checkpoint is "${join(root, 'nan', 'last.safetensors')}"`,
    );
    expect(error.help).toContain('`w`');
    const restored = session();
    expect(await folder.load(restored)).toMatchObject({ epoch: 1, step: 5 });
    const late = await failure(() => go(session({ train: bad }), task(), { progressMs: 1e9 }));
    expect(late.message).toMatch(/between steps 7 and 10/);
  });

  it('finds a label that is out of range before it trains', async () => {
    const info = task();
    const field = { dtype: 'i32', shape: [], limit: 3 } as const;
    const narrow = { ...info, data: [{ ...info.data[0]!, fields: { label: field } }] };
    const error = await failure(() => go(session(), narrow));
    expect(error.message).toBe(
      '`label` of sample 3 is 3, but the program has 3 classes (0 to 2), in "label.idx"',
    );
  });

  it('guesses that two files were swapped', async () => {
    const data = dataset([column('image', new Uint8Array(3)), column('label', new Uint8Array(12), [2, 2])]);
    const swapped = [
      { name: 'image', dtype: 'f32', shape: ['batch', 2, 2], buffer: 0 },
      { name: 'label', dtype: 'i32', shape: ['batch'], buffer: 1 },
    ] as const;
    const s = new FakeSession(
      { ...program, plans: { ...program.plans, train: plan('train', { inputs: swapped }) } },
      {},
    );
    s.run = () => undefined;
    const error = await failure(() => runTask({ ...task(), data: [] }, s, new Map([['line', data]])));
    expect(error.code).toBe('E0707');
    expect(error.message).toBe(
      '`image` of "image.idx" holds samples of shape single numbers, but the program takes [2, 2]',
    );
    expect(error.help).toContain('were the two files swapped?');
  });

  it('asks for data that is there', async () => {
    const empty = dataset([column('x', new Float32Array()), column('label', new Uint8Array())]);
    expect((await failure(() => runTask(task(), session(), new Map([['line', empty]])))).code).toBe('E0709');
    expect((await failure(() => go(session(), task({}, [])))).code).toBe('E0907');
  });
});

describe('an evaluation', () => {
  it('takes all samples in file order and changes nothing', async () => {
    const s = session();
    const info = task({}, [
      { kind: 'evaluate', data: 'line', batch: 10, evaluate: 'valid', metrics: ['loss'] },
    ]);
    const { tests } = await go(s, info);
    expect(tests).toEqual([{ data: 'line', samples: 25, scores: { loss: 0 + 0 } }]);
    expect(s.runs.filter((r) => r.plan === 'valid').map((r) => r.dims['batch'])).toEqual([10, 10, 5]);
  });
});
