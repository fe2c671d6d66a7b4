/** Sums over an operand that go along in the kernel of a contraction. */
import { it } from 'vitest';
import type { ContractKernel } from '../../compiler/kernel/kernel.ts';
import { acc, at, contract, tolerance, use } from './contractions.ts';
import { axis, check, floats, load, local } from './harness.ts';

type Size = number | 'batch';

/** The gradients of a weight [m, n] and of its bias [n] over k samples. */
function gradients(m: Size, n: Size, k: Size): ContractKernel {
  const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
  const b = load(1, at(['k', k], ['n', n]));
  const product = contract(
    [use(0), use(1), use(2, 'write'), use(3, 'update')],
    roles,
    load(0, at(['k', k], ['m', m])),
    b,
    { buffer: 2, offset: at(['m', m], ['n', n]), value: acc },
  );
  const bias = load(3, at(['n', n]));
  const value = { kind: 'op', fn: 'sub', dtype: 'f32', args: [bias, local('sum')] } as const;
  return { ...product, sums: [{ buffer: 3, offset: at(['n', n]), value }] };
}

function checkSizes(m: Size, n: Size, k: Size, batch: number): void {
  const size = (s: Size): number => (s === 'batch' ? batch : s);
  const [rows, columns, depth] = [size(m), size(n), size(k)];
  const buffers = [depth * rows, depth * columns, rows * columns, columns].map((l, i) => floats(l, i + 1));
  check(gradients(m, n, k), buffers, { batch }, tolerance);
}

it.each<[string, Size, Size, Size, number]>([
  ['row by row, one block of k', 96, 200, 'batch', 64],
  ['row by row, several', 20, 140, 'batch', 600],
  ['strip by strip, one block of k', 20, 24, 1000, 1],
  ['strip by strip, several, in blocks of rows', 160, 24, 'batch', 600],
  ['a strip that is not whole', 16, 37, 'batch', 70],
  ['as plain loops, of one column', 50, 1, 'batch', 33],
  ['as plain loops, of two rows', 2, 70, 'batch', 33],
  ['no terms', 24, 32, 'batch', 0],
  ['no terms, as plain loops', 24, 1, 'batch', 0],
  ['columns of a dimension', 30, 'batch', 48, 60],
])('%s', (_, m, n, k, batch) => {
  checkSizes(m, n, k, batch);
});
