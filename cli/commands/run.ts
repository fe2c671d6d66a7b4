/** `nnetc run FILE [TASK]`: trains and evaluates; with `--inputs` runs a model on given tensors. */
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { CompiledTask } from '../../compiler/compile.ts';
import type { DataInfo, TaskInfo } from '../../compiler/plan.ts';
import { fileExists, loadWeights, openTensors, saveWeights } from '../../runtime/checkpoint.ts';
import type { Dataset } from '../../runtime/data/column.ts';
import { loadSourceMeanwhile } from '../../runtime/data/source.ts';
import type { Session } from '../../runtime/device.ts';
import { runtimeProblems } from '../../runtime/problems.ts';
import type { RunEvent } from '../../runtime/events.ts';
import { latestRunFolder, RunFolder } from '../../runtime/run-folder.ts';
import type { RunState } from '../../runtime/state.ts';
import { runTask } from '../../runtime/train.ts';
import { loadPart, loadTensors, weightRoles } from '../../runtime/weights.ts';
import { chooseDevice } from '../devices.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { printJson } from '../failure.ts';
import { loadCompiler } from '../load-compiler.ts';
import type { Options } from '../options.ts';
import { ProgressRenderer } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { shortPath } from '../terminal.ts';
import { compileTuned } from '../tuning.ts';

export async function run(terminal: Terminal, args: readonly string[], options: Options): Promise<ExitCode> {
  checkOptions(options);
  if (options.inputs !== undefined || options.model !== undefined) {
    const { runModel } = await loadCompiler();
    return await runModel(terminal, args, options);
  }
  return await runATask(terminal, args, options);
}

function checkOptions(options: Options): void {
  if ((options.inputs === undefined) !== (options.outputs === undefined))
    throw new UsageError('--inputs and --outputs go together');
  if (options.model !== undefined && options.inputs === undefined)
    throw new UsageError('--model runs a model on tensors: give --inputs and --outputs too');
  if (options.memory !== undefined && options.inputs !== undefined)
    throw new UsageError('--memory is for tasks, whose batch is known before they run: leave it out');
  if (options.resume === true && options.weights !== undefined)
    throw new UsageError('--resume goes on with the weights of the run: leave --weights out');
  if (options.backend !== 'auto' && options.backend !== 'wasm' && options.threads !== undefined)
    throw new UsageError('--threads is for the wasm backend');
}

async function runATask(terminal: Terminal, args: readonly string[], options: Options): Promise<ExitCode> {
  const [file = '', task] = args;
  const chosen = await chooseDevice(options.backend, options.threads);
  try {
    const compiled = await compileTuned(terminal, { file, task }, chosen, options);
    const { info, program } = compiled;
    const loading = loadData(terminal, compiled);
    const session = await chosen.load(program);
    try {
      const data = await loading;
      return await runOn(session, { terminal, file, info, data, options, about: chosen.about });
    } finally {
      session.close();
    }
  } finally {
    chosen.close();
  }
}

interface Job {
  readonly terminal: Terminal;
  readonly file: string;
  readonly info: TaskInfo;
  readonly data: ReadonlyMap<string, Dataset>;
  readonly options: Options;
  readonly about: string;
}

/**
 * Reads the data that the task's steps use, while the training step is compiled.
 * @throws (the promise) like `loadSource`
 */
export function loadData(
  terminal: Terminal,
  { info, program }: CompiledTask,
): Promise<ReadonlyMap<string, Dataset>> {
  const used = new Set(info.steps.flatMap((step) => ('data' in step ? [step.data] : [])));
  const load = async (source: DataInfo): Promise<readonly [string, Dataset]> => [
    source.name,
    await loadSourceMeanwhile({ ...source, file: resolve(terminal.cwd, source.file) }),
  ];
  const loaded = Promise.all(info.data.filter((source) => used.has(source.name)).map(load));
  const data = loaded.then((entries) => new Map(entries));
  // Told to whoever waits for it, which nobody does who failed before.
  data.catch(() => undefined);
  const fit = info.steps.find((step) => step.kind === 'fit');
  if (fit) void program.plans[fit.train];
  return data;
}

async function runOn(session: Session, job: Job): Promise<ExitCode> {
  const { terminal, info, options } = job;
  const trains = info.steps.some((step) => step.kind === 'fit');
  const folder = trains ? openFolder(job) : undefined;
  const renderer = new ProgressRenderer(terminal);
  const onEvent = options.json ? jsonEvents(terminal) : renderer.onEvent;
  const interrupt = interruption(terminal, renderer);
  try {
    if (!options.json)
      renderer.note(`${job.about}${folder ? `; run folder ${shortPath(terminal, folder.path)}` : ''}`);
    tellVocabularies(job, folder, onEvent);
    const resume = await resumeFrom(session, folder, job);
    const result = await runTask(info, session, job.data, {
      seed: options.seed,
      epochs: options.epochs,
      signal: interrupt.signal,
      onEvent,
      resume,
      ...(folder && { store: folder }),
      progressMs: renderer.progressMs,
      prepare: (s) => pretrained(s, job, onEvent),
      loadModel: async (s, step) => {
        const path = weightsFile(step.path, job);
        return { path, ...(await loadPart(s, openTensors(path), step)) };
      },
      saveModel: (s, prefix, path) => saveModel(s, prefix, resolve(dirname(job.file), path)),
    });
    if (result.status === 'done') return exitCodes.done;
    const again = folder ? `; go on with --resume --out ${shortPath(terminal, folder.path)}` : '';
    if (!options.json) renderer.note(`interrupted at step ${result.state.step}${again}`);
    return exitCodes.interrupted;
  } finally {
    renderer.clear();
    interrupt.end();
    folder?.release();
  }
}

/** What the tokens of the task's texts stand for, shown and saved beside the weights. */
function tellVocabularies(
  { info, data }: Job,
  folder: RunFolder | undefined,
  onEvent: (event: RunEvent) => void,
): void {
  const texts = info.data.flatMap((d) =>
    d.vocabulary && data.has(d.name) ? [[d.name, d.vocabulary] as const] : [],
  );
  if (texts.length === 0) return;
  const path = folder?.saveVocabularies(Object.fromEntries(texts));
  for (const [name, vocabulary] of texts)
    onEvent({ type: 'vocabulary', data: name, ...vocabulary, ...(path !== undefined && { path }) });
}

function openFolder({ terminal, file, info, options }: Job): RunFolder {
  const parent = join(terminal.cwd, 'runs', basename(file).replace(/\.nnet$/, ''));
  const named = options.out === undefined ? undefined : resolve(terminal.cwd, options.out);
  if (options.resume === true) return RunFolder.reopen(named ?? latestRunFolder(parent, info.name));
  return named === undefined ? RunFolder.next(parent) : RunFolder.create(named);
}

async function resumeFrom(
  session: Session,
  folder: RunFolder | undefined,
  { options }: Job,
): Promise<RunState | undefined> {
  if (options.resume !== true || !folder?.hasCheckpoint) return undefined;
  return await folder.load(session);
}

/** `--weights`, else what the task's models name with `from`. */
async function pretrained(session: Session, job: Job, onEvent: (event: RunEvent) => void): Promise<void> {
  const { options, info, terminal } = job;
  const warn = (file: string, unexpected: readonly string[]): void => {
    if (unexpected.length === 0) return;
    const fields = {
      file: shortPath(terminal, file),
      unexpected: unexpected.slice(0, 6),
      more: unexpected.length - 6,
    };
    onEvent({ type: 'warning', code: 'E0804', message: runtimeProblems.E0804.message(fields) });
  };
  if (options.weights !== undefined) {
    const file = resolve(terminal.cwd, options.weights);
    warn(file, await loadWeights(file, session));
    return;
  }
  for (const model of info.models) {
    if (model.from === undefined) continue;
    const file = weightsFile(model.from, job);
    warn(file, await loadTensors(session, openTensors(file), weightRoles, model.prefix));
    const matched = session.program.tensors.flatMap((t) =>
      weightRoles.includes(t.role) && t.path.startsWith(model.prefix)
        ? [t.path.slice(model.prefix.length)]
        : [],
    );
    // What the file has beyond them is the warning's.
    const rest = { kept: [], missing: [], differing: [], unused: [] };
    onEvent({ type: 'loaded', model: model.name, path: file, matched, ...rest });
  }
}

/** A relative path starts at the folder of the program, or where the command was called. */
function weightsFile(from: string, { file, terminal }: Job): string {
  if (isAbsolute(from)) return from;
  const beside = resolve(terminal.cwd, dirname(file), from);
  const here = resolve(terminal.cwd, from);
  return !fileExists(beside) && fileExists(here) ? here : beside;
}

async function saveModel(session: Session, prefix: string, path: string): Promise<string> {
  await saveWeights(path, session, {}, prefix);
  return path;
}

function jsonEvents(terminal: Terminal): (event: RunEvent) => void {
  return (event) => printJson(terminal, event);
}

/** The first Ctrl-C ends the run after the current batch; the second ends the process at once. */
function interruption(
  terminal: Terminal,
  renderer: ProgressRenderer,
): { signal: AbortSignal; end: () => void } {
  const controller = new AbortController();
  const end = terminal.onInterrupt(() => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
    renderer.note('stopping after this batch; once more to stop at once');
  });
  return { signal: controller.signal, end };
}
