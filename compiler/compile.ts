/**
 * The whole pipeline on one screen:
 *
 * text ─grammar→ Syntax ─check→ Model ─elaborate→ Graph (with gradients) ─rewrite→ Graph ─schedule→ Kernel[] ─backend→ Plan
 *
 * The compiler reads no files and knows no device: a `Host` hands it texts and the headers of data.
 */
import type { Problem } from '../grammar/problem.ts';
import type { SourceFile } from '../grammar/span.ts';
import { assembleAll, type Assembled, type TargetOptions } from './assemble.ts';
import type { Budget } from './budget.ts';
import { budgetsOf, overBudget } from './task-budgets.ts';
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
  /** Bytes that a session may take on this target; with tasks also what their `fit`s say. */
  readonly memory?: number;
  /** What memory is planned for in place of the batch that the task says. */
  readonly batch?: number;
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
  const { result, ...rest } = assembleTask(model, name, options);
  return { ...rest, result: result && { program: result.assembled.program, info: infoOf(result.graphs) } };
}

/** A task with all that its plans were made of, to be shown. */
export interface AssembledTask {
  readonly graphs: TaskGraphs;
  readonly assembled: Assembled;
}

export function assembleTask(model: Model, name: string, options: CompileOptions): Compiled<AssembledTask> {
  const { graphs, problems } = elaborateTask(model, name, options.sets);
  const needed = graphs && options.predict === false ? withoutPredict(graphs) : graphs;
  const lacking = needed ? unsupported(needed.computations, options.target) : [];
  if (!needed || lacking.length > 0)
    return outcome<AssembledTask>(model, [...problems, ...lacking], undefined);
  const budgets = budgetsOf(needed.computations, needed.batches, options);
  const assembled = lower(needed, options, budgets);
  const over = overBudget(assembled, budgets, needed.batches);
  return outcome(model, [...problems, ...over], { graphs: needed, assembled });
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
  const budgets = budgetsOf(graphs.computations, new Map(), options);
  const assembled = lower(graphs, options, budgets);
  const over = overBudget(assembled, budgets);
  return outcome(model, [...problems, ...over], { program: assembled.program, info: graphs.model });
}

/** The passes, then the target's code. */
function lower(
  graphs: {
    readonly computations: Readonly<Record<string, Computation>>;
    readonly tensors: readonly TensorInfo[];
  },
  options: CompileOptions,
  budgets: ReadonlyMap<string, Budget>,
): Assembled {
  return assembleAll(optimise(graphs.computations, options.observe), graphs.tensors, options, budgets);
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
