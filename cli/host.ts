/** What the compiler asks of the outside: texts of files, and what data files hold. */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { DataRefusal, Host } from '../compiler/check/host.ts';
import type { Fields } from '../grammar/problem.ts';
import { describeSource, optionsOf } from '../runtime/data/source.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { codeOf } from '../runtime/problems.ts';

/** Files of this machine; paths are relative to `cwd`, specifiers of imports to the file they stand in. */
export function fileHost(cwd: string): Host {
  return {
    read: (path) => {
      try {
        return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(resolve(cwd, path)));
      } catch {
        return undefined;
      }
    },
    resolve: (from, specifier) => join(dirname(from), specifier),
    describeData: (kind, args, file) => {
      const describe = (some: typeof args) => describeSource({ kind, args: some, file: resolve(cwd, file) });
      const refusal = refused(() => describe(args));
      if (!refusal) return describe(args);
      const { option } = refusal.fields;
      if (typeof option === 'string' && Object.hasOwn(args, option)) return { argument: option, ...refusal };
      // One by one, so that the argument that is to blame is known.
      const all = Object.entries(args);
      const shared = Object.fromEntries(all.filter(([name]) => optionsOf(kind).includes(name)));
      for (const [name, value] of all) {
        const alone = refused(() => describe({ ...shared, [name]: value }));
        if (alone) return { argument: name, ...alone };
      }
      return refusal;
    },
  };
}

function refused(body: () => unknown): Extract<DataRefusal, { code: string }> | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return { code: codeOf(error), fields: error.fields as Fields };
  }
}
