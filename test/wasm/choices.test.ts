import { describe, expect, it } from 'vitest';
import { writeOutChoices } from '../../compiler/backend/wasm/choices.ts';
import type { Ex, RowsKernel } from '../../compiler/kernel/kernel.ts';
import type { Condition } from '../../compiler/shape/poly.ts';
import { add, multiply, negate, scale, symbol } from '../../compiler/shape/poly.ts';
import { axis, check, floats, op } from './harness.ts';

const [i, g, j, n] = ['i', 'g', 'j', 'n'].map((s) => symbol(s)) as [
  ReturnType<typeof symbol>,
  ReturnType<typeof symbol>,
  ReturnType<typeof symbol>,
  ReturnType<typeof symbol>,
];
const width = 5;

/** Tensors of [n, 5] side by side in one of [n, parts, 5], each through a function; `of` names the compared index. */
function sideBySide(parts: number, extent: number, of = g): RowsKernel {
  const part = (p: number): Ex => {
    const guard: Condition[] = [{ kind: 'eq', value: add(negate(of), p) }];
    const value: Ex = {
      kind: 'load',
      dtype: 'f32',
      buffer: p,
      offset: add(scale(i, width), j),
      guard,
      fill: 0,
      data: [],
    };
    const isHere = op(
      'eq',
      'bool',
      { kind: 'index', dtype: 'i32', value: add(negate(of), p), data: [] },
      { kind: 'const', dtype: 'i32', value: 0 },
    );
    return op(
      'where',
      'f32',
      isHere,
      op('mul', 'f32', value, { kind: 'const', dtype: 'f32', value: p + 2 }),
      {
        kind: 'const',
        dtype: 'f32',
        value: 0,
      },
    );
  };
  const value = Array.from({ length: parts }, (_, p) => part(p)).reduce((a, b) => op('add', 'f32', a, b));
  const offset = add(multiply(i, extent * width), add(scale(g, width), j));
  return {
    kind: 'rows',
    name: 'k',
    notes: [],
    buffers: Array.from({ length: parts + 1 }, (_, b) => ({
      buffer: b,
      dtype: 'f32',
      mode: b < parts ? 'read' : 'write',
    })),
    grid: [axis('i', n), axis('g', extent), axis('j', width)],
    stages: [{ kind: 'map', axes: [], stores: [{ buffer: parts, offset, value }] }],
  };
}

describe('an axis that only chooses', () => {
  it('is written out, and only its own part is left at each index', () => {
    const made = writeOutChoices(sideBySide(3, 3));
    expect(made.grid.map((a) => a.name)).toEqual(['i', 'j']);
    const [stage] = made.stages;
    const values = stage?.kind === 'map' ? stage.stores.map((s) => JSON.stringify(s.value)) : [];
    expect(values).toHaveLength(3);
    for (const text of values) {
      expect(text).not.toMatch(/where|"eq"/);
      expect(text.match(/"kind":"load"/g)).toHaveLength(1);
    }
  });

  it('stays where it is long, or where another index is compared', () => {
    for (const k of [sideBySide(3, 9), sideBySide(3, 3, j)]) {
      const made = writeOutChoices(k);
      expect(made.grid.some((a) => a.name === 'g')).toBe(true);
    }
  });

  it.each([
    [2, 2, 7],
    [4, 4, 3],
    [2, 4, 5],
    [3, 3, 0],
  ])('%i parts over %i indices, %i rows', (parts, extent, rows) => {
    const buffers = Array.from({ length: parts + 1 }, (_, b) =>
      floats(rows * width * (b < parts ? 1 : extent), b + 1),
    );
    check(sideBySide(parts, extent), buffers, { n: rows });
  });
});
