/** Data sources by name: how `idx(images: "…")` is described for the compiler and loaded for a run (Node only). */
import { dirname } from 'node:path';
import type { Column, Dataset, FieldDescription } from './column.ts';
import { checkCounts, dataset } from './column.ts';
import { readAll, readHead, resolveData } from './files.ts';
import { idxColumn, idxField, idxHeader, idxHeaderBytes } from './idx.ts';

/** The call of a source in a task. */
export interface SourceCall {
  readonly kind: keyof typeof readers;
  /** Field name to file, as written. */
  readonly files: Readonly<Record<string, string>>;
}

interface Reader {
  readonly describe: (field: string, source: string, file: string) => FieldDescription;
  readonly load: (field: string, source: string, file: string) => Column;
}

/** One row per format. `source` is the file as the user wrote it, for messages; `file` where it is. */
const readers = {
  idx: {
    describe: (field, source, file) => {
      const { bytes, size } = readHead(file, idxHeaderBytes);
      return idxField(field, source, idxHeader(source, bytes, size));
    },
    load: (field, source, file) => idxColumn(field, source, readAll(file)),
  },
} satisfies Record<string, Reader>;

export const sourceKinds = Object.keys(readers) as readonly (keyof typeof readers)[];

/**
 * The fields of a source; reads headers only.
 * @param program path of the `.nnet` file, from whose folder files are found
 * @throws RuntimeError E0701 to E0706
 */
export function describeSource(call: SourceCall, program: string): readonly FieldDescription[] {
  const fields = Object.entries(call.files).map(([field, source]) =>
    readers[call.kind].describe(field, source, resolveData(source, dirname(program))),
  );
  checkCounts(fields);
  return fields;
}

/** Reads a source whole. @throws RuntimeError E0701 to E0706 */
export function loadSource(call: SourceCall, program: string): Dataset {
  describeSource(call, program);
  return dataset(
    Object.entries(call.files).map(([field, source]) =>
      readers[call.kind].load(field, source, resolveData(source, dirname(program))),
    ),
  );
}
