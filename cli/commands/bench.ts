/** `nnetc bench FILE [TASK]`: a training step's time, memory and time to the first; `--kernels`: that of every kernel. */
import { footprint } from '../../compiler/memory.ts';
import type { FitStep, Plan, TaskInfo } from '../../compiler/plan.ts';
import { Batches } from '../../runtime/data/batches.ts';
import type { Dataset } from '../../runtime/data/column.ts';
import type { Session } from '../../runtime/device.ts';
import { problem } from '../../runtime/problems.ts';
import { range } from '../../runtime/random.ts';
import { supportsRelaxedSimd } from '../../runtime/relaxed.ts';
import { runsOf } from '../../runtime/loops.ts';
import { evalSize } from '../../runtime/size.ts';
import { WasmSession } from '../../runtime/wasm/session.ts';
import { chooseDevice } from '../devices.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { printJson } from '../failure.ts';
import { loadCompiler } from '../load-compiler.ts';
import { bytes, count, milliseconds } from '../numbers.ts';
import type { Options } from '../options.ts';
import type { Terminal } from '../terminal.ts';
import { compileTuned } from '../tuning.ts';
import { loadData } from './run.ts';

/** Steps are timed in blocks, so that a GPU is waited for once a block. */
const blocks = 10;
const defaultSeconds = 3;

interface Speed {
  readonly device: string;
  readonly batch: number;
  readonly steps: number;
  readonly dispatches: number;
  /** Milliseconds: of all blocks, of the best. */
  readonly medianStep: number;
  readonly bestStep: number;
  readonly samplesPerSecond: number;
  readonly gflops: number;
  /** Since the process began. */
  readonly firstStep: number;
  /** Bytes, of the process. */
  readonly peakMemory: number;
}

interface Timing extends Speed {
  /** Bytes that the plans take of the device: as predicted, and as allocated. */
  readonly planned: number | undefined;
  readonly allocated: number | undefined;
}

export async function bench(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = '', task] = args;
  const chosen = await chooseDevice(options.backend, options.kernels === true ? 1 : options.threads);
  try {
    const plans = (i: TaskInfo): string[] => ['init', ...(fitOf(i) ? [fitOf(i)!.train] : [])];
    const compiled = await compileTuned(terminal, { file, task, plans }, chosen, options);
    const { info, program } = compiled;
    const step = fitOf(info);
    if (!step) throw problem('E0907', { task: info.name });
    const loading = loadData(terminal, compiled);
    const session = await chosen.load(program);
    try {
      const steps = await prepare(session, loading, step, options);
      const job = { terminal, file, info, options, threads: chosen.threads };
      if (options.kernels === true) await benchKernels(job, session, steps);
      else await benchSteps(job, session, steps);
    } finally {
      session.close();
    }
    return exitCodes.done;
  } finally {
    chosen.close();
  }
}

/** What is timed. */
const fitOf = (info: TaskInfo): FitStep | undefined => info.steps.find((s) => s.kind === 'fit');

interface Job {
  readonly threads: number;
  readonly terminal: Terminal;
  readonly file: string;
  readonly info: TaskInfo;
  readonly options: Options;
}

async function benchSteps(
  { terminal, file, info, options, threads }: Job,
  session: Session,
  steps: Steps,
): Promise<void> {
  const timing = { ...(await time(session, steps, options)), ...memoryOf(session, steps, threads) };
  if (options.json === true) printJson(terminal, { type: 'bench', file, task: info.name, ...timing });
  else terminal.out.write(report(file, info, timing));
}

/** The steps of a task, one after the other on its data. */
interface Steps {
  readonly plan: Plan;
  readonly batch: number;
  readonly taken: () => number;
  /** What the next step is given. */
  readonly next: () => Parameters<Session['run']>;
  /** Runs so many and waits for them. */
  readonly take: (steps: number) => Promise<void>;
}

async function prepare(
  session: Session,
  loading: Promise<ReadonlyMap<string, Dataset>>,
  step: FitStep,
  options: Options,
): Promise<Steps> {
  const plan = session.program.plans[step.train];
  if (session.program.plans['init']) await session.run('init', {}, {}, { seed: step.seed });
  const data = (await loading).get(step.data);
  if (!plan || !data) throw new Error(`nothing to time on ${step.data}`);
  const batch = Math.min(options.batch ?? step.batch, data.count);
  const batches = new Batches(plan, data, step.data, batch);
  const order = range(data.count);
  const perEpoch = Math.floor(data.count / batch);
  let taken = 0;
  const next = (): Parameters<Session['run']> => {
    const inputs = batches.take(order, (taken % perEpoch) * batch, batch);
    taken++;
    const clocks = {
      seed: step.seed,
      step: taken,
      epoch: 1,
      epochs: step.epochs,
      steps_per_epoch: perEpoch,
    };
    return [step.train, { batch }, inputs, clocks];
  };
  const take = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      const pending = session.run(...next());
      if (pending) await pending;
    }
    await session.read('metrics/count');
  };
  return { plan, batch, taken: () => taken, next, take };
}

async function time(session: Session, steps: Steps, options: Options): Promise<Speed> {
  const { plan, batch, take } = steps;
  await take(1);
  const firstStep = performance.now();
  const size = await blockSize(take, options.steps);
  const times: number[] = [];
  for (let block = 0; block < blocks; block++) {
    const began = performance.now();
    await take(size);
    times.push((performance.now() - began) / size);
  }
  times.sort((a, b) => a - b);
  const bestStep = times[0]!;
  const runs = runsOf(plan, { batch });
  const flops = plan.dispatches.reduce((sum, d, i) => sum + evalSize(d.flops, { batch }) * runs[i]!, 0);
  return {
    device: session.device,
    batch,
    steps: steps.taken(),
    dispatches: plan.dispatches.length,
    medianStep: times[times.length >> 1]!,
    bestStep,
    samplesPerSecond: (1000 * batch) / bestStep,
    gflops: flops / bestStep / 1e6,
    firstStep,
    peakMemory: process.resourceUsage().maxRSS * 1024,
  };
}

/** What the plans that were run take of the device. */
function memoryOf(
  session: Session,
  { plan, batch }: Steps,
  threads: number,
): Pick<Timing, 'planned' | 'allocated'> {
  const { init } = session.program.plans;
  const allocated = session.allocated();
  if (plan.target === 'reference') return { planned: undefined, allocated };
  const uses = [...(init ? [{ plan: init, dims: {} }] : []), { plan, dims: { batch } }];
  return { planned: footprint(session.program, uses, plan.target, threads).total, allocated };
}

/** The median time of every kernel within whole steps, so that caches are as warm as they are in training. */
async function timeKernels(session: WasmSession, steps: Steps, options: Options): Promise<number[]> {
  const { next, take, plan } = steps;
  await take(1);
  const count = options.steps ?? (await blockSize(take, undefined)) * (blocks / 2);
  const times = plan.dispatches.map((): number[] => []);
  for (let i = 0; i < count; i++) session.profile(...next()).forEach((ms, d) => times[d]!.push(ms));
  return times.map((each) => each.sort((a, b) => a - b)[each.length >> 1]!);
}

async function benchKernels(
  { terminal, file, info, options }: Job,
  session: Session,
  steps: Steps,
): Promise<void> {
  if (!(session instanceof WasmSession))
    throw new UsageError('kernels are timed on wasm', 'add --backend wasm');
  const { measurePeaks, rooflineTable, timings, workOf } = await loadCompiler();
  const work = workOf(terminal, file, info, steps.plan, { batch: steps.batch }, options);
  const peaks = measurePeaks(supportsRelaxedSimd());
  const ms = await timeKernels(session, steps, options);
  const kernels = timings(work, ms, runsOf(steps.plan, { batch: steps.batch }), peaks);
  if (options.json === true)
    printJson(terminal, { type: 'kernels', file, task: info.name, batch: steps.batch, peaks, kernels });
  else terminal.out.write(`${file} ${info.name}, batch ${steps.batch}\n${rooflineTable(kernels, peaks)}`);
}

/** Steps a block: as asked, else so that all blocks take some seconds. The first steps warm the engine up. */
async function blockSize(take: (steps: number) => Promise<void>, asked: number | undefined): Promise<number> {
  if (asked !== undefined) return Math.max(1, Math.round(asked / blocks));
  await take(4);
  const began = performance.now();
  await take(4);
  const each = (performance.now() - began) / 4;
  return Math.max(1, Math.min(1000, Math.round((defaultSeconds * 1000) / blocks / each)));
}

function planned({ planned: predicted, allocated }: Timing): string {
  if (predicted === undefined || allocated === undefined) return '';
  return `, of which tensors ${bytes(allocated)} (predicted ${bytes(predicted)})`;
}

function report(file: string, info: TaskInfo, t: Timing): string {
  const rows = [
    [
      'step',
      `${milliseconds(t.medianStep)} median, ${milliseconds(t.bestStep)} best, batch ${t.batch}, ${t.steps} steps`,
    ],
    ['samples', `${count(t.samplesPerSecond)} a second`],
    ['arithmetic', `${t.gflops.toFixed(1)} GFLOP/s, ${t.dispatches} kernels a step`],
    ['memory', `${bytes(t.peakMemory)} at most${planned(t)}`],
    ['first step', `${milliseconds(t.firstStep)} after the process began`],
  ];
  return `${file} ${info.name} on ${t.device}\n${rows.map(([name = '', text]) => `  ${name.padEnd(11)} ${text}\n`).join('')}`;
}
