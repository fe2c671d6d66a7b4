/** Problems as plain data, for `--json` and for editors. */
import type { Fields, Problem } from '../../grammar/problem.ts';
import { lineStarts, positionAt, type SourceFile } from '../../grammar/span.ts';
import { type Catalogue, catalogue, helpOf, messageOf } from './catalogues.ts';

/** `line` and `column` are 1-based, `column` and `offset` in UTF-16 code units; 0 where the file's text is unknown. */
export interface PlaceJson {
  readonly line: number;
  readonly column: number;
  readonly offset: number;
}

export interface LabelJson {
  readonly file: string;
  readonly start: PlaceJson;
  /** Exclusive. */
  readonly end: PlaceJson;
  readonly text: string;
  readonly primary: boolean;
}

export interface ProblemJson {
  readonly code: string;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly help?: string;
  readonly fields: Fields;
  readonly labels: readonly LabelJson[];
}

/** A problem as an object that `JSON.stringify` writes in full. */
export function problemToJson(
  problem: Problem,
  sources: ReadonlyMap<string, SourceFile>,
  rows: Catalogue = catalogue,
): ProblemJson {
  const help = helpOf(problem, rows);
  return {
    code: problem.code,
    severity: problem.severity,
    message: messageOf(problem, rows),
    ...(help === undefined ? {} : { help }),
    fields: problem.fields,
    labels: problem.labels.map(({ span, text, primary }) => {
      const source = sources.get(span.file);
      const starts = source && lineStarts(source.text);
      const place = (offset: number): PlaceJson =>
        starts ? { ...positionAt(starts, offset), offset } : { line: 0, column: 0, offset };
      return { file: span.file, start: place(span.start), end: place(span.end), text, primary };
    }),
  };
}
