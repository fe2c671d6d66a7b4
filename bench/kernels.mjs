// Speed of generated Wasm kernels on one thread: GFLOP/s of contractions, GB/s of element-wise work.
//
//   node bench/kernels.mjs [--only SUBSTRING] [--strict] [--ms 300] [--dist DIR]
//
// Needs a build (npm run build).
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    strict: { type: 'boolean', default: false },
    ms: { type: 'string', default: '300' },
    dist: { type: 'string', default: join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist') },
  },
});
const load = (path) => import(pathToFileURL(join(values.dist, path)).href);
const { emitWasm } = await load('compiler/backend/wasm/index.js');
const { add, constant, evaluate, multiply, scale, symbol } = await load('compiler/shape/poly.js');
const { supportsRelaxedSimd } = await load('runtime/wasm.js');
const relaxed = !values.strict && supportsRelaxedSimd();

// ---------------------------------------------------------------- kernels

const dim = (p) => (typeof p === 'number' ? constant(p) : typeof p === 'string' ? symbol(p) : p);
const axis = (name, extent) => ({ name, extent: dim(extent) });
const at = (...pairs) =>
  pairs.reduce((sum, [i, extent]) => add(multiply(sum, dim(extent)), dim(i)), constant(0));
const read = (buffer, offset) => ({
  kind: 'load',
  dtype: 'f32',
  buffer,
  offset: dim(offset),
  guard: [],
  fill: 0,
  data: [],
});
const op = (fn, ...args) => ({ kind: 'op', fn, dtype: 'f32', args });
const float = (value) => ({ kind: 'const', dtype: 'f32', value });
const acc = { kind: 'local', dtype: 'f32', name: 'acc' };
const use = (buffer, mode = 'read') => ({ buffer, dtype: 'f32', mode });
const inputs = [use(0), use(1), use(2, 'update')];

function contract(roles, a, b, ...stores) {
  return { kind: 'contract', name: 'c', notes: [], buffers: inputs, batch: [], ...roles, a, b, stores };
}

/** [m, n] over k; `layout`: which operands are stored transposed. */
function gemm(m, n, k, layout = '') {
  const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
  const a = layout.includes('a') ? at(['k', k], ['m', m]) : at(['m', m], ['k', k]);
  const b = layout.includes('b') ? at(['n', n], ['k', k]) : at(['k', k], ['n', n]);
  return contract(roles, read(0, a), read(1, b), { buffer: 2, offset: at(['m', m], ['n', n]), value: acc });
}

/** Images [batch, c, h, w], filters [f, c, r, r]; the input has its padding already. */
function conv(kind, { batch, c, h, w, f, r }) {
  const [oh, ow] = [h - r + 1, w - r + 1];
  const [b, ci, fi] = [axis('b', batch), axis('c', c), axis('f', f)];
  const [p, q, i, j] = [axis('p', r), axis('q', r), axis('i', oh), axis('j', ow)];
  const x = at(
    ['b', batch],
    ['c', c],
    [add(symbol('i'), symbol('p')), h],
    [add(symbol('j'), symbol('q')), w],
  );
  const filter = at(['f', f], ['c', c], ['p', r], ['q', r]);
  const y = at(['b', batch], ['f', f], ['i', oh], ['j', ow]);
  if (kind === 'forward')
    return contract({ m: [fi], n: [b, i, j], k: [ci, p, q] }, read(0, filter), read(1, x), {
      buffer: 2,
      offset: y,
      value: op('max', acc, float(0)),
    });
  if (kind === 'dW')
    return contract({ m: [fi], n: [ci, p, q], k: [b, i, j] }, read(0, y), read(1, x), {
      buffer: 2,
      offset: filter,
      value: acc,
    });
  // dx: dy has a halo of r - 1 on every side.
  const [u, v] = [axis('u', h), axis('v', w)];
  const dy = at(
    ['b', batch],
    ['f', f],
    [add(symbol('u'), r - 1, scale(symbol('p'), -1)), h + r - 1],
    [add(symbol('v'), r - 1, scale(symbol('q'), -1)), w + r - 1],
  );
  return contract({ m: [ci], n: [b, u, v], k: [fi, p, q] }, read(0, filter), read(1, dy), {
    buffer: 2,
    offset: at(['b', batch], ['c', c], ['u', h], ['v', w]),
    value: acc,
  });
}

const rows = (grid, ...stages) => ({ kind: 'rows', name: 'r', notes: [], buffers: inputs, grid, stages });
const map = (value, offset = symbol('i')) => ({
  kind: 'map',
  axes: [],
  stores: [{ buffer: 2, offset, value }],
});
const x = read(0, 'i');
const y = read(1, 'i');
const large = 1 << 16;

/** name, kernel, dims, flops (or bytes with the unit GB/s). */
const cases = [
  ...[256, 512].map((n) => [`gemm ${n}`, gemm(n, n, n), {}, 2 * n ** 3]),
  ['gemm 512 a^T b', gemm(512, 512, 512, 'a'), {}, 2 * 512 ** 3],
  ['gemm 512 a b^T', gemm(512, 512, 512, 'b'), {}, 2 * 512 ** 3],
  ...[
    ['mlp1 forward', 'batch', 500, 784, ''],
    ['mlp1 dW', 784, 500, 'batch', 'a'],
    ['mlp2 forward', 'batch', 10, 500, ''],
    ['mlp2 dx', 'batch', 500, 10, 'b'],
    ['mlp2 dW', 500, 10, 'batch', 'a'],
    ['dense 784x500 batch 1', 1, 500, 784, ''],
  ].map(([name, m, n, k, layout]) => [
    name,
    gemm(m, n, k, layout),
    { batch: 64 },
    2 * [m, n, k].reduce((p, d) => p * (d === 'batch' ? 64 : d), 1),
  ]),
  ...[
    ['lenet conv1', { batch: 'batch', c: 1, h: 32, w: 32, f: 6, r: 5 }],
    ['lenet conv2', { batch: 'batch', c: 6, h: 14, w: 14, f: 16, r: 5 }],
    ['cnn 32-64', { batch: 'batch', c: 32, h: 26, w: 26, f: 64, r: 3 }],
  ].flatMap(([name, v]) =>
    ['forward', 'dW', 'dx'].map((kind) => {
      const flops =
        2 * 64 * v.f * v.c * v.r * v.r * (kind === 'dx' ? v.h * v.w : (v.h - v.r + 1) * (v.w - v.r + 1));
      return [`${name} ${kind}`, conv(kind, v), { batch: 64 }, flops];
    }),
  ),
  ['add 4096', rows([axis('i', 4096)], map(op('add', x, y))), {}, 12 * 4096, 'GB/s'],
  ['relu 65536', rows([axis('i', large)], map(op('max', x, float(0)))), {}, 8 * large, 'GB/s'],
  ...['exp', 'log', 'tanh', 'erf', 'sin'].map((fn) => [
    `${fn} 4096`,
    rows([axis('i', 4096)], map(op(fn, x))),
    {},
    4096,
    'G/s',
  ]),
  [
    'sum of 65536',
    rows(
      [],
      {
        kind: 'reduce',
        axes: [axis('i', large)],
        reductions: [{ name: 'acc', fn: 'sum', dtype: 'f32', value: x }],
      },
      map(acc, constant(0)),
    ),
    {},
    4 * large,
    'GB/s',
  ],
  [
    'column sums 64x500',
    rows(
      [axis('j', 500)],
      {
        kind: 'reduce',
        axes: [axis('i', 64)],
        reductions: [{ name: 'acc', fn: 'sum', dtype: 'f32', value: read(0, at(['i', 64], ['j', 500])) }],
      },
      map(acc, symbol('j')),
    ),
    {},
    4 * 32000,
    'GB/s',
  ],
  [
    'pool 64x6x28x28',
    rows(
      [axis('c', 384), axis('i', 14), axis('j', 14)],
      {
        kind: 'reduce',
        axes: [axis('p', 2), axis('q', 2)],
        reductions: [
          {
            name: 'acc',
            fn: 'max',
            dtype: 'f32',
            value: read(
              0,
              at(
                ['c', 384],
                [add(scale(symbol('i'), 2), symbol('p')), 28],
                [add(scale(symbol('j'), 2), symbol('q')), 28],
              ),
            ),
          },
        ],
      },
      map(acc, at(['c', 384], ['i', 14], ['j', 14])),
    ),
    {},
    5 * 384 * 196 * 4,
    'GB/s',
  ],
  ['softmax 64x10', softmax(64, 10), {}, 640, 'G/s'],
  ['softmax 64x1000', softmax(64, 1000), {}, 64000, 'G/s'],
];

function softmax(n, c) {
  const o = at(['i', n], ['j', c]);
  const j = [axis('j', c)];
  const local = (name) => ({ kind: 'local', dtype: 'f32', name });
  const e = op('exp', op('sub', read(0, o), local('m')));
  return rows(
    [axis('i', n)],
    { kind: 'reduce', axes: j, reductions: [{ name: 'm', fn: 'max', dtype: 'f32', value: read(0, o) }] },
    { kind: 'map', axes: j, stores: [{ buffer: 2, offset: o, value: e }] },
    { kind: 'reduce', axes: j, reductions: [{ name: 's', fn: 'sum', dtype: 'f32', value: read(2, o) }] },
    { kind: 'map', axes: j, stores: [{ buffer: 2, offset: o, value: op('div', read(2, o), local('s')) }] },
  );
}

// ---------------------------------------------------------------- measuring

const bufferBytes = 1 << 24;

function prepare(kernel, dims) {
  const names = Object.keys(dims);
  const emitted = emitWasm([kernel], names, 3, { relaxed });
  const global = (value, mutable) => new WebAssembly.Global({ value: 'i32', mutable }, value);
  const env = {
    memory: new WebAssembly.Memory({ initial: (bufferBytes * 5) / 65536 }),
    scratch: global(4 * bufferBytes, false),
  };
  for (let i = 0; i < 3; i++) env[`b${i}`] = global(65536 + i * (bufferBytes + 4096), false);
  names.forEach((name, i) => (env[`d${i}`] = global(dims[name], true)));
  const floats = new Float32Array(env.memory.buffer);
  for (let i = 0; i < floats.length; i++) floats[i] = ((i * 7919) % 13) / 8 - 0.7;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(emitted.bytes), { env });
  const [{ entry, units }] = emitted.entries;
  const total = evaluate(units, (name) => dims[name]);
  return { run: () => exports[entry](0, total, 0), bytes: emitted.bytes.length };
}

console.log(`${process.version}, ${relaxed ? 'relaxed' : 'strict'}, 1 thread`);
for (const [name, kernel, dims, work, unit = 'GFLOP/s'] of cases) {
  if (!name.includes(values.only)) continue;
  const { run, bytes } = prepare(kernel, dims);
  let best = Infinity;
  const until = performance.now() + Number(values.ms);
  for (let repeat = 1; performance.now() < until;) {
    const start = performance.now();
    for (let i = 0; i < repeat; i++) run();
    const each = (performance.now() - start) / repeat;
    best = Math.min(best, each);
    repeat = Math.max(1, Math.min(1000, Math.round(5 / each)));
  }
  console.log(
    `${name.padEnd(24)} ${(work / best / 1e6).toFixed(2).padStart(8)} ${unit.padEnd(8)} ${(best * 1000).toFixed(1).padStart(9)} us ${bytes} bytes`,
  );
}
