/** What the compiler asks of the outside: texts of files, and what data files hold. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { SourceCall, SourceDescription } from '../runtime/data/source.ts';
import { describeSource } from '../runtime/data/source.ts';

export interface CliHost {
  /** Undefined: there is no such file, or it is not text. */
  readonly read: (path: string) => string | undefined;
  /** Reads the headers of data files. @throws RuntimeError E0701 to E0713 */
  readonly describe: (source: SourceCall) => SourceDescription;
}

/** Paths are relative to `cwd`. */
export function fileHost(cwd: string): CliHost {
  return {
    read: (path) => {
      try {
        return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(resolve(cwd, path)));
      } catch {
        return undefined;
      }
    },
    describe: (source) => describeSource({ ...source, file: resolve(cwd, source.file) }),
  };
}
