/** Reading `.nnet` files, and showing what is wrong with them. */
import { readFileSync } from 'node:fs';
import type { Catalogue } from '../compiler/diagnostics/catalogues.ts';
import { catalogue as compilerCatalogue } from '../compiler/diagnostics/catalogues.ts';
import { renderProblems } from '../compiler/diagnostics/render.ts';
import { problemToJson } from '../compiler/diagnostics/json.ts';
import type { Problem } from '../grammar/problem.ts';
import type { SourceFile } from '../grammar/span.ts';
import { problem, runtimeProblems } from '../runtime/problems.ts';
import { printJson } from './failure.ts';
import type { Terminal } from './terminal.ts';
import { hasColor } from './terminal.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

/** All codes: of the compiler, and of data files, which the compiler asks about. */
const catalogue: Catalogue = { ...compilerCatalogue, ...runtimeProblems };

/** The text of a file; `name` is what the user calls it. @throws RuntimeError E0702 */
export function readText(path: string, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof TypeError) throw problem('E0702', { file: name, reason: 'it is not UTF-8 text' });
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw problem('E0702', { file: name, reason: reasons[String(error.code)] ?? String(error.code) });
  }
}

/** Writes problems to the error stream, and with `--json` as objects to the output. */
export function showProblems(
  terminal: Terminal,
  problems: readonly Problem[],
  sources: ReadonlyMap<string, SourceFile>,
  json: boolean,
): void {
  if (json)
    for (const p of problems)
      printJson(terminal, { type: 'problem', ...problemToJson(p, sources, catalogue) });
  const color = hasColor(terminal, terminal.err);
  const width = terminal.err.isTTY === true ? terminal.err.columns : undefined;
  terminal.err.write(
    renderProblems(problems, sources, { color, catalogue, ...(width !== undefined && { width }) }),
  );
}

export const hasErrors = (problems: readonly Problem[]): boolean =>
  problems.some((p) => p.severity === 'error');
