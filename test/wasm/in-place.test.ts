import { describe, expect, it } from 'vitest';
import { inPlaceOf } from '../../compiler/backend/wasm/contract/in-place.ts';
import { mergeRoles } from '../../compiler/backend/wasm/contract/plan.ts';
import type { ContractKernel, Ex } from '../../compiler/kernel/kernel.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { add, format, scale, symbol as s } from '../../compiler/shape/poly.ts';
import { abc, acc, at, contract, tolerance, use } from './contractions.ts';
import { axis, check, dim, float, floats, load, op } from './harness.ts';

/** [m, n] over k, with a left operand as given. */
const product = (a: Ex, m: number | string, n: number, k: number, buffers = abc): ContractKernel =>
  contract(
    buffers,
    { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] },
    a,
    load(1, at(['k', k], ['n', n])),
    { buffer: 2, offset: at(['m', m], ['n', n]), value: acc },
  );

const pitchOf = (k: ContractKernel): number | undefined => inPlaceOf(mergeRoles(k))?.pitch;

describe('a left operand that is read where it lies', () => {
  it('is rows of k without gaps', () => {
    expect(pitchOf(product(load(0, at(['m', 9], ['k', 20])), 9, 16, 20))).toBe(20);
    expect(pitchOf(product(load(0, add(at(['m', 9], ['k', 100]), 40)), 9, 16, 20))).toBe(100);
  });

  it('has no gaps, no steps back, no expression, no guard, and is not written', () => {
    const rows = at(['m', 9], ['k', 20]);
    const guarded = load(0, rows, 'f32', { guard: [{ kind: 'ge', value: add(s('k'), -1) }] });
    const backwards = (p: Poly): Poly => add(p, scale(s('k'), -2), 19);
    for (const a of [
      load(0, at(['k', 20], ['m', 9])),
      load(0, scale(rows, 2)),
      load(0, backwards(rows)),
      op('mul', 'f32', load(0, rows), float(2)),
      guarded,
    ])
      expect(pitchOf(product(a, 9, 16, 20))).toBeUndefined();
    const written = [use(0, 'update'), use(1), use(2, 'update')];
    expect(pitchOf(product(load(0, rows), 9, 16, 20, written))).toBeUndefined();
  });

  it('may begin elsewhere for each index of the batch', () => {
    const k = product(load(0, add(at(['m', 8], ['k', 96]), scale(s('h'), 32))), 8, 24, 32);
    const heads = contract(abc, { ...k, batch: [axis('h', 3)] }, k.a, k.b, {
      buffer: 2,
      offset: at(['h', 3], ['m', 8], ['n', 24]),
      value: acc,
    });
    const place = inPlaceOf(mergeRoles(heads));
    expect(place?.pitch).toBe(96);
    expect(place && format(place.base)).toMatch(/128\*h/);
    check(heads, [floats(8 * 96), floats(32 * 24, 2), floats(3 * 8 * 24, 3)], {}, tolerance);
  });

  // Up to three rows of the last strip do not exist: 768 KB behind the last tensor.
  it.each([1, 5, 6, 7, 8, 13])('of %d rows far apart is read no further than the memory', (m) => {
    for (const n of [16, 200]) {
      const far = add(s('k'), scale(s('m'), 1 << 16));
      const c = product(load(0, far), 'rows', n, 40, [use(2), use(0), use(1, 'update')]);
      expect(pitchOf(c)).toBe(1 << 16);
      const rows = floats((m - 1) * (1 << 16) + 40);
      check(c, [floats(40 * n, 2), floats(m * n, 3), rows], { rows: m }, tolerance);
    }
  });

  it('has blocks of k', () => {
    const c = product(load(0, add(at(['m', 30], ['k', 1200]), dim(0))), 30, 16, 1200);
    expect(pitchOf(c)).toBe(1200);
    check(c, [floats(30 * 1200), floats(1200 * 16, 2), floats(480)], {}, { relative: 1e-3, absolute: 2e-4 });
  });
});
