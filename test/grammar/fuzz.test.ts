import { readdirSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse, print, syntaxProblems } from '../../grammar/index.ts';
import type { Parsed } from '../../grammar/index.ts';
import { mutate, random } from './mutate.ts';
import { strip } from './strip.ts';

const runs = Number(process.env['NNET_FUZZ'] ?? 2000);

function texts(folder: string): readonly string[] {
  const at = new URL(folder, import.meta.url);
  return readdirSync(at, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.nnet'))
    .sort()
    .map((name) => readFileSync(new URL(name, at), 'utf8'));
}

const corpus = [...texts('samples/'), ...texts('../../examples/'), ...texts('../../stdlib/')];

/** What must hold of any text at all. */
function check(text: string): Parsed {
  const parsed = parse({ path: 'fuzz.nnet', text });
  for (const problem of parsed.problems) {
    const kind = (syntaxProblems as Readonly<Record<string, unknown>>)[problem.code];
    const primary = problem.labels.filter((label) => label.primary);
    const inText = problem.labels.every(
      ({ span }) => 0 <= span.start && span.start <= span.end && span.end <= text.length,
    );
    if (kind === undefined || primary.length !== 1 || !inText) throw new Error(JSON.stringify(problem));
  }
  const printed = print(parsed.syntax);
  if (parsed.problems.length > 0) return parsed;
  const again = parse({ path: 'fuzz.nnet', text: printed });
  if (again.problems.length > 0) throw new Error(`does not parse:\n${printed}`);
  if (!isDeepStrictEqual(strip(again.syntax), strip(parsed.syntax))) throw new Error(`changed:\n${printed}`);
  if (print(again.syntax) !== printed) throw new Error(`unstable:\n${printed}`);
  return parsed;
}

describe('any text at all', () => {
  it(
    'gives a tree and problems, never an exception; sound text prints and parses back',
    () => {
      const next = random(20);
      let sound = 0;
      for (let i = 0; i < runs; i++) {
        const text = mutate(corpus[i % corpus.length] ?? '', next);
        try {
          if (check(text).problems.length === 0) sound++;
        } catch (error) {
          throw new Error(`run ${String(i)}:\n${text}`, { cause: error });
        }
      }
      expect(sound).toBeGreaterThan(runs / 100);
      expect(sound).toBeLessThan(runs / 2);
    },
    60_000 + runs * 100,
  );

  it.each([
    ['(', 10_000],
    ['[', 10_000],
    ['{', 10_000],
    ['f(', 10_000],
    ['(x + ', 10_000],
    ['-', 10_000],
    ['not ', 10_000],
    ['2^', 10_000],
    ['a + ', 10_000],
    ['x |> ', 10_000],
    ['a < ', 10_000],
    ['sum(i) ', 10_000],
    ['sum(i in ', 10_000],
    ['if a then ', 10_000],
    ['if a then b else ', 10_000],
    ['f()', 10_000],
    ['a.', 10_000],
    ['x[', 10_000],
    ['"', 10_000],
    ["'", 10_000],
    ['/*', 10_000],
    ['#', 10_000],
    ['x = ', 10_000],
    [')', 10_000],
    ['if a { ', 10_000],
    ['if a { } else ', 10_000],
    ['scan t in x { ', 10_000],
    ['model A { ', 2_000],
    ['input x: [', 10_000],
    ['input x: f32[(', 5_000],
    ['}', 10_000],
    ['\\', 10_000],
    ['§', 10_000],
    ['1e', 10_000],
    [',', 10_000],
    ['a b ', 10_000],
  ])('survives %j many times over', (piece, times) => {
    const { problems } = check(`task t {\n  y = ${piece.repeat(times)}`);
    expect(problems.length).toBeGreaterThan(0);
    const started = performance.now();
    check(`layer L {\n  y = 1\n  ${piece.repeat(times)}\n}\nmodel M {}`);
    check(piece.repeat(times));
    check(`fn f(x) = ${piece.repeat(times)}`);
    check(`fn f(x: ${piece.repeat(times)}`);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('keeps to the stack with what it accepts', () => {
    const parens = (n: number): string => `fn f(x) = ${'('.repeat(n)}x${')'.repeat(n)}`;
    expect(check(parens(60)).problems).toEqual([]);
    expect(check(parens(61 + 10)).problems.map((p) => p.code)).toEqual(['E0108']);
    const sum = (n: number): string => `fn f(x) = ${Array.from({ length: n }, () => 'x').join(' + ')}`;
    expect(check(sum(250)).problems).toEqual([]);
    expect(check(sum(300)).problems.map((p) => p.code)).toEqual(['E0108']);
  });
});
