/** The examples of training with several losses, parts of models and random images, on a few digits. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { TaskInfo } from '../../compiler/plan.ts';
import { openTensors, saveWeights } from '../../runtime/checkpoint.ts';
import type { Dataset } from '../../runtime/data/column.ts';
import { loadSource } from '../../runtime/data/source.ts';
import type { Session } from '../../runtime/device.ts';
import type { RunEvent } from '../../runtime/events.ts';
import type { RunResult } from '../../runtime/train.ts';
import { runTask } from '../../runtime/train.ts';
import { loadPart } from '../../runtime/weights.ts';
import { must, openSession, testHost } from '../support/backends.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-training-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The first samples of every source. */
function digits(info: TaskInfo, count: number): ReadonlyMap<string, Dataset> {
  const cut = (source: TaskInfo['data'][number]): [string, Dataset] => {
    const { columns } = loadSource(source);
    const first = [...columns].map(([name, c]) => {
      const size = c.shape.reduce((a, b) => a * b, 1);
      return [name, { ...c, count, values: c.values.slice(0, count * size) }] as const;
    });
    return [source.name, { count, columns: new Map(first) }];
  };
  return new Map(info.data.map(cut));
}

interface Ran extends RunResult {
  readonly events: readonly RunEvent[];
  readonly session: Session;
}

/** Runs a task of an example on wasm; files are in the test's folder. */
async function ran(example: string, task: string, count: number, sets = {}): Promise<Ran> {
  const model = load(`examples/${example}.nnet`, testHost());
  const options = { target: 'wasm', relaxed: false, sets, predict: false } as const;
  const { program, info } = must(compileTask(model, task, options));
  const session = await openSession(program, 'wasm');
  const events: RunEvent[] = [];
  const file = (path: string): string => join(folder, path);
  const result = await runTask(info, session, digits(info, count), {
    onEvent: (event) => events.push(event),
    saveModel: async (s, prefix, path) => {
      await saveWeights(file(path), s, {}, prefix);
      return path;
    },
    loadModel: async (s, step) => ({
      path: step.path,
      ...(await loadPart(s, openTensors(file(step.path)), step)),
    }),
  });
  return { ...result, events, session };
}

const finite = (scores: Readonly<Record<string, number | null>>): void => {
  for (const [name, value] of Object.entries(scores)) expect(value, name).toEqual(expect.any(Number));
};

it('gan.nnet trains both networks and saves the averaged generator', async () => {
  const { history, session } = await ran('gan', 'train', 48, { epochs: 2, batch: 16 });
  try {
    expect(history.map((h) => h.step)).toEqual([3, 6]);
    for (const { train } of history) {
      expect(Object.keys(train)).toEqual(['loss', 'g_loss', 'caught']);
      finite(train);
    }
    const saved = openTensors(join(folder, 'generator.safetensors'));
    expect([...saved.tensors.keys()].some((name) => name.startsWith('disc'))).toBe(false);
    expect(saved.tensors.has('dense1.weight')).toBe(true);
    const average = await session.read('gen.dense1.bias');
    const weight = await session.read('gen.dense1.bias/average');
    expect(average).not.toEqual(weight);
  } finally {
    session.close();
  }
}, 120_000);

it('wgan_gp.nnet moves its generator in every fifth step', async () => {
  const { history, session } = await ran('wgan_gp', 'train', 96, { epochs: 2, batch: 16 });
  try {
    expect(history.map((h) => h.step)).toEqual([6, 12]);
    for (const { train } of history) finite(train);
    // The critic learns to tell them apart.
    expect(history[1]!.train['distance']!).toBeGreaterThan(history[0]!.train['distance']!);
  } finally {
    session.close();
  }
}, 120_000);

it('augment.nnet learns from changed images', async () => {
  const { history, session } = await ran('augment', 'train', 200, { epochs: 4, batch: 20 });
  try {
    expect(history.at(-1)!.train['loss']!).toBeLessThan(history[0]!.train['loss']! * 0.7);
    expect(Object.keys(history[0]!.valid ?? {})).toEqual(['loss', 'accuracy']);
  } finally {
    session.close();
  }
}, 120_000);

it('transfer.nnet takes the convolutions over and trains the head, then all', async () => {
  const first = await ran('transfer', 'train', 128);
  const trained = await first.session.read('conv1.weight');
  first.session.close();
  const { events, history, session } = await ran('transfer', 'transfer', 160);
  try {
    expect(events.find((e) => e.type === 'loaded')).toEqual({
      type: 'loaded',
      model: 'net',
      path: 'digits.safetensors',
      matched: ['conv1.weight', 'conv1.bias', 'conv2.weight', 'conv2.bias'],
      kept: ['head.weight', 'head.bias'],
      missing: [],
      differing: [],
      unused: ['head.bias', 'head.weight'],
    });
    expect(history.length).toBe(2);
    for (const { train, valid } of history) for (const s of [train, valid]) finite(s ?? {});
    // Two steps of at most 0.0003 / 10, and 1 of the weight decay.
    const moved = (await session.read('conv1.weight')).map((w, i) => Math.abs(w - trained[i]!));
    expect(Math.max(...moved)).toBeGreaterThan(0);
    expect(Math.max(...moved)).toBeLessThan(1e-3);
  } finally {
    session.close();
  }
}, 120_000);
