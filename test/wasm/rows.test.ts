import { describe, expect, it } from 'vitest';
import type { Ex, RowsKernel } from '../../compiler/kernel/kernel.ts';
import type { DType, ScalarOp } from '../../compiler/ir/ops.ts';
import { scalarOps } from '../../compiler/ir/ops.ts';
import { add, floorDivide, floorMod, multiply, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import type { Buffer } from './harness.ts';
import { axis, check, float, floats, load, modes, op, runWasm } from './harness.ts';
import { use, rows, map, i, j, n, sizes, samples, dtypes } from './row-kernels.ts';

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
