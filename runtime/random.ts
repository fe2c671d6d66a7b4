/**
 * Counter-based random numbers for the host: shuffles and splits. A number depends on the seed, a stream and a
 * counter only, never on what was drawn before, so that an order can be rebuilt after a resume and is the same on
 * every backend. Philox-4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */

/** What the numbers are for; each use draws from its own stream. */
export const streams = { split: 0x73706c74, shuffle: 0x73687566 } as const;

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const low = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(low / 0x10000)) >>> 0;
}

/** One block: replaces the four counter words in `block` by four random words. */
export function philox(block: Uint32Array, key0: number, key1: number): void {
  let [c0, c1, c2, c3] = [block[0]!, block[1]!, block[2]!, block[3]!];
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  block[0] = c0;
  block[1] = c1;
  block[2] = c2;
  block[3] = c3;
}

/**
 * Shuffles `order` in place (Fisher and Yates, from the end). The result is a function of the given order, `seed`,
 * `stream` and `epoch`. The i-th swap uses word i of the counter sequence, scaled to its range by multiplication
 * (the bias is below n / 2^32).
 */
export function shuffle(order: Uint32Array, seed: number, stream: number, epoch: number): void {
  const block = new Uint32Array(4);
  let drawn = 0;
  for (let last = order.length - 1; last > 0; last--, drawn++) {
    if (drawn % 4 === 0) {
      block[0] = drawn / 4;
      block[1] = epoch;
      block[2] = 0;
      block[3] = 0;
      philox(block, seed, stream);
    }
    const other = Math.floor((block[drawn % 4]! / 0x1_0000_0000) * (last + 1));
    const kept = order[last]!;
    order[last] = order[other]!;
    order[other] = kept;
  }
}

/** 0, 1, …, n - 1 */
export function range(n: number, start = 0): Uint32Array<ArrayBuffer> {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = start + i;
  return order;
}

export interface Split {
  readonly train: Uint32Array<ArrayBuffer>;
  readonly valid: Uint32Array<ArrayBuffer>;
}

/**
 * Which of `count` samples train and which validate. Samples are permuted with the seed first, so that a sorted file
 * splits fairly (as PyTorch's `random_split`, unlike Keras, which takes the file's end); the last part validates.
 * Both parts are then in file order. `fraction` of 0 to 1, or a number of samples from 1 on; a fraction above 0 leaves
 * at least one sample on either side where there are two.
 */
export function split(count: number, fraction: number, seed: number): Split {
  const wanted = fraction >= 1 ? Math.floor(fraction) : Math.round(count * fraction);
  const most = Math.max(0, count - 1);
  const valid = fraction <= 0 ? 0 : Math.min(most, Math.max(1, wanted));
  const order = range(count);
  if (valid > 0) shuffle(order, seed, streams.split, 0);
  return { train: order.slice(0, count - valid).sort(), valid: order.slice(count - valid).sort() };
}
