/** What the compiler asks of whoever runs it: it reads no files itself. */
import type { Fields } from '../../grammar/problem.ts';
import type { DataField, StaticValue, Vocabulary } from '../plan.ts';

export interface Host {
  /** Text of a file; nothing when there is none. */
  read(path: string): string | undefined;
  /** The path that an import of `specifier` in the file `from` means. */
  resolve(from: string, specifier: string): string;
  /**
   * What a data source holds, read from its header. Without it, tasks are checked as far as that goes without data.
   * `file` is the file that names the source.
   */
  describeData?(
    kind: string,
    args: Readonly<Record<string, StaticValue>>,
    file: string,
  ): DataFields | DataRefusal;
}

export interface DataFields {
  /** Dtype and shape of one example's fields. */
  readonly fields: Readonly<Record<string, DataField>>;
  /** Number of examples. */
  readonly count: number;
  readonly vocabulary?: Vocabulary;
}

/** Why the data cannot be used: in words, or as a problem of the reader's own catalogue. */
export type DataRefusal = {
  /** Name of the argument that is to blame. */
  readonly argument?: string;
} & (
  { readonly reason: string; readonly help?: string } | { readonly code: string; readonly fields: Fields }
);
