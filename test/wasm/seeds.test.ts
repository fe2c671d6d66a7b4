/** Kernels that differ in large whole constants, as those that draw random numbers do, share a body. */
import { expect, it } from 'vitest';
import { emitWasm } from '../../compiler/backend/wasm/index.ts';
import type { Ex, Kernel, RowsKernel } from '../../compiler/kernel/kernel.ts';
import { symbol } from '../../compiler/shape/poly.ts';
import { axis, load, op, runWasm } from './harness.ts';

const u32 = (value: number): Ex => ({ kind: 'const', dtype: 'u32', value });

/** `out[i] = ((in[i] xor a) * b + a) >> shift` */
function hash(out: number, a: number, b: number, shift: number): RowsKernel {
  const x = op('mul', 'u32', op('xor', 'u32', load(0, 'i', 'u32'), u32(a)), u32(b));
  const value = op('shr', 'u32', op('add', 'u32', x, u32(a)), u32(shift));
  return {
    kind: 'rows',
    name: `hash${out}`,
    notes: [],
    buffers: [
      { buffer: 0, dtype: 'u32', mode: 'read' },
      { buffer: out, dtype: 'u32', mode: 'write' },
    ],
    grid: [axis('i', 37)],
    stages: [{ kind: 'map', axes: [], stores: [{ buffer: 1, offset: symbol('i'), value }] }],
  };
}

const cases = [
  [3641036037, 747796405, 7],
  [2203129889, 747796405, 7],
  [65536, 4294967295, 7],
  [2654435769, 2654435769, 7],
  [12345, 747796405, 7],
  [3641036037, 747796405, 9],
] as const;
const kernels = cases.map(([a, b, shift], i) => hash(i + 1, a, b, shift));
const bytes = (of: readonly Kernel[]): number =>
  emitWasm(of, [], cases.length + 1, { relaxed: false }).bytes.length;

it('and compute with their own constants', () => {
  const input = Uint32Array.from({ length: 37 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const buffers = [input, ...cases.map(() => new Uint32Array(37))];
  const found = runWasm(kernels, buffers, {}, { relaxed: false });
  cases.forEach(([a, b, shift], n) => {
    const expected = input.map((x) => ((Math.imul(x ^ a, b) + a) >>> 0) >>> shift);
    expect(found[n + 1], String(cases[n])).toEqual(expected);
  });
});

it('only where the rest is the same', () => {
  const [first, second, , twice, small, shifted] = kernels as [Kernel, ...Kernel[]];
  const alone = bytes([first]);
  expect(bytes([first, second!]) - alone).toBeLessThan(100);
  for (const other of [twice!, small!, shifted!]) expect(bytes([first, other]) - alone).toBeGreaterThan(250);
});
