/** `nnetc check FILE`: everything that is wrong with a file, in one go. */
import { checkFile } from '../compilation.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import type { Options } from '../options.ts';
import { hasErrors, showProblems } from '../sources.ts';
import type { Terminal } from '../terminal.ts';

export async function check(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = ''] = args;
  const { problems, sources } = checkFile(terminal, file);
  showProblems(terminal, problems, sources, options.json === true);
  if (hasErrors(problems) || (options.strict === true && problems.length > 0)) return exitCodes.wrong;
  if (options.json !== true) terminal.out.write(`${file}: no mistakes found\n`);
  return exitCodes.done;
}
