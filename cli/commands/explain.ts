/** `nnetc explain FILE --stage STAGE`: what the compiler makes of a file, stage by stage. */
import { tasksOf } from '../../compiler/check/index.ts';
import { loadFile, pick } from '../compilation.ts';
import { anyEngine, defaultThreads, wasmEngine } from '../devices.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import { explainStage } from '../explain.ts';
import type { Options, Stage } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export async function explain(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = '', asked] = args;
  const model = loadFile(terminal, file, options);
  const task = pick('task', asked, tasksOf(model), file, 'train');
  const target = options.backend === 'webgpu' ? 'webgpu' : 'wasm';
  const stage = (options.stage ?? 'schedule') as Stage;
  const { workgroups = 1, threads = defaultThreads() } = options;
  const engine = options.strict === true ? anyEngine : await wasmEngine();
  const machine = { target, engine, threads, workgroups } as const;
  terminal.out.write(explainStage(stage, { terminal, model, task, ...machine, settings: options }));
  return exitCodes.done;
}
