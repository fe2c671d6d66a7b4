/** The walk-through of docs/adding-an-op.md still fits the files that it walks through. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { check } from '../../compiler/compile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${root}docs/adding-an-op.md`, 'utf8');

/** Changes as ```` ```diff path ````: lines that are there begin with a blank, new ones with `+`. */
const changes = [...page.matchAll(/^```diff (\S+)\n([\s\S]*?)^```$/gm)].map(([, path = '', body = '']) => {
  const lines = body.split('\n').filter((line) => line !== '');
  return {
    path,
    context: lines.filter((line) => line.startsWith(' ')).map((line) => line.slice(1)),
    added: lines.filter((line) => line.startsWith('+')).map((line) => line.slice(1)),
  };
});

describe('docs/adding-an-op.md', () => {
  it('has a change for every table', () => {
    const files = new Set(changes.map((c) => c.path));
    expect(files.size).toBeGreaterThanOrEqual(9);
  });

  it.each(changes.map((c, i) => ({ name: `${i + 1}: ${c.path}`, ...c })))(
    'change $name fits the file',
    ({ path, context, added }) => {
      const lines = new Set(readFileSync(`${root}${path}`, 'utf8').split('\n'));
      expect(context.length).toBeGreaterThan(0);
      expect(context.filter((line) => !lines.has(line))).toEqual([]);
      const [first = ''] = added.filter((line) => line.includes('sinh'));
      expect(first).not.toBe('');
      expect(lines.has(first), 'the example exists by now: choose another').toBe(false);
    },
  );

  it('names files that exist', () => {
    const paths = [...page.matchAll(/`((?:compiler|runtime|test|stdlib|scripts)\/[\w./-]*)`/g)].map(
      (m) => m[1] ?? '',
    );
    expect(paths.filter((path) => !existsSync(`${root}${path}`))).toEqual([]);
  });

  it('has samples that compile', () => {
    const host = fileHost(root);
    for (const [, text = ''] of page.matchAll(/^```nnet\n([\s\S]*?)^```$/gm)) {
      const read = (path: string): string | undefined => (path === 'x.nnet' ? text : host.read(path));
      expect(check('x.nnet', { ...host, read }).problems).toEqual([]);
    }
  });
});
