#!/usr/bin/env node
/**
 * The bundled `nnetc` (scripts/build.mjs): runs the scripts beside it with the code that V8 made of them when they were
 * built, so that they need not be parsed and compiled again. Imports nothing of the command, as it is bundled on its own.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import type * as Command from './command.ts';

interface Module {
  exports: object;
}

/** What a script is given: all of them are CommonJS, with `import.meta.url` renamed. */
const parameters = 'exports, require, module, importMetaUrl';
type Body = (exports: object, requireAny: (name: string) => unknown, module: Module, url: string) => void;

interface Loaded {
  readonly source: string;
  readonly script: Script;
  readonly module: Module;
}

const builtin = createRequire(__filename);

/** The scripts of the command by their names: `./command.js`. */
export class Scripts {
  readonly loaded = new Map<string, Loaded>();

  command(): typeof Command {
    return this.load('./command.js') as typeof Command;
  }

  /** Code that another version of V8 made, or one with other flags, V8 takes no notice of. */
  private load(name: string): object {
    const known = this.loaded.get(name);
    if (known) return known.module.exports;
    const filename = join(__dirname, name);
    const source = `(function (${parameters}) {'use strict';${readFileSync(filename, 'utf8')}\n})`;
    const cachedData = readCode(name, source);
    const script = new Script(source, { filename, ...(cachedData && { cachedData }) });
    const module: Module = { exports: {} };
    this.loaded.set(name, { source, script, module });
    const body = script.runInThisContext() as Body;
    body(module.exports, (other) => this.require(other), module, pathToFileURL(filename).href);
    // Plain values in place of esbuild's getters: they are read with every call from one script into another.
    module.exports = { ...module.exports };
    return module.exports;
  }

  /**
   * The build makes a `require` in a promise of `import(name)`. Packages are imported like that only, and some can only
   * be: what stands for one is a promise too.
   */
  private require(name: string): unknown {
    if (name.startsWith('./')) return this.load(name);
    if (isBuiltin(name)) return builtin(name);
    const imported = import(name);
    return { then: imported.then.bind(imported) };
  }
}

/** Where V8's code for a script lies: behind a digest of both, as V8 itself only compares lengths. */
export const codeFile = (name: string): string => join(__dirname, `${name}.code`);

export const digestOf = (source: string, code: Uint8Array): Buffer =>
  createHash('sha256').update(source).update(code).digest();

/** None where it was not made, or was made of another script, or is damaged. */
function readCode(name: string, source: string): Buffer | undefined {
  try {
    const file = readFileSync(codeFile(name));
    const code = file.subarray(32);
    return digestOf(source, code).equals(file.subarray(0, 32)) ? code : undefined;
  } catch {
    return undefined;
  }
}

if (require.main === module) {
  const { runCli, processTerminal } = new Scripts().command();
  void runCli(process.argv.slice(2), processTerminal()).then((code) => (process.exitCode = code));
}
