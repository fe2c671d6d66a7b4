/** What the bundled command consists of, for `launch.ts` to run. */
export { runCli } from './program.ts';
export { processTerminal } from './terminal.ts';
