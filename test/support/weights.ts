/**
 * Deterministic numbers that test/fixtures/make_fixtures.py computes bit for bit as well, so that fixtures need not
 * hold inputs and initial weights.
 */

/** Element `i` of stream `seed`, in [0, 1): mulberry32 (T. Ettinger) used as a counter. */
export function mulberry32(seed: number, i: number): number {
  const a = (seed + Math.imul(i + 1, 0x6d2b79f5)) | 0;
  let t = Math.imul(a ^ (a >>> 15), 1 | a);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** `size` numbers in [-bound, bound), rounded to float32. */
export function uniform(seed: number, size: number, bound = 1): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => (mulberry32(seed, i) * 2 - 1) * bound);
}

/** Initial value of the `index`-th parameter of a network (order: weight and bias of each layer, first layer first). */
export function initialWeights(index: number, shape: readonly number[], fanIn: number): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  return uniform(1000 + 7919 * index, size, 1 / Math.sqrt(fanIn));
}
