/** The compiler, loaded when a command needs it. */
import { setFlagsFromString } from 'node:v8';
import type * as WithCompiler from './with-compiler.ts';

/** The first Node whose V8 has a cheap optimising compiler (Maglev) between the baseline and TurboFan. */
const firstWithMaglev = 22;

/**
 * Bytes of bytecode that a function runs through before V8 hands it to TurboFan; its default is 135,168. A compilation is
 * over before most of what TurboFan makes is used, while it takes half of a machine of two cores: with this a GPT's
 * first start took 0.97 s instead of 1.33, and 12 blocks of it 1.8 s instead of 2.6. Functions that stay hot for longer
 * are still optimised.
 */
const tierUpAfter = 500_000;

/** Everything of the command line that imports the compiler. The flag is set last: under others than Node's own, V8 takes no code from a cache. */
export async function loadCompiler(): Promise<typeof WithCompiler> {
  const compiler = await import('./with-compiler.ts');
  if (Number.parseInt(process.versions.node, 10) < firstWithMaglev)
    setFlagsFromString(`--interrupt-budget=${tierUpAfter}`);
  return compiler;
}
