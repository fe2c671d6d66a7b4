/** How a contraction is run: row by row, with panels made before the run. */
import { describe, expect, it } from 'vitest';
import { mergeRoles, planContract } from '../../compiler/backend/wasm/contract/plan.ts';
import { emitWasm } from '../../compiler/backend/wasm/index.ts';
import type { ContractKernel } from '../../compiler/kernel/kernel.ts';
import { evaluate } from '../../compiler/shape/poly.ts';
import { supportsRelaxedSimd } from '../../runtime/wasm.ts';
import { evaluateKernel } from '../support/kernel-eval.ts';
import { abc, acc, at, contract, use } from './contractions.ts';
import { axis, check, expectClose, float, floats, load, op } from './harness.ts';

/** A momentum and a parameter change where the sum is stored, as in the gradient of a weight. */
const update = (m: number, n: number, extent: number | string): ContractKernel => {
  const offset = at(['m', m], ['n', n]);
  const moved = op('add', 'f32', op('mul', 'f32', load(2, offset), float(0.9)), acc);
  return {
    ...contract(
      [use(0), use(1), use(2, 'update'), use(3, 'update')],
      { m: [axis('m', m)], n: [axis('n', n)], k: [axis('l', extent)] },
      load(0, at(['l', extent], ['m', m])),
      load(1, at(['l', extent], ['n', n])),
      { buffer: 2, offset, value: moved },
      { buffer: 3, offset, value: op('sub', 'f32', load(3, offset), op('mul', 'f32', moved, float(0.1))) },
    ),
  };
};

it.each([
  [784, 50, 64],
  [37, 131, 20],
  [21, 300, 300],
  [21, 300, 900],
  [12, 1500, 65],
  [130, 40, 0],
  [40, 60, 3],
])('row by row: %d x %d over %d', (m, n, k) => {
  // Known sums that are long go strip by strip.
  for (const extent of k === 0 || k > 512 ? ['k'] : [k, 'k']) {
    const c = update(m, n, extent);
    for (const wide of [false, true])
      expect(planContract(mergeRoles(c), { relaxed: true, wide })?.plan.order).toBe('rows');
    check(
      c,
      [floats(m * k), floats(k * n, 2), floats(m * n, 3), floats(m * n, 4)],
      { k },
      { relative: 1e-4, absolute: 1e-4 },
    );
  }
});

it.each([3, 4, 6, 7])('panels that are made before the run stay in their room: %d rows', (m) => {
  const [n, k] = [50, 16];
  const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
  const c = contract(abc, roles, load(0, at(['k', k], ['m', m])), load(1, at(['k', k], ['n', n])), {
    buffer: 2,
    offset: at(['m', m], ['n', n]),
    value: acc,
  });
  const { bytes, prepare, preparedBytes } = emitWasm([c], [], 3, {
    relaxed: false,
    constant: (b) => b === 0,
  });
  const memory = new WebAssembly.Memory({ initial: 1 });
  const fixed = (value: number) => new WebAssembly.Global({ value: 'i32', mutable: false }, value);
  const env = {
    memory,
    scratch: fixed(32768),
    prepared: fixed(16384),
    b0: fixed(0),
    b1: fixed(4096),
    b2: fixed(8192),
  };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes)), { env });
  const behind = new Uint8Array(memory.buffer, 16384 + preparedBytes, 256).fill(0xa5);
  new Float32Array(memory.buffer, 0, m * k).set(floats(m * k));
  expect(prepare).toHaveLength(1);
  const [{ entry, units }] = prepare as [(typeof prepare)[number]];
  const fill = exports[entry] as (from: number, to: number, thread: number) => void;
  const room = new Uint8Array(memory.buffer, 16384, preparedBytes);
  fill(0, units, 0);
  expect(behind.every((byte) => byte === 0xa5)).toBe(true);
  // Threads share the units, so that the last may be made first.
  const whole = room.slice();
  for (let unit = units - 1; unit >= 0; unit--) fill(unit, unit + 1, 0);
  expect(panelsOf(room, m, k)).toEqual(panelsOf(whole, m, k));
});

/** What was packed; not the few bytes behind it that the last vector may write. */
const panelsOf = (room: Uint8Array, m: number, k: number): Uint8Array => room.slice(0, 4 * m * k);

it('a block that is packed stays so between calls of one thread for one dispatch, and not for the next', () => {
  const [m, n, k] = [256, 200, 64];
  const roles = { m: [axis('m', m)], n: [axis('n', n)], k: [axis('k', k)] };
  const c = contract(abc, roles, load(0, at(['m', m], ['k', k])), load(1, at(['k', k], ['n', n])), {
    buffer: 2,
    offset: at(['m', m], ['n', n]),
    value: acc,
  });
  const { bytes, entries } = emitWasm([c], [], 3, { relaxed: false });
  const units = evaluate(entries[0]!.units, () => 1);
  const memory = new WebAssembly.Memory({ initial: 16 });
  const fixed = (value: number) => new WebAssembly.Global({ value: 'i32', mutable: false }, value);
  const places = [0, 1 << 17, 1 << 18];
  const env = {
    memory,
    scratch: fixed(1 << 19),
    ...Object.fromEntries(places.map((p, i) => [`b${i}`, fixed(p)])),
  };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes)), { env });
  const run = exports['c'] as (from: number, to: number, thread: number, again?: number) => void;
  const view = (i: number, length: number) => new Float32Array(memory.buffer, places[i]!, length);
  view(0, m * k).fill(1);
  view(1, k * n).fill(1);
  expect(units).toBeGreaterThan(2);
  run(0, 1, 0);
  view(1, k * n).fill(2);
  run(1, 2, 0, 1);
  run(2, units, 0);
  const [first, second, last] = [0, m / units, m - 1].map((row) => view(2, m * n)[row * n]);
  expect([first, second, last]).toEqual([k, k, 2 * k]);
});

describe.each([
  ['strict', false, false],
  ['relaxed', supportsRelaxedSimd(), false],
  ['wide', false, true],
])('one row by panels that were made before the run, %s', (_, relaxed, wide) => {
  it.each([
    [128, 1],
    [131, 70],
    [300, 9],
    [500, 128],
    // Several rows of these go strip by strip, of the last in blocks of k.
    [63, 784],
    [10, 500],
    [40, 1300],
  ])('%i columns over %i', (n, k) => {
    for (const [isTurned, isPlain] of [
      [false, false],
      [true, false],
      [false, true],
    ]) {
      const x = load(0, at(['m', 'rows'], ['k', k]));
      const roles = { m: [axis('m', 'rows')], n: [axis('n', n)], k: [axis('k', k)] };
      const c = contract(
        [use(0), use(1), use(2), use(3, 'write')],
        roles,
        // Packed, or read where it lies.
        isPlain ? x : op('mul', 'f32', x, float(0.5)),
        load(1, isTurned ? at(['n', n], ['k', k]) : at(['k', k], ['n', n])),
        {
          buffer: 3,
          offset: at(['m', 'rows'], ['n', n]),
          value: op('add', 'f32', acc, load(2, at(['n', n]))),
        },
      );
      const [row, w, bias, y] = [floats(k), floats(k * n, 2), floats(n, 3), floats(n, 4)];
      const expected = y.slice();
      evaluateKernel(c, { rows: 1 }, [row, w, bias, expected]);
      const emitted = emitWasm([c], ['rows'], 4, { relaxed, wide, constant: (b) => b === 1 });
      const { special } = emitted.entries[0]!;
      expect(special).toMatchObject({ dim: 'rows', value: 1, entry: 'c.single' });
      const memory = new WebAssembly.Memory({ initial: 24 });
      const fixed = (value: number, mutable = false) =>
        new WebAssembly.Global({ value: 'i32', mutable }, value);
      const [scratch, prepared] = [1 << 19, 1 << 17];
      const places = [1024, 1 << 20, 8192, 16384];
      const env = {
        ...{ memory, scratch: fixed(scratch), prepared: fixed(prepared), d0: fixed(1, true) },
        ...Object.fromEntries(places.map((place, i) => [`b${i}`, fixed(place)])),
      };
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(emitted.bytes)), {
        env,
      });
      const run = (entry: string, from: number, to: number): void =>
        (exports[entry] as (from: number, to: number, thread: number) => void)(from, to, 0);
      const view = (i: number, length: number) => new Float32Array(memory.buffer, places[i]!, length);
      [row, w, bias, y].forEach((values, i) => view(i, values.length).set(values));
      for (const { entry, units } of emitted.prepare) run(entry, 0, units);
      const behind = new Uint8Array(memory.buffer, scratch + evaluate(emitted.scratchBytes, () => 1), 64);
      behind.fill(0xa5);
      const units = evaluate(special!.units, () => 1);
      for (const step of [units, 1]) {
        view(3, n).fill(NaN);
        for (let from = 0; from < units; from += step) run('c.single', from, Math.min(units, from + step));
        expectClose([view(3, n)], [expected], { relative: 1e-4, absolute: 1e-4 });
      }
      expect(view(3, n + 1)[n]).toBe(0);
      expect(behind.every((byte) => byte === 0xa5)).toBe(true);
    }
  });
});
