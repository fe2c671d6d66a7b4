/** `nnetc compile FILE -o OUT.ts`: a model as a typed ES module with its plans and kernels inside. */
import { basename, resolve } from 'node:path';
import type { Model } from '../../compiler/check/index.ts';
import { modelsOf, tasksOf } from '../../compiler/check/index.ts';
import { printModule } from '../../compiler/emit/module.ts';
import { compileModel, compileTask } from '../../compiler/compile.ts';
import type { ModelInfo, Program, TaskInfo } from '../../compiler/plan.ts';
import { writeAtomically } from '../../runtime/disk.ts';
import { loadFile, pick, shown } from '../compilation.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { bytes } from '../numbers.ts';
import type { Options } from '../program.ts';
import type { Terminal } from '../terminal.ts';

export async function compileModule(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = ''] = args;
  const out = options.output ?? `${basename(file).replace(/\.nnet$/, '')}.ts`;
  if (!/\.[cm]?ts$/.test(out))
    throw new UsageError(`"${out}" is not a name for a TypeScript module`, 'it should end with .ts');
  const model = loadFile(terminal, file, options);
  const made = compiled(terminal, model, file, options);
  const text = printModule({ source: file, ...made });
  const path = resolve(terminal.cwd, out);
  const formatted = await format(text, path);
  writeAtomically(path, [Buffer.from(formatted)]);
  terminal.out.write(`wrote ${out} (${bytes(Buffer.byteLength(formatted))})\n`);
  return exitCodes.done;
}

interface Made {
  readonly name: string;
  readonly doc: string | undefined;
  readonly programs: { readonly wasm: Program; readonly webgpu: Program };
  readonly metrics: readonly string[];
}

const targets = {
  wasm: { target: 'wasm', relaxed: false },
  webgpu: { target: 'webgpu', relaxed: false },
} as const;

/** The model with the training step of the task that trains it, where there is one. */
function compiled(terminal: Terminal, model: Model, file: string, options: Options): Made {
  const sets = options.set;
  const task = taskOf(terminal, model, file, options);
  if (task === undefined) {
    const name = pick('model', options.model, modelsOf(model), file, undefined);
    const make = (target: keyof typeof targets): Program =>
      shown(terminal, compileModel(model, name, { ...targets[target], sets }), options).program;
    return {
      name,
      doc: docOf(model, name),
      programs: { wasm: make('wasm'), webgpu: make('webgpu') },
      metrics: [],
    };
  }
  const made = {
    wasm: shown(terminal, compileTask(model, task, { ...targets.wasm, sets }), options),
    webgpu: shown(terminal, compileTask(model, task, { ...targets.webgpu, sets }), {
      ...options,
      json: false,
    }),
  };
  const { info } = made.wasm;
  const used = modelIn(info, file, options.model);
  const fit = info.steps.find((step) => step.kind === 'fit');
  return {
    name: used.declaration,
    doc: docOf(model, used.declaration),
    programs: {
      wasm: embedded(made.wasm.program, used, fit?.train),
      webgpu: embedded(made.webgpu.program, used, fit?.train),
    },
    metrics: fit?.metrics ?? [],
  };
}

/** The task to take the training step from: the named one, the only one, `train`; none where the file has none. */
function taskOf(terminal: Terminal, model: Model, file: string, options: Options): string | undefined {
  const known = tasksOf(model);
  if (known.length === 0 && options.task === undefined) return undefined;
  const task = pick('task', options.task, known, file, 'train');
  if (options.task !== undefined || options.model === undefined) return task;
  // A model was named: the task counts only if it uses it.
  const { info } = shown(
    terminal,
    compileTask(model, task, { target: 'reference', relaxed: false, sets: options.set }),
    options,
  );
  return info.models.some((m) => m.declaration === options.model) ? task : undefined;
}

function modelIn(info: TaskInfo, file: string, asked: string | undefined): ModelInfo {
  const names = info.models.map((m) => m.declaration);
  const name = pick('model', asked, names, file, undefined);
  return info.models[names.indexOf(name)]!;
}

/** The plans a program's own loop needs, under the names that the runtime knows. */
function embedded(program: Program, model: ModelInfo, train: string | undefined): Program {
  const wanted = { init: 'init', predict: model.predict, ...(train !== undefined && { train }) };
  const plans = Object.entries(wanted).flatMap(([name, plan]) => {
    const found = program.plans[plan];
    return found ? [[name, { ...found, name }] as const] : [];
  });
  return { ...program, plans: Object.fromEntries(plans) };
}

function docOf(model: Model, name: string): string | undefined {
  const declaration = model.module?.syntax.declarations.find(
    (d) => d.kind === 'model' && d.name.name === name,
  );
  return declaration?.kind === 'model' ? declaration.doc : undefined;
}

/** As the project formats its own code. */
async function format(text: string, path: string): Promise<string> {
  const prettier = await import('prettier');
  const config = await prettier.resolveConfig(path);
  return await prettier.format(text, { ...config, filepath: path });
}
