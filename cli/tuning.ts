/**
 * The shapes of kernels that are fastest on this GPU: timed when `--tune` asks for it, kept by GPU in the folder of the cache,
 * and taken from there by every later run of the task.
 */
import type { CompiledTask } from '../compiler/compile.ts';
import { lazily } from '../compiler/lazy.ts';
import type { FitStep, Plan } from '../compiler/plan.ts';
import type { Dims } from '../runtime/device.ts';
import type { Shapes } from '../runtime/webgpu/tune.ts';
import { PlanCache } from './cache.ts';
import type { Chosen } from './devices.ts';
import { UsageError } from './exit.ts';
import type { Options } from './options.ts';
import { compileTask, type Wanted } from './task.ts';
import type { Terminal } from './terminal.ts';

type TuneOptions = Pick<Options, 'tune' | 'batch' | 'memory' | 'set' | 'json'>;

/**
 * The compiled task, on WebGPU with the shapes that were timed before, or are now.
 * @throws UsageError where `--tune` has nothing to tune; else like `compileTask`
 */
export async function compileTuned(
  terminal: Terminal,
  wanted: Wanted,
  chosen: Chosen,
  options: TuneOptions,
  cache = PlanCache.open(process.env),
): Promise<CompiledTask> {
  const isAsked = options.tune === true;
  if (isAsked && chosen.target !== 'webgpu')
    throw new UsageError(`--tune is for webgpu, and this is ${chosen.about}`, 'leave --tune out');
  const { timeShapes } = chosen;
  if (isAsked && !timeShapes)
    terminal.err.write(
      `${chosen.about} cannot time kernels (it lacks \`timestamp-query\`): they keep the shapes they have\n`,
    );
  const marker = ['tuned', terminal.cwd, wanted.file, wanted.task, chosen.about];
  if (!timeShapes || (!isAsked && !cache?.known(marker)))
    return await compileTask(terminal, wanted, chosen, options);
  const compiled = await compileTask(terminal, wanted, { ...chosen, variants: true }, options);
  const { withShapes } = await import('../runtime/webgpu.ts');
  const found = new Map<string, Shapes>();
  for (const [plan, dims] of trained(compiled, options.batch)) {
    const timed = ['shapes', chosen.about, dims, plan.dispatches, plan.code];
    const time = (): Promise<Shapes> => timeShapes(plan, dims);
    const shapes = isAsked
      ? await (cache?.measured(timed, time) ?? time())
      : cache?.known<Shapes>(timed)?.value;
    if (shapes) found.set(plan.name, shapes);
  }
  if (isAsked) await cache?.measured(marker, () => Promise.resolve(true));
  const { plans } = compiled.program;
  const shaped = lazily(Object.keys(plans), (name) => withShapes(plans[name] as Plan, found.get(name) ?? []));
  return { ...compiled, program: { ...compiled.program, plans: shaped } };
}

/** What training runs again and again, and the dimensions it runs it with. */
function trained({ info, program }: CompiledTask, batch: number | undefined): [Plan, Dims][] {
  const fits = info.steps.filter((s): s is FitStep => s.kind === 'fit');
  const all = fits.flatMap((fit) =>
    [...new Set([fit.train, ...(fit.cycle ?? []), fit.evaluate])].map((name): [Plan | undefined, Dims] => [
      program.plans[name],
      { batch: batch ?? fit.batch },
    ]),
  );
  return all.filter((e): e is [Plan, Dims] => e[0]?.dims.every((d) => d === 'batch') === true);
}
