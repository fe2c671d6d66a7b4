// Builds dist/: embeds the library, compiles, and bundles the command and the compiler (in one piece they start in half the time).
// `npm install` runs it as `prepare`, which is what leaves `npx nnetc` working in a clone.
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

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
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
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
async function bundle(place, options) {
  const folder = mkdtempSync(dist(`.${place}-`));
  await build({ ...common, ...options, outdir: folder });
  chmodSync(folder, 0o755);
  rmSync(dist(place), { recursive: true, force: true });
  renameSync(folder, dist(place));
}

if (existsSync(dist('cli', 'main.js'))) {
  const define = { NNETC_BUILD: JSON.stringify(digestOf(dist())) };
  await bundle('bin', {
    entryPoints: { nnetc: dist('cli', 'main.js') },
    splitting: true,
    platform: 'node',
    external: ['webgpu', 'prettier'],
    define,
    // commander is CommonJS and asks for Node's modules. The minifier does not know this name, and makes only short ones.
    banner: {
      js: "import{createRequire as requireOfNode}from'node:module';const require=requireOfNode(import.meta.url);",
    },
  });
  chmodSync(dist('bin', 'nnetc.js'), 0o755);
  await bundle('lib', {
    entryPoints: { index: dist('compiler', 'index.js') },
    platform: 'neutral',
    mainFields: ['module', 'main'],
    define,
  });
}
process.exitCode = status ?? 1;
