/** The compiled task of a command: from the cache, else from the compiler, which is loaded only then. */
import type { CompiledTask } from '../compiler/compile.ts';
import type { TaskInfo } from '../compiler/plan.ts';
import { PlanCache } from './cache.ts';
import { fileHost } from './host.ts';
import { loadCompiler } from './load-compiler.ts';
import { type CompileSettings, type CompileTarget, decisive } from './settings.ts';
import type { Terminal } from './terminal.ts';

/** A task among those of a file: the named one, else the only one, else `train`. */
export interface Wanted {
  readonly file: string;
  readonly task: string | undefined;
  /** The plans that the command may ask for; all of them if not given. */
  readonly plans?: ((info: TaskInfo) => readonly string[]) | undefined;
}

/** @throws RuntimeError E0702, E0906; Reported, when there are mistakes that were shown */
export async function compileTask(
  terminal: Terminal,
  { file, task, plans }: Wanted,
  target: CompileTarget,
  settings: CompileSettings,
): Promise<CompiledTask> {
  const what = [terminal.cwd, file, task, ...decisive(target, settings)];
  const loadAnew = async () => {
    const { compileTaskAnew } = await loadCompiler();
    return (host: ReturnType<typeof fileHost>) =>
      compileTaskAnew(terminal, file, task, { target, settings, host });
  };
  const host = fileHost(terminal.cwd);
  const cache = PlanCache.open(process.env);
  return cache ? await cache.task(what, host, loadAnew, plans) : (await loadAnew())(host).result;
}
