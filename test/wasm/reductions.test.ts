import { describe, it } from 'vitest';
import type { Ex, RowsKernel, Stage } from '../../compiler/kernel/kernel.ts';
import type { DType } from '../../compiler/ir/ops.ts';
import { add, multiply, scale, symbol } from '../../compiler/shape/poly.ts';
import type { Buffer } from './harness.ts';
import { axis, check, floats, load, local, op } from './harness.ts';
import { use, rows, map, i, j, n, sizes, samples, dtypes } from './row-kernels.ts';

describe('reductions', () => {
  const reduce = (
    fn: 'sum' | 'prod' | 'max' | 'min',
    dtype: DType,
    value: Ex,
    ...axes: RowsKernel['grid']
  ): Stage => ({
    kind: 'reduce',
    axes,
    reductions: [{ name: 'r', fn, dtype, value }],
  });

  it.each(sizes)('of %d elements in a row, every operation and dtype', (size) => {
    for (const fn of ['sum', 'prod', 'max', 'min'] as const)
      for (const t of dtypes) {
        if (t === 'bool' && (fn === 'sum' || fn === 'prod')) continue;
        const k = rows(
          [use(0, 'read', t), use(1, 'write', t)],
          [],
          [
            reduce(fn, t, load(0, i, t), axis('i', n)),
            map({ buffer: 1, offset: symbol('zero'), value: local('r', t) }),
          ],
        );
        const x = samples(t, size, 4).map((v) => (t === 'f32' && fn === 'prod' ? 1 + v * 0.01 : v)) as Buffer;
        check(k, [x, samples(t, 1, 1)], { n: size, zero: 0 }, { relative: 1e-5, absolute: 1e-4 });
      }
  });

  it.each([
    [1, 1],
    [3, 7],
    [7, 3],
    [5, 64],
    [64, 5],
    [33, 17],
    [4, 0],
    [0, 4],
    [100, 130],
  ])('rows and columns of %d x %d', (a, b) => {
    const x = load(0, add(multiply(i, symbol('b')), j));
    for (const along of ['i', 'j'] as const) {
      const grid = along === 'j' ? axis('i', 'a') : axis('j', 'b');
      const inner = along === 'j' ? axis('j', 'b') : axis('i', 'a');
      const value = op('mul', 'f32', x, load(1, symbol(grid.name)));
      const k = rows(
        [use(0, 'read'), use(1, 'read'), use(2, 'write')],
        [grid],
        [
          reduce('sum', 'f32', value, inner),
          map({ buffer: 2, offset: symbol(grid.name), value: local('r') }),
        ],
      );
      check(
        k,
        [floats(a * b), floats(Math.max(a, b), 2), floats(Math.max(a, b), 3)],
        { a, b },
        { relative: 1e-5, absolute: 1e-5 },
      );
    }
  });

  it.each([
    [1, 1],
    [2, 10],
    [9, 10],
    [5, 33],
    [3, 100],
  ])('softmax of %d rows of %d', (a, b) => {
    const at = add(multiply(i, symbol('b')), j);
    const e = op('exp', 'f32', op('sub', 'f32', load(0, at), local('m')));
    const inner = (name: string) => axis(name, 'b');
    const rename = (ex: Ex): Ex => ex;
    const k = rows(
      [use(0, 'read'), use(1, 'update')],
      [axis('i', 'a')],
      [
        {
          kind: 'reduce',
          axes: [inner('j')],
          reductions: [{ name: 'm', fn: 'max', dtype: 'f32', value: load(0, at) }],
        },
        { kind: 'map', axes: [inner('j')], stores: [{ buffer: 1, offset: at, value: rename(e) }] },
        {
          kind: 'reduce',
          axes: [inner('j')],
          reductions: [{ name: 's', fn: 'sum', dtype: 'f32', value: load(1, at) }],
        },
        {
          kind: 'map',
          axes: [inner('j')],
          stores: [{ buffer: 1, offset: at, value: op('div', 'f32', load(1, at), local('s')) }],
        },
      ],
    );
    check(
      k,
      [floats(a * b).map((x) => 5 * x), floats(a * b, 2)],
      { a, b },
      { relative: 4e-6, absolute: 1e-7 },
    );
  });

  it('pools windows', () => {
    const [c, p, q, r, s] = ['c', 'p', 'q', 'r', 's'].map((x) => symbol(x));
    for (const [w, h] of [
      [8, 6],
      [14, 14],
      [7, 5],
    ] as const) {
      const [ow, oh] = [Math.floor(w / 2), Math.floor(h / 2)];
      const at = add(scale(c!, w * h), scale(add(scale(p!, 2), r!), w), scale(q!, 2), s!);
      const k = rows(
        [use(0, 'read'), use(1, 'write')],
        [axis('c', 'channels'), axis('p', oh), axis('q', ow)],
        [
          reduce('max', 'f32', load(0, at), axis('r', 2), axis('s', 2)),
          map({ buffer: 1, offset: add(scale(c!, ow * oh), scale(p!, ow), q!), value: local('r') }),
        ],
      );
      check(k, [floats(3 * w * h), floats(3 * ow * oh)], { channels: 3 });
    }
  });

  it('several reductions of several axes in one stage, used later', () => {
    const at = add(scale(i, 35), scale(j, 7), symbol('k'));
    const k = rows(
      [use(0, 'read'), use(1, 'write'), use(2, 'write')],
      [axis('i', 6)],
      [
        {
          kind: 'reduce',
          axes: [axis('j', 5), axis('k', 7)],
          reductions: [
            { name: 'sum', fn: 'sum', dtype: 'f32', value: load(0, at) },
            { name: 'square', fn: 'sum', dtype: 'f32', value: op('mul', 'f32', load(0, at), load(0, at)) },
            { name: 'most', fn: 'max', dtype: 'f32', value: load(0, at) },
          ],
        },
        map({ buffer: 2, offset: i, value: op('add', 'f32', local('most'), local('square')) }),
        {
          kind: 'map',
          axes: [axis('j', 5), axis('k', 7)],
          stores: [{ buffer: 1, offset: at, value: op('sub', 'f32', load(0, at), local('sum')) }],
        },
      ],
    );
    check(k, [floats(210), floats(210, 2), floats(6, 3)], {}, { relative: 1e-5, absolute: 1e-5 });
  });

  it('stages whose sizes multiplied are a multiple of 2^32 are not empty', () => {
    const at = add(multiply(i, n), j);
    const sum = (name: string): Stage => ({
      kind: 'reduce',
      axes: [axis('j', n)],
      // What does not vary is loaded outside of the loop.
      reductions: [{ name, fn: 'sum', dtype: 'f32', value: op('div', 'f32', load(0, at), load(1, i)) }],
    });
    const stores = ['a', 'b', 'c', 'd'].map((name, s) => ({
      buffer: 2,
      offset: add(scale(i, 4), s),
      value: local(name),
    }));
    const k = rows(
      [use(0, 'read'), use(1, 'read'), use(2, 'write')],
      [axis('i', 3)],
      [...['a', 'b', 'c', 'd'].map(sum), map(...stores)],
    );
    for (const size of [0, 1, 255, 256])
      check(
        k,
        [floats(3 * size), floats(3, 2).map((x) => 2 + x), floats(12, 3)],
        { n: size },
        { relative: 1e-4, absolute: 1e-4 },
      );
  });
});
