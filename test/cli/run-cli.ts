/** Runs the command line inside the test's process. */
import type { Terminal } from '../../cli/terminal.ts';
import { runCli } from '../../cli/program.ts';

export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function cli(cwd: string, ...argv: string[]): Promise<CliResult> {
  return await cliWith({}, cwd, ...argv);
}

export async function cliWith(parts: Partial<Terminal>, cwd: string, ...argv: string[]): Promise<CliResult> {
  let out = '';
  let err = '';
  const terminal: Terminal = {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    env: {},
    cwd,
    onInterrupt: () => () => undefined,
    ...parts,
  };
  const code = await runCli(argv, terminal);
  return { code, out, err };
}
