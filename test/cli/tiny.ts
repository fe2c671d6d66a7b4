/** A small problem, in a folder of its own for every test: `tiny.nnet` with its images and labels. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from 'vitest';
import { cli } from './run-cli.ts';

export const program = `model Tiny(hidden: int = 8) {
  input image: f32[batch, 4, 4]
  output logits: f32[batch, 3]

  logits = image |> Flatten() |> Dense(hidden) |> relu |> Dense(3)
}

task train(lr: float = 0.01) {
  net = Tiny()
  data = idx(image: "./images", label: "./labels")

  fit(epochs: 3, batch: 16, valid: 0.2, seed: 1) on data {
    logits = net(image / 255)
    minimize cross_entropy(logits, label) with Adam(lr: lr)
    metric accuracy = mean(argmax(logits) == label)
  }
  evaluate on data
}
`;

/** How many are in its data. */
export const samples = 100;

/** A file of bytes of these dims. */
export function idx(dims: readonly number[], values: (i: number) => number): Uint8Array {
  const head = new DataView(new ArrayBuffer(4 + 4 * dims.length));
  head.setUint8(2, 8);
  head.setUint8(3, dims.length);
  dims.forEach((d, i) => head.setUint32(4 + 4 * i, d));
  const n = dims.reduce((a, b) => a * b, 1);
  return Uint8Array.from([...new Uint8Array(head.buffer), ...Array.from({ length: n }, (_, i) => values(i))]);
}

/** The class of sample i is i % 3; its image is bright in one row of three. */
export const labels = (count = samples): Uint8Array => idx([count], (i) => i % 3);
export const images = (count = samples, size = 4): Uint8Array =>
  idx([count, size, size], (i) => {
    const sample = Math.floor(i / (size * size));
    const row = Math.floor(i / size) % size;
    return row === sample % 3 ? 200 + ((i * 7) % 50) : (i * 13) % 40;
  });

/** For the tests of a file: paths in the folder of the running test, commands in it, a short training in it. */
export function tinyFolder(): {
  readonly at: (name: string) => string;
  readonly nnetc: (...argv: string[]) => ReturnType<typeof cli>;
  readonly train: (...argv: string[]) => ReturnType<typeof cli>;
} {
  const root = mkdtempSync(join(tmpdir(), 'nnetc-run-'));
  let folder = root;
  const at = (name: string): string => join(folder, name);
  beforeEach(() => {
    folder = mkdtempSync(join(root, 'case-'));
    writeFileSync(at('tiny.nnet'), program);
    writeFileSync(at('images'), images());
    writeFileSync(at('labels'), labels());
  });
  afterAll(() => rmSync(root, { recursive: true }));
  const nnetc = async (...argv: string[]): ReturnType<typeof cli> => await cli(folder, ...argv);
  return {
    at,
    nnetc,
    train: async (...argv) => await nnetc('run', 'tiny.nnet', '--backend', 'wasm', '--threads', '1', ...argv),
  };
}
