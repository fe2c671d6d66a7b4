/**
 * Every code has a row in the catalogue, a sample that raises it and nothing else, its exact rendering, and a page in
 * docs/errors that shows both and a program without the mistake. `npx vitest run test/errors -u` writes the renderings
 * and the pages' copies of them; everything else is written by hand.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { catalogue, problemToJson, renderProblems } from '../../compiler/diagnostics/index.ts';
import { runtimeProblems } from '../../runtime/problems.ts';
import { checkFiles } from '../support/check.ts';
import {
  commandLine,
  expectedPath,
  mendedPrograms,
  pageOf,
  pagePath,
  refreshPage,
  samples,
} from './samples.ts';

const all = samples();

describe.each(all)('$folder', (sample) => {
  const { code, files, asked } = sample;
  const { problems, sources } = checkFiles(files, asked);
  const printed = renderProblems(problems, sources, { color: false, width: 100 });

  it('raises this code and no other', () => {
    expect(problems.map((p) => p.code)).toContain(code);
    expect(new Set(problems.map((p) => p.code))).toEqual(new Set([code]));
  });

  it('says where: at least one place, exactly one file of the mistake, spans inside the files', () => {
    for (const problem of problems) {
      expect(problem.labels.filter((label) => label.primary).length).toBeGreaterThan(0);
      for (const { span, text } of problem.labels) {
        expect(sources.get(span.file), span.file).toBeDefined();
        expect(span.start).toBeGreaterThanOrEqual(0);
        expect(span.end).toBeGreaterThanOrEqual(span.start);
        expect(span.end).toBeLessThanOrEqual(sources.get(span.file)!.text.length);
        expect(text.trim()).not.toBe('');
      }
    }
  });

  it('survives JSON', () => {
    for (const problem of problems) {
      const json = problemToJson(problem, sources);
      expect(json.message).not.toMatch(/undefined|NaN|\[object/);
      expect(json.help ?? '').not.toMatch(/undefined|NaN|\[object/);
      expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    }
  });

  it('is printed as expected', async () => {
    await expect(printed).toMatchFileSnapshot(expectedPath(sample));
  });

  it('has a page that shows it', async () => {
    const page = pageOf(code);
    expect(page, `docs/errors/${code}.md`).toBeDefined();
    const first = all.find((s) => s.code === code);
    if (first !== sample) return;
    const title = `${code}: ${catalogue[code]?.title ?? '(not in the catalogue)'}`;
    await expect(
      refreshPage(page!, { title, files, command: asked && commandLine(asked), printed }),
    ).toMatchFileSnapshot(pagePath(code));
  });

  it('has a page whose mended program is right', () => {
    const programs = mendedPrograms(pageOf(code) ?? '');
    // A mistake on the command line is mended there.
    expect(programs.length > 0 || asked !== undefined).toBe(true);
    for (const program of programs) {
      const mended = checkFiles(new Map([...files, ['main.nnet', program]]));
      expect(renderProblems(mended.problems, mended.sources, { color: false })).toBe('');
    }
  });
});

describe('every code', () => {
  it.each(Object.keys(catalogue).sort())('%s has a sample and a page', (code) => {
    expect(all.map((s) => s.code)).toContain(code);
    expect(pageOf(code), `docs/errors/${code}.md`).toBeDefined();
  });

  it('that has a sample or a page is in the catalogue', () => {
    const pages = readdirSync(new URL('../../docs/errors/', import.meta.url)).filter((name) =>
      /^E\d{4}\.md$/.test(name),
    );
    for (const code of [...all.map((s) => s.code), ...pages.map((name) => name.slice(0, 5))]) {
      if (code < 'E0700') expect(Object.keys(catalogue)).toContain(code);
    }
  });

  it('has a title and texts that end without a full stop', () => {
    for (const [code, kind] of Object.entries(catalogue)) {
      expect(kind.title, code).toMatch(/^\S.*[^.\s]$/);
    }
  });

  it('is listed in the index', async () => {
    const rows = Object.entries({ ...catalogue, ...runtimeProblems } as Readonly<
      Record<string, { readonly title: string }>
    >)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([code, { title }]) => `| [${code}](${code}.md) | ${title} |`);
    const table = (from: string, to: string): string =>
      ['| code | what |', '|---|---|', ...rows.filter((r) => r > `| [${from}` && r < `| [${to}`)].join('\n');
    const index = [
      '# What nnetc reports',
      'Every mistake has a code, which stays the same between versions. Each page shows a program that makes the mistake, ' +
        'exactly what is printed, and how to mend it.',
      '## Syntax',
      table('E01', 'E02'),
      '## Names and imports',
      table('E02', 'E03'),
      '## Shapes, indices and dtypes',
      table('E03', 'E04'),
      '## Arguments and static values',
      table('E04', 'E05'),
      '## Tasks and training',
      table('E05', 'E06'),
      '## Data files',
      table('E07', 'E08'),
      '## Weights and checkpoints',
      table('E08', 'E09'),
      '## Devices and runs',
      table('E09', 'E10'),
    ];
    await expect(`${index.join('\n\n')}\n`).toMatchFileSnapshot('../../docs/errors/README.md');
  });
});
