import { describe, expect, it } from 'vitest';
import { emitWasm } from '../../compiler/backend/wasm/index.ts';
import { mergeRoles, planContract } from '../../compiler/backend/wasm/contract/plan.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { add, floorDivide, floorMod, scale, subtract, symbol as s } from '../../compiler/shape/poly.ts';
import { abc, acc, at, contract, tolerance, use } from './contractions.ts';
import { axis, check, dim, float, floats, load, op, fused } from './harness.ts';

describe('matrix products', () => {
  const layouts = [
    [false, false, false],
    [true, false, false],
    [false, true, false],
    [true, true, true],
    [false, false, true],
    [true, false, true],
  ] as const;
  const sizes = [
    [1, 1, 1],
    [3, 3, 3],
    [4, 8, 16],
    [5, 9, 17],
    [8, 12, 40],
    [17, 10, 33],
    [64, 10, 30],
    [13, 50, 16],
    [1, 40, 50],
    [40, 1, 50],
    [6, 25, 21],
    [2, 30, 40],
    [30, 3, 30],
  ] as const;

  it.each(sizes)('%d x %d over %d, all layouts', (m, n, k) => {
    for (const [ta, tb, tc] of layouts) {
      const a = load(0, ta ? at(['k', k], ['m', m]) : at(['m', m], ['k', k]));
      const b = load(1, tb ? at(['n', n], ['k', k]) : at(['k', k], ['n', n]));
      const offset = tc ? at(['n', n], ['m', m]) : at(['m', m], ['n', n]);
      const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
      check(
        contract(abc, roles, a, b, { buffer: 2, offset, value: acc }),
        [floats(m * k), floats(k * n, 2), floats(m * n, 3)],
        {},
        tolerance,
      );
    }
  });

  it.each([
    [6, 25, 4100],
    [9, 25, 3000],
    [11, 25, 2100],
    [7, 13, 1500],
    [12, 41, 1100],
  ])('%d x %d over %d: blocks of k, a last strip of one column', (m, n, k) => {
    const [a, b] = [load(0, at(['k', k], ['m', m])), load(1, at(['k', k], ['n', n]))];
    const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
    const store = { buffer: 2, offset: at(['m', m], ['n', n]), value: acc };
    check(
      contract(abc, roles, a, b, store),
      [floats(m * k), floats(k * n, 2), floats(m * n, 3)],
      {},
      tolerance,
    );
  });

  it.each([
    [0, 5, 7],
    [5, 0, 7],
    [5, 7, 0],
    [1, 1, 1],
    [9, 20, 3],
    [33, 7, 65],
  ])('sizes bound late: %d x %d over %d', (m, n, k) => {
    const roles = { m: [axis('i', 'm')], n: [axis('j', 'n')], k: [axis('l', 'k')] };
    for (const dynamic of ['m', 'n', 'k', 'all']) {
      const size = (name: string, value: number): Poly =>
        dynamic === name || dynamic === 'all' ? s(name) : dim(Math.max(1, value));
      const [sm, sn, sk] = [size('m', m), size('n', n), size('k', k)];
      const fixed = { m: [axis('i', sm)], n: [axis('j', sn)], k: [axis('l', sk)] };
      const c = contract(
        abc,
        { ...roles, ...fixed },
        load(0, at(['i', sm], ['l', sk])),
        load(1, at(['l', sk], ['j', sn])),
        { buffer: 2, offset: at(['i', sm], ['j', sn]), value: acc },
      );
      check(c, [floats(2500), floats(2500, 2), floats(2500, 3)], { m, n, k }, tolerance);
    }
  });

  it.each([1023, 1024, 1025, 1537, 2100])('long sums: %d', (k) => {
    for (const extent of [k, 'k'] as const) {
      const roles = { m: [axis('m', 5)], n: [axis('n', 9)], k: [axis('l', extent)] };
      const c = contract(
        abc,
        roles,
        load(0, at(['m', 5], ['l', extent])),
        load(1, at(['l', extent], ['n', 9])),
        { buffer: 2, offset: at(['m', 5], ['n', 9]), value: acc },
      );
      check(c, [floats(5 * k), floats(9 * k, 2), floats(45)], { k }, { relative: 1e-3, absolute: 2e-4 });
    }
  });

  it.each([1, 64, 300, 513, 0])(
    'blocks of k over an axis of 7 and one of %d behind it, one of them backwards',
    (size) => {
      const roles = { m: [axis('m', 18)], n: [axis('n', 32)], k: [axis('t', 7), axis('l', 'k')] };
      const back = subtract(dim(6), s('t'));
      for (const [forwards, k] of [
        [load(0, at(['t', 7], ['l', 'k'], ['m', 18])), 'lanes'],
        [load(0, at(['m', 18], ['t', 7], ['l', 'k'])), 'k'],
      ] as const) {
        const c = contract(abc, roles, forwards, load(1, at([back, 7], ['l', 'k'], ['n', 32])), {
          buffer: 2,
          offset: at(['m', 18], ['n', 32]),
          value: acc,
        });
        expect(planContract(mergeRoles(c), fused)?.plan, k).toMatchObject({ packA: k, cut: 1 });
        check(c, [floats(7 * 18 * size), floats(7 * 32 * size, 2), floats(576)], { k: size }, tolerance);
      }
    },
  );

  it.each([
    ['m', 1],
    ['m', 2],
    ['n', 1],
    ['n', 3],
  ] as const)('a role that is just a dimension: %s = %d', (role, size) => {
    const [m, n, k] = role === 'm' ? [size, 45, 70] : [45, size, 70];
    const roles = {
      m: [axis('i', role === 'm' ? 'size' : m)],
      n: [axis('j', role === 'n' ? 'size' : n)],
      k: [axis('l', k)],
    };
    const by = role === 'n' ? 'size' : n;
    const c = contract(abc, roles, load(0, at(['i', m], ['l', k])), load(1, at(['l', k], ['j', by])), {
      buffer: 2,
      offset: at(['i', m], ['j', by]),
      value: acc,
    });
    const { entries } = emitWasm([c], ['size'], 3, { relaxed: false });
    expect(entries[0]?.special).toMatchObject({ dim: 'size', value: 1 });
    check(c, [floats(m * k), floats(k * n, 2), floats(m * n, 3)], { size }, tolerance);
  });

  it('blocks of m and n', () => {
    const [m, n, k] = [300, 45, 70];
    const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
    const c = contract(abc, roles, load(0, at(['m', m], ['k', k])), load(1, at(['k', k], ['n', n])), {
      buffer: 2,
      offset: at(['m', m], ['n', n]),
      value: acc,
    });
    check(c, [floats(m * k), floats(k * n, 2), floats(m * n, 3)], {}, tolerance);
  });

  it.each([
    [3, 5, 9, 12],
    [2, 16, 16, 8],
    [6, 4, 7, 30],
  ])('batched: %d times %d x %d over %d, two batch axes', (batch, m, n, k) => {
    const roles = {
      batch: [axis('h', 'heads'), axis('b', batch)],
      m: [axis('m', m)],
      n: [axis('n', n)],
      k: [axis('k', k)],
    };
    const a = load(0, at(['b', batch], ['m', m], ['h', 'heads'], ['k', k]));
    const b = load(1, at(['b', batch], ['n', n], ['h', 'heads'], ['k', k]));
    const offset = at(['b', batch], ['h', 'heads'], ['m', m], ['n', n]);
    check(
      contract(abc, roles, a, b, { buffer: 2, offset, value: acc }),
      [floats(2 * batch * m * k), floats(2 * batch * n * k, 2), floats(2 * batch * m * n)],
      { heads: 2 },
      tolerance,
    );
  });

  it('element-wise operands and ends: bias, relu, residual, mask, several stores', () => {
    const [m, n, k] = [13, 22, 31];
    const uses = [use(0), use(1), use(2), use(3), use(4, 'read', 'i32'), use(5, 'write'), use(6, 'update')];
    const a = op(
      'div',
      'f32',
      op('sub', 'f32', load(0, at(['m', m], ['k', k])), load(2, s('k'))),
      float(255),
    );
    const b = op(
      'mul',
      'f32',
      load(1, at(['k', k], ['n', n])),
      op('cast', 'f32', op('lt', 'bool', float(0), load(1, at(['k', k], ['n', n])))),
    );
    const out = at(['m', m], ['n', n]);
    const hidden = op('max', 'f32', op('add', 'f32', acc, load(3, s('n'))), float(0));
    const masked = op(
      'where',
      'f32',
      op('eq', 'bool', load(4, s('m'), 'i32'), { kind: 'index', dtype: 'i32', value: s('n'), data: [] }),
      hidden,
      float(-1),
    );
    const c = contract(
      uses,
      { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] },
      a,
      b,
      { buffer: 5, offset: out, value: masked },
      { buffer: 6, offset: out, value: op('add', 'f32', load(6, out), hidden) },
    );
    check(
      c,
      [
        floats(m * k),
        floats(k * n, 2),
        floats(k, 3),
        floats(n, 4),
        Int32Array.from({ length: m }, (_, i) => (i * 3) % n),
        floats(m * n),
        floats(m * n, 6),
      ],
      {},
      tolerance,
    );
  });

  it('rows picked by data', () => {
    const [m, n, k] = [12, 10, 20];
    const data = [{ name: '@0', value: load(2, s('m'), 'i32') }];
    const inside = [
      { kind: 'ge' as const, value: s('@0') },
      { kind: 'ge' as const, value: subtract(6, s('@0')) },
    ];
    const a = load(0, at(['@0', 7], ['k', k]), 'f32', { data, guard: inside, fill: 0.5 });
    const c = contract(
      [use(0), use(1), use(2, 'read', 'i32'), use(3, 'write')],
      { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] },
      a,
      load(1, at(['k', k], ['n', n])),
      {
        buffer: 3,
        offset: at(['m', m], ['n', n]),
        value: acc,
      },
    );
    check(
      c,
      [
        floats(7 * k),
        floats(k * n, 2),
        Int32Array.from({ length: m }, (_, i) => ((i * 5) % 9) - 1),
        floats(m * n),
      ],
      {},
      tolerance,
    );
  });
});

describe('convolutions', () => {
  interface Conv {
    readonly images: number;
    readonly c: number;
    readonly h: number;
    readonly w: number;
    readonly f: number;
    readonly r: number;
    readonly stride: number;
    readonly pad: number;
  }
  const convs: readonly Conv[] = [
    { images: 2, c: 3, h: 8, w: 8, f: 4, r: 3, stride: 1, pad: 0 },
    { images: 3, c: 1, h: 10, w: 10, f: 6, r: 5, stride: 1, pad: 2 },
    { images: 2, c: 4, h: 9, w: 7, f: 5, r: 3, stride: 2, pad: 1 },
    { images: 1, c: 2, h: 14, w: 14, f: 16, r: 5, stride: 1, pad: 0 },
    { images: 2, c: 5, h: 6, w: 6, f: 8, r: 1, stride: 1, pad: 0 },
    { images: 1, c: 3, h: 11, w: 13, f: 3, r: 4, stride: 3, pad: 0 },
  ];
  const out = (size: number, v: Conv): number => Math.floor((size + 2 * v.pad - v.r) / v.stride) + 1;
  const inside = (p: Poly, size: number) => [
    { kind: 'ge' as const, value: p },
    { kind: 'ge' as const, value: subtract(size - 1, p) },
  ];

  function parts(v: Conv) {
    const [oh, ow] = [out(v.h, v), out(v.w, v)];
    const row = subtract(add(scale(s('i'), v.stride), s('p')), v.pad);
    const column = subtract(add(scale(s('j'), v.stride), s('q')), v.pad);
    const guard = v.pad > 0 ? [...inside(row, v.h), ...inside(column, v.w)] : [];
    const axes = {
      b: axis('b', 'batch'),
      c: axis('c', v.c),
      f: axis('f', v.f),
      p: axis('p', v.r),
      q: axis('q', v.r),
      i: axis('i', oh),
      j: axis('j', ow),
    };
    const lengths = [v.images * v.c * v.h * v.w, v.f * v.c * v.r * v.r, v.images * v.f * oh * ow] as const;
    return {
      axes,
      x: (buffer: number) =>
        load(buffer, at(['b', 'batch'], ['c', v.c], [row, v.h], [column, v.w]), 'f32', { guard }),
      w: at(['f', v.f], ['c', v.c], ['p', v.r], ['q', v.r]),
      y: at(['b', 'batch'], ['f', v.f], ['i', oh], ['j', ow]),
      lengths,
      oh,
      ow,
    };
  }

  it.each(convs)('forward $c x $h x $w to $f, window $r, stride $stride, padding $pad', (v) => {
    const { axes, x, w, y, lengths } = parts(v);
    const c = contract(
      [use(0), use(1), use(2), use(3, 'write')],
      { m: [axes.f], n: [axes.b, axes.i, axes.j], k: [axes.c, axes.p, axes.q] },
      load(1, w),
      x(0),
      { buffer: 3, offset: y, value: op('max', 'f32', op('add', 'f32', acc, load(2, s('f'))), float(0)) },
    );
    check(
      c,
      [floats(lengths[0]), floats(lengths[1], 2), floats(v.f, 3), floats(lengths[2])],
      { batch: v.images },
      tolerance,
    );
  });

  it.each(convs)(
    'gradient of the weights $c x $h x $w to $f, window $r, stride $stride, padding $pad',
    (v) => {
      const { axes, x, w, y, lengths } = parts(v);
      const c = contract(
        abc,
        { m: [axes.f], n: [axes.c, axes.p, axes.q], k: [axes.b, axes.i, axes.j] },
        load(0, y),
        x(1),
        { buffer: 2, offset: w, value: acc },
      );
      check(
        c,
        [floats(lengths[2]), floats(lengths[0], 2), floats(lengths[1])],
        { batch: v.images },
        tolerance,
      );
    },
  );

  it.each(convs)('gradient of the input $c x $h x $w to $f, window $r, stride $stride, padding $pad', (v) => {
    const { axes, lengths, oh, ow } = parts(v);
    const [r, t] = [subtract(add(s('u'), v.pad), s('p')), subtract(add(s('v'), v.pad), s('q'))];
    const [i, j] = [floorDivide(r, v.stride), floorDivide(t, v.stride)];
    const guard = [...inside(i, oh), ...inside(j, ow)];
    const phase =
      v.stride > 1
        ? [
            { kind: 'eq' as const, value: floorMod(r, v.stride) },
            { kind: 'eq' as const, value: floorMod(t, v.stride) },
          ]
        : [];
    const dy = load(0, at(['b', 'batch'], ['f', v.f], [i, oh], [j, ow]), 'f32', {
      guard: [...guard, ...phase],
    });
    const c = contract(
      abc,
      { m: [axes.c], n: [axes.b, axis('u', v.h), axis('v', v.w)], k: [axes.f, axes.p, axes.q] },
      load(1, at(['f', v.f], ['c', v.c], ['p', v.r], ['q', v.r])),
      dy,
      { buffer: 2, offset: at(['b', 'batch'], ['c', v.c], ['u', v.h], ['v', v.w]), value: acc },
    );
    check(c, [floats(lengths[2]), floats(lengths[1], 2), floats(lengths[0])], { batch: v.images }, tolerance);
  });
});
