/** Into how many units contractions are cut, so that threads can share them. */
import { expect, it } from 'vitest';
import { emitWasm } from '../../compiler/backend/wasm/index.ts';
import type { ContractKernel } from '../../compiler/kernel/kernel.ts';
import { shapeOf } from '../../runtime/wasm/threads.ts';
import { add, evaluate, symbol } from '../../compiler/shape/poly.ts';
import { abc, acc, at, contract, use } from './contractions.ts';
import { axis, floats, load, op, runWasm } from './harness.ts';
import { map, rows } from './row-kernels.ts';

/** The gradient of the weights of a convolution of 28 x 28 pixels. */
function weightGradient(filters: number, taps: number): ContractKernel {
  const out = 28 - taps + 1;
  return contract(
    abc,
    {
      m: [axis('f', filters)],
      n: [axis('p', taps), axis('q', taps)],
      k: [axis('b', 'batch'), axis('i', out), axis('j', out)],
    },
    load(0, at(['b', 'batch'], ['f', filters], ['i', out], ['j', out])),
    load(1, at(['b', 'batch'], [add(symbol('i'), symbol('p')), 28], [add(symbol('j'), symbol('q')), 28])),
    { buffer: 2, offset: at(['f', filters], ['p', taps], ['q', taps]), value: acc },
  );
}

function unitsOf(kernel: ContractKernel): number {
  const [entry] = emitWasm([kernel], ['batch'], 3, { relaxed: false }).entries;
  return evaluate(entry!.units, () => 64);
}

it.each([
  ['six filters, whose pixels are cheap to pack again', 6, 5],
  ['32 filters over nine taps, which are cheap to pack again', 32, 3],
])('%s: units for two threads', (_, filters, taps) => {
  expect(unitsOf(weightGradient(filters, taps))).toBeGreaterThanOrEqual(2);
});

it('columns that are not whole strips are cut near the middle', () => {
  // A strip has 12 of the 25: two units of 12 and 13, of which one thread does as much as the other.
  const [m, n, k] = [6, 25, 4096];
  const offset = at(['m', m], ['n', n]);
  const kernel = contract(
    abc,
    { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] },
    load(0, at(['k', k], ['m', m])),
    load(1, at(['k', k], ['n', n])),
    { buffer: 2, offset, value: acc },
  );
  const buffers = [floats(m * k), floats(k * n, 2), new Float32Array(m * n)];
  const columnsOf = (units: number): number => {
    const found = runWasm([kernel], buffers, {}, { relaxed: false, units })[2]!;
    return Array.from(found.subarray(0, n)).filter((x) => x !== 0).length;
  };
  expect([1, 2].map(columnsOf)).toEqual([12, 25]);
});

it('blocks of rows are even in number', () => {
  // 128 rows of 512 terms are a block: there are five of them.
  const offset = at(['m', 640], ['n', 128]);
  const kernel = contract(
    [use(0), use(1), ...[2, 3, 4].map((buffer) => use(buffer, 'update'))],
    { m: [axis('m', 640)], n: [axis('n', 128)], k: [axis('b', 'batch'), axis('t', 64)] },
    load(0, at(['b', 'batch'], ['t', 64], ['m', 640])),
    load(1, at(['b', 'batch'], ['t', 64], ['n', 128])),
    ...[2, 3, 4].map((buffer) => ({ buffer, offset, value: acc })),
  );
  const [entry] = emitWasm([kernel], ['batch'], 5, { relaxed: false }).entries;
  expect(evaluate(entry!.units, () => 16)).toBe(6);
});

it('a row of what costs much is cut into parts of 64 elements, the last with what is left', () => {
  const [batch, columns] = [3, 150];
  const offset = at(['i', batch], ['j', columns]);
  // The rows that are read lie apart: the two axes stay two.
  let value = load(0, at(['i', batch], ['j', 200]));
  for (const fn of ['tanh', 'sigmoid', 'tanh', 'sigmoid', 'tanh', 'sigmoid'] as const)
    value = op(fn, 'f32', value);
  const kernel = rows(
    [use(0), use(1, 'write')],
    [axis('i', 'batch'), axis('j', columns)],
    [map({ buffer: 1, offset, value })],
  );
  const [entry] = emitWasm([kernel], ['batch'], 2, { relaxed: false }).entries;
  expect(evaluate(entry!.units, () => batch)).toBe(2 * batch);
  const buffers = [floats(batch * 200), new Float32Array(batch * columns)];
  const written = (units: number): number => {
    const found = runWasm([kernel], buffers, { batch }, { relaxed: false, units })[1]!;
    return Array.from(found).filter((x) => x !== 0).length;
  };
  expect([1, 2, 3, 6].map(written)).toEqual([64, 150, 214, 450]);
});

it('pieces are as even as units let them be', () => {
  const shared = (units: number, pieces: number): number => {
    const step = { dims: [], units: [units], shared: [true], pieces: [pieces], which: [0], loops: [] };
    return shapeOf(step, 2, 1).words[1]!;
  };
  // Of 22 units in 7 pieces, three and four for two threads, one would do 9 and the other 13.
  expect([shared(22, 7), shared(22, 1), shared(3, 8), shared(1e6, 1000)]).toEqual([8, 2, 3, 64]);
});
