#!/usr/bin/env node
/**
 * The bundled `nnetc` (scripts/build.mjs): runs the scripts beside it with the code that V8 made of them when they were
 * built, so that they need not be parsed and compiled again; where none was made for this Node, the first long run makes it.
 * Imports little of the command, as it is bundled on its own.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { cacheFolder } from './cache-folder.ts';
import type * as Command from './command.ts';
import { FirstFlags } from './flags.ts';

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
  private readonly flags = new FirstFlags();

  /** `kept`: the folder in which this machine keeps code. */
  constructor(private readonly kept?: string) {}

  command(): typeof Command {
    return this.load('./command.js') as typeof Command;
  }

  /** Code that another version of V8 made, or one with other flags, V8 takes no notice of. */
  private load(name: string): object {
    const known = this.loaded.get(name);
    if (known) return known.module.exports;
    const filename = join(__dirname, name);
    const source = `(function (${parameters}) {'use strict';${readFileSync(filename, 'utf8')}\n})`;
    const cachedData = this.readKept(name, source) ?? readCode(codeFile(name), source);
    const make = (): Script => new Script(source, { filename, ...(cachedData && { cachedData }) });
    const script = this.flags.during(make) ?? make();
    const module: Module = { exports: {} };
    this.loaded.set(name, { source, script, module });
    const body = script.runInThisContext() as Body;
    body(module.exports, (other) => this.require(other), module, pathToFileURL(filename).href);
    // Plain values in place of esbuild's getters: they are read with every call from one script into another.
    module.exports = { ...module.exports };
    return module.exports;
  }

  private readKept(name: string, source: string): Buffer | undefined {
    return this.kept === undefined ? undefined : readCode(keptFile(this.kept, name), source);
  }

  /**
   * Keeps the code of scripts for which V8 found none that it could take. A package comes without any, and what one Node made
   * is of no use to another. Written beside and moved, so that nobody finds half of it; without it a start only takes longer.
   */
  keep(): void {
    const { kept } = this;
    if (kept === undefined) return;
    for (const [name, { source, script }] of this.loaded)
      try {
        if (script.cachedDataRejected === false) continue;
        const code = this.flags.during(() => script.createCachedData());
        if (!code) return;
        const file = keptFile(kept, name);
        const beside = `${file}.${process.pid}.tmp`;
        mkdirSync(kept, { recursive: true });
        writeFileSync(beside, Buffer.concat([digestOf(source, code), code]));
        renameSync(beside, file);
      } catch {
        return;
      }
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

/** The same of code that this machine made: for this installation, this Node and how it was called. */
function keptFile(folder: string, name: string): string {
  const { version, arch, execArgv, env } = process;
  const made = JSON.stringify([__dirname, name, version, arch, execArgv, env['NODE_OPTIONS']]);
  return join(folder, `${createHash('sha256').update(made).digest('hex')}.code`);
}

/** None where it was not made, or was made of another script, or is damaged. */
function readCode(path: string, source: string): Buffer | undefined {
  try {
    const file = readFileSync(path);
    const code = file.subarray(32);
    return digestOf(source, code).equals(file.subarray(0, 32)) ? code : undefined;
  } catch {
    return undefined;
  }
}

/** A run that took so many milliseconds has used what a start needs, and does not notice how long it takes to keep that. */
const longRun = 1000;

if (require.main === module) {
  const scripts = new Scripts(cacheFolder(process.env));
  const { runCli, processTerminal } = scripts.command();
  let isOver = false;
  const keep = (): void => {
    if (!isOver && performance.now() > longRun) scripts.keep();
    isOver = true;
  };
  // Not only at the end, as V8 forgets functions that were long unused: those of the compiler.
  setTimeout(keep, longRun).unref();
  process.once('exit', keep);
  void runCli(process.argv.slice(2), processTerminal()).then((code) => (process.exitCode = code));
}
