/**
 * Every sample of docs/language.md compiles, or makes exactly the mistake that it says: ```` ```nnet ```` has no problem and is
 * written as the formatter writes it, ```` ```nnet error(E0301) ```` has that one, ```` ```nnet file(name.nnet) ```` can be
 * imported by the samples below it, and ```` ```csv file(name.csv) ````, ```` ```text file(name.txt) ```` lie beside all samples.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { builtinScope } from '../../compiler/check/builtins.ts';
import { loadLibrary } from '../../compiler/check/library.ts';
import { check } from '../../compiler/compile.ts';
import { messageOf } from '../../compiler/diagnostics/index.ts';
import { parse, print } from '../../grammar/index.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${root}docs/language.md`, 'utf8');

/** Where the samples stand. */
const folder = mkdtempSync(join(tmpdir(), 'nnet-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));
for (const [, name = '', text = ''] of page.matchAll(/^```(?:csv|text) file\(([\w.-]+)\)\n([\s\S]*?)^```$/gm))
  writeFileSync(join(folder, name), text);
const disk = fileHost(folder);

interface Sample {
  readonly line: number;
  readonly text: string;
  /** The code that it must raise. */
  readonly error: string | undefined;
  /** The name under which the samples below may import it. */
  readonly file: string | undefined;
}

function samplesOf(markdown: string): readonly Sample[] {
  return [...markdown.matchAll(/^```nnet(.*)\n([\s\S]*?)^```$/gm)].map((m) => {
    const info = (m[1] ?? '').trim();
    const [, error] = /^error\((E\d{4})\)$/.exec(info) ?? [];
    const [, file] = /^file\(([\w.-]+)\)$/.exec(info) ?? [];
    const line = markdown.slice(0, m.index).split('\n').length;
    if (info !== '' && !error && !file) throw new Error(`line ${line}: what is "${info}"?`);
    return { line, text: m[2] ?? '', error, file };
  });
}

/** What the compiler says about a sample that stands beside the named files above it. */
function problemsOf(sample: Sample, above: readonly Sample[]): readonly { code: string; message: string }[] {
  const files = new Map(above.flatMap((s) => (s.file === undefined ? [] : [[s.file, s.text] as const])));
  files.set('sample.nnet', sample.text);
  const host = { ...disk, read: (path: string) => files.get(path) ?? disk.read(path) };
  return check('sample.nnet', host).problems.map((p) => ({
    code: p.code,
    message: p.code.startsWith('E07') ? p.code : messageOf(p),
  }));
}

const samples = samplesOf(page);

describe('docs/language.md', () => {
  it('has samples of all kinds', () => {
    expect(samples.length).toBeGreaterThan(20);
    expect(samples.filter((s) => s.error !== undefined).length).toBeGreaterThan(3);
    expect(samples.some((s) => s.file !== undefined)).toBe(true);
  });

  it.each(samples.map((s, i) => ({ name: `line ${s.line}`, sample: s, above: samples.slice(0, i) })))(
    'the sample at $name',
    ({ sample, above }) => {
      const problems = problemsOf(sample, above);
      if (sample.error === undefined) expect(problems).toEqual([]);
      else expect(problems.map((p) => p.code)).toEqual([sample.error]);
      const { syntax } = parse({ path: 'sample.nnet', text: sample.text });
      expect(sample.text).toBe(print(syntax));
    },
  );

  it('names every built-in name', () => {
    const section = page.split(/^## 16\. /m)[1]?.split(/^## /m)[0] ?? '';
    const written = new Set([...section.matchAll(/`(\w+)/g)].map((m) => m[1]));
    expect([...builtinScope().names.keys()].filter((name) => !written.has(name))).toEqual([]);
  });

  it('links only to sections that exist', () => {
    const anchor = (title: string): string =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-');
    const titles = new Set([...page.matchAll(/^#+ (.*)$/gm)].map((m) => anchor(m[1] ?? '')));
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map((m) => m[1] ?? '');
    expect(links.filter((link) => !titles.has(link))).toEqual([]);
  });

  it('does not call a name of the library built in', () => {
    const library = new Set(loadLibrary().scope.names.keys());
    expect([...builtinScope().names.keys()].filter((name) => library.has(name))).toEqual([]);
  });
});
