/** Kernels by hand, of the forms that networks are made of. */
import {
  add,
  constant as int,
  floorDivide,
  floorMod,
  multiply,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';
import type { Case, Roles, Size } from '../support/kernel-build.ts';
import {
  at,
  axes,
  cast,
  constant,
  contract,
  eq,
  ge,
  indexOf,
  load,
  local,
  map,
  op,
  poly,
  reduce,
  reduction,
  rows,
  scatter,
  sized,
  store,
} from '../support/kernel-build.ts';

export const count = (...sizes: readonly Size[]) => multiply(int(1), ...sizes.map(poly));

/** relu(x @ w + b), each operand stored as it is or transposed. */
export function dense(m: Size, n: Size, k: Size, transposed = { a: false, b: false }, name = 'dense'): Case {
  const kernel = contract(
    name,
    ['r f32', 'r f32', 'r f32', 'w f32'],
    { m: { i: m }, n: { j: n }, k: { k } },
    load(0, transposed.a ? at([k, m], 'k', 'i') : at([m, k], 'i', 'k')),
    load(1, transposed.b ? at([n, k], 'j', 'k') : at([k, n], 'k', 'j')),
    store(3, at([m, n], 'i', 'j'), op('max', op('add', local('acc'), load(2, 'j')), constant(0))),
  );
  return sized(kernel, count(m, k), count(k, n), n, count(m, n));
}

/** y[b] = x[b] @ w[b]^T */
export function batched(batch: Size, m: Size, n: Size, k: Size): Case {
  const kernel = contract(
    'batched',
    ['r f32', 'r f32', 'w f32'],
    { batch: { b: batch }, m: { i: m }, n: { j: n }, k: { k } },
    load(0, at([batch, m, k], 'b', 'i', 'k')),
    load(1, at([batch, n, k], 'b', 'j', 'k')),
    store(2, at([batch, m, n], 'b', 'i', 'j'), local('acc')),
  );
  return sized(kernel, count(batch, m, k), count(batch, n, k), count(batch, m, n));
}

/** Integers wrap alike everywhere. */
export function denseInteger(dtype: 'i32' | 'u32'): Case {
  const kernel = contract(
    `dense_${dtype}`,
    [`r ${dtype}`, `r ${dtype}`, `w ${dtype}`],
    { m: { i: 5 }, n: { j: 7 }, k: { k: 33 } },
    load(0, at([5, 33], 'i', 'k'), { dtype }),
    load(1, at([33, 7], 'k', 'j'), { dtype }),
    store(2, at([5, 7], 'i', 'j'), local('acc', dtype)),
  );
  return sized(kernel, 5 * 33, 33 * 7, 35);
}

export interface Conv {
  readonly channels: number;
  readonly filters: number;
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

/** y[n, f, i, j] = sum(c, r, s) x[n, c, i*stride + r - padding, …] * w[f, c, r, s], with 0 around x. */
export function conv({ channels: C, filters: F, size: H, kernel: K, stride, padding }: Conv): Case {
  const O = Math.floor((H + 2 * padding - K) / stride) + 1;
  const h = add(multiply(symbol('i'), stride), symbol('r'), -padding);
  const w = add(multiply(symbol('j'), stride), symbol('s'), -padding);
  const guard = padding === 0 ? [] : [ge(h), ge(subtract(H - 1, h)), ge(w), ge(subtract(H - 1, w))];
  const roles: Roles = { m: { n: 'batch', i: O, j: O }, n: { f: F }, k: { c: C, r: K, s: K } };
  const kernel = contract(
    'conv',
    ['r f32', 'r f32', 'w f32'],
    roles,
    load(0, at(['batch', C, H, H], 'n', 'c', h, w), { guard }),
    load(1, at([F, C, K, K], 'f', 'c', 'r', 's')),
    store(2, at(['batch', F, O, O], 'n', 'f', 'i', 'j'), local('acc')),
  );
  return sized(kernel, count('batch', C, H, H), F * C * K * K, count('batch', F, O, O));
}

/** dw[f, c, r, s] = sum(n, i, j) dy[n, f, i, j] * x[n, c, i*stride + r - padding, …] */
export function convFilterGradient({
  channels: C,
  filters: F,
  size: H,
  kernel: K,
  stride,
  padding,
}: Conv): Case {
  const O = Math.floor((H + 2 * padding - K) / stride) + 1;
  const h = add(multiply(symbol('i'), stride), symbol('r'), -padding);
  const w = add(multiply(symbol('j'), stride), symbol('s'), -padding);
  const guard = [ge(h), ge(subtract(H - 1, h)), ge(w), ge(subtract(H - 1, w))];
  const kernel = contract(
    'conv_filter_gradient',
    ['r f32', 'r f32', 'w f32'],
    { m: { f: F }, n: { c: C, r: K, s: K }, k: { n: 'batch', i: O, j: O } },
    load(0, at(['batch', F, O, O], 'n', 'f', 'i', 'j')),
    load(1, at(['batch', C, H, H], 'n', 'c', h, w), { guard }),
    store(2, at([F, C, K, K], 'f', 'c', 'r', 's'), local('acc')),
  );
  return sized(kernel, count('batch', F, O, O), count('batch', C, H, H), F * C * K * K);
}

/** dx[n, c, h, w] = sum(f, r, s) dy[n, f, (h + padding - r) / stride, …] * w[f, c, r, s] where that divides. */
export function convInputGradient({
  channels: C,
  filters: F,
  size: H,
  kernel: K,
  stride,
  padding,
}: Conv): Case {
  const O = Math.floor((H + 2 * padding - K) / stride) + 1;
  const from = (h: string, r: string) => add(symbol(h), padding, multiply(symbol(r), -1));
  const guardOf = (h: string, r: string) => {
    const p = from(h, r);
    return [eq(floorMod(p, stride)), ge(floorDivide(p, stride)), ge(subtract(O - 1, floorDivide(p, stride)))];
  };
  const guard = [...guardOf('h', 'r'), ...guardOf('w', 's')];
  const offset = at(
    ['batch', F, O, O],
    'n',
    'f',
    floorDivide(from('h', 'r'), stride),
    floorDivide(from('w', 's'), stride),
  );
  const kernel = contract(
    'conv_input_gradient',
    ['r f32', 'r f32', 'w f32'],
    { m: { n: 'batch', h: H, w: H }, n: { c: C }, k: { f: F, r: K, s: K } },
    load(0, offset, { guard }),
    load(1, at([F, C, K, K], 'f', 'c', 'r', 's')),
    store(2, at(['batch', C, H, H], 'n', 'c', 'h', 'w'), local('acc')),
  );
  return sized(kernel, count('batch', F, O, O), F * C * K * K, count('batch', C, H, H));
}

/** A prologue on both operands, an epilogue that updates in place and a second output. */
export function fused(m: Size, n: Size, k: Size): Case {
  const x = load(0, at([m, k], 'i', 'k'));
  const acc = local('acc');
  const sum = op('add', acc, load(1, at([m, n], 'i', 'j')));
  const kernel = contract(
    'fused',
    ['r f32', 'u f32', 'w bool'],
    { m: { i: m }, n: { j: n }, k: { k } },
    op('where', op('lt', x, constant(0)), op('exp', x), constant(1)),
    op(
      'mul',
      op('cos', load(0, at([m, k], floorMod(symbol('j'), poly(m)), 'k'))),
      cast(indexOf(add(symbol('k'), 1)), 'f32'),
    ),
    store(1, at([m, n], 'i', 'j'), sum),
    store(2, at([m, n], 'i', 'j'), op('lt', constant(0), sum)),
  );
  return sized(kernel, count(m, k), count(m, n), count(m, n));
}

/** x^T @ g, and the column sums of g, added to what stood there: the gradients of a weight and its bias. */
export function withSums(m: Size, n: Size, k: Size): Case {
  const kernel = contract(
    'with_sums',
    ['r f32', 'r f32', 'w f32', 'u f32'],
    { m: { i: m }, n: { j: n }, k: { k } },
    load(0, at([k, m], 'k', 'i')),
    load(1, at([k, n], 'k', 'j')),
    store(2, at([m, n], 'i', 'j'), local('acc')),
  );
  const sums = [store(3, 'j', op('add', load(3, 'j'), local('sum')))];
  return sized({ ...kernel, sums }, count(k, m), count(k, n), count(m, n), n);
}

/** x^T @ w and the sums of w's columns, over k in parts of `length`. */
export function inParts(m: Size, n: Size, k: Size, parts: number, length: Size): Case {
  const kernel = contract(
    'in_parts',
    ['r f32', 'r f32', 'w f32', 'w f32'],
    { m: { i: m }, n: { j: n }, k: { k } },
    load(0, at([k, m], 'k', 'i')),
    load(1, at([k, n], 'k', 'j')),
    store(2, at([parts, m, n], 'p', 'i', 'j'), local('acc')),
  );
  const sums = [store(3, at([parts, n], 'p', 'j'), local('sum'))];
  const [axis] = axes({ p: parts });
  return sized(
    { ...kernel, sums, parts: { axis: axis!, length: poly(length) } },
    count(k, m),
    count(k, n),
    count(parts, m, n),
    count(parts, n),
  );
}

/** exp(x - max) / sum, and the log of the sum. */
export function softmax(n: Size, m: Size, strideOne: 'inner' | 'grid' = 'inner'): Case {
  const x = (i: string) => (strideOne === 'inner' ? at([n, m], 'b', i) : at([m, n], i, 'b'));
  const e = (i: string) => op('exp', op('sub', load(0, x(i)), local('most')));
  const kernel = rows(
    'softmax',
    ['r f32', 'u f32', 'w f32'],
    { b: n },
    reduce({ i: m }, reduction('most', 'max', load(0, x('i')))),
    map({ j: m }, store(1, x('j'), e('j'))),
    reduce({ k: m }, reduction('total', 'sum', load(1, x('k')))),
    map({ l: m }, store(1, x('l'), op('div', load(1, x('l')), local('total')))),
    map({}, store(2, 'b', op('log', local('total')))),
  );
  return sized(kernel, count(n, m), count(n, m), n);
}

/** Two reductions of a column each, over rows. */
export function columnSums(n: Size, m: Size): Case {
  const x = load(0, at([n, m], 'i', 'c'));
  const kernel = rows(
    'column_sums',
    ['r f32', 'w f32', 'w f32'],
    { c: m },
    reduce({ i: n }, reduction('total', 'sum', x), reduction('squares', 'sum', op('mul', x, x))),
    map({}, store(1, 'c', local('total')), store(2, 'c', local('squares'))),
  );
  return sized(kernel, count(n, m), m, m);
}

/** Everything into one number, of every dtype that reduces. */
export function total(n: Size): Case {
  const kernel = rows(
    'total',
    ['r f32', 'r i32', 'r u32', 'w f32', 'w i32', 'w u32', 'w bool'],
    {},
    reduce(
      { i: n },
      reduction('mean', 'sum', load(0, 'i')),
      reduction('least', 'min', load(0, 'i')),
      reduction('sum', 'sum', load(1, 'i', { dtype: 'i32' })),
      reduction('product', 'prod', op('add', load(2, 'i', { dtype: 'u32' }), constant(1, 'u32'))),
      reduction('any', 'max', op('lt', constant(1.99), load(0, 'i'))),
      reduction('all', 'min', op('lt', constant(-1.99), load(0, 'i'))),
    ),
    map(
      {},
      store(3, 0, local('mean')),
      store(3, 1, local('least')),
      store(4, 0, local('sum', 'i32')),
      store(5, 0, local('product', 'u32')),
      store(6, 0, local('any', 'bool')),
      store(6, 1, local('all', 'bool')),
    ),
  );
  return sized(kernel, n, n, n, 2, 1, 1, 2);
}

/** 2 by 2 maxima with padding of minus infinity. */
export function maxPool(channels: number, size: number): Case {
  const O = Math.floor(size / 2) + 1;
  const h = add(multiply(symbol('i'), 2), symbol('r'), -1);
  const w = add(multiply(symbol('j'), 2), symbol('s'), -1);
  const guard = [ge(h), ge(subtract(size - 1, h)), ge(w), ge(subtract(size - 1, w))];
  const x = load(0, at(['batch', channels, size, size], 'n', 'c', h, w), { guard, fill: -Infinity });
  const kernel = rows(
    'max_pool',
    ['r f32', 'w f32'],
    { n: 'batch', c: channels, i: O, j: O },
    reduce({ r: 2, s: 2 }, reduction('most', 'max', x)),
    map({}, store(1, at(['batch', channels, O, O], 'n', 'c', 'i', 'j'), local('most'))),
  );
  return sized(kernel, count('batch', channels, size, size), count('batch', channels, O, O));
}

/** Independent maps of different sizes side by side, one of them in place: Adam without its schedule. */
export function optimizer(sizes: readonly number[]): Case {
  const stages = sizes.map((n, i) => {
    const [w, g, m] = [load(3 * i, `e${i}`), load(3 * i + 1, `e${i}`), load(3 * i + 2, `e${i}`)];
    const next = op('add', op('mul', constant(0.9), m), op('mul', constant(0.1), g));
    const value = op('sub', w, op('div', next, op('add', op('sqrt', op('mul', next, next)), constant(1e-3))));
    return map({ [`e${i}`]: n }, store(3 * i + 2, `e${i}`, next), store(3 * i, `e${i}`, value));
  });
  const kernel = rows(
    'optimizer',
    sizes.flatMap(() => ['u f32', 'r f32', 'u f32'] as const),
    {},
    ...stages,
  );
  return sized(kernel, ...sizes.flatMap((n) => [n, n, n]));
}

/** y[b, c, i, j] = x[b, c, i, j] * z[c] + w[c, j] where x is not negative, and whether it is not. */
export function scaled(batch: Size, channels: number, size: number): Case {
  const shape = [batch, channels, size, 4] as const;
  const x = load(0, at(shape, 'b', 'c', 'i', 'j'));
  const isUsed = op('le', constant(0), x);
  const w = load(2, at([channels, 4], 'c', 'j'), {
    guard: [ge(subtract(channels - 2, symbol('c')))],
    fill: 7,
  });
  const kernel = rows(
    'scaled',
    ['r f32', 'r f32', 'r f32', 'w f32', 'w u32'],
    { b: batch, c: channels, i: size, j: 4 },
    map(
      {},
      store(
        3,
        at(shape, 'b', 'c', 'i', 'j'),
        op('where', isUsed, op('add', op('mul', x, load(1, 'c')), w), constant(-1)),
      ),
      store(4, at(shape, 'b', 'c', 'i', 'j'), cast(isUsed, 'u32')),
    ),
  );
  const all = count(...shape);
  return sized(kernel, all, channels, channels * 4, all, all);
}

/** x @ x^T plus the first column of x. */
export function gram(m: number, k: number): Case {
  const kernel = contract(
    'gram',
    ['r f32', 'w f32'],
    { m: { i: m }, n: { j: m }, k: { k } },
    load(0, at([m, k], 'i', 'k')),
    load(0, at([m, k], 'j', 'k')),
    store(1, at([m, m], 'i', 'j'), op('add', local('acc'), load(0, at([m, k], 'i', 0)))),
  );
  return sized(kernel, m * k, m * m);
}

/** dtable[id[i], e] += dy[i, e] */
export function embeddingGradient(n: Size, rowsOfTable: number, width: number): Case {
  const id = { name: '@0', value: load(0, 'i', { dtype: 'i32' }) };
  const kernel = scatter('embedding_gradient', ['r i32', 'r f32', 'w f32'], {
    grid: axes({ e: width }),
    clear: { axes: axes({ row: rowsOfTable }), offset: at([rowsOfTable, width], 'row', 'e') },
    axes: axes({ i: n }),
    target: 2,
    offset: at([rowsOfTable, width], '@0', 'e'),
    guard: [ge('@0'), ge(subtract(rowsOfTable - 1, symbol('@0')))],
    data: [id],
    value: load(1, at([n, width], 'i', 'e')),
  });
  return sized(kernel, n, count(n, width), rowsOfTable * width);
}

/** y[i, e] = table[id[i], e], or -1 where the id is out of range. */
export function gather(n: Size, rowsOfTable: number, width: number): Case {
  const data = [{ name: '@0', value: load(0, 'i', { dtype: 'i32' }) }];
  const guard = [ge('@0'), ge(subtract(rowsOfTable - 1, symbol('@0')))];
  const row = load(1, at([rowsOfTable, width], '@0', 'e'), { data, guard, fill: -1 });
  const kernel = rows(
    'gather',
    ['r i32', 'r f32', 'w f32'],
    { i: n, e: width },
    map({}, store(2, at([n, width], 'i', 'e'), row)),
  );
  return sized(kernel, n, rowsOfTable * width, count(n, width));
}

/** The place of each row's maximum: an integer local that an index names. */
export function argmax(n: Size, m: number): Case {
  const x = (i: string) => load(0, at([n, m], 'b', i));
  const place = op('where', op('eq', x('j'), local('most')), indexOf('j'), constant(m, 'i32'));
  const kernel = rows(
    'argmax',
    ['r f32', 'w i32', 'w f32'],
    { b: n },
    reduce({ i: m }, reduction('most', 'max', x('i'))),
    reduce({ j: m }, reduction('where', 'min', place)),
    map({}, store(1, 'b', local('where', 'i32')), store(2, 'b', load(0, at([n, m], 'b', 'where')))),
  );
  return sized(kernel, count(n, m), n, n);
}
