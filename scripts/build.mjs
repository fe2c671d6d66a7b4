// Builds dist/: embeds the library, compiles, and bundles the command and the compiler (in one piece they start in half the time).
// `npm install` runs it as `prepare`, which is what leaves `npx nnetc` working in a clone.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import ts from 'typescript';
import { withoutIterators } from './without-iterators.mjs';

import './embed-stdlib.mjs';

/** Of all compiled code: compiled tasks are cached for exactly this compiler. */
function digestOf(folder) {
  const hash = createHash('sha256');
  const files = readdirSync(folder, { recursive: true }).map(String).sort();
  for (const file of files)
    if (file.endsWith('.js') && !/^\.?(bin|lib)/.test(file))
      hash.update(file).update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Checks the types and writes dist/, whatever it finds; false where there are mistakes, which it shows. */
function compile() {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (found) => show([found]) };
  const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.build.json'), {}, host);
  if (!config) return false;
  const program = ts.createProgram(config.fileNames, config.options);
  const { diagnostics } = program.emit(undefined, undefined, undefined, false, {
    before: [withoutIterators(program)],
  });
  return show([...config.errors, ...ts.getPreEmitDiagnostics(program), ...diagnostics]);
}

function show(diagnostics) {
  const host = {
    getCurrentDirectory: () => root,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\n',
  };
  process.stderr.write(ts.formatDiagnostics(diagnostics, host));
  return diagnostics.length === 0;
}

const isGood = compile();
const dist = (...path) => join(root, 'dist', ...path);
const common = {
  bundle: true,
  // No keepNames: the code of workers is made of functions' texts, which must need nothing around them.
  minify: true,
  format: 'esm',
  target: 'node20',
  logLevel: 'warning',
};

/** Made beside and moved, so that two builds at once do not see each other's halves. */
async function place(name, make) {
  const folder = mkdtempSync(dist(`.${name}-`));
  await make(folder);
  chmodSync(folder, 0o755);
  rmSync(dist(name), { recursive: true, force: true });
  renameSync(folder, dist(name));
}

/**
 * The command as CommonJS scripts that dist/bin/nnetc.js loads. esbuild splits ES modules only: each is turned into a
 * script afterwards.
 */
async function command(folder, define) {
  const { outputFiles } = await build({
    ...common,
    entryPoints: { command: dist('cli', 'command.js') },
    outdir: folder,
    splitting: true,
    write: false,
    platform: 'node',
    external: ['webgpu', 'prettier'],
    define,
  });
  for (const { path, text } of outputFiles) {
    const { code } = await transform(text, {
      format: 'cjs',
      platform: 'node',
      target: common.target,
      minify: true,
      define: { 'import.meta.url': 'importMetaUrl' },
      supported: { 'dynamic-import': false },
    });
    writeFileSync(path, code);
  }
  await build({
    ...common,
    entryPoints: { nnetc: dist('cli', 'launch.js') },
    outdir: folder,
    format: 'cjs',
    platform: 'node',
  });
  chmodSync(join(folder, 'nnetc.js'), 0o755);
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  const samples = ['gpt', 'lenet', 'lstm'].map((name) => join(root, 'bench', 'workloads', `${name}.nnet`));
  spawnSync(process.execPath, [join(root, 'scripts', 'code-cache.mjs'), folder, ...samples], {
    stdio: 'inherit',
  });
}

if (existsSync(dist('cli', 'main.js'))) {
  const define = { NNETC_BUILD: JSON.stringify(digestOf(dist())) };
  await place('bin', (folder) => command(folder, define));
  await place('lib', (outdir) =>
    build({
      ...common,
      entryPoints: { index: dist('compiler', 'index.js') },
      outdir,
      platform: 'neutral',
      mainFields: ['module', 'main'],
      define,
    }),
  );
}
if (!isGood) process.exitCode = 1;
