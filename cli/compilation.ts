/** Calls the compiler for a file of this machine, and shows what it found. */
import { resolve } from 'node:path';
import type { Compiled, CompiledModel, CompiledTask } from '../compiler/compile.ts';
import { check, compileModel as compileModelOf, compileTask, load } from '../compiler/compile.ts';
import type { Host, Model } from '../compiler/check/index.ts';
import { modelsOf, tasksOf } from '../compiler/check/index.ts';
import { suggest } from '../compiler/diagnostics/suggest.ts';
import type { Problem } from '../grammar/problem.ts';
import type { SourceFile } from '../grammar/span.ts';
import { problem } from '../runtime/problems.ts';
import { Reported } from './exit.ts';
import { fileHost } from './host.ts';
import { hasErrors, readText, showProblems } from './sources.ts';
import type { CompileSettings, CompileTarget } from './settings.ts';
import { memoryOptions } from './settings.ts';
import type { Terminal } from './terminal.ts';

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

/** How a task is compiled, and where its files are read. */
interface Circumstances {
  readonly target: CompileTarget;
  readonly settings: CompileSettings;
  readonly host: Host;
}

/**
 * Compiles what a task runs: the named one, else the only one, else `train`. `isClean`: without any problem.
 * @throws RuntimeError E0702, E0906; Reported, when there are mistakes that were shown
 */
export function compileTaskAnew(
  terminal: Terminal,
  file: string,
  task: string | undefined,
  { target, settings, host }: Circumstances,
): { readonly result: CompiledTask; readonly isClean: boolean } {
  const model = loadFile(terminal, file, settings, host);
  const name = pick('task', task, tasksOf(model), file, 'train');
  const options = { ...target, ...memoryOptions(target, settings), sets: settings.set ?? {}, predict: false };
  const compiled = compileTask(model, name, options);
  return { result: shown(terminal, compiled, settings), isClean: compiled.problems.length === 0 };
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
