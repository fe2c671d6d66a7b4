// Builds dist/: embeds the library, compiles, and bundles the command (in one piece it starts in half the time).
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
    if (file.endsWith('.js') && !/^\.?bin/.test(file))
      hash.update(file).update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
const entry = join(root, 'dist', 'cli', 'main.js');
if (existsSync(entry)) {
  // Made beside and moved, so that two builds at once do not see each other's halves.
  const folder = mkdtempSync(join(root, 'dist', '.bin-'));
  await build({
    entryPoints: { nnetc: entry },
    outdir: folder,
    bundle: true,
    splitting: true,
    // No keepNames: the code of workers is made of functions' texts, which must need nothing around them.
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['webgpu', 'prettier'],
    logLevel: 'warning',
    define: { NNETC_BUILD: JSON.stringify(digestOf(join(root, 'dist'))) },
    // commander is CommonJS and asks for Node's modules.
    banner: { js: "import{createRequire as r_}from'node:module';const require=r_(import.meta.url);" },
  });
  chmodSync(join(folder, 'nnetc.js'), 0o755);
  chmodSync(folder, 0o755);
  const place = join(root, 'dist', 'bin');
  rmSync(place, { recursive: true, force: true });
  renameSync(folder, place);
}
process.exitCode = status ?? 1;
