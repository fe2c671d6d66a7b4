// Writes docs/library.md from stdlib/*.nnet (npm run docs). With --check it changes nothing and fails where the page is old.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs', 'library.md');

/** cli/documentation.ts as it stands in the clone: nothing has to be built first. */
async function documentation() {
  const folder = mkdtempSync(join(root, 'node_modules', '.docs-'));
  try {
    const outfile = join(folder, 'documentation.mjs');
    const entryPoints = [join(root, 'cli', 'documentation.ts')];
    await build({
      entryPoints,
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { libraryPage } = await documentation();
const names = readdirSync(join(root, 'stdlib'), { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.nnet'));
const files = Object.fromEntries(
  names.map((name) => [name, readFileSync(join(root, 'stdlib', name), 'utf8')]),
);
const text = libraryPage(files);

if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== text) {
    console.error('docs/library.md is older than the library: npm run docs');
    process.exitCode = 1;
  }
} else writeFileSync(page, text);
