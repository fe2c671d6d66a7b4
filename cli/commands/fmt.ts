/** `nnetc fmt FILES`: formats in place; a file with syntax errors is left alone. `-` formats standard input. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from '../../grammar/index.ts';
import { print } from '../../grammar/print.ts';
import { writeAtomically } from '../../runtime/disk.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import type { Options } from '../options.ts';
import { hasErrors, readText, showProblems } from '../sources.ts';
import type { Terminal } from '../terminal.ts';

export async function fmt(terminal: Terminal, args: readonly string[], options: Options): Promise<ExitCode> {
  let code: ExitCode = exitCodes.done;
  for (const path of args) {
    const stdin = path === '-';
    const text = stdin ? readFileSync(0, 'utf8') : readText(resolve(terminal.cwd, path), path);
    const formatted = format(terminal, path, text);
    if (formatted === undefined) code = exitCodes.wrong;
    else if (stdin && options.check !== true) terminal.out.write(formatted);
    else if (formatted !== text) {
      terminal.out.write(`${path}\n`);
      if (options.check === true) code = exitCodes.wrong;
      else writeAtomically(resolve(terminal.cwd, path), [Buffer.from(formatted)]);
    }
  }
  return code;
}

function format(terminal: Terminal, path: string, text: string): string | undefined {
  const { syntax, problems } = parse({ path, text });
  if (!hasErrors(problems)) return print(syntax);
  showProblems(terminal, problems, new Map([[path, { path, text }]]), false);
  return undefined;
}
