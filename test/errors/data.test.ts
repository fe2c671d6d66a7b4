/**
 * What is printed for bad data, weights and disks. Each case makes the bad file in a folder of its own and hands it to
 * the function that a run uses. The expected text stands in `<code>-<slug>/expected.txt`, the page in docs/errors shows
 * the first case of its code. `npx vitest run test/errors -u` writes both.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { renderTold } from '../../compiler/diagnostics/index.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { codeOf, runtimeProblems } from '../../runtime/problems.ts';
import { type Case, dataCases } from './data-cases.ts';
import { pageOf, pagePath, refreshPage } from './samples.ts';
import { weightsCases } from './weights-cases.ts';

const cases = [...dataCases, ...weightsCases];

const root = mkdtempSync(join(tmpdir(), 'nnetc-errors-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** What is printed, with the test's own folder left out of the paths. */
function print(test: Case): { readonly error: RuntimeError; readonly printed: string } {
  const folder = join(root, `${test.code}-${test.slug}`);
  mkdirSync(folder);
  try {
    test.raise(folder);
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    const told = {
      code: codeOf(error),
      severity: 'error',
      message: error.message,
      help: error.help,
    } as const;
    return { error, printed: renderTold(told, { color: false }).replaceAll(`${folder}/`, '') };
  }
  throw new Error('nothing went wrong');
}

describe.each(cases)('$code $slug', (test) => {
  const { error, printed } = print(test);
  const { code, slug } = test;

  it('raises this code, names what it is about, and prints no stack', () => {
    expect(codeOf(error)).toBe(code);
    expect(printed).not.toMatch(/undefined|NaN|\[object|\.ts:\d|node:/);
    expect(error.help).not.toBe('');
  });

  it('is printed as expected', async () => {
    const expected = new URL(`./${code}-${slug}/expected.txt`, import.meta.url);
    await expect(printed).toMatchFileSnapshot(expected.pathname);
  });

  it('has a page that shows it', async () => {
    const page = pageOf(code);
    expect(page, `docs/errors/${code}.md`).toBeDefined();
    if (cases.find((c) => c.code === code) !== test) return;
    const title = `${code}: ${runtimeProblems[code].title}`;
    await expect(refreshPage(page!, { title, files: new Map(), printed })).toMatchFileSnapshot(
      pagePath(code),
    );
  });
});

describe('every code of the runtime', () => {
  it.each(Object.keys(runtimeProblems))('%s has a page', (code) => {
    expect(existsSync(pagePath(code))).toBe(true);
    expect(pageOf(code)).toContain('## How to mend it');
  });
});
