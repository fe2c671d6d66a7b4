/** Data sources by kind: how `idx(image: "…")` is described for the compiler and loaded for a run (Node only). */
import { dirname } from 'node:path';
import type { DataField, DataInfo, StaticValue, Vocabulary } from '../../compiler/plan.ts';
import { problem } from '../problems.ts';
import type { Column, Dataset, FieldDescription } from './column.ts';
import { checkCounts, dataset, planDType } from './column.ts';
import { csvColumns, csvOptions } from './csv.ts';
import { readAll, readAllMeanwhile, readHead, resolveData } from './files.ts';
import type { Text } from './text.ts';
import { readText, textOptions } from './text.ts';
import { idxColumn, idxField, idxHeader, idxHeaderBytes } from './idx.ts';

/** The call of a source in a task; the part of DataInfo that is known before its files are read. */
export type SourceCall = Pick<DataInfo, 'kind' | 'args' | 'file'>;

interface Reader {
  /** `source` is the file as the user wrote it, for messages; `path` where it is. */
  readonly describe: (field: string, source: string, path: string) => FieldDescription;
  readonly load: (field: string, source: string, bytes: Uint8Array) => Column;
}

/** One file for each field. */
const readers: Readonly<Record<string, Reader>> = {
  idx: {
    describe: (field, source, path) => {
      const { bytes, size } = readHead(path, idxHeaderBytes);
      return idxField(field, source, idxHeader(source, bytes, size));
    },
    load: idxColumn,
  },
};

type Table = Pick<Text, 'columns'> & Partial<Pick<Text, 'vocabulary'>>;

interface TableReader {
  /** Arguments that are not fields: which file, and how to read it. */
  readonly options: readonly string[];
  readonly read: (call: SourceCall) => Table;
}

/** All fields in one file. */
const tables: Readonly<Record<string, TableReader>> = {
  csv: { options: csvOptions, read: (call) => ({ columns: csvColumns(call) }) },
  text: { options: textOptions, read: readText },
};

/** Arguments of a kind that every field needs. */
export const optionsOf = (kind: string): readonly string[] =>
  Object.hasOwn(tables, kind) ? (tables[kind]?.options ?? []) : [];

export const sourceKinds: readonly string[] = [...Object.keys(readers), ...Object.keys(tables)];

function perFile<T>(
  call: SourceCall,
  body: (reader: Reader, field: string, source: string, path: string) => T,
): T[] {
  const reader = Object.hasOwn(readers, call.kind) ? readers[call.kind] : undefined;
  if (!reader) throw problem('E0712', { kind: call.kind, known: sourceKinds });
  return Object.entries(call.args).map(([field, source]) => {
    if (typeof source !== 'string') throw problem('E0713', { kind: call.kind, field, found: shown(source) });
    return body(reader, field, source, resolveData(source, dirname(call.file)));
  });
}

const tableOf = (call: SourceCall): Table | undefined =>
  Object.hasOwn(tables, call.kind) ? tables[call.kind]?.read(call) : undefined;

const shown = (value: StaticValue): string => JSON.stringify(value);

export interface SourceDescription {
  readonly count: number;
  readonly fields: Readonly<Record<string, DataField>>;
  /** Of a text. */
  readonly vocabulary?: Vocabulary;
}

/**
 * The fields of a source and its number of samples; reads headers only, of tables all.
 * @throws RuntimeError E0701 to E0706, E0712 to E0718
 */
export function describeSource(call: SourceCall): SourceDescription {
  const table = tableOf(call);
  const fields =
    table?.columns ?? perFile(call, (reader, field, source, path) => reader.describe(field, source, path));
  checkCounts(fields);
  return {
    count: fields[0]?.count ?? 0,
    fields: Object.fromEntries(fields.map((f) => [f.name, { dtype: planDType[f.type], shape: f.shape }])),
    ...(table?.vocabulary && { vocabulary: table.vocabulary }),
  };
}

/** Reads a source whole; its headers first, so that a mistake is told at once. @throws like describeSource */
export function loadSource(call: SourceCall): Dataset {
  const table = tableOf(call);
  if (table) return dataset(table.columns);
  describeSource(call);
  return dataset(perFile(call, (reader, field, source, path) => reader.load(field, source, readAll(path))));
}

/** The same; files of one field each are read in the background. @throws like describeSource */
export async function loadSourceMeanwhile(call: SourceCall): Promise<Dataset> {
  const table = tableOf(call);
  if (table) return dataset(table.columns);
  describeSource(call);
  const columns = perFile(call, async (reader, field, source, path) =>
    reader.load(field, source, await readAllMeanwhile(path)),
  );
  return dataset(await Promise.all(columns));
}
