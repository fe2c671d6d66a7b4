/** The compiler, loaded when a command needs it. */
import { optimiseLater } from './flags.ts';
import type * as WithCompiler from './with-compiler.ts';

/** Everything of the command line that imports the compiler. */
export async function loadCompiler(): Promise<typeof WithCompiler> {
  const compiler = await import('./with-compiler.ts');
  optimiseLater();
  return compiler;
}
