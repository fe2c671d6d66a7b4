/** Runs a task: initial weights, then its steps in the order of the text. Browser-safe: files are behind RunStore. */
import type { EvaluateStep, LoadStep, SaveStep, TaskInfo } from '../compiler/plan.ts';
import { Batches } from './data/batches.ts';
import { checkData } from './data/check.ts';
import type { Dataset } from './data/column.ts';
import { range } from './random.ts';
import type { Session } from './device.ts';
import type { RunEvent } from './events.ts';
import type { RunContext } from './fit.ts';
import { runFit } from './fit.ts';
import { readScores, readTables, runPass, zeroSums } from './pass.ts';
import { planOf } from './ports.ts';
import { problem } from './problems.ts';
import type { EpochRecord, RunState, Scores } from './state.ts';
import type { RunStore } from './store.ts';
import { MemoryStore } from './store.ts';
import type { PartLoaded } from './weights.ts';

export interface RunOptions {
  /** Instead of the seeds of the file. */
  readonly seed?: number | undefined;
  /** Instead of the epochs of every `fit`. */
  readonly epochs?: number | undefined;
  /** Ends the run after the current batch, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: RunEvent) => void) | undefined;
  /** Default: nothing is kept but the best weights, in memory. */
  readonly store?: RunStore | undefined;
  /** Where the checkpoint stands that the session was filled from; without, the weights are initialised. */
  readonly resume?: RunState | undefined;
  /** Called once the initial weights are there: loads pretrained ones over them. */
  readonly prepare?: ((session: Session) => Promise<void>) | undefined;
  /** Writes the weights of a model whose tensors' paths begin with `prefix`: the `save(net, "file")` of a task. */
  readonly saveModel?: ((session: Session, prefix: string, path: string) => Promise<string>) | undefined;
  /** Fills part of a model from a file; returns where that is, and what matched. */
  readonly loadModel?: ((session: Session, step: LoadStep) => Promise<Loaded>) | undefined;
  /** Milliseconds between progress events (reading the sums makes a GPU wait). Default 100. */
  readonly progressMs?: number | undefined;
  readonly saveSeconds?: number | undefined;
  /** Milliseconds; for tests. */
  readonly now?: (() => number) | undefined;
}

export interface Loaded extends PartLoaded {
  readonly path: string;
}

export interface RunResult {
  readonly status: 'done' | 'interrupted';
  readonly state: RunState;
  readonly history: readonly EpochRecord[];
  readonly tests: readonly { readonly data: string; readonly samples: number; readonly scores: Scores }[];
}

/** The seed of a run: the one asked for, else that of the task's first `fit`. */
export function seedOf(info: TaskInfo, seed: number | undefined): number {
  const fit = info.steps.find((step) => step.kind === 'fit');
  return seed ?? fit?.seed ?? 0;
}

/**
 * Runs all steps of a task.
 * @param data the task's data sources by name, loaded
 * @throws RuntimeError for data that does not fit (E07xx), files (E08xx), the device (E09xx), a loss that is NaN (E0905)
 */
export async function runTask(
  info: TaskInfo,
  session: Session,
  data: ReadonlyMap<string, Dataset>,
  options: RunOptions = {},
): Promise<RunResult> {
  if (info.steps.length === 0) throw problem('E0907', { task: info.name });
  checkData(info, data);
  const now = options.now ?? (() => performance.now());
  const context: RunContext = {
    session,
    data,
    store: options.store ?? new MemoryStore(),
    emit: options.onEvent ?? (() => undefined),
    signal: options.signal,
    now,
    progressMs: options.progressMs ?? 100,
    saveSeconds: options.saveSeconds ?? 60,
    lastSaved: undefined,
    lastSavedAt: now(),
  };
  const began = now();
  const seed = options.resume ? resumedSeed(options.resume, options.seed) : seedOf(info, options.seed);
  const override = seed === seedOf(info, undefined) ? options.seed : seed;
  const state = options.resume ?? fresh(info, seed);
  context.emit({
    type: 'start',
    task: info.name,
    device: session.device,
    seed,
    parameters: countParameters(session),
    resumedAt: options.resume?.step,
  });
  if (!options.resume) {
    if (session.program.plans['init']) await session.run('init', {}, {}, { seed });
    await options.prepare?.(session);
  }
  const result = await runSteps(info, context, { ...options, seed: override }, state);
  const seconds = (now() - began) / 1000;
  context.emit({ type: 'end', status: result.status, step: result.state.step, seconds });
  return result;
}

/** A run keeps its seed for good. @throws RuntimeError E0806 */
function resumedSeed(state: RunState, asked: number | undefined): number {
  if (asked !== undefined && asked !== state.seed)
    throw problem('E0806', { file: 'the checkpoint', reason: `its seed is ${state.seed}, not ${asked}` });
  return state.seed;
}

function fresh(info: TaskInfo, seed: number): RunState {
  return {
    task: info.name,
    seed,
    part: 0,
    epoch: 0,
    batch: 0,
    train: null,
    step: 0,
    best: null,
    waited: 0,
    stopped: false,
    history: [],
  };
}

async function runSteps(
  info: TaskInfo,
  context: RunContext,
  options: RunOptions,
  start: RunState,
): Promise<RunResult> {
  const tests: { data: string; samples: number; scores: Scores }[] = [];
  let state = start;
  const finish = (status: RunResult['status']): RunResult => ({
    status,
    state,
    history: state.history,
    tests,
  });
  const lastFit = info.steps.findLastIndex((step) => step.kind === 'fit');
  for (const [part, step] of info.steps.entries()) {
    switch (step.kind) {
      case 'fit': {
        if (part < start.part) break;
        if (part > state.part) state = nextPart(state, part);
        const done = await runFit(context, step, state, { epochs: options.epochs, seed: options.seed });
        state = done.state;
        if (done.interrupted) return finish('interrupted');
        if (part === lastFit) await saveTrained(context);
        break;
      }
      case 'evaluate': {
        // What stands before the fit that is resumed was reported by the run before.
        if (part < start.part) break;
        const scores = await evaluate(context, step, state);
        if (scores === 'interrupted') return finish('interrupted');
        const samples = context.data.get(step.data)?.count ?? 0;
        tests.push({ data: step.data, samples, scores });
        break;
      }
      case 'save':
        if (part >= start.part) await saveStep(info, context, options, step);
        break;
      case 'load':
        if (part >= start.part) await loadStep(context, options, step);
        break;
    }
  }
  return finish('done');
}

/** A later `fit` begins: its own epochs, best and patience; the steps go on counting. */
function nextPart(state: RunState, part: number): RunState {
  const { plateau: _, ...rest } = state;
  return { ...rest, part, epoch: 0, batch: 0, train: null, best: null, waited: 0, stopped: false };
}

async function saveTrained(context: RunContext): Promise<void> {
  const path = await context.store.saveModel(context.session);
  if (path !== undefined) context.emit({ type: 'saved', what: 'model', path });
}

async function saveStep(
  info: TaskInfo,
  context: RunContext,
  options: RunOptions,
  step: SaveStep,
): Promise<void> {
  const prefix = info.models.find((m) => m.name === step.model)?.prefix ?? '';
  const path = await options.saveModel?.(context.session, prefix, step.path);
  if (path !== undefined) context.emit({ type: 'saved', what: 'model', path });
}

async function loadStep(context: RunContext, options: RunOptions, step: LoadStep): Promise<void> {
  const { model, others: kept } = step;
  const done = await options.loadModel?.(context.session, step);
  if (done) context.emit({ type: 'loaded', model, kept, ...done });
}

async function evaluate(
  context: RunContext,
  step: EvaluateStep,
  state: RunState,
): Promise<Scores | 'interrupted'> {
  const { session, now } = context;
  const data = context.data.get(step.data);
  if (!data) throw new Error(`the data ${step.data} was not loaded`);
  if (data.count === 0)
    throw problem('E0709', { file: step.data, count: 0, reason: 'there is nothing to evaluate on' });
  const began = now();
  await zeroSums(session);
  const batch = Math.min(step.batch, data.count);
  await session.reserve(step.evaluate, { batch });
  const done = await runPass({
    session,
    plan: () => step.evaluate,
    batches: new Batches(planOf(session.program, step.evaluate), data, step.data, batch),
    order: range(data.count),
    batch,
    from: 0,
    metrics: step.metrics,
    clocks: () => ({
      seed: state.seed,
      step: state.step,
      epoch: state.epoch,
      epochs: state.epoch,
      steps_per_epoch: 1,
      plateaus: state.plateau?.count ?? 0,
    }),
    signal: context.signal,
    now,
    progressMs: context.progressMs,
    onProgress: ({ samples, scores, samplesPerSecond, secondsLeft }) =>
      context.emit({
        type: 'progress',
        phase: 'test',
        part: state.part,
        epoch: state.epoch,
        epochs: state.epoch,
        samples,
        of: data.count,
        scores,
        samplesPerSecond,
        secondsLeft,
      }),
  });
  if (done * batch < data.count) return 'interrupted';
  const scores = await readScores(session, step.metrics);
  const seconds = (now() - began) / 1000;
  const tables = await readTables(session, step.tables);
  context.emit({ type: 'test', data: step.data, samples: data.count, scores, seconds, ...tables });
  return scores;
}

function countParameters(session: Session): number {
  return session.program.tensors
    .filter((t) => t.role === 'param')
    .reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0);
}
