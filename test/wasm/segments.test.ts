import { describe, expect, it } from 'vitest';
import { cutAtGuards } from '../../compiler/backend/wasm/segments.ts';
import type { Ex, RowsKernel } from '../../compiler/kernel/kernel.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import { add, floorDivide, floorMod, multiply, negate, scale, symbol } from '../../compiler/shape/poly.ts';
import { axis, check, floats, load, op } from './harness.ts';

const [i, j] = [symbol('i'), symbol('j')];
const rows = 6;

/** Holds for `from` to `to` - 1. */
const between = (p: Poly, from: number, to: number): Condition[] => [
  { kind: 'ge', value: add(p, -from) },
  { kind: 'ge', value: add(negate(p), to - 1) },
];

/** Sum of tensors [rows, width] of which each is seen in its own columns of [rows, total]. */
function sideBySide(
  widths: readonly number[],
  at: (column: Poly, part: number) => Poly,
  fill = 0,
): RowsKernel {
  const starts = widths.map((_, p) => widths.slice(0, p).reduce((x, y) => x + y, 0));
  const total = widths.reduce((x, y) => x + y, 0);
  const parts = widths.map((width, p): Ex => {
    const [from, to] = [starts[p]!, starts[p]! + width];
    return load(p, at(add(j, -from), p), 'f32', { guard: between(j, from, to), fill });
  });
  return {
    kind: 'rows',
    name: 'k',
    notes: [],
    buffers: widths
      .map((_, b) => ({ buffer: b, dtype: 'f32', mode: 'read' }) as const)
      .concat([{ buffer: widths.length, dtype: 'f32', mode: 'write' } as never]),
    grid: [axis('i', 'rows'), axis('j', total)],
    stages: [
      {
        kind: 'map',
        axes: [],
        stores: [
          {
            buffer: widths.length,
            offset: add(multiply(i, total), j),
            value: parts.reduce((x, y) => op('add', 'f32', x, y)),
          },
        ],
      },
    ],
  };
}

const tensors = (widths: readonly number[]) => [
  ...widths.map((w, p) => floats(rows * w, p + 1)),
  floats(rows * widths.reduce((x, y) => x + y, 0), 9),
];

describe('tensors side by side', () => {
  it.each([[[8, 8, 8]], [[5, 1, 10]], [[32, 3]]])('of widths %j are copied one after the other', (widths) => {
    const k = sideBySide(widths, (column, p) => add(multiply(i, widths[p]!), column));
    const cut = cutAtGuards(k);
    expect(cut.grid.map((a) => a.name)).toEqual(['i']);
    expect(cut.stages).toHaveLength(widths.length);
    for (const stage of cut.stages) {
      const [store] = stage.kind === 'map' ? stage.stores : [];
      expect(store?.value).toMatchObject({ kind: 'load', guard: [] });
    }
    check(k, tensors(widths), { rows });
  });

  it('keep what others add where they are not', () => {
    const widths = [4, 9];
    check(
      sideBySide(widths, (column, p) => add(multiply(i, widths[p]!), column), 0.5),
      tensors(widths),
      { rows },
    );
  });

  it('are read along quotient and remainder where an index is divided', () => {
    const widths = [12, 12];
    // [3 heads, rows, 4] each.
    const heads = (column: Poly): Poly =>
      add(scale(floorDivide(column, 4), rows * 4), scale(i, 4), floorMod(column, 4));
    const k = sideBySide(widths, heads);
    const cut = cutAtGuards(k);
    for (const stage of cut.stages) {
      expect(stage.axes).toHaveLength(2);
      expect(JSON.stringify(stage)).not.toMatch(/"kind":"(div|mod)"/);
    }
    check(k, tensors(widths), { rows });
  });

  it.each([4, 5, 16])('are cut under windows, %d channels each', (channels) => {
    const [c, y, x, p] = ['c', 'y', 'x', 'p'].map((name) => symbol(name)) as [Poly, Poly, Poly, Poly];
    const [height, width] = [5, 6];
    const part = (buffer: number): Ex => {
      const own = add(c, -channels * buffer);
      const offset = add(
        multiply(symbol('i'), channels * height * width),
        scale(own, height * width),
        scale(add(y, p, -1), width),
        x,
      );
      const guard = [
        ...between(add(y, p, -1), 0, height),
        ...between(c, channels * buffer, channels * (buffer + 1)),
      ];
      return load(buffer, offset, 'f32', { guard });
    };
    const isFirst = op(
      'lt',
      'bool',
      { kind: 'index', dtype: 'i32', value: c, data: [] },
      { kind: 'const', dtype: 'i32', value: channels },
    );
    const total = 2 * channels;
    const offset = [y, x, c, p].reduce(
      (sum, index, at) => add(multiply(sum, [height, width, total, 3][at]!), index),
      symbol('i'),
    );
    const k: RowsKernel = {
      kind: 'rows',
      name: 'k',
      notes: [],
      buffers: [0, 1, 2].map((buffer) => ({ buffer, dtype: 'f32', mode: buffer < 2 ? 'read' : 'write' })),
      grid: [axis('i', 'rows'), axis('y', height), axis('x', width), axis('c', total), axis('p', 3)],
      stages: [
        {
          kind: 'map',
          axes: [],
          stores: [{ buffer: 2, offset, value: op('where', 'f32', isFirst, part(0), part(1)) }],
        },
      ],
    };
    expect(cutAtGuards(k).stages).toHaveLength(2);
    const image = rows * channels * height * width;
    check(k, [floats(image), floats(image, 2), floats(image * 6, 3)], { rows });
  });

  it('are not cut for one tensor with a border, or in too many pieces', () => {
    const one = sideBySide([20], (column) => add(multiply(i, 10), column, -5));
    const [stage] = one.stages;
    if (stage?.kind !== 'map') throw new Error('a map');
    const inner = load(0, add(multiply(i, 10), j, -5), 'f32', { guard: between(j, 5, 15) });
    const bordered: RowsKernel = {
      ...one,
      stages: [{ ...stage, stores: [{ ...stage.stores[0]!, value: inner }] }],
    };
    expect(cutAtGuards(bordered)).toBe(bordered);
    check(bordered, [floats(rows * 10), floats(rows * 20, 2)], { rows });
    const widths = Array.from({ length: 9 }, () => 2);
    const many = sideBySide(widths, (column, p) => add(multiply(i, widths[p]!), column));
    expect(cutAtGuards(many)).toBe(many);
    check(many, tensors(widths), { rows });
  });
});
