/** One pass over samples with one plan: batches in, running sums out, progress now and then. Browser-safe. */
import type { Batches } from './data/batches.ts';
import type { Session } from './device.ts';
import type { Tables } from './events.ts';
import type { Scores } from './state.ts';

export interface Pass {
  readonly session: Session;
  /** The plan of the batch of this index (from 0). */
  readonly plan: (index: number) => string;
  readonly batches: Batches;
  readonly order: Uint32Array;
  readonly batch: number;
  /** Batches that were done before, by the run that is resumed. */
  readonly from: number;
  readonly metrics: readonly string[];
  /** Clocks of the batch of this index (from 0). */
  readonly clocks: (index: number) => Readonly<Record<string, number>>;
  readonly signal: AbortSignal | undefined;
  readonly now: () => number;
  /** Milliseconds between two calls of `onProgress`. */
  readonly progressMs: number;
  /** May throw to end the pass. `done`: batches that are done, of which `samples` samples in this process. */
  readonly onProgress: (at: Progress) => void | Promise<void>;
}

export interface Progress {
  /** Batches done. */
  readonly done: number;
  /** Samples done since the epoch began. */
  readonly samples: number;
  readonly scores: Scores;
  readonly samplesPerSecond: number;
  readonly secondsLeft: number;
}

const sumPath = (metric: string): string => `metrics/${metric}`;
const countPath = 'metrics/count';

/** Sets all running sums to zero: an epoch or a pass begins. */
export async function zeroSums(session: Session): Promise<void> {
  for (const { path, role } of session.program.tensors) {
    if (role !== 'metric') continue;
    const held = await session.read(path);
    await session.write(path, held.fill(0));
  }
}

/** The averages since `zeroSums`; null where not finite. Waits for the device. */
export async function readScores(session: Session, metrics: readonly string[]): Promise<Scores> {
  const [count = 0, ...sums] = (
    await Promise.all([countPath, ...metrics.map(sumPath)].map((path) => session.read(path)))
  ).map((data) => data[0] ?? NaN);
  return Object.fromEntries(
    metrics.map((name, i) => {
      const mean = sums[i]! / count;
      return [name, Number.isFinite(mean) ? mean : null];
    }),
  );
}

/** Metrics that are vectors or matrices, as averages like the scores. */
export async function readTables(session: Session, names: readonly string[] | undefined): Promise<Tables> {
  if (!names) return {};
  const [count = NaN] = await session.read(countPath);
  const tables = names.map(async (name) => {
    const sums = await session.read(sumPath(name));
    const shape = session.program.tensors.find((t) => t.path === sumPath(name))?.shape ?? [];
    return [name, { shape, values: [...sums].map((v) => v / count) }] as const;
  });
  return { tables: Object.fromEntries(await Promise.all(tables)) };
}

/** How long a synchronous device may keep the thread before signals and timers get their turn. */
const turnMs = 40;

/**
 * Runs the plan for every batch from `from` on. Returns how many batches are done: fewer than all when the signal
 * was given. The sums are left for `readScores`.
 */
export async function runPass(pass: Pass): Promise<number> {
  const { session, order, batch, signal, now } = pass;
  const total = Math.ceil(order.length / batch);
  const began = now();
  let shown = -Infinity;
  let turned = began;
  let done = pass.from;
  for (; done < total && !signal?.aborted;) {
    const start = done * batch;
    const count = Math.min(batch, order.length - start);
    const pending = session.run(
      pass.plan(done),
      { batch: count },
      pass.batches.take(order, start, count),
      pass.clocks(done),
    );
    if (pending) await pending;
    done++;
    const time = now();
    if (time - shown >= pass.progressMs && done < total) {
      await report(pass, done, began);
      shown = turned = now();
    }
    if (time - turned >= turnMs) {
      await otherTasks();
      turned = now();
    }
  }
  return done;
}

async function report(pass: Pass, done: number, began: number): Promise<void> {
  const scores = await readScores(pass.session, pass.metrics);
  const samples = Math.min(done * pass.batch, pass.order.length);
  const here = samples - pass.from * pass.batch;
  const samplesPerSecond = here / Math.max(1e-6, (pass.now() - began) / 1000);
  const secondsLeft = (pass.order.length - samples) / samplesPerSecond;
  await pass.onProgress({ done, samples, scores, samplesPerSecond, secondsLeft });
  await otherTasks();
}

/** Lets timers, signals and input have their turn. */
const otherTasks = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
