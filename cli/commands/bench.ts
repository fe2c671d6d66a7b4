/** `nnetc bench FILE [TASK]`: time a training step, samples a second, GFLOP/s, peak memory, time to the first step. */
import type { FitStep, TaskInfo } from '../../compiler/plan.ts';
import { Batches } from '../../runtime/data/batches.ts';
import type { Dataset } from '../../runtime/data/column.ts';
import type { Session } from '../../runtime/device.ts';
import { problem } from '../../runtime/problems.ts';
import { range } from '../../runtime/random.ts';
import { evalSize } from '../../runtime/size.ts';
import { compileTask } from '../compilation.ts';
import { chooseDevice } from '../devices.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import { printJson } from '../failure.ts';
import { bytes, count, milliseconds } from '../numbers.ts';
import type { Options } from '../options.ts';
import type { Terminal } from '../terminal.ts';
import { loadData } from './run.ts';

/** Steps are timed in blocks, so that a GPU is waited for once a block. */
const blocks = 10;
const defaultSeconds = 3;

interface Timing {
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
  readonly peakMemory: number;
}

export async function bench(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = '', task] = args;
  const chosen = await chooseDevice(options.backend, options.threads);
  try {
    const { info, program } = compileTask(terminal, file, task, chosen, options);
    const step = info.steps.find((s) => s.kind === 'fit');
    if (!step) throw problem('E0907', { task: info.name });
    const session = await chosen.load(program);
    try {
      const timing = await time(session, loadData(terminal, info), step, options);
      if (options.json === true) printJson(terminal, { type: 'bench', file, task: info.name, ...timing });
      else terminal.out.write(report(file, info, timing));
    } finally {
      session.close();
    }
    return exitCodes.done;
  } finally {
    chosen.close();
  }
}

async function time(
  session: Session,
  sources: ReadonlyMap<string, Dataset>,
  step: FitStep,
  options: Options,
): Promise<Timing> {
  const plan = session.program.plans[step.train];
  const data = sources.get(step.data);
  if (!plan || !data) throw new Error(`nothing to time on ${step.data}`);
  const batch = Math.min(options.batch ?? step.batch, data.count);
  const batches = new Batches(plan, data, step.data, batch);
  const order = range(data.count);
  const perEpoch = Math.floor(data.count / batch);
  if (session.program.plans['init']) await session.run('init', {}, {}, { seed: step.seed });
  const wait = async (): Promise<unknown> => await session.read('metrics/count');
  let taken = 0;
  const take = async (steps: number): Promise<void> => {
    for (const end = taken + steps; taken < end; taken++) {
      const clocks = {
        seed: step.seed,
        step: taken + 1,
        epoch: 1,
        epochs: step.epochs,
        steps_per_epoch: perEpoch,
      };
      const pending = session.run(
        step.train,
        { batch },
        batches.take(order, (taken % perEpoch) * batch, batch),
        clocks,
      );
      if (pending) await pending;
    }
    await wait();
  };
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
  const runs = (dispatch: number): number =>
    plan.loops
      .filter((l) => l.begin <= dispatch && dispatch < l.end)
      .reduce((n, l) => n * evalSize(l.count, { batch }), 1);
  const flops = plan.dispatches.reduce((sum, d, i) => sum + evalSize(d.flops, { batch }) * runs(i), 0);
  return {
    device: session.device,
    batch,
    steps: taken,
    dispatches: plan.dispatches.length,
    medianStep: times[times.length >> 1]!,
    bestStep,
    samplesPerSecond: (1000 * batch) / bestStep,
    gflops: flops / bestStep / 1e6,
    firstStep,
    peakMemory: process.resourceUsage().maxRSS * 1024,
  };
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

function report(file: string, info: TaskInfo, t: Timing): string {
  const rows = [
    [
      'step',
      `${milliseconds(t.medianStep)} median, ${milliseconds(t.bestStep)} best, batch ${t.batch}, ${t.steps} steps`,
    ],
    ['samples', `${count(t.samplesPerSecond)} a second`],
    ['arithmetic', `${t.gflops.toFixed(1)} GFLOP/s, ${t.dispatches} kernels a step`],
    ['memory', `${bytes(t.peakMemory)} at most`],
    ['first step', `${milliseconds(t.firstStep)} after the process began`],
  ];
  return `${file} ${info.name} on ${t.device}\n${rows.map(([name = '', text]) => `  ${name.padEnd(11)} ${text}\n`).join('')}`;
}
