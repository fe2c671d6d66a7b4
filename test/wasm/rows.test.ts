import { describe, expect, it } from 'vitest';
import type { BufferUse, Ex, RowsKernel, Stage } from '../../compiler/kernel/kernel.ts';
import type { DType, ScalarOp } from '../../compiler/ir/ops.ts';
import { scalarOps } from '../../compiler/ir/ops.ts';
import { add, floorDivide, floorMod, multiply, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import type { Buffer } from './harness.ts';
import { axis, check, float, floats, load, local, modes, op, runWasm } from './harness.ts';

const use = (buffer: number, mode: BufferUse['mode'], dtype: DType = 'f32'): BufferUse => ({
  buffer,
  dtype,
  mode,
});
const rows = (
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
const map = (...stores: Extract<Stage, { kind: 'map' }>['stores']): Stage => ({
  kind: 'map',
  axes: [],
  stores,
});
const i = symbol('i');
const j = symbol('j');
const n = symbol('n');
const sizes = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 100, 2047, 2049, 5000];

/** Values that matter for a dtype: zero, signs, ends, the ordinary. */
function samples(dtype: DType, length: number, seed: number): Buffer {
  if (dtype === 'f32') return floats(length, seed).map((x, at) => (at % 7 === 3 ? Math.round(x * 4) : x * 3));
  const bits = floats(length, seed).map((x) => Math.round(x * 50));
  const special = [0, 1, -1, 2, 0x7fffffff, -0x80000000, 8, -7];
  const values = Array.from(bits, (x, at) => (at % 3 === 0 ? special[(at / 3 + seed) % special.length]! : x));
  if (dtype === 'i32') return Int32Array.from(values);
  return Uint32Array.from(values, (x) => (dtype === 'bool' ? x & 1 : x >>> 0));
}

const dtypes: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];

function operandTypes(fn: ScalarOp): { args: DType[]; result: DType }[] {
  const { arity, result } = scalarOps[fn];
  if (fn === 'cast') return dtypes.flatMap((from) => dtypes.map((to) => ({ args: [from], result: to })));
  const lists = dtypes.map((t): DType[] =>
    fn === 'where' ? ['bool', t, t] : new Array<DType>(arity).fill(t),
  );
  return lists.flatMap((args) => {
    const to = result(args);
    return to === undefined || to === 'f16' ? [] : [{ args, result: to }];
  });
}

describe('element-wise maps', () => {
  const every = (Object.keys(scalarOps) as ScalarOp[]).flatMap((fn) =>
    operandTypes(fn).map((t) => ({ fn, ...t })),
  );

  it.each(every)('$fn of $args gives $result', ({ fn, args, result }) => {
    for (const length of [1, 4, 7, 41]) {
      const uses = [...args.map((t, at) => use(at, 'read', t)), use(args.length, 'write', result)];
      const value: Ex = { kind: 'op', fn, dtype: result, args: args.map((t, at) => load(at, i, t)) };
      const buffers = args.map((t, at) => samples(t, length, at + 1));
      if (fn === 'shl' || fn === 'shr') buffers[1] = buffers[1]!.map((x) => Math.abs(x) % 32) as Buffer;
      if (fn === 'log' || fn === 'sqrt' || fn === 'pow')
        buffers[0] = (buffers[0] as Float32Array).map(Math.abs);
      const out = samples(result, length, 9);
      check(rows(uses, [axis('i', length)], [map({ buffer: args.length, offset: i, value })]), [
        ...buffers,
        out,
      ]);
    }
  });

  it.each(every)('$fn of $args gives the same bits in vectors and scalars', ({ fn, args, result }) => {
    const length = 21;
    const uses = [...args.map((t, at) => use(at, 'read', t)), use(args.length, 'write', result)];
    const kernel = (offset: number, count: number): RowsKernel =>
      rows(
        uses,
        [axis('i', count)],
        [
          map({
            buffer: args.length,
            offset: add(i, offset),
            value: { kind: 'op', fn, dtype: result, args: args.map((t, at) => load(at, add(i, offset), t)) },
          }),
        ],
      );
    const buffers = [...args.map((t, at) => samples(t, length, at + 1)), samples(result, length, 5)];
    for (const relaxed of modes) {
      const together = runWasm([kernel(0, length)], buffers, {}, { relaxed }).at(-1);
      const threes = [0, 3, 6, 9, 12, 15, 18];
      const single = threes.flatMap((at) => [
        ...runWasm([kernel(at, 3)], buffers, {}, { relaxed })
          .at(-1)!
          .slice(at, at + 3),
      ]);
      expect([...together!]).toEqual(single);
    }
  });

  it.each([
    ['div', 7],
    ['div', 8],
    ['div', -3],
    ['div', 1],
    ['div', 0],
    ['mod', 7],
    ['mod', 8],
    ['mod', -3],
    ['mod', 1],
    ['mod', 0],
  ] as const)('%s by the constant %d', (fn, by) => {
    for (const t of by < 0 ? (['i32'] as const) : (['i32', 'u32'] as const)) {
      const value = op(fn, t, load(0, i, t), { kind: 'const', dtype: t, value: by });
      check(
        rows(
          [use(0, 'read', t), use(1, 'write', t)],
          [axis('i', 'n')],
          [map({ buffer: 1, offset: i, value })],
        ),
        [samples(t, 37, 3), samples(t, 37, 1)],
        { n: 37 },
      );
    }
  });

  it.each(sizes)('a chain over %d elements, several stores', (size) => {
    const x = load(0, i);
    const y = op('mul', 'f32', op('exp', 'f32', op('neg', 'f32', op('abs', 'f32', x))), load(1, i));
    const k = rows(
      [use(0, 'update'), use(1, 'read'), use(2, 'write')],
      [axis('i', n)],
      [map({ buffer: 2, offset: i, value: y }, { buffer: 0, offset: i, value: op('sub', 'f32', x, y) })],
    );
    check(k, [floats(size), floats(size, 2), floats(size, 3)], { n: size });
  });

  it('computes what does not vary once, outside the loop', () => {
    const beta = op('pow', 'f32', float(0.75), op('cast', 'f32', load(2, 0, 'i32')));
    const value = op('div', 'f32', load(0, i), op('sub', 'f32', float(1), beta));
    const k = rows(
      [use(0, 'read'), use(1, 'write'), use(2, 'read', 'i32')],
      [axis('i', 1000)],
      [map({ buffer: 1, offset: i, value })],
    );
    check(k, [floats(1000), floats(1000), Int32Array.of(17)]);
  });

  it.each([
    [1, 1],
    [3, 5],
    [4, 4],
    [8, 3],
    [5, 16],
    [1, 9],
    [0, 4],
    [4, 0],
  ])('transposes %d x %d, broadcasts rows and columns', (a, b) => {
    const value = op(
      'add',
      'f32',
      op('mul', 'f32', load(0, add(multiply(j, symbol('a')), i)), load(1, i)),
      load(2, j),
    );
    const k = rows(
      [use(0, 'read'), use(1, 'read'), use(2, 'read'), use(3, 'write')],
      [axis('i', 'a'), axis('j', 'b')],
      [map({ buffer: 3, offset: add(multiply(i, symbol('b')), j), value })],
    );
    check(k, [floats(a * b), floats(a, 2), floats(b, 3), floats(a * b, 4)], { a, b });
  });

  it.each([1, 2, 3, -1, -2])('reads with stride %d', (step) => {
    const size = 29;
    const from = step < 0 ? -step * (size - 1) : 0;
    const k = rows(
      [use(0, 'read'), use(1, 'write')],
      [axis('i', size)],
      [map({ buffer: 1, offset: i, value: load(0, add(scale(i, step), from)) })],
    );
    check(k, [floats(size * 3), floats(size)]);
  });

  it.each([1, 2, 3, -2])('writes with stride %d', (step) => {
    const size = 29;
    const from = step < 0 ? -step * (size - 1) : 0;
    const k = rows(
      [use(0, 'read'), use(1, 'write')],
      [axis('i', size)],
      [map({ buffer: 1, offset: add(scale(i, step), from), value: load(0, i) })],
    );
    check(k, [floats(size), floats(size * 3)]);
  });

  it('pads: guards along the vector and across it', () => {
    const at = (p: typeof i, high: number) => [
      { kind: 'ge' as const, value: p },
      { kind: 'ge' as const, value: subtract(high - 1, p) },
    ];
    for (const fill of [0, -Infinity, 7]) {
      const [r, c] = [subtract(i, 2), subtract(j, 3)];
      const value = load(0, add(scale(r, 5), c), 'f32', { guard: [...at(r, 4), ...at(c, 5)], fill });
      const k = rows(
        [use(0, 'read'), use(1, 'write')],
        [axis('i', 8), axis('j', 11)],
        [map({ buffer: 1, offset: add(scale(i, 11), j), value })],
      );
      check(k, [floats(20), floats(88)]);
    }
  });

  it('reads every second element where the guard says so', () => {
    const value = load(0, floorDivide(i, 2), 'f32', {
      guard: [{ kind: 'eq', value: floorMod(i, 2) }],
      fill: -1,
    });
    const k = rows(
      [use(0, 'read'), use(1, 'write')],
      [axis('i', 21)],
      [map({ buffer: 1, offset: i, value })],
    );
    check(k, [floats(11), floats(21)]);
  });

  it('divides and wraps indices', () => {
    for (const by of [2, 3, 7, 8]) {
      const at = add(scale(floorMod(i, by), 10), floorDivide(i, by));
      const k = rows(
        [use(0, 'read'), use(1, 'write'), use(2, 'write', 'i32')],
        [axis('i', 60)],
        [
          map(
            { buffer: 1, offset: i, value: load(0, at) },
            {
              buffer: 2,
              offset: i,
              value: { kind: 'index', dtype: 'i32', value: floorDivide(subtract(i, 30), by), data: [] },
            },
          ),
        ],
      );
      check(k, [floats(200), floats(60), new Int32Array(60)]);
    }
  });

  it.each([0, 1, 3])('spreads: every element twice, from %d on', (from) => {
    for (const width of [7, 14, 15]) {
      const half = floorDivide(add(j, from), 2);
      const inside = [{ kind: 'ge' as const, value: subtract(5, half) }];
      const k = rows(
        [use(0, 'read'), use(1, 'write'), use(2, 'write')],
        [axis('i', 'n'), axis('j', width)],
        [
          map(
            {
              buffer: 1,
              offset: add(scale(i, width), j),
              value: load(0, add(scale(floorDivide(i, 2), 9), half)),
            },
            {
              buffer: 2,
              offset: add(scale(i, width), j),
              value: load(0, add(scale(i, 9), half), 'f32', { guard: inside, fill: -3 }),
            },
          ),
        ],
      );
      check(k, [floats(60), floats(width * 6), floats(width * 6)], { n: 6 });
    }
  });

  it('gathers by data, guarded', () => {
    const size = 13;
    const index = load(1, i, 'i32');
    const data = [{ name: '@0', value: index }];
    const at = symbol('@0');
    const guard = [
      { kind: 'ge' as const, value: at },
      { kind: 'ge' as const, value: subtract(9, at) },
    ];
    const rowsOf = load(0, add(scale(at, 6), j), 'f32', { guard, fill: 2, data });
    const elements = load(0, add(scale(at, 6), 1), 'f32', { guard, fill: 3, data });
    const indices = Int32Array.from({ length: size }, (_, k) => ((k * 7) % 14) - 2);
    check(
      rows(
        [use(0, 'read'), use(1, 'read', 'i32'), use(2, 'write')],
        [axis('i', size), axis('j', 6)],
        [map({ buffer: 2, offset: add(scale(i, 6), j), value: rowsOf })],
      ),
      [floats(60), indices, floats(78)],
    );
    check(
      rows(
        [use(0, 'read'), use(1, 'read', 'i32'), use(2, 'write')],
        [axis('i', size)],
        [map({ buffer: 2, offset: i, value: elements })],
      ),
      [floats(60), indices, floats(13)],
    );
  });

  it('one-hot: an index compared with data', () => {
    const same = op('eq', 'bool', { kind: 'index', dtype: 'i32', value: j, data: [] }, load(0, i, 'i32'));
    const k = rows(
      [use(0, 'read', 'i32'), use(1, 'write'), use(2, 'write', 'bool')],
      [axis('i', 'n'), axis('j', 10)],
      [
        map(
          { buffer: 1, offset: add(scale(i, 10), j), value: op('cast', 'f32', same) },
          { buffer: 2, offset: add(scale(i, 10), j), value: same },
        ),
      ],
    );
    check(k, [Int32Array.from({ length: 9 }, (_, x) => (x * 3) % 10), floats(90), new Uint32Array(90)], {
      n: 9,
    });
  });
});

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
