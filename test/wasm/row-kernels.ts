/** Kernels of rows and values for them, for tests. */
import type { BufferUse, RowsKernel, Stage } from '../../compiler/kernel/kernel.ts';
import type { DType } from '../../compiler/ir/ops.ts';
import { symbol } from '../../compiler/shape/poly.ts';
import type { Buffer } from './harness.ts';
import { floats } from './harness.ts';

export const use = (buffer: number, mode: BufferUse['mode'], dtype: DType = 'f32'): BufferUse => ({
  buffer,
  dtype,
  mode,
});
export const rows = (
  buffers: readonly BufferUse[],
  grid: RowsKernel['grid'],
  stages: readonly Stage[],
): RowsKernel => ({
  kind: 'rows',
  name: 'k',
  notes: [],
  buffers,
  grid,
  stages,
});
export const map = (...stores: Extract<Stage, { kind: 'map' }>['stores']): Stage => ({
  kind: 'map',
  axes: [],
  stores,
});
export const i = symbol('i');
export const j = symbol('j');
export const n = symbol('n');
export const sizes = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 100, 2047, 2049, 5000];

/** Values that matter for a dtype: zero, signs, ends, the ordinary. */
export function samples(dtype: DType, length: number, seed: number): Buffer {
  if (dtype === 'f32') return floats(length, seed).map((x, at) => (at % 7 === 3 ? Math.round(x * 4) : x * 3));
  const bits = floats(length, seed).map((x) => Math.round(x * 50));
  const special = [0, 1, -1, 2, 0x7fffffff, -0x80000000, 8, -7];
  const values = Array.from(bits, (x, at) => (at % 3 === 0 ? special[(at / 3 + seed) % special.length]! : x));
  if (dtype === 'i32') return Int32Array.from(values);
  return Uint32Array.from(values, (x) => (dtype === 'bool' ? x & 1 : x >>> 0));
}

export const dtypes: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];
