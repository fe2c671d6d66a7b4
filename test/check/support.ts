/** What the tests of the checker share: a host of texts in memory, and data described without files. */
import type { DataFields, Host, Model } from '../../compiler/check/index.ts';
import { loadLibrary, resolve } from '../../compiler/check/index.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Problem } from '../../grammar/problem.ts';
import { messageOf } from '../../compiler/diagnostics/index.ts';

export const library = loadLibrary();

const digits: DataFields = {
  fields: { image: { dtype: 'i32', shape: [28, 28] }, label: { dtype: 'i32', shape: [] } },
  count: 60000,
};

export function hostOf(files: Readonly<Record<string, string>>, data: DataFields = digits): Host {
  return {
    read: (path) => files[path],
    resolve: (from, spec) => new URL(spec, `file:///${from}`).pathname.slice(1),
    describeData: () => data,
  };
}

export function modelOf(text: string, files: Readonly<Record<string, string>> = {}, data?: DataFields): Model {
  return resolve('main.nnet', hostOf({ ...files, 'main.nnet': text }, data), { library, differentiate: gradient });
}

/** Problems as short text: `E0301 at 12-13: message`. */
export const shown = (problems: readonly Problem[]): string[] =>
  problems.map((p) => {
    const l = p.labels.find((x) => x.primary);
    return `${p.code} ${l?.span.file}:${l?.span.start}-${l?.span.end} ${messageOf(p)}`;
  });
