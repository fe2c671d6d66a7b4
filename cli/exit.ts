/** What the command's exit codes mean; part of its contract. */
export const exitCodes = {
  done: 0,
  /** The user's program or data is wrong. */
  wrong: 1,
  usage: 2,
  /** A bug in nnetc. */
  bug: 70,
  /** Ctrl-C, after everything was saved. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The command was called in a way that makes no sense: exit code 2. */
export class UsageError extends Error {
  readonly help: string | undefined;

  constructor(message: string, help?: string) {
    super(message);
    this.name = 'UsageError';
    this.help = help;
  }
}

/** What is wrong was reported already: exit code 1. */
export class Reported extends Error {}
