/** `fit`: epochs of training and validation, early stopping, the best weights, checkpoints. Browser-safe. */
import type { EarlyStopping, FitStep } from '../compiler/plan.ts';
import { Batches } from './data/batches.ts';
import type { Dataset } from './data/column.ts';
import type { Session } from './device.ts';
import type { RunEvent } from './events.ts';
import type { Progress } from './pass.ts';
import { readScores, readTables, runPass, zeroSums } from './pass.ts';
import { planOf } from './ports.ts';
import { problem } from './problems.ts';
import type { Split } from './random.ts';
import { shuffle, split, streams } from './random.ts';
import type { EpochRecord, RunState, Scores } from './state.ts';
import type { RunStore } from './store.ts';
import { judge, nextPlateau, reachedTarget } from './watch.ts';
import { notFinite, readTensors } from './weights.ts';

/** What the parts of a task share. */
export interface RunContext {
  readonly session: Session;
  readonly data: ReadonlyMap<string, Dataset>;
  readonly store: RunStore;
  readonly emit: (event: RunEvent) => void;
  readonly signal: AbortSignal | undefined;
  readonly now: () => number;
  readonly progressMs: number;
  /** Seconds between two checkpoints in the middle of an epoch. */
  readonly saveSeconds: number;
  /** Where the last checkpoint was saved. */
  lastSaved: string | undefined;
  /** When, by `now`. */
  lastSavedAt: number;
}

export interface FitResult {
  readonly state: RunState;
  readonly interrupted: boolean;
}

interface Fit {
  readonly context: RunContext;
  readonly step: FitStep;
  readonly epochs: number;
  readonly seed: number;
  readonly split: Split;
  readonly train: Batches;
  readonly evaluate: Batches;
  readonly stepsPerEpoch: number;
  readonly watch: EarlyStopping | undefined;
}

/**
 * Runs or goes on with a `fit` from `state`. At the end the session holds the weights of the best epoch where there is
 * one to be known: with early stopping by what it monitors, else by the first loss of the validation part.
 * @param seed instead of the step's
 */
export async function runFit(
  context: RunContext,
  step: FitStep,
  start: RunState,
  options: { readonly epochs: number | undefined; readonly seed: number | undefined },
): Promise<FitResult> {
  const fit = await prepare(context, step, options);
  const { split: parts, epochs } = fit;
  context.emit({
    type: 'fit',
    part: start.part,
    data: step.data,
    train: parts.train.length,
    valid: parts.valid.length,
    epochs,
    batch: step.batch,
  });
  let state = start;
  if (step.begin !== undefined && start.epoch === 0 && start.batch === 0)
    await context.session.run(step.begin, {}, {}, { seed: fit.seed });
  if (context.lastSaved === undefined) await save(fit, state);
  while (state.epoch < epochs && !state.stopped) {
    const { state: next, interrupted } = await runEpoch(fit, state);
    state = next;
    if (interrupted) {
      await save(fit, state);
      return { state, interrupted };
    }
    await save(fit, state);
    if (state.stopped && fit.watch) {
      const { monitor, patience } = fit.watch;
      const reached = reachedTarget(fit.watch, state.history.at(-1)) ? fit.watch.target : undefined;
      context.emit({
        type: 'stopped',
        epoch: state.epoch,
        monitor,
        patience,
        ...(reached !== undefined && { reached }),
      });
    }
  }
  // The best weights were saved as averages.
  if (!(await restoreBest(fit, state))) await exchangeAverages(fit);
  return { state, interrupted: false };
}

async function prepare(
  context: RunContext,
  step: FitStep,
  options: { readonly epochs: number | undefined; readonly seed: number | undefined },
): Promise<Fit> {
  const { session } = context;
  const data = context.data.get(step.data);
  if (!data) throw new Error(`the data ${step.data} was not loaded`);
  const seed = options.seed ?? step.seed;
  const parts = split(data.count, step.valid, seed);
  if (parts.train.length === 0)
    throw problem('E0709', {
      file: step.data,
      count: data.count,
      reason: 'there is nothing to train on',
    });
  const batch = Math.min(step.batch, Math.max(parts.train.length, parts.valid.length));
  for (const plan of new Set([step.train, ...(step.cycle ?? [])]))
    await session.reserve(plan, { batch: Math.min(batch, parts.train.length) });
  if (parts.valid.length > 0)
    await session.reserve(step.evaluate, { batch: Math.min(batch, parts.valid.length) });
  return {
    context,
    step,
    epochs: options.epochs ?? step.epochs,
    seed,
    split: parts,
    train: new Batches(planOf(session.program, step.train), data, step.data, step.batch),
    evaluate: new Batches(planOf(session.program, step.evaluate), data, step.data, step.batch),
    stepsPerEpoch: Math.ceil(parts.train.length / step.batch),
    watch: watched(step, parts),
  };
}

/** What decides which epoch is best. */
function watched(step: FitStep, parts: Split): EarlyStopping | undefined {
  if (step.earlyStopping) return step.earlyStopping;
  const [loss] = step.metrics;
  if (parts.valid.length === 0 || loss === undefined) return undefined;
  return { monitor: `valid.${loss}`, patience: Infinity, minDelta: 0, mode: 'min' };
}

async function runEpoch(fit: Fit, before: RunState): Promise<FitResult> {
  const { context } = fit;
  const began = context.now();
  const trained = await trainEpoch(fit, before);
  let { state } = trained;
  if (trained.interrupted || state.train === null) return { state, interrupted: true };
  const trainSeconds = (context.now() - began) / 1000;
  // Measured, and saved as the best, are the averages of the weights where there are such.
  await exchangeAverages(fit);
  const valid = await validate(fit, state);
  if (valid === 'interrupted') {
    await exchangeAverages(fit);
    return { state, interrupted: true };
  }
  // Of the validation where there is one, as its sums are those that stand there.
  const tables = await readTables(context.session, fit.step.tables);
  const record: EpochRecord = {
    part: state.part,
    epoch: state.epoch + 1,
    step: state.step,
    train: state.train,
    valid,
    seconds: (context.now() - began) / 1000,
  };
  state = { ...state, epoch: record.epoch, batch: 0, train: null, history: [...state.history, record] };
  const { plateau } = fit.step;
  if (plateau) state = { ...state, plateau: nextPlateau(plateau, state.plateau, record) };
  const judged = judge(fit.watch, state, record);
  if (judged.best) await announce(fit, 'best', await context.store.saveBest(context.session, judged.state));
  await exchangeAverages(fit);
  const samples = fit.split.train.length - before.batch * fit.step.batch;
  context.emit({
    type: 'epoch',
    ...record,
    epochs: fit.epochs,
    samplesPerSecond: Math.max(0, samples) / Math.max(1e-6, trainSeconds),
    best: fit.watch ? judged.best : undefined,
    ...tables,
  });
  return { state: judged.state, interrupted: false };
}

/** The rest of an epoch's batches. Interrupted, its running sums stay in the session for the checkpoint. */
async function trainEpoch(fit: Fit, before: RunState): Promise<FitResult> {
  const { context, step } = fit;
  const { session } = context;
  if (before.train !== null) return { state: before, interrupted: false };
  if (before.batch === 0) await zeroSums(session);
  const order = fit.split.train.slice();
  if (step.shuffle) shuffle(order, fit.seed, streams.shuffle, before.epoch);
  const stateAt = (done: number): RunState => ({
    ...before,
    batch: done,
    step: before.step + done - before.batch,
  });
  let finite = before.step;
  const done = await runPass({
    session,
    plan: (index) => planAt(step, stepAt(fit, before.epoch, index)),
    batches: fit.train,
    order,
    batch: step.batch,
    from: before.batch,
    metrics: step.metrics,
    clocks: (index) => clocksOf(fit, before, stepAt(fit, before.epoch, index)),
    signal: context.signal,
    now: context.now,
    progressMs: context.progressMs,
    onProgress: async (at) => {
      await checkFinite(fit, at.scores, finite, stateAt(at.done).step);
      finite = stateAt(at.done).step;
      progress(fit, 'train', before, at, order.length);
      if (context.now() - context.lastSavedAt > context.saveSeconds * 1000) await save(fit, stateAt(at.done));
    },
  });
  const state = stateAt(done);
  if (done < fit.stepsPerEpoch) return { state, interrupted: true };
  const scores = await readScores(session, step.metrics);
  await checkFinite(fit, scores, finite, state.step);
  return { state: { ...state, train: scores }, interrupted: false };
}

/** Steps count from 1 in each `fit`, so that schedules and bias corrections begin with it. */
const stepAt = (fit: Fit, epoch: number, index: number): number => epoch * fit.stepsPerEpoch + index + 1;

const planAt = ({ cycle, train }: FitStep, step: number): string => cycle?.[step % cycle.length] ?? train;

/** `step` and `epoch` count from 1. */
function clocksOf(fit: Fit, state: RunState, step: number): Readonly<Record<string, number>> {
  return {
    seed: seedOfPart(fit.seed, state.part),
    step,
    epoch: state.epoch + 1,
    epochs: fit.epochs,
    steps_per_epoch: fit.stepsPerEpoch,
    plateaus: state.plateau?.count ?? 0,
  };
}

/** Parts of a task draw other random numbers, though each counts its steps from 1. */
const seedOfPart = (seed: number, part: number): number => (seed + Math.imul(part, 0x9e3779b9)) | 0;

/** Weights become their averages, and the other way round. */
async function exchangeAverages({ context, step }: Fit): Promise<void> {
  if (step.average !== undefined) await context.session.run(step.average, {}, {}, {});
}

async function validate(fit: Fit, state: RunState): Promise<Scores | null | 'interrupted'> {
  const { context, step } = fit;
  const order = fit.split.valid;
  if (order.length === 0) return null;
  await zeroSums(context.session);
  const done = await runPass({
    session: context.session,
    plan: () => step.evaluate,
    batches: fit.evaluate,
    order,
    batch: step.batch,
    from: 0,
    metrics: step.metrics,
    clocks: () => clocksOf(fit, state, stepAt(fit, state.epoch, fit.stepsPerEpoch - 1)),
    signal: context.signal,
    now: context.now,
    progressMs: context.progressMs,
    onProgress: (at) => progress(fit, 'valid', state, at, order.length),
  });
  if (done * step.batch < order.length) return 'interrupted';
  return await readScores(context.session, step.metrics);
}

function progress(fit: Fit, phase: 'train' | 'valid', state: RunState, at: Progress, of: number): void {
  const { samples, scores, samplesPerSecond, secondsLeft } = at;
  fit.context.emit({
    type: 'progress',
    phase,
    part: state.part,
    epoch: state.epoch + 1,
    epochs: fit.epochs,
    samples,
    of,
    scores,
    samplesPerSecond,
    secondsLeft,
  });
}

/** @throws RuntimeError E0905 when the loss became NaN or infinite after step `good` and up to step `bad` */
async function checkFinite(fit: Fit, scores: Scores, good: number, bad: number): Promise<void> {
  const [loss] = fit.step.metrics;
  if (loss === undefined || scores[loss] !== null) return;
  const { context } = fit;
  const sum = (await context.session.read(`metrics/${loss}`))[0] ?? NaN;
  const spoilt = notFinite(await readTensors(context.session, ['param']));
  throw problem('E0905', {
    value: Number.isNaN(sum) ? 'NaN' : 'infinite',
    where: bad - good <= 1 ? `at step ${bad}` : `between steps ${good + 1} and ${bad}`,
    good: context.lastSaved,
    step: bad,
    ...(spoilt.length > 0 && { bad: spoilt.slice(0, 6) }),
  });
}

/** Puts the weights of the best epoch back; tells whether there was anything to do. */
async function restoreBest(fit: Fit, state: RunState): Promise<boolean> {
  const { watch } = fit;
  if (!watch || watch.restore === false || !state.best || state.best.epoch === state.epoch) return false;
  await fit.context.store.restoreBest(fit.context.session);
  fit.context.emit({ type: 'restored', monitor: watch.monitor, ...state.best });
  return true;
}

async function save(fit: Fit, state: RunState): Promise<void> {
  const { context } = fit;
  const path = await context.store.saveCheckpoint(context.session, state);
  context.lastSaved = path;
  context.lastSavedAt = context.now();
  await announce(fit, 'checkpoint', path);
}

async function announce(fit: Fit, what: 'checkpoint' | 'best', path: string | undefined): Promise<void> {
  if (path !== undefined) fit.context.emit({ type: 'saved', what, path });
}
