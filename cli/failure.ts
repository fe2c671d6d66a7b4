/** Turns whatever was thrown into a message and an exit code. A user never sees a stack trace; a bug is reported. */
import { renderTold } from '../compiler/diagnostics/render.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { codeOf } from '../runtime/problems.ts';
import type { ExitCode } from './exit.ts';
import { exitCodes, Reported, UsageError } from './exit.ts';
import type { Terminal } from './terminal.ts';
import { hasColor } from './terminal.ts';

export interface FailureContext {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly version: string;
  readonly argv: readonly string[];
}

/** Reports an error and says with which code to exit. */
export function reportFailure(error: unknown, context: FailureContext): ExitCode {
  const { terminal, json } = context;
  if (error instanceof Reported) return exitCodes.wrong;
  if (error instanceof UsageError) {
    const help = error.help === undefined ? '' : `\n${error.help}`;
    terminal.err.write(`nnetc: ${error.message}${help}\n`);
    return exitCodes.usage;
  }
  if (error instanceof RuntimeError) {
    const { message, help, fields } = error;
    const code = codeOf(error);
    if (json) printJson(terminal, { type: 'error', code, message, help, fields });
    terminal.err.write(
      renderTold({ code, severity: 'error', message, help }, { color: hasColor(terminal, terminal.err) }),
    );
    return exitCodes.wrong;
  }
  if (json) printJson(terminal, { type: 'error', code: 'bug', message: String(error) });
  terminal.err.write(bugReport(error, context));
  return exitCodes.bug;
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out.write(`${JSON.stringify(value)}\n`);
}

/** Everything that is needed to find the bug; nothing of the user's data. */
function bugReport(error: unknown, { version, argv }: FailureContext): string {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return [
    'nnetc: this is a bug in nnetc, not in your program.',
    'Please report it with the lines below and, if you can, the .nnet file:',
    '',
    `  nnetc ${version}, node ${process.version}, ${process.platform} ${process.arch}`,
    `  nnetc ${argv.join(' ')}`,
    ...detail.split('\n').map((line) => `  ${line}`),
    '',
  ].join('\n');
}
