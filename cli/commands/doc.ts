/** `nnetc doc NAME`: a declaration of the library as it stands; `nnetc doc FILE`: what a file declares; `nnetc doc`: names. */
import { resolve } from 'node:path';
import { suggest } from '../../compiler/diagnostics/suggest.ts';
import { stdlib } from '../../compiler/stdlib.generated.ts';
import { parse } from '../../grammar/index.ts';
import { declarationsOf, documented, sourceOf, type Documented } from '../documentation.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes, UsageError } from '../exit.ts';
import type { Options } from '../options.ts';
import { hasErrors, readText, showProblems } from '../sources.ts';
import type { Terminal } from '../terminal.ts';

export async function doc(terminal: Terminal, args: readonly string[], _options: Options): Promise<ExitCode> {
  const [what] = args;
  if (what === undefined) return names(terminal);
  return what.endsWith('.nnet') ? file(terminal, what) : declaration(terminal, what);
}

function names(terminal: Terminal): ExitCode {
  for (const [path, text] of Object.entries(stdlib)) {
    const all = declarationsOf(path, text).map((d) => d.name.name);
    terminal.out.write(`${path.replace(/\.nnet$/, '')}: ${all.join(' ')}\n`);
  }
  return exitCodes.done;
}

function declaration(terminal: Terminal, name: string): ExitCode {
  for (const [path, text] of Object.entries(stdlib)) {
    // Most files need not be parsed to see that the name is not there.
    if (!text.includes(` ${name}`)) continue;
    const found = declarationsOf(path, text).find((d) => d.name.name === name);
    if (!found) continue;
    terminal.out.write(`// stdlib/${path}\n\n${sourceOf(text, found)}\n`);
    return exitCodes.done;
  }
  const all = Object.entries(stdlib).flatMap(([path, text]) => declarationsOf(path, text));
  const near = suggest(
    name,
    all.map((d) => d.name.name),
  );
  throw new UsageError(
    `the library has no \`${name}\``,
    near === undefined ? '`nnetc doc` shows its names' : `do you mean \`${near}\`?`,
  );
}

function file(terminal: Terminal, path: string): ExitCode {
  const text = readText(resolve(terminal.cwd, path), path);
  const { syntax, problems } = parse({ path, text });
  showProblems(terminal, problems, new Map([[path, { path, text }]]), false);
  if (hasErrors(problems)) return exitCodes.wrong;
  const all = syntax.declarations.filter((d): d is Documented => d.kind !== 'import');
  terminal.out.write(`${all.map(documented).join('\n\n')}\n`);
  return exitCodes.done;
}
