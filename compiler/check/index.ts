/** Names, imports, static evaluation, shape inference and elaboration: a file becomes computations. */
import type { Problem } from '../../grammar/problem.ts';
import type { SourceFile } from '../../grammar/span.ts';
import type { Declaration } from '../../grammar/syntax.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { Elaborated, ModelGraphs, Settings, TaskGraphs } from './elaborate.ts';
import { elaborateModelIn, elaborateTaskIn } from './elaborate.ts';
import { checkDeclarations } from './check.ts';
import type { Host } from './host.ts';
import type { Module } from './modules.ts';
import { type Library, loadLibrary } from './library.ts';
import { Modules } from './modules.ts';
import { resolveNames } from './names.ts';
import { Reporter } from './reporter.ts';
import type { Differentiate } from './values.ts';

export type { Elaborated, ModelGraphs, Settings, TaskGraphs, TensorInfo } from './elaborate.ts';
export { bytesForm, formatBytes, parseBytes } from './bytes.ts';
export type { BatchPlan } from './tasks.ts';
export type { DataFields, DataRefusal, Host } from './host.ts';
export { type Library, loadLibrary } from './library.ts';
export type { Module } from './modules.ts';
export type { Differentiate } from './values.ts';

/** A file with all it imports, its names resolved. */
export interface Model {
  readonly file: string;
  /** Nothing when the file itself could not be read. */
  readonly module: Module | undefined;
  /** Every file that took part, those of the library too: diagnostics are rendered with them. */
  readonly sources: ReadonlyMap<string, SourceFile>;
  readonly problems: readonly Problem[];
  readonly host: Host;
  readonly differentiate: Differentiate | undefined;
}

export interface CheckOptions {
  /** Parsed once, it may be used for many files. */
  readonly library?: Library;
  readonly differentiate?: Differentiate;
}

/** Reads a file with its imports, and resolves its names. Mistakes come back in `problems`. */
export function resolve(file: string, host: Host, options: CheckOptions = {}): Model {
  const reporter = new Reporter();
  const modules = new Modules(host, options.library ?? loadLibrary(), reporter);
  const module = modules.load(file);
  for (const m of modules.modules.values()) if (m.whole) resolveNames(m, reporter);
  return {
    file,
    module,
    sources: modules.sources,
    problems: reporter.problems,
    host,
    differentiate: options.differentiate,
  };
}

/**
 * Everything that can be said about a file without running it: `resolve`, and each declaration elaborated, with all
 * independent mistakes in the order of their places.
 */
export function check(file: string, host: Host, options: CheckOptions = {}): Model {
  const model = resolve(file, host, options);
  const { module } = model;
  if (!module?.whole) return model;
  const reporter = new Reporter();
  model.problems.forEach((p) => reporter.add(p));
  checkDeclarations(module, host, reporter, { differentiate: options.differentiate });
  return { ...model, problems: inOrder(reporter.problems) };
}

function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const place = (p: Problem): string => {
    const span = (p.labels.find((l) => l.primary) ?? p.labels[0])?.span;
    return span ? `${span.file} ${String(span.start).padStart(9, '0')}` : '';
  };
  return [...problems].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}

const named = (model: Model, kind: Declaration['kind']): string[] =>
  (model.module?.syntax.declarations ?? []).flatMap((d) =>
    d.kind === kind && d.kind !== 'import' ? [d.name.name] : [],
  );

function missing<T>(model: Model, what: 'model' | 'task', name: string): Elaborated<T> {
  const has = named(model, what);
  const reporter = new Reporter();
  const start = { file: model.file, start: 0, end: 0 };
  reporter.report('E0212', { name, what, near: suggest(name, has), has }, [
    { span: start, text: 'in this file', primary: true },
  ]);
  return { graphs: undefined, problems: reporter.problems };
}

const failed = (model: Model): boolean => !model.module || model.problems.some((p) => p.severity === 'error');

/** The model `name` with static arguments: `init` and `predict`. */
export function elaborateModel(model: Model, name: string, args: Settings = {}): Elaborated<ModelGraphs> {
  const { module } = model;
  if (!module || failed(model)) return { graphs: undefined, problems: model.problems };
  const decl = module.syntax.declarations.find((d) => d.kind === 'model' && d.name.name === name);
  if (decl?.kind !== 'model') return missing(model, 'model', name);
  return elaborateModelIn(module, decl, args, { differentiate: model.differentiate });
}

/** The task `name`; `sets` are values of its parameters. */
export function elaborateTask(model: Model, name: string, sets: Settings = {}): Elaborated<TaskGraphs> {
  const { module } = model;
  if (!module || failed(model)) return { graphs: undefined, problems: model.problems };
  const decl = module.syntax.declarations.find((d) => d.kind === 'task' && d.name.name === name);
  if (decl?.kind !== 'task') return missing(model, 'task', name);
  return elaborateTaskIn(module, decl, sets, model.host, { differentiate: model.differentiate });
}

/** Names of the file's models and tasks, in their order. */
export const modelsOf = (model: Model): readonly string[] => named(model, 'model');
export const tasksOf = (model: Model): readonly string[] => named(model, 'task');
