/** What the build makes of loops and patterns computes the same, and iterates over no array. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, expect, test } from 'vitest';
// @ts-expect-error: a script without types
import { withoutIterators } from '../../scripts/without-iterators.mjs';

const source = `
export const log: unknown[] = [];
const numbers: readonly number[] = [1, 2, 3];
const pairs: readonly (readonly [string, number])[] = [['a', 1], ['b', 2]];

// Closures keep the item of their round, and \`continue\` goes on.
const later: (() => number)[] = [];
for (const n of numbers) {
  if (n === 2) continue;
  later.push(() => n);
}
log.push(later.map((f) => f()));

// What a loop adds to its own list comes, too.
const growing = [1];
for (const n of growing) if (n < 4) growing.push(n + 1);
log.push(growing);

// A body may declare the name of what it goes through, and of the item.
for (const all of numbers) {
  const i = all;
  { const all = i * 2; log.push(all); }
}
outer: for (const a of numbers) for (const b of numbers) {
  if (b > a) continue outer;
  if (a > 2) break outer;
  log.push([a, b]);
}
for (let n of numbers) log.push((n += 1));
for (const [name, value] of pairs) log.push(name + value);
log.push(pairs.map(([, value], i) => value + i));

const [first, , third = 7, missing = 9] = numbers;
let [x, y] = [first ?? 0, third];
[x, y] = [y, x];
const [[inner]] = [[5, 6]];
const [head, ...tail] = numbers;
log.push(first, third, missing, x, y, inner, head, tail);

// These are no arrays.
for (const c of '𝒙y') log.push(c);
for (const [key, value] of new Map(pairs)) log.push(key, value);
for (const n of new Set(numbers)) log.push(n);
const [one] = new Set(numbers);
const [letter] = '𝒙y';
function* count(): Generator<number> { yield 1; yield 2; }
for (const n of count()) log.push(n);
const [begun] = count();
const either: readonly number[] | Set<number> = numbers.length > 2 ? new Set(numbers) : numbers;
for (const n of either as readonly number[] | Set<number>) log.push(n);
log.push(one, letter, begun);
`;

const folder = mkdtempSync(join(tmpdir(), 'nnetc-emit-'));
afterAll(() => rmSync(folder, { recursive: true }));

function emitted(name: string, isPlain: boolean): string {
  const file = join(folder, `${name}.mts`);
  writeFileSync(file, source);
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    noUncheckedIndexedAccess: true,
    types: [],
  });
  const transform = withoutIterators(program) as ts.TransformerFactory<ts.SourceFile>;
  program.emit(undefined, undefined, undefined, false, isPlain ? {} : { before: [transform] });
  return join(folder, `${name}.mjs`);
}

const run = async (file: string): Promise<readonly unknown[]> =>
  ((await import(pathToFileURL(file).href)) as { log: unknown[] }).log;

test('arrays are gone through by indices, everything else as it iterates', async () => {
  const [plain, made] = [emitted('plain', true), emitted('made', false)];
  const found = await run(made);
  expect(found).toEqual(await run(plain));
  expect(found.length).toBeGreaterThan(30);
  const code = readFileSync(made, 'utf8');
  expect(code.match(/for \(.* of /g)).toHaveLength(5);
  expect(code.match(/(const|let) \[/g)).toHaveLength(4);
});
