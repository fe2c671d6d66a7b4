// Makes the files of V8's code that dist/bin/nnetc.js starts with, by running the command on files that need most of it.
// They hold for the Node that made them; any other compiles the scripts as it always did.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [bin, ...files] = process.argv.slice(2);
const require = createRequire(import.meta.url);

// Code is kept for the flags that V8 has when a start loads it: none are set by then.
require('node:v8').setFlagsFromString = () => undefined;

const { Scripts, codeFile, digestOf } = require(join(bin, 'nnetc.js'));
const scripts = new Scripts();
const { runCli } = scripts.command();

const cache = mkdtempSync(join(tmpdir(), 'nnetc-build-'));
process.env.NNET_CACHE = cache;
const nowhere = { write: () => true };
const terminal = {
  out: nowhere,
  err: nowhere,
  env: {},
  cwd: process.cwd(),
  onInterrupt: () => () => undefined,
};
try {
  // Twice: the second time from the cache.
  for (const file of [...files, ...files.slice(0, 1)])
    await runCli(['bench', file, '--backend', 'wasm', '--threads', '2', '--steps', '1', '--json'], terminal);
  for (const [name, { source, script }] of scripts.loaded) {
    const code = script.createCachedData();
    writeFileSync(codeFile(name), Buffer.concat([digestOf(source, code), code]));
  }
} finally {
  rmSync(cache, { recursive: true, force: true });
}
