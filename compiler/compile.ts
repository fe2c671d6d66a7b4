/**
 * The whole pipeline on one screen:
 *
 * text ─grammar→ Syntax ─check→ Model ─elaborate→ Graph (with gradients) ─rewrite→ Graph ─schedule→ Kernel[] ─backend→ Plan
 *
 * The compiler reads no files and knows no device: a `Host` hands it texts and the headers of data.
 */
import type { Problem } from '../grammar/problem.ts';
import type { SourceFile } from '../grammar/span.ts';
import { assemble, type TargetOptions } from './assemble.ts';
import { unsupported } from './capabilities.ts';
import {
  check as checkFile,
  elaborateModel,
  elaborateTask,
  type Host,
  type Model,
  resolve,
} from './check/index.ts';
import type { ModelGraphs, Settings, TaskGraphs, TensorInfo } from './check/index.ts';
import { gradient } from './grad/reverse.ts';
import type { Computation } from './ir/graph.ts';
import { lazily } from './lazy.ts';
import { withLimits } from './limits.ts';
import { type Observer, type Pass, runPasses } from './passes.ts';
import type { ModelInfo, Program, TaskInfo } from './plan.ts';
import { finish } from './rewrite/simplify.ts';

/** What every computation goes through between elaboration and scheduling. */
const passes: readonly Pass[] = [{ name: 'simplify', run: (c) => finish(c).computation }];

/** What became of a file: the result when there were no errors, problems and the texts they point into. */
export interface Compiled<T> {
  readonly result: T | undefined;
  readonly problems: readonly Problem[];
  readonly sources: ReadonlyMap<string, SourceFile>;
}

export interface CompileOptions extends TargetOptions {
  /** Values of the task's or model's parameters: `--set hidden=300`. */
  readonly sets?: Settings;
  /** `false` leaves out the plans of a task that only compute its models' outputs: its steps run without them. */
  readonly predict?: boolean;
  readonly observe?: Observer;
}

/** Reads a file and all it imports, and resolves every name. */
export const load = (file: string, host: Host): Model => resolve(file, host, { differentiate: gradient });

/** All problems of a file, those of declarations that nothing uses too. */
export function check(file: string, host: Host): Compiled<Model> {
  const model = checkFile(file, host, { differentiate: gradient });
  return outcome(model, model.problems, model);
}

export interface CompiledTask {
  readonly program: Program;
  readonly info: TaskInfo;
}

/** A task of a loaded file as one program: `init`, `train`, `evaluate`, `predict`. */
export function compileTask(model: Model, name: string, options: CompileOptions): Compiled<CompiledTask> {
  const { graphs, problems } = elaborateTask(model, name, options.sets);
  const needed = graphs && options.predict === false ? withoutPredict(graphs) : graphs;
  const lacking = needed ? unsupported(needed.computations, options.target) : [];
  if (!needed || lacking.length > 0)
    return outcome<CompiledTask>(model, [...problems, ...lacking], undefined);
  return outcome(model, problems, { program: lower(needed, options), info: infoOf(needed) });
}

function withoutPredict(graphs: TaskGraphs): TaskGraphs {
  const predict = graphs.models.map((m) => m.predict);
  const kept = Object.entries(graphs.computations).filter(([name]) => !predict.includes(name));
  return { ...graphs, computations: Object.fromEntries(kept) };
}

export interface CompiledModel {
  readonly program: Program;
  readonly info: ModelInfo;
}

/** A model of a loaded file as one program: `init` and `predict`. */
export function compileModel(model: Model, name: string, options: CompileOptions): Compiled<CompiledModel> {
  const { graphs, problems } = elaborateModel(model, name, options.sets);
  const lacking = graphs ? unsupported(graphs.computations, options.target) : [];
  if (!graphs || lacking.length > 0)
    return outcome<CompiledModel>(model, [...problems, ...lacking], undefined);
  return outcome(model, problems, { program: lower(graphs, options), info: graphs.model });
}

/** The passes, then the target's code. */
function lower(
  graphs: {
    readonly computations: Readonly<Record<string, Computation>>;
    readonly tensors: readonly TensorInfo[];
  },
  options: CompileOptions,
): Program {
  return assemble(optimise(graphs.computations, options.observe), graphs.tensors, options);
}

/** Every computation after the passes, which run when it is first asked for: what is scheduled. */
export const optimise = (
  computations: ModelGraphs['computations'],
  observe?: Observer,
): ModelGraphs['computations'] =>
  lazily(Object.keys(computations), (name) => runPasses(computations[name] as Computation, passes, observe));

const infoOf = ({ name, data, models, steps, computations }: TaskGraphs): TaskInfo => ({
  name,
  data: withLimits(data, computations),
  models,
  steps,
});

function outcome<T>(model: Model, problems: readonly Problem[], result: T | undefined): Compiled<T> {
  const failed = problems.some((p) => p.severity === 'error');
  return { result: failed ? undefined : result, problems, sources: model.sources };
}
