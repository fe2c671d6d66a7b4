/** The compiler's checks on files that are in memory; data sources are looked for on disk, as in a run. */
import {
  check,
  elaborateTask,
  type Host,
  loadLibrary,
  resolve,
  type Settings,
} from '../../compiler/check/index.ts';
import { compileModel, compileTask } from '../../compiler/compile.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Target } from '../../compiler/plan.ts';
import type { Fields, Problem } from '../../grammar/problem.ts';
import type { SourceFile } from '../../grammar/span.ts';
import { describeSource } from '../../runtime/data/source.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { codeOf } from '../../runtime/problems.ts';

export interface Checked {
  readonly problems: readonly Problem[];
  readonly sources: ReadonlyMap<string, SourceFile>;
}

const library = loadLibrary();

/** A host whose files stand in one folder that does not exist. */
export function memoryHost(files: ReadonlyMap<string, string>): Host {
  return {
    read: (path) => files.get(path),
    resolve: (_from, specifier) => specifier.replace(/^\.\//, ''),
    describeData(kind, args, file) {
      try {
        return describeSource({ kind, args, file });
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
        return { code: codeOf(error), fields: error.fields as Fields };
      }
    },
  };
}

/** What is asked for by name: a task, with values for its parameters, or a model for a target. */
export type Asked =
  | { readonly task: string; readonly sets?: Settings }
  | { readonly task: string; readonly memory: number }
  | { readonly model: string; readonly target: Target };

/** All problems of `main.nnet`, which may import the other files; or of what is `asked` of it. */
export function checkFiles(files: ReadonlyMap<string, string>, asked?: Asked): Checked {
  const options = { library, differentiate: gradient };
  if (!asked) return check('main.nnet', memoryHost(files), options);
  const model = resolve('main.nnet', memoryHost(files), options);
  if ('model' in asked) return compileModel(model, asked.model, { target: asked.target, relaxed: false });
  if ('memory' in asked)
    return compileTask(model, asked.task, { target: 'wasm', relaxed: false, memory: asked.memory });
  return { problems: elaborateTask(model, asked.task, asked.sets).problems, sources: model.sources };
}
