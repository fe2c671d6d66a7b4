/** What docs/embedding.md shows is in files that are type-checked and run, and the program that compiles in memory works. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mistakes, polar, source } from '../../examples/embed/compile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const page = readFileSync(`${root}docs/embedding.md`, 'utf8');
const programs = readdirSync(`${root}examples/embed`)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(`${root}examples/embed/${name}`, 'utf8'));

describe('docs/embedding.md', () => {
  it('shows what stands in examples/embed', () => {
    const blocks = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((m) => m[1] ?? '');
    expect(blocks.length).toBeGreaterThan(3);
    expect(blocks.filter((block) => !programs.some((text) => text.includes(block)))).toEqual([]);
  });

  it('names members and functions that there are', () => {
    const embed = readFileSync(`${root}runtime/embed.ts`, 'utf8');
    const body = /interface LoadedModel<[\s\S]*?\{\n([\s\S]*?)^\}/m.exec(embed)?.[1] ?? '';
    const members = [...body.matchAll(/^ {2}(?:readonly )?(\w+)[(:]/gm)].map((m) => m[1] ?? '');
    expect(members.length).toBeGreaterThan(5);
    const table = [...page.matchAll(/^\| `net\.(\w+)/gm)].map((m) => m[1] ?? '');
    expect([...table].sort()).toEqual([...members].sort());
  });

  it('links to files that exist', () => {
    const links = [...page.matchAll(/\]\(([\w./-]+)/g)].map((m) => m[1] ?? '');
    expect(links.filter((link) => !existsSync(`${root}docs/${link}`))).toEqual([]);
  });
});

describe('a program that compiles in memory', () => {
  it('runs what it compiled', async () => {
    const { radius, direction } = await polar(source, [
      [3, 4],
      [0, 2],
    ]);
    expect(radius.shape).toEqual([2]);
    expect([...radius.data]).toEqual([5, 2]);
    expect([...direction.data].map((v) => Math.round(100 * v))).toEqual([60, 80, 0, 100]);
  });

  it('says what is wrong', async () => {
    expect(mistakes(source)).toBe('');
    const wrong = source.replace('x[b, i]^2', 'y[b, i]^2');
    expect(mistakes(wrong)).toMatch(/error\[E0201\]: `y` is not defined\n {3}┌─ polar\.nnet:\d+:\d+/);
    await expect(polar(wrong, [[1, 2]])).rejects.toThrow(/E0201/);
  });
});
