/** The README does what it says: its first two shell blocks, its samples, the message it shows, its links and those of all pages. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { check } from '../../compiler/compile.ts';
import { renderProblems } from '../../compiler/diagnostics/index.ts';
import { parse, print } from '../../grammar/index.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${root}README.md`, 'utf8');
const disk = fileHost(root);

describe('README.md', () => {
  it('trains with its first shell block and tests with its second, one line each', () => {
    const shell = [...page.matchAll(/^```(?:sh|bash|shell)\n([\s\S]*?)^```$/gm)].map((m) => m[1]);
    expect(shell).toEqual([
      'npm install && npx nnetc run examples/mnist.nnet\n',
      'npm install && npm test\n',
    ]);
  });

  const samples = [...page.matchAll(/^```nnet(?: error\((E\d+)\))?\n([\s\S]*?)^```$/gm)].map((m) => ({
    code: m[1],
    text: m[2] ?? '',
  }));

  it.each(samples)('sample $#', ({ code, text }) => {
    const read = (path: string): string | undefined => (path === 'classifier.nnet' ? text : disk.read(path));
    const { problems, sources } = check('classifier.nnet', { ...disk, read });
    expect(problems.map((p) => p.code)).toEqual(code === undefined ? [] : [code]);
    if (code === undefined) return expect(print(parse({ path: '', text }).syntax)).toBe(text);
    expect(page).toContain(`\`\`\`text\n${renderProblems(problems, sources, { color: false })}\`\`\``);
  });

  it('names commands that package.json has', () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
      scripts: Record<string, string>;
    };
    const used = [...page.matchAll(/npm run (\w+)/g)].map((m) => m[1] ?? '');
    expect(used.filter((name) => !(name in scripts))).toEqual([]);
  });
});

describe('pages', () => {
  const skipped = new Set(['node_modules', 'dist', 'runs', 'coverage', 'shared']);
  const pages = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory())
        return skipped.has(entry.name) || entry.name.startsWith('.') ? [] : pages(path);
      return entry.name.endsWith('.md') ? [path] : [];
    });
  const all = pages('.');

  it('link to files that exist', () => {
    const broken = all.flatMap((path) =>
      [...readFileSync(join(root, path), 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((m) => m[1] ?? '')
        .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(root, dirname(path), link)))
        .map((link) => `${path}: ${link}`),
    );
    expect(all.length).toBeGreaterThan(20);
    expect(broken).toEqual([]);
  });

  it('tell of every example', () => {
    const table = readFileSync(`${root}examples/README.md`, 'utf8');
    const programs = readdirSync(`${root}examples`).filter((name) => name.endsWith('.nnet'));
    expect(programs.filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
  });

  it('are in every folder of sources', () => {
    const sources = (folder: string): string[] =>
      readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap((entry) => [join(folder, entry.name), ...sources(join(folder, entry.name))]);
    const folders = [
      ...['grammar', 'compiler', 'runtime', 'cli'].flatMap((f) => [f, ...sources(f)]),
      ...['stdlib', 'examples', 'test', 'bench', 'docs', 'scripts'],
    ];
    // A command's file is documented by the folder above.
    const documented = (f: string): boolean => f === 'cli/commands' || existsSync(join(root, f, 'README.md'));
    expect(folders.filter((f) => !documented(f))).toEqual([]);
  });
});
