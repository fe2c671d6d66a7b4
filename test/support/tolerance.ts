/**
 * How far results may lie from those computed in float64 elsewhere, relative to the greatest magnitude among the
 * values that are compared. One row per backend, for all tests that compare with recorded numbers.
 */
import { expect } from 'vitest';
import type { Target } from '../../compiler/plan.ts';

export const tolerance: { readonly [T in Target]: number } = {
  // The recorded numbers are rounded to float32: half a unit in the last place is 6e-8.
  reference: 2e-7,
  // float32 arithmetic over sums of up to a few hundred terms.
  wasm: 3e-6,
  webgpu: 3e-6,
};

/** Fails unless every element lies within `relative` times the greatest magnitude of `expected`. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  what: string,
): void {
  expect(actual.length, `${what}: number of elements`).toBe(expected.length);
  let scale = 1e-30;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!));
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!) / scale;
    // Written so that NaN fails.
    if (!(error <= relative))
      expect.fail(
        `${what}[${i}] is ${actual[i]}, not ${expected[i]}: off by ${error.toExponential(1)} > ${relative}`,
      );
  }
}
