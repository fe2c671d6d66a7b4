/** Bytes that kernels have to move, against counting by hand. */
import { describe, expect, it } from 'vitest';
import type { Axis, ContractKernel, Ex, RowsKernel } from '../../compiler/kernel/kernel.ts';
import { trafficOf } from '../../compiler/schedule/traffic.ts';
import { add, constant, evaluate, multiply, symbol, type Poly } from '../../compiler/shape/poly.ts';

const axis = (name: string, extent: number | string): Axis => ({
  name,
  extent: typeof extent === 'number' ? constant(extent) : symbol(extent),
});
const load = (buffer: number, offset: Poly): Ex => ({
  kind: 'load',
  dtype: 'f32',
  buffer,
  offset,
  guard: [],
  fill: 0,
  data: [],
});
const op = (fn: 'add' | 'mul', ...args: Ex[]): Ex => ({ kind: 'op', fn, dtype: 'f32', args });
const at = (row: string, width: number, column: string): Poly =>
  add(multiply(symbol(row), width), symbol(column));
const common = { name: 'k', notes: [], buffers: [] };
const bytes = (kernel: RowsKernel | ContractKernel, sizes: number[], batch = 0): number =>
  evaluate(trafficOf(kernel, sizes.map(constant)), () => batch);

const product = (m: Axis): ContractKernel => ({
  ...common,
  kind: 'contract',
  batch: [],
  m: [m],
  n: [axis('j', 5)],
  k: [axis('l', 7)],
  a: load(0, at('i', 7, 'l')),
  b: load(1, at('l', 5, 'j')),
  stores: [{ buffer: 2, offset: at('i', 5, 'j'), value: { kind: 'local', dtype: 'f32', name: 'acc' } }],
});

describe('the traffic of a kernel', () => {
  it('is that of both operands and the result of a product, for any batch', () => {
    expect(bytes(product(axis('i', 3)), [21, 35, 15])).toBe(4 * (21 + 35 + 15));
    expect(bytes(product(axis('i', 'batch')), [700, 35, 500], 100)).toBe(4 * (700 + 35 + 500));
  });

  it('counts only the part of a buffer that is touched', () => {
    expect(bytes(product(axis('i', 3)), [21_000, 35, 15])).toBe(4 * (21 + 35 + 15));
  });

  it('counts overlapping windows no more than the buffer holds', () => {
    const window: RowsKernel = {
      ...common,
      kind: 'rows',
      grid: [axis('i', 8)],
      stages: [
        {
          kind: 'reduce',
          axes: [axis('p', 3)],
          reductions: [
            { name: 'acc', fn: 'sum', dtype: 'f32', value: load(0, add(symbol('i'), symbol('p'))) },
          ],
        },
      ],
    };
    expect(bytes(window, [10])).toBe(4 * 10);
  });

  it('counts equal reads once, an update twice, and what was stored before not at all', () => {
    const i = symbol('i');
    const x = (): Ex => load(0, i);
    const update: RowsKernel = {
      ...common,
      kind: 'rows',
      grid: [axis('i', 6)],
      stages: [
        {
          kind: 'map',
          axes: [],
          stores: [{ buffer: 1, offset: i, value: op('mul', op('add', x(), x()), load(1, i)) }],
        },
        { kind: 'map', axes: [], stores: [{ buffer: 2, offset: i, value: load(1, i) }] },
      ],
    };
    expect(bytes(update, [6, 6, 6])).toBe(4 * (6 + 6 + 6 + 6));
  });

  it('depends on what a data index depends on', () => {
    const token: Ex = {
      kind: 'load',
      dtype: 'i32',
      buffer: 1,
      offset: symbol('i'),
      guard: [],
      fill: 0,
      data: [],
    };
    const gather: RowsKernel = {
      ...common,
      kind: 'rows',
      grid: [axis('i', 4), axis('d', 8)],
      stages: [
        {
          kind: 'map',
          axes: [],
          stores: [
            {
              buffer: 2,
              offset: at('i', 8, 'd'),
              value: {
                kind: 'load',
                dtype: 'f32',
                buffer: 0,
                offset: at('t', 8, 'd'),
                guard: [],
                fill: 0,
                data: [{ name: 't', value: token }],
              },
            },
          ],
        },
      ],
    };
    expect(bytes(gather, [8000, 4, 32])).toBe(4 * (32 + 4 + 32));
  });
});
