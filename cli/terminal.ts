/** The two streams a command writes to, and what they can show. */

export interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Terminal {
  /** Results. With `--json` only JSON. */
  readonly out: Stream;
  /** Diagnostics and progress. */
  readonly err: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Given when the user asks to stop (Ctrl-C). */
  readonly onInterrupt: (handler: () => void) => () => void;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  // A reader that goes away (`nnetc … | head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
  });
  return {
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    onInterrupt: (handler) => {
      process.on('SIGINT', handler);
      process.on('SIGTERM', handler);
      return () => {
        process.off('SIGINT', handler);
        process.off('SIGTERM', handler);
      };
    },
  };
}

/** Whether to colour what goes to `stream`: https://no-color.org, and FORCE_COLOR. */
export function hasColor(terminal: Terminal, stream: Stream): boolean {
  const { env } = terminal;
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  if (env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0') return true;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

/** Shows a path from where the user stands. */
export function shortPath(terminal: Terminal, path: string): string {
  const prefix = terminal.cwd.endsWith('/') ? terminal.cwd : `${terminal.cwd}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : path;
}
