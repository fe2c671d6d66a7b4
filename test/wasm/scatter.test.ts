import { describe, it } from 'vitest';
import type { ScatterKernel } from '../../compiler/kernel/kernel.ts';
import { add, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import { axis, check, floats, load } from './harness.ts';

const t = symbol('t');
const d = symbol('d');
const at = symbol('@0');

describe('scatter', () => {
  /** The gradient of an embedding: rows of `dy` added to the rows of the table that the tokens name. */
  const embedding = (width: number, rows: number): ScatterKernel => ({
    kind: 'scatter',
    name: 'k',
    notes: [],
    buffers: [
      { buffer: 0, dtype: 'i32', mode: 'read' },
      { buffer: 1, dtype: 'f32', mode: 'read' },
      { buffer: 2, dtype: 'f32', mode: 'write' },
    ],
    grid: [axis('d', width)],
    clear: { axes: [axis('v', rows)], offset: add(scale(symbol('v'), width), d) },
    axes: [axis('t', 'tokens')],
    target: 2,
    offset: add(scale(at, width), d),
    guard: [
      { kind: 'ge', value: at },
      { kind: 'ge', value: subtract(rows - 1, at) },
    ],
    data: [{ name: '@0', value: load(0, t, 'i32') }],
    value: load(1, add(scale(t, width), d)),
  });

  it.each([
    [12, 8, 5],
    [7, 1, 3],
    [9, 19, 4],
    [0, 5, 3],
    [20, 100, 1],
  ])('%d tokens of width %d into %d rows', (tokens, width, rows) => {
    const indices = Int32Array.from({ length: tokens }, (_, i) => ((i * 5) % (rows + 2)) - 1);
    const k = embedding(width, rows);
    check(k, [indices, floats(tokens * width), floats(rows * width, 2)], { tokens });
  });

  it('adds to scattered elements without a grid', () => {
    const k: ScatterKernel = {
      kind: 'scatter',
      name: 'k',
      notes: [],
      buffers: [
        { buffer: 0, dtype: 'i32', mode: 'read' },
        { buffer: 1, dtype: 'i32', mode: 'write' },
      ],
      grid: [],
      clear: { axes: [axis('v', 10)], offset: symbol('v') },
      axes: [axis('t', 25), axis('u', 3)],
      target: 1,
      offset: at,
      guard: [],
      data: [{ name: '@0', value: load(0, t, 'i32') }],
      value: load(0, symbol('u'), 'i32'),
    };
    check(k, [Int32Array.from({ length: 25 }, (_, i) => (i * i) % 10), new Int32Array(10).fill(9)]);
  });
});
