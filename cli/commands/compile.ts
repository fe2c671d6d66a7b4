/** `nnetc compile FILE -o OUT.ts`: a model, with its training step where a task trains it, as a typed ES module. */
import { basename, resolve } from 'node:path';
import type { Model } from '../../compiler/check/index.ts';
import { modelsOf, tasksOf } from '../../compiler/check/index.ts';
import type { Compiled, CompiledTask } from '../../compiler/compile.ts';
import { compileModel, compileTask } from '../../compiler/compile.ts';
import { printModule, type ModuleParts } from '../../compiler/emit/module.ts';
import type { FitStep, ModelInfo, Plan, Program } from '../../compiler/plan.ts';
import { writeAtomically } from '../../runtime/disk.ts';
import { loadFile, pick, shown } from '../compilation.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes, UsageError } from '../exit.ts';
import type { Options } from '../options.ts';
import type { Terminal } from '../terminal.ts';

/** Modules must run on every engine, so their Wasm has no relaxed SIMD; the GPU is taken to be a real one. */
const targets = [
  { target: 'wasm', relaxed: false, wide: false },
  { target: 'webgpu', relaxed: false, wide: false, workgroups: 64 },
] as const;

export async function compileModule(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = ''] = args;
  const model = loadFile(terminal, file, options);
  const name = pick('model', options.model, modelsOf(model), file, undefined);
  const task = taskOf(model, options, file);
  const parts = {
    source: basename(file),
    doc: docOf(model, name),
    ...partsOf(terminal, model, name, task, options),
  };
  const out = options.output ?? `${basename(file).replace(/\.nnet$/, '')}.ts`;
  if (out.endsWith('.nnet'))
    throw new UsageError(`"${out}" is a program`, 'name a TypeScript file: -o net.ts');
  const text = await formatted(printModule(parts), resolve(terminal.cwd, out));
  if (out === '-') terminal.out.write(text);
  else {
    writeAtomically(resolve(terminal.cwd, out), [Buffer.from(text)]);
    const { wasm, webgpu } = parts.programs;
    const training = (wasm ?? webgpu)?.plans['train'] ? 'inference and training step' : 'inference';
    const only = wasm ? '' : ', for WebGPU only: it computes in f16';
    terminal.out.write(`${name} (${training}) -> ${out}, ${Math.ceil(text.length / 1024)} KB${only}\n`);
  }
  return exitCodes.done;
}

/** The task whose `fit` gives the training step: the named one, else the only one, else `train`, else none. */
function taskOf(model: Model, options: Options, file: string): string | undefined {
  const tasks = tasksOf(model);
  if (options.task !== undefined) return pick('task', options.task, tasks, file, undefined);
  return tasks.length === 1 ? tasks[0] : tasks.find((t) => t === 'train');
}

type TargetParts = Pick<ModuleParts, 'name' | 'metrics' | 'cycle'> & {
  readonly programs: ModuleParts['programs'];
};

function partsOf(
  terminal: Terminal,
  model: Model,
  name: string,
  task: string | undefined,
  options: Options,
): TargetParts {
  const sets = options.set ?? {};
  const limits = options.memory === undefined ? {} : { memory: options.memory };
  const trained = targets.map((t) =>
    task === undefined
      ? undefined
      : fitting(compileTask(model, task, { ...t, ...limits, sets }), t, terminal, options),
  );
  const programs = targets.map((t, i): Program | undefined => {
    const compiled = trained[i];
    const used = compiled && soleUse(compiled, name);
    if (compiled && used) return programOf(compiled, used);
    if (task !== undefined && !compiled) return undefined;
    const alone = compileModel(model, name, { ...t, ...limits, sets: task === undefined ? sets : {} });
    return fitting(alone, t, terminal, options)?.program;
  });
  const [wasm, webgpu] = programs;
  const first = trained.find((t) => t !== undefined);
  const fit = first && soleUse(first, name) && fitOf(first);
  return {
    name,
    metrics: fit?.metrics ?? [],
    ...(fit?.cycle && { cycle: fit.cycle }),
    programs: { ...(wasm && { wasm }), ...(webgpu && { webgpu }) },
  };
}

/** Nothing where the target is Wasm and all that is wrong is that it lacks a dtype: then the module is for GPUs only. */
function fitting<T>(
  compiled: Compiled<T>,
  { target }: (typeof targets)[number],
  terminal: Terminal,
  options: Options,
): T | undefined {
  const errors = compiled.problems.filter((p) => p.severity === 'error');
  const lacks = target === 'wasm' && errors.length > 0 && errors.every((p) => p.code === 'E0325');
  return lacks ? undefined : shown(terminal, compiled, options);
}

/** The model in the task, when it is the only one there: then the task's training step is the model's own. */
function soleUse({ info }: CompiledTask, name: string): ModelInfo | undefined {
  const [only] = info.models;
  return info.models.length === 1 && only?.declaration === name ? only : undefined;
}

const fitOf = ({ info }: CompiledTask): FitStep | undefined =>
  info.steps.find((s): s is FitStep => s.kind === 'fit');

/** The plans a module needs, under the names it knows. */
function programOf(task: CompiledTask, used: ModelInfo): Program {
  const { plans } = task.program;
  const fit = fitOf(task);
  const chosen = {
    ...Object.fromEntries((fit?.cycle ?? []).map((name) => [name, plans[name]])),
    init: plans['init'],
    predict: plans[used.predict],
    train: plans[fit?.train ?? ''],
  };
  const kept = Object.entries(chosen).filter((e): e is [string, Plan] => e[1] !== undefined);
  return {
    ...task.program,
    plans: Object.fromEntries(kept.map(([name, plan]) => [name, { ...plan, name }])),
  };
}

function docOf(model: Model, name: string): string | undefined {
  const found = model.module?.syntax.declarations.find((d) => d.kind === 'model' && d.name.name === name);
  return found?.kind === 'model' ? found.doc : undefined;
}

async function formatted(text: string, path: string): Promise<string> {
  const prettier = await import('prettier');
  const style = await prettier.resolveConfig(path);
  return prettier.format(text, { ...style, parser: 'typescript' });
}
