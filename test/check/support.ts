/** What the tests of the checker share: a host of texts in memory, and data described without files. */
import type { DataFields, Host, Model } from '../../compiler/check/index.ts';
import { check, elaborateModel, loadLibrary, resolve } from '../../compiler/check/index.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Problem } from '../../grammar/problem.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { evaluate } from '../support/evaluate.ts';
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

export function modelOf(
  text: string,
  files: Readonly<Record<string, string>> = {},
  data?: DataFields,
): Model {
  return resolve('main.nnet', hostOf({ ...files, 'main.nnet': text }, data), {
    library,
    differentiate: gradient,
  });
}

/** Problems as short text: `E0301 at 12-13: message`. */
export const shown = (problems: readonly Problem[]): string[] =>
  problems.map((p) => {
    const l = p.labels.find((x) => x.primary);
    return `${p.code} ${l?.span.file}:${l?.span.start}-${l?.span.end} ${messageOf(p)}`;
  });

// ---------------------------------------------------------------- numbers

export type Numbers = readonly number[];

/** Elaborates model `M` of the text, verifies its graph, and runs `predict` on the reference interpreter. */
export function run(
  text: string,
  inputs: Readonly<Record<string, Numbers>>,
  dims: Readonly<Record<string, number>> = {},
  weights: Readonly<Record<string, Numbers>> = {},
): Record<string, number[]> {
  const model = modelOf(text);
  const { graphs, problems } = elaborateModel(model, 'M');
  if (!graphs) throw new Error(shown(problems).join('\n'));
  const { predict } = graphs.computations;
  verify(predict!, 'elaborate');
  verify(graphs.computations['init']!, 'elaborate');
  const values = new Map(
    Object.entries({ ...inputs, ...weights }).map(([k, v]) => [k, Float64Array.from(v)]),
  );
  const outputs = evaluate(predict!, dims, values);
  return Object.fromEntries([...outputs].map(([k, v]) => [k, [...v]]));
}

/** Codes of everything that is wrong with a text. */
export const codesOf = (text: string, files: Readonly<Record<string, string>> = {}): string[] =>
  check('main.nnet', hostOf({ ...files, 'main.nnet': text }), {
    library,
    differentiate: gradient,
  }).problems.map((p) => p.code);

/** 0, 1, 2, … scaled; distinct values without symmetry. */
export const ramp = (n: number, scale = 1, offset = 0): number[] =>
  Array.from({ length: n }, (_, i) => scale * i + offset);

/** Deterministic numbers in about -1 … 1. */
export const noise = (n: number, seed = 1): number[] =>
  Array.from({ length: n }, (_, i) => Math.sin((i + 1) * 12.9898 * seed) * Math.cos((i + 3) * 4.1414));
