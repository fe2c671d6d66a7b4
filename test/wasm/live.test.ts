/** Contractions and rows of which not all elements count: these are left out, and the others are all there. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ContractKernel, Ex, ReduceStage, RowsKernel, Stage } from '../../compiler/kernel/kernel.ts';
import { exRebuilder } from '../../compiler/kernel/rebuild.ts';
import { add, type Condition, scale, symbol as s, type Poly } from '../../compiler/shape/poly.ts';
import { abc, acc, at, contract, tolerance, use } from './contractions.ts';
import { axis, check, float, floats, load, local, modes, op, runWasm } from './harness.ts';

type Role = 'm' | 'n' | 'k';
interface Case {
  readonly sizes: Readonly<Record<Role, number>>;
  /** `more - less + offset >= 0`, each an index of a role. */
  readonly bounds: readonly { readonly more: Role; readonly less: Role; readonly offset: number }[];
  readonly batch: number;
  /** Dimensions are bound when it runs. */
  readonly isOpen: boolean;
}

const valueOf = ({ more, less, offset }: Case['bounds'][number]): Poly =>
  add(s(more), scale(s(less), -1), offset);
const ge = (value: Poly): Condition => ({ kind: 'ge', value });

/** acc = sum over k of a * b, where a factor is 0 or nobody looks at the sum unless the bounds hold. */
function kernelOf({ sizes, bounds, batch, isOpen }: Case): ContractKernel {
  const size = (role: Role): number | string => (isOpen ? `size_${role}` : sizes[role]);
  const over = (...roles: Role[]): Poly =>
    at(['h', batch], ...roles.map((r) => [r, size(r)] as [string, number | string]));
  const guardOf = (...roles: Role[]): Condition[] =>
    bounds.filter((b) => roles.includes(b.more) && roles.includes(b.less)).map((b) => ge(valueOf(b)));
  const operand = (buffer: number, ...roles: Role[]): Ex =>
    load(buffer, over(...roles), 'f32', { guard: guardOf(...roles) });
  const index = (value: Poly): Ex => ({ kind: 'index', dtype: 'i32', value, data: [] });
  const zero: Ex = { kind: 'const', dtype: 'i32', value: 0 };
  const value = guardOf('m', 'n').reduce<Ex>(
    (x, c) => op('where', 'f32', op('le', 'bool', zero, index(c.value)), x, float(-7)),
    op('mul', 'f32', acc, float(0.5)),
  );
  const roles = {
    batch: [axis('h', batch)],
    m: [axis('m', size('m'))],
    n: [axis('n', size('n'))],
    k: [axis('k', size('k'))],
  };
  const made = contract(abc, roles, operand(0, 'm', 'k'), operand(1, 'k', 'n'), {
    buffer: 2,
    offset: over('m', 'n'),
    value,
  });
  return { ...made, live: bounds.map((b) => ge(valueOf(b))) };
}

function checkCase(c: Case): void {
  const { m, n, k } = c.sizes;
  const buffers = [floats(c.batch * m * k), floats(c.batch * k * n, 2), floats(c.batch * m * n, 3)];
  const dims = c.isOpen ? { size_m: m, size_n: n, size_k: k } : {};
  check(kernelOf(c), buffers, dims, { relative: 1e-3, absolute: 2e-4 });
}

const pairs = (['mk', 'km', 'nk', 'kn', 'mn', 'nm'] as const).map((p) => [p[0], p[1]] as [Role, Role]);
const triangle = (more: Role, less: Role, offset = 0): Case['bounds'] => [{ more, less, offset }];

describe('a contraction of which not all products count', () => {
  describe.each(pairs)('%s not before %s', (more, less) => {
    it.each([
      { m: 64, n: 64, k: 32 },
      { m: 13, n: 21, k: 9 },
      // Row by row, and with blocks of k.
      { m: 30, n: 130, k: 50 },
      { m: 17, n: 9, k: 1100 },
    ])('$m x $n over $k', (sizes) => {
      const offsets = sizes.m < 30 ? [0, -5, 6, -200] : [0, -5];
      offsets.forEach((offset, i) => {
        checkCase({ sizes, bounds: triangle(more, less, offset), batch: 2, isOpen: i % 2 === 0 });
      });
    });
  });

  it('in any shape and band', () => {
    const size = fc.integer({ min: 3, max: 60 });
    const bound = fc.record({
      pair: fc.constantFrom(...pairs),
      offset: fc.integer({ min: -20, max: 40 }),
    });
    const cases = fc.record({
      sizes: fc.record({ m: size, n: size, k: size }),
      bounds: fc
        .array(bound, { minLength: 1, maxLength: 3 })
        .map((list) => list.map(({ pair: [more, less], offset }) => ({ more, less, offset }))),
      batch: fc.integer({ min: 1, max: 3 }),
      isOpen: fc.boolean(),
    });
    fc.assert(fc.property(cases, checkCase), { numRuns: 25 });
  });

  it.each([
    { a: at(['m', 64], ['k', 64]), roles: ['m', 'k'] as const, of: 'rows in place' },
    { a: at(['k', 64], ['m', 64]), roles: ['k', 'm'] as const, of: 'packed panels' },
  ])('reads nothing far from those that count, of $of', ({ a, roles }) => {
    for (const [more, less] of [
      ['m', 'k'],
      ['k', 'm'],
    ] as const) {
      const value = add(s(more), scale(s(less), -1));
      const axes = { m: [axis('m', 64)], n: [axis('n', 16)], k: [axis('k', 64)] };
      const store = { buffer: 2, offset: at(['m', 64], ['n', 16]), value: acc };
      const k: ContractKernel = {
        ...contract(abc, axes, load(0, a), load(1, at(['k', 64], ['n', 16])), store),
        live: [ge(value)],
      };
      // Zeros within a tile of those that count, further away what no sum survives.
      const left = Float32Array.from({ length: 64 * 64 }, (_, i) => {
        const index = { [roles[0]]: Math.floor(i / 64), [roles[1]]: i % 64 } as Record<'m' | 'k', number>;
        const distance = index[less] - index[more];
        return distance <= 0 ? 1 : distance < 6 ? 0 : NaN;
      });
      for (const relaxed of modes) {
        const [, , found] = runWasm(
          [k],
          [left, new Float32Array(64 * 16).fill(1), floats(64 * 16)],
          {},
          { relaxed },
        );
        const counts = Array.from({ length: 64 }, (_, row) => (more === 'm' ? row + 1 : 64 - row));
        expect([...found!.filter((_, i) => i % 16 === 0)]).toEqual(counts);
      }
    }
  });

  it('has sums beside it of all that is there', () => {
    const sizes = { m: 32, n: 16, k: 64 };
    const { batch: _, ...whole } = kernelOf({ sizes, bounds: triangle('k', 'n'), batch: 1, isOpen: false });
    const b = load(1, at(['k', 64], ['n', 16]));
    const k: ContractKernel = {
      ...whole,
      batch: [],
      buffers: [...abc, { buffer: 3, dtype: 'f32', mode: 'write' }],
      a: load(0, at(['m', 32], ['k', 64])),
      b,
      stores: [{ buffer: 2, offset: at(['m', 32], ['n', 16]), value: op('mul', 'f32', acc, float(0)) }],
      sums: [{ buffer: 3, offset: s('n'), value: { kind: 'local', dtype: 'f32', name: 'sum' } }],
    };
    check(k, [floats(32 * 64), floats(64 * 16, 2), floats(32 * 16), floats(16)], {}, tolerance);
  });
});

describe('rows of which not all elements count', () => {
  const index = (value: Poly): Ex => ({ kind: 'index', dtype: 'i32', value, data: [] });
  /** Softmax of rows [h, t] of s scores, of which those count where `sign * (t - s) + by >= 0`. */
  function softmax([h, t, size]: readonly (number | string)[], sign: 1 | -1, by: number): RowsKernel {
    const value = (axis: string): Poly => add(scale(s('t'), sign), scale(s(axis), -sign), by);
    const offset = (axis: string): Poly => at(['h', h!], ['t', t!], [axis, size!]);
    const score = (axis: string): Ex =>
      op(
        'where',
        'f32',
        op('le', 'bool', { kind: 'const', dtype: 'i32', value: 0 }, index(value(axis))),
        load(0, offset(axis)),
        float(-Infinity),
      );
    const power = (axis: string): Ex => op('exp', 'f32', op('sub', 'f32', score(axis), local('r0')));
    const reduce = (name: string, fn: 'max' | 'sum', axisName: string, x: Ex): ReduceStage => ({
      kind: 'reduce',
      axes: [axis(axisName, size!)],
      reductions: [{ name, fn, dtype: 'f32', value: x }],
      live: [ge(value(axisName))],
    });
    const store = {
      buffer: 1,
      offset: offset('k'),
      value: op('div', 'f32', power('k'), local('r1')),
      outside: 0,
    };
    return {
      kind: 'rows',
      name: 'softmax',
      notes: [],
      buffers: [use(0), use(1, 'write')],
      grid: [axis('h', h!), axis('t', t!)],
      stages: [
        reduce('r0', 'max', 'i', score('i')),
        reduce('r1', 'sum', 'j', power('j')),
        { kind: 'map', axes: [axis('k', size!)], stores: [store], live: [ge(value('k'))] },
      ],
    };
  }

  it.each([
    [1, 16, 16],
    [3, 21, 21],
    [2, 70, 33],
    [2, 9, 100],
  ])('have the softmax of those that do: %d x %d of %d', (h, t, size) => {
    // In every row something counts.
    for (const [sign, by] of [
      [1, 0],
      [1, 7],
      [-1, t],
      [-1, 2 * t],
    ] as const)
      for (const isOpen of [false, true]) {
        const dims = isOpen ? { h, t, size } : {};
        const buffers = [floats(h * t * size), floats(h * t * size, 2)];
        check(softmax(isOpen ? ['h', 't', 'size'] : [h, t, size], sign, by), buffers, dims, tolerance);
      }
  });

  it('are not read far from them', () => {
    const k = softmax([1, 32, 32], 1, 0);
    const plain = { ...k, stages: k.stages.map((stage) => withoutChoice(stage)) };
    const scores = Float32Array.from({ length: 32 * 32 }, (_, i) =>
      i % 32 <= Math.floor(i / 32) ? 1 : i % 32 < Math.floor(i / 32) + 4 ? -Infinity : NaN,
    );
    for (const relaxed of modes) {
      const [, found] = runWasm([plain], [scores, floats(32 * 32)], {}, { relaxed });
      found!.forEach((x, i) => {
        const row = Math.floor(i / 32);
        expect(x).toBeCloseTo(i % 32 <= row ? 1 / (row + 1) : 0, 5);
      });
    }
  });

  /** The stage over the scores as they are. */
  const withoutChoice = (stage: Stage): Stage =>
    stage.kind === 'reduce'
      ? { ...stage, reductions: stage.reductions.map((r) => ({ ...r, value: bare(r.value) })) }
      : { ...stage, stores: stage.stores.map((x) => ({ ...x, value: bare(x.value) })) };
  const bare = exRebuilder((ex) => (ex.kind === 'op' && ex.fn === 'where' ? ex.args[1]! : ex));
});
