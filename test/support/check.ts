/** The compiler's checks on files that are in memory. */
import { parse } from '../../grammar/index.ts';
import type { Problem } from '../../grammar/problem.ts';
import type { SourceFile } from '../../grammar/span.ts';

export interface Checked {
  readonly problems: readonly Problem[];
  readonly sources: ReadonlyMap<string, SourceFile>;
}

/** All problems of `main.nnet`, which may import the other files. */
export function checkFiles(files: ReadonlyMap<string, string>): Checked {
  const main: SourceFile = { path: 'main.nnet', text: files.get('main.nnet') ?? '' };
  return { problems: parse(main).problems, sources: new Map([[main.path, main]]) };
}
