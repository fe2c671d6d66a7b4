/** docs/library.md is what `npm run docs` makes of stdlib/, and everything in stdlib/ says what it is. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { libraryPage, signature } from '../../cli/documentation.ts';
import { parse } from '../../grammar/index.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const texts = Object.fromEntries(
  readdirSync(`${root}stdlib`, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.nnet'))
    .map((name) => [name, readFileSync(`${root}stdlib/${name}`, 'utf8')]),
);
const declarations = Object.entries(texts).flatMap(([path, text]) =>
  parse({ path, text }).syntax.declarations.filter((d) => d.kind !== 'import'),
);

describe('docs/library.md', () => {
  it('is what `npm run docs` makes', () => {
    const same = readFileSync(`${root}docs/library.md`, 'utf8') === libraryPage(texts);
    expect(same, 'docs/library.md is older than stdlib/: npm run docs').toBe(true);
  });

  it('is made by the script', () => {
    execFileSync(process.execPath, [`${root}scripts/library-docs.mjs`, '--check'], { stdio: 'pipe' });
  });

  it('does not depend on the order in which files are found', () => {
    const turned = Object.fromEntries(Object.entries(texts).reverse());
    expect(libraryPage(turned)).toBe(libraryPage(texts));
  });

  it('has a sentence about every declaration', () => {
    expect(declarations.filter((d) => !d.doc?.trim()).map((d) => d.name.name)).toEqual([]);
  });
});

describe('a signature', () => {
  const of = (text: string): string => {
    const [d] = parse({ path: 'x.nnet', text }).syntax.declarations;
    if (!d || d.kind === 'import') throw new Error('no declaration');
    return signature(d);
  };

  it('is the declaration with its ports only', () => {
    const text =
      'layer L(n: int) { input x: f32[b, n] output y: f32[b, n] param w: f32[n] = ones when n > 1 y = x * w }';
    expect(of(text)).toBe(
      [
        'layer L(n: int) {',
        '  input x: f32[b, n]',
        '  output y: f32[b, n]',
        '  param w: f32[n] = ones when n > 1',
        '}',
      ].join('\n'),
    );
  });

  it('of a function ends with its result', () => {
    expect(of('fn f(x: f32[n]) -> f32[n] = x + 1')).toBe('fn f(x: f32[n]) -> f32[n]');
    expect(of('fn f(x: f32[n]) { y = x return y }')).toBe('fn f(x: f32[n])');
  });

  it('shows under which condition a port exists', () => {
    expect(of('layer L(k: int) { if k > 1 { state s: f32[k] = zeros } else { y = 1 } }')).toBe(
      'layer L(k: int) {\n  if k > 1 {\n    state s: f32[k] = zeros\n  }\n}',
    );
  });
});
