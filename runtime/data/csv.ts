/**
 * Tables of text: `csv(file: "iris.csv", features: ("sepal_length", "sepal_width"), label: "species")`. A field is one
 * column or a list of them; whole numbers are i32, other numbers and lists f32, texts numbers of classes in the order of
 * the alphabet. `"age: f32"`, `"id: i32"`, `"species: class"` or `"species: setosa|virginica"` says it outright.
 * Node only.
 */
import { dirname } from 'node:path';
import { CsvError, parse } from 'csv-parse/sync';
import type { DataInfo, StaticValue } from '../../compiler/plan.ts';
import { problem } from '../problems.ts';
import type { Column } from './column.ts';
import { readAll, resolveData } from './files.ts';

/** The call of a table in a task. */
type Call = Pick<DataInfo, 'args' | 'file'>;

/** Arguments that are not fields. */
export const csvOptions: readonly string[] = ['file', 'separator', 'header'];

interface Table {
  /** As the user wrote it. */
  readonly file: string;
  readonly names: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Line of the first row. */
  readonly firstLine: number;
}

/** The fields of a table with their values. @throws RuntimeError E0701, E0702, E0713 to E0716 */
export function csvColumns(call: Call): readonly Column[] {
  const table = readTable(call);
  return Object.entries(call.args)
    .filter(([name]) => !csvOptions.includes(name))
    .map(([name, asked]) => fieldOf(table, name, asked));
}

function readTable(call: Call): Table {
  const { file, separator = ',', header = true } = call.args;
  if (typeof file !== 'string')
    throw problem('E0713', { kind: 'csv', field: 'file', found: JSON.stringify(file ?? 'nothing') });
  const text = new TextDecoder().decode(readAll(resolveData(file, dirname(call.file))));
  let records: string[][];
  try {
    const style = { bom: true, skip_empty_lines: true, trim: true, delimiter: String(separator) };
    records = parse(text, style) as string[][];
  } catch (error) {
    if (error instanceof CsvError) throw problem('E0716', { file, reason: lowered(error.message) });
    throw error;
  }
  const [first] = records;
  if (!first) throw problem('E0716', { file, reason: 'it is empty' });
  if (header !== true)
    return { file, names: first.map((_, i) => String(i + 1)), rows: records, firstLine: 1 };
  return { file, names: first, rows: records.slice(1), firstLine: 2 };
}

const lowered = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1);

type Reading = 'auto' | 'f32' | 'i32' | 'class' | readonly string[];

interface Asked {
  readonly column: number;
  readonly name: string;
  readonly as: Reading;
}

function fieldOf(table: Table, name: string, value: StaticValue): Column {
  const made = { name, file: table.file, count: table.rows.length };
  if (typeof value !== 'string' && Array.isArray(value)) {
    const items = value as readonly StaticValue[];
    const columns = items.map((v) => numbers(table, askedFor(table, name, v)));
    const values = new Float32Array(table.rows.length * columns.length);
    columns.forEach((column, j) => column.forEach((x, i) => (values[i * columns.length + j] = x)));
    return { ...made, type: 'f32', shape: [columns.length], values };
  }
  const asked = askedFor(table, name, value);
  const reading = asked.as === 'auto' ? guess(table, asked.column) : asked.as;
  if (reading === 'f32')
    return { ...made, type: 'f32', shape: [], values: Float32Array.from(numbers(table, asked)) };
  const whole = reading === 'i32' ? numbers(table, { ...asked, as: 'i32' }) : classes(table, asked, reading);
  return { ...made, type: 'i32', shape: [], values: Int32Array.from(whole) };
}

/** `"age: f32"`: the column and how to read it. A column that has the whole text as its name comes first. */
function askedFor(table: Table, field: string, value: StaticValue): Asked {
  if (typeof value !== 'string' && typeof value !== 'number')
    throw problem('E0713', { kind: 'csv', field, found: JSON.stringify(value) });
  const text = String(value);
  const at = table.names.indexOf(text);
  if (at >= 0) return { column: at, name: text, as: 'auto' };
  const [, name = text, as = 'auto'] = /^(.*?)\s*:\s*(.*)$/s.exec(text) ?? [];
  const column = table.names.indexOf(name);
  if (column < 0) throw problem('E0714', { file: table.file, column: name, has: table.names });
  const named = as === 'f32' || as === 'i32' || as === 'class' || as === 'auto';
  return { column, name, as: named ? as : as.split('|').map((c) => c.trim()) };
}

const isNumber = (cell: string): boolean => cell !== '' && !Number.isNaN(Number(cell));
const isWhole = (x: number): boolean => Number.isInteger(x) && Math.abs(x) <= 0x7fffffff;

function guess(table: Table, column: number): Exclude<Reading, 'auto'> {
  const cells = table.rows.map((row) => row[column] ?? '');
  if (!cells.every((c) => c === '' || isNumber(c))) return 'class';
  return cells.every((c) => c === '' || isWhole(Number(c))) ? 'i32' : 'f32';
}

function wrong(table: Table, row: number, asked: Asked, expected: string): Error {
  const found = table.rows[row]?.[asked.column] ?? '';
  const line = table.firstLine + row;
  return problem('E0715', { file: table.file, line, column: asked.name, found, expected });
}

function numbers(table: Table, asked: Asked): readonly number[] {
  return table.rows.map((row, i) => {
    const cell = row[asked.column] ?? '';
    const x = Number(cell);
    if (!isNumber(cell)) throw wrong(table, i, asked, 'a number');
    if (asked.as === 'i32' && !isWhole(x)) throw wrong(table, i, asked, 'a whole number');
    return x;
  });
}

/** Numbers of the texts: in the given order, else in that of their code units. */
function classes(table: Table, asked: Asked, reading: 'class' | readonly string[]): readonly number[] {
  const cells = table.rows.map((row) => row[asked.column] ?? '');
  const known = typeof reading === 'string' ? [...new Set(cells)].filter((c) => c !== '').sort() : reading;
  const numbered = new Map(known.map((name, i) => [name, i]));
  return cells.map((cell, i) => {
    const n = numbered.get(cell);
    if (n === undefined)
      throw wrong(table, i, asked, typeof reading === 'string' ? 'a class' : `one of ${known.join(', ')}`);
    return n;
  });
}
