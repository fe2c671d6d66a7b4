/**
 * Random mutations of the examples, the library and the error samples: whatever the text, the compiler answers with
 * problems that can be rendered, and never throws. NNET_FUZZ=100000 runs that many; a failure prints seed and text.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Catalogue,
  catalogue,
  problemToJson,
  renderProblems,
} from '../../compiler/diagnostics/index.ts';
import { runtimeProblems } from '../../runtime/problems.ts';
import { checkFiles } from '../support/check.ts';
import { mulberry32 } from '../support/weights.ts';
import { samples } from './samples.ts';

const RUNS = Number(process.env['NNET_FUZZ'] ?? 500);

/** A stream of choices; the same seed gives the same mutations. */
class Dice {
  #next = 0;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  below(n: number): number {
    return Math.floor(mulberry32(this.#seed, this.#next++) * n);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** The data of a task is looked at too. */
const rows: Catalogue = { ...catalogue, ...runtimeProblems };

type Files = ReadonlyMap<string, string>;

function corpus(): readonly Files[] {
  const from = (folder: string): Files[] => {
    const url = new URL(folder, import.meta.url);
    if (!existsSync(url)) return [];
    const names = readdirSync(url).filter((name) => name.endsWith('.nnet'));
    return names.map((name) => new Map([['main.nnet', readFileSync(new URL(name, url), 'utf8')]]));
  };
  return [...from('../../examples/'), ...from('../../stdlib/'), ...samples().map((s) => s.files)];
}

/** Pieces of text that mean something to the compiler, more often than random characters do. */
const PIECES = [
  '(', ')', '[', ']', '{', '}', ',', ':', '=', "'", '"', '.', '...', '|>', '@', '^', '-', '+', '*', '/', '<', '==', '\n', ' ',
  '0', '1', '-1', '1e9', '0.5', '999999999999', 'x', 'y', 'batch', 'n', 'f32', 'i32', 'bool', 'f32[', 'f32[]', 'input ', 'output ',
  'param ', 'state ', 'layer ', 'model ', 'fn ', 'task ', 'optimizer ', 'import ', 'scan t in ', 'repeat 3 ', 'if ', ' then ', ' else ',
  ' when ', 'sum(i) ', 'mean(i, j) ', 'argmax(', 'grad(', 'Dense(', 'Conv2d(', 'relu', 'softmax', 'return ', 'minimize ', ' over ',
  ' with ', 'metric ', 'fit(', ' on ', 'true', 'not ', ' and ', ' div ', '//', '///', '\u0000', '模', '\ud800', '\t', 'E', '_', '#',
] as const; // prettier-ignore

function mutate(text: string, other: string, dice: Dice): string {
  let out = text;
  for (let n = 1 + dice.below(4); n > 0; n--) {
    const at = dice.below(out.length + 1);
    const length = dice.pick([1, 1, 2, 5, 12, 40]);
    const take = dice.below(other.length + 1);
    const edits = [
      () => out.slice(0, at) + out.slice(at + length),
      () => out.slice(0, at) + dice.pick(PIECES) + out.slice(at),
      () => out.slice(0, at) + dice.pick(PIECES) + out.slice(at + length),
      () => out.slice(0, at) + out.slice(at, at + length).repeat(2) + out.slice(at + length),
      () => out.slice(0, at) + other.slice(take, take + length) + out.slice(at),
      () => swapWords(out, dice),
      () => out.slice(0, at),
    ];
    out = dice.pick([...edits, ...edits.slice(0, 6)])();
  }
  return out;
}

/** Puts one word of the text where another stands: names, numbers and keywords in places where they make sense. */
function swapWords(text: string, dice: Dice): string {
  const words = [...text.matchAll(/\w+/g)];
  if (words.length < 2) return text;
  const [target, source] = [dice.pick(words), dice.pick(words)];
  return text.slice(0, target.index) + source[0] + text.slice(target.index + target[0].length);
}

describe('random mutations', () => {
  const all = corpus();
  const texts = all.flatMap((files) => [...files.values()]);

  it(
    `of ${all.length} programs, ${RUNS} of them, give problems that can be shown and nothing else`,
    () => {
      const first = Number(process.env['NNET_FUZZ_SEED'] ?? 1);
      for (let seed = first; seed < first + RUNS; seed++) {
        const dice = new Dice(seed);
        const files = new Map(dice.pick(all));
        const name = dice.pick([...files.keys()]);
        files.set(name, mutate(files.get(name)!, dice.pick(texts), dice));
        const message = (): string => `seed ${seed}, ${name}:\n${files.get(name)}`;
        try {
          const { problems, sources } = checkFiles(files);
          for (const problem of problems) {
            expect(Object.keys(rows)).toContain(problem.code);
            JSON.stringify(problemToJson(problem, sources, rows));
          }
          expect(renderProblems(problems, sources, { color: false, catalogue: rows })).not.toMatch(
            /\bundefined\b|\[object/,
          );
        } catch (error) {
          throw new Error(message(), { cause: error });
        }
      }
    },
    Math.max(120_000, RUNS * 200),
  );
});
