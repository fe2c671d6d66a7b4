/** Calls the compiler for a file of this machine, and shows what it found. */
import { resolve } from 'node:path';
import type { Compiled, CompiledModel, CompiledTask, CompileOptions } from '../compiler/compile.ts';
import {
  check,
  compileModel as compileModelOf,
  compileTask as compileTaskOf,
  load,
} from '../compiler/compile.ts';
import type { Host, Model, Settings } from '../compiler/check/index.ts';
import { modelsOf, tasksOf } from '../compiler/check/index.ts';
import { suggest } from '../compiler/diagnostics/suggest.ts';
import type { Problem } from '../grammar/problem.ts';
import type { SourceFile } from '../grammar/span.ts';
import { problem } from '../runtime/problems.ts';
import { PlanCache } from './cache.ts';
import type { Chosen } from './devices.ts';
import { Reported, UsageError } from './exit.ts';
import { fileHost } from './host.ts';
import { hasErrors, readText, showProblems } from './sources.ts';
import type { Terminal } from './terminal.ts';

/** What of a command's options the compiler needs. */
export interface CompileSettings {
  readonly set?: Settings;
  readonly json?: boolean;
  /** Bytes. */
  readonly memory?: number;
  /** In place of the task's own. */
  readonly batch?: number;
}

export type CompileTarget = Pick<
  Chosen,
  'target' | 'relaxed' | 'wide' | 'workgroups' | 'isSoftware' | 'threads'
> & {
  /** WebGPU: kernels in several shapes. */
  readonly variants?: boolean;
};

/** @throws UsageError where the memory of a device is limited that has none of its own */
export function memoryOptions(
  { target, threads }: Pick<CompileTarget, 'target' | 'threads'>,
  { memory, batch }: CompileSettings,
): Pick<CompileOptions, 'memory' | 'threads' | 'batch'> {
  if (memory !== undefined && target === 'reference')
    throw new UsageError('--memory is for the backends wasm and webgpu');
  return { threads, ...(memory !== undefined && { memory }), ...(batch !== undefined && { batch }) };
}

/** All problems of a file. @throws RuntimeError E0702 when it cannot be read */
export function checkFile(
  terminal: Terminal,
  file: string,
): { readonly problems: readonly Problem[]; readonly sources: ReadonlyMap<string, SourceFile> } {
  readText(resolve(terminal.cwd, file), file);
  return check(file, fileHost(terminal.cwd));
}

/** Reads a file with its imports. @throws RuntimeError E0702; Reported, when it has mistakes that were shown */
export function loadFile(
  terminal: Terminal,
  file: string,
  settings: CompileSettings,
  host: Host = fileHost(terminal.cwd),
): Model {
  readText(resolve(terminal.cwd, file), file);
  const model = load(file, host);
  if (hasErrors(model.problems)) {
    showProblems(terminal, model.problems, model.sources, settings.json === true);
    throw new Reported();
  }
  return model;
}

/** All that decides what a file is compiled to besides the file. */
export const decisive = (target: CompileTarget, settings: CompileSettings): readonly unknown[] => [
  target.target,
  target.relaxed,
  target.wide,
  target.workgroups ?? 1,
  target.isSoftware === true,
  target.variants === true,
  settings.set ?? {},
  memoryOptions(target, settings),
];

/**
 * Compiles what a task runs: the named one, else the only one, else `train`.
 * @throws RuntimeError E0702, E0906; Reported, when there are mistakes that were shown
 */
export function compileTask(
  terminal: Terminal,
  file: string,
  task: string | undefined,
  target: CompileTarget,
  settings: CompileSettings,
): CompiledTask {
  const limits = memoryOptions(target, settings);
  const compile = (host: Host): { result: CompiledTask; isClean: boolean } => {
    const model = loadFile(terminal, file, settings, host);
    const name = pick('task', task, tasksOf(model), file, 'train');
    const options = { ...target, ...limits, sets: settings.set ?? {}, predict: false };
    const compiled = compileTaskOf(model, name, options);
    return { result: shown(terminal, compiled, settings), isClean: compiled.problems.length === 0 };
  };
  const host = fileHost(terminal.cwd);
  const cache = PlanCache.open(process.env);
  if (!cache) return compile(host).result;
  return cache.task([terminal.cwd, file, task, ...decisive(target, settings)], host, compile);
}

/** Compiles a model: the named one, else the only one. @throws like `compileTask` */
export function compileModel(
  terminal: Terminal,
  file: string,
  name: string | undefined,
  target: CompileTarget,
  settings: CompileSettings,
): CompiledModel {
  const model = loadFile(terminal, file, settings);
  const picked = pick('model', name, modelsOf(model), file, undefined);
  return shown(terminal, compileModelOf(model, picked, { ...target, sets: settings.set ?? {} }), settings);
}

/** @throws RuntimeError E0906 when the choice is not there, or none can be made */
export function pick(
  what: 'task' | 'model',
  asked: string | undefined,
  known: readonly string[],
  file: string,
  preferred: string | undefined,
): string {
  if (asked !== undefined && known.includes(asked)) return asked;
  const [only] = known;
  if (asked === undefined && only !== undefined && known.length === 1) return only;
  if (asked === undefined && preferred !== undefined && known.includes(preferred)) return preferred;
  const near = asked === undefined ? undefined : suggest(asked, known);
  throw problem('E0906', { what, name: asked, file, known, near });
}

/** The result, once its problems are shown. @throws Reported when there is none */
export function shown<T>(terminal: Terminal, compiled: Compiled<T>, settings: CompileSettings): T {
  const { result, problems, sources } = compiled;
  showProblems(terminal, problems, sources, settings.json === true);
  if (result === undefined) throw new Reported();
  return result;
}
