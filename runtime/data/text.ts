/**
 * Text for language models: `text("moby.txt", length: 64)`. A sample is a window of so many tokens, `token`, and the same
 * window one further on, `next`. Tokens are characters (Unicode code points), numbered in their order, or bytes. Node only.
 */
import { dirname } from 'node:path';
import type { DataInfo, StaticValue, Vocabulary } from '../../compiler/plan.ts';
import { problem } from '../problems.ts';
import type { Column } from './column.ts';
import { readAll, resolveData } from './files.ts';

type Call = Pick<DataInfo, 'args' | 'file'>;

/** All arguments: it has no fields of one's own choice. */
export const textOptions: readonly string[] = ['file', 'length', 'stride', 'unit', 'vocabulary'];

interface Options {
  /** As the user wrote it. */
  readonly file: string;
  readonly length: number;
  /** Tokens from the beginning of a window to that of the next. */
  readonly stride: number;
  readonly unit: 'char' | 'byte';
  /** Characters in the order of their numbers, where they are given. */
  readonly symbols: readonly string[] | undefined;
}

interface Tokens {
  readonly values: Uint8Array | Int32Array;
  readonly vocabulary: Vocabulary;
}

export interface Text {
  readonly columns: readonly Column[];
  readonly vocabulary: Vocabulary;
}

/** @throws RuntimeError E0701, E0702, E0713, E0717 (the text), E0718 (an option) */
export function readText(call: Call): Text {
  const options = optionsOf(call.args);
  const bytes = readAll(resolveData(options.file, dirname(call.file)));
  if (bytes.length === 0)
    throw problem('E0717', {
      file: options.file,
      reason: 'it is empty',
      mend: 'give a file with text in it',
    });
  const { values, vocabulary } =
    options.unit === 'byte'
      ? { values: bytes, vocabulary: { unit: 'byte', size: 256 } as const }
      : characters(bytes, options);
  return { columns: windows(values, options), vocabulary };
}

function optionsOf(args: Call['args']): Options {
  const { file, length, stride = length, unit = 'char', vocabulary } = args;
  if (typeof file !== 'string')
    throw problem('E0713', { kind: 'text', field: 'file', found: JSON.stringify(file ?? 'nothing') });
  const unknown = Object.keys(args).find((name) => !textOptions.includes(name));
  if (unknown !== undefined)
    throw wrong(unknown, 'left out (the fields of a text are `token` and `next`)', args[unknown]);
  if (!isCount(length)) throw wrong('length', 'a whole number of at least 1: the tokens of a window', length);
  if (!isCount(stride)) throw wrong('stride', 'a whole number of at least 1', stride);
  if (unit !== 'char' && unit !== 'byte') throw wrong('unit', '"char" or "byte"', unit);
  return { file, length, stride, unit, symbols: symbolsOf(vocabulary) };
}

const isCount = (v: StaticValue | undefined): v is number =>
  typeof v === 'number' && Number.isInteger(v) && v >= 1;

/** The characters of a text, or a list of them. */
function symbolsOf(given: StaticValue | undefined): readonly string[] | undefined {
  if (given === undefined) return undefined;
  const symbols =
    typeof given === 'string' ? [...given] : Array.isArray(given) ? (given as readonly StaticValue[]) : [];
  const good = symbols.filter((s): s is string => typeof s === 'string' && [...s].length === 1);
  if (good.length === 0 || good.length < symbols.length || new Set(good).size < good.length)
    throw wrong('vocabulary', 'a text with each character once, or another \`text\` source', given);
  return good;
}

const wrong = (option: string, expected: string, found: StaticValue | undefined): Error =>
  problem('E0718', {
    kind: 'text',
    option,
    expected,
    found: found === undefined ? 'nothing' : JSON.stringify(found),
  });

function characters(bytes: Uint8Array, options: Options): Tokens {
  const points = [...decoded(options.file, bytes)];
  const symbols =
    options.symbols ?? [...new Set(points)].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const numbers = new Map(symbols.map((s, i) => [s, i]));
  const values = symbols.length <= 256 ? new Uint8Array(points.length) : new Int32Array(points.length);
  points.forEach((point, i) => {
    const n = numbers.get(point);
    if (n === undefined) {
      const line = points.slice(0, i).filter((p) => p === '\n').length + 1;
      const reason = `line ${line} has ${JSON.stringify(point)}, which is not in the vocabulary`;
      const mend = 'take the vocabulary of the text that has all characters, or mend the line';
      throw problem('E0717', { file: options.file, reason, mend });
    }
    values[i] = n;
  });
  return { values, vocabulary: { unit: 'char', size: symbols.length, symbols } };
}

/** @throws RuntimeError E0717 with the line that is not UTF-8 */
function decoded(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // A line feed is no part of another character, so lines can be looked at one by one.
    let [line, start] = [1, 0];
    for (; ; line++) {
      const end = bytes.indexOf(10, start);
      const part = bytes.subarray(start, end < 0 ? bytes.length : end);
      if (end < 0 || !isUtf8(part)) break;
      start = end + 1;
    }
    throw problem('E0717', {
      file,
      reason: `line ${line} is not UTF-8 text`,
      mend: 'save it as UTF-8, or take its bytes: `unit: "byte"`',
    });
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Both fields are windows on one array, so that overlapping windows take no room. */
function windows(values: Tokens['values'], { file, length, stride }: Options): readonly Column[] {
  const count = Math.floor((values.length - 1 - length) / stride) + 1;
  if (values.length < length + 1) {
    const reason = `it has ${values.length} tokens, and a window of ${length} with the token after it takes ${length + 1}`;
    const most = values.length - 1;
    const mend = most > 0 ? `take windows of at most ${most}: \`length: ${most}\`` : 'give a longer text';
    throw problem('E0717', { file, reason, mend });
  }
  const type = values instanceof Uint8Array ? ('u8' as const) : ('i32' as const);
  return ['token', 'next'].map((name, i) => ({
    name,
    file,
    type,
    count,
    shape: [length],
    step: stride,
    values: values.subarray(i),
  }));
}
