/** `nnetc explain FILE --stage STAGE`: what the compiler makes of a file, stage by stage. */
import { explainFile } from '../compilation.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import type { Options, Stage } from '../program.ts';
import type { Terminal } from '../terminal.ts';

export async function explain(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = '', task] = args;
  terminal.out.write(
    await explainFile(terminal, file, task, (options.stage ?? 'schedule') as Stage, options),
  );
  return exitCodes.done;
}
