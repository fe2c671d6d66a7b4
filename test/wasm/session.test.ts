import { describe, expect, it, vi } from 'vitest';
import { emitWasm } from '../../compiler/backend/wasm/index.ts';
import type { RowsKernel } from '../../compiler/kernel/kernel.ts';
import { sizeOf } from '../../compiler/ir/serialise.ts';
import type { Plan, PlanBuffer, Program, Size } from '../../compiler/plan.ts';
import { add, scale, symbol } from '../../compiler/shape/poly.ts';
import { planArena } from '../../compiler/memory.ts';
import { evalSize } from '../../runtime/size.ts';
import { openWasm, startThreads } from '../../runtime/wasm.ts';
import { withSharedMemory } from '../../runtime/wasm/shared.ts';
import { axis, float, load, op } from './harness.ts';

const arena = (name: string, size: Size, first: number, last: number): PlanBuffer => ({
  name,
  dtype: 'f32',
  size,
  place: { kind: 'arena', first, last },
});
const twoRows: Size = ['*', 'batch', 2];

/** total += x * step, then y = 2 x + w; x and y are [batch, 2]. */
function program(): Program {
  const i = symbol('i');
  const read = { dtype: 'f32', mode: 'read' } as const;
  const doubled: RowsKernel = {
    kind: 'rows',
    name: 'double',
    notes: [],
    buffers: [
      { buffer: 0, ...read },
      { buffer: 1, dtype: 'f32', mode: 'write' },
    ],
    grid: [axis('i', scale(symbol('batch'), 2))],
    stages: [
      {
        kind: 'map',
        axes: [],
        stores: [{ buffer: 1, offset: i, value: op('mul', 'f32', load(0, i), float(2)) }],
      },
    ],
  };
  const added: RowsKernel = {
    kind: 'rows',
    name: 'add',
    notes: [],
    buffers: [
      { buffer: 1, ...read },
      { buffer: 3, ...read },
      { buffer: 2, dtype: 'f32', mode: 'write' },
    ],
    grid: [axis('r', 'batch'), axis('i', 2)],
    stages: [
      {
        kind: 'map',
        axes: [],
        stores: [
          {
            buffer: 2,
            offset: add(scale(symbol('r'), 2), i),
            value: op('add', 'f32', load(0, add(scale(symbol('r'), 2), i)), load(1, i)),
          },
        ],
      },
    ],
  };
  const counted: RowsKernel = {
    kind: 'rows',
    name: 'count',
    notes: [],
    buffers: [
      { buffer: 4, dtype: 'i32', mode: 'read' },
      { buffer: 3, dtype: 'f32', mode: 'update' },
    ],
    grid: [axis('i', 2)],
    stages: [
      {
        kind: 'map',
        axes: [],
        stores: [
          { buffer: 1, offset: i, value: op('add', 'f32', load(1, i), op('cast', 'f32', load(0, 0, 'i32'))) },
        ],
      },
    ],
  };
  const emitted = emitWasm([doubled, added, counted], ['batch'], 5, { relaxed: false });
  const plan: Plan = {
    name: 'step',
    target: 'wasm',
    dims: ['batch'],
    inputs: [{ name: 'x', dtype: 'f32', shape: ['batch', 2], buffer: 0 }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['batch', 2], buffer: 2 }],
    clocks: [{ name: 'step', dtype: 'i32', shape: [], buffer: 4 }],
    buffers: [
      arena('x', twoRows, -1, 0),
      arena('t', twoRows, 0, 1),
      arena('y', twoRows, 1, 3),
      { name: 'w', dtype: 'f32', size: 2, place: { kind: 'store', store: 1 } },
      { name: 'step', dtype: 'i32', size: 1, place: { kind: 'arena', first: -1, last: 3 } },
    ],
    loops: [],
    dispatches: emitted.entries.map(({ entry, units }) => ({
      name: entry,
      entry,
      buffers: [],
      units: sizeOf(units),
      flops: ['*', 'batch', 4],
    })),
    code: { kind: 'wasm', bytes: emitted.bytes, scratchBytes: 0, relaxed: false },
  };
  return {
    format: 1,
    stores: [
      { name: 'other', dtype: 'f32', size: 3 },
      { name: 'w', dtype: 'f32', size: 2 },
    ],
    tensors: [{ path: 'w', role: 'param', dtype: 'f32', shape: [2], store: 1, offset: 0 }],
    plans: { step: plan, again: { ...plan, name: 'again' } },
  };
}

const xs = (batch: number): Float32Array => Float32Array.from({ length: 2 * batch }, (_, i) => i);
const ys = (batch: number, w: readonly number[]): Float32Array => xs(batch).map((x, i) => 2 * x + w[i % 2]!);

describe('a wasm session', () => {
  it('runs plans with any dims, keeps stores and outputs', async () => {
    const session = await openWasm(program());
    await session.write('w', Float32Array.of(10, 20));
    await session.reserve('step', { batch: 5 });
    expect(session.run('step', { batch: 3 }, { x: xs(3) }, { step: 1 })).toBeUndefined();
    expect(await session.output('step', 'y')).toEqual(ys(3, [10, 20]));
    expect(await session.read('w')).toEqual(Float32Array.of(11, 21));
    await session.run('again', { batch: 30000 }, { x: xs(30000) }, { step: -2 });
    expect(await session.output('again', 'y')).toEqual(ys(30000, [11, 21]));
    expect(await session.output('step', 'y')).toEqual(ys(3, [10, 20]));
    expect(await session.read('w')).toEqual(Float32Array.of(9, 19));
    await session.run('step', { batch: 0 }, { x: xs(0) });
    expect(await session.output('step', 'y')).toEqual(new Float32Array(0));
    session.close();
    expect(() => session.run('step', { batch: 1 }, { x: xs(1) })).toThrow(/closed/);
  });

  it('names what is wrong with an input', async () => {
    const session = await openWasm(program());
    const code = (f: () => unknown): string => {
      try {
        f();
      } catch (error) {
        return `${(error as { code: string }).code}: ${(error as Error).message}`;
      }
      return 'nothing';
    };
    expect(code(() => session.run('stp', { batch: 1 }, {}))).toMatch(/^unknown-plan: .*`stp`/);
    expect(code(() => session.run('step', { batch: 1 }, {}))).toMatch(/^missing-input: .*`x`/);
    expect(code(() => session.run('step', { batch: 1 }, { x: xs(1), z: xs(1) }))).toMatch(
      /^unknown-input: .*`z`/,
    );
    expect(code(() => session.run('step', { batch: 4 }, { x: xs(3) }))).toBe(
      'input-length: the input `x` holds 6 values, but f32[batch = 4, 2] has 8',
    );
    expect(code(() => session.run('step', { batch: 3 }, { x: Int32Array.from(xs(3)) }))).toMatch(
      /^input-type: .*Int32Array/,
    );
    expect(code(() => session.run('step', {}, { x: xs(1) }))).toMatch(/^missing-dimension: .*`batch`/);
    expect(code(() => session.run('step', { batch: 1.5 }, { x: xs(1) }))).toMatch(/^bad-dimension: .*1.5/);
    await expect(session.output('step', 'y')).rejects.toThrow(/has not run/);
    expect(code(() => void session.write('w', xs(3)))).toMatch(/^tensor-length: `w` has shape \[2\]/);
    expect(code(() => void session.read('v'))).toMatch(/^unknown-tensor/);
  });

  it('refuses plans of another target', async () => {
    const p = program();
    const plan = {
      ...p.plans['step']!,
      target: 'webgpu' as const,
      code: { kind: 'wgsl' as const, shaders: {} },
    };
    const session = await openWasm({ ...p, plans: { step: plan } });
    await expect(session.reserve('step', { batch: 1 })).rejects.toThrow(/compiled for webgpu/);
    session.close();
  });
});

describe('the arena', () => {
  it('shares memory between buffers whose lives do not meet, and never else', () => {
    let state = 7;
    const random = (n: number): number => (state = (Math.imul(state, 48271) >>> 0) % 2147483647) % n;
    for (let round = 0; round < 50; round++) {
      const buffers = Array.from({ length: 1 + random(20) }, (_, i): PlanBuffer => {
        const first = random(10) - 1;
        return arena(`${i}`, 0, first, first + random(5));
      });
      const sizes = buffers.map(() => random(1000));
      const { offsets, total } = planArena(buffers, sizes, 64);
      buffers.forEach((a, i) => {
        expect(offsets[i]! % 64).toBe(0);
        expect(offsets[i]! + sizes[i]!).toBeLessThanOrEqual(total);
        buffers.slice(0, i).forEach((b, j) => {
          if (a.place.kind === 'store' || b.place.kind === 'store') return;
          const together = a.place.first <= b.place.last && b.place.first <= a.place.last;
          const apart = offsets[i]! + sizes[i]! <= offsets[j]! || offsets[j]! + sizes[j]! <= offsets[i]!;
          if (together) expect(apart).toBe(true);
        });
      });
      expect(total).toBeLessThanOrEqual(sizes.reduce((s, n) => s + Math.max(64, Math.ceil(n / 64) * 64), 0));
    }
    expect(planArena([arena('a', 0, 0, 1), arena('b', 0, 2, 3)], [100, 100], 64).total).toBe(128);
  });
});

it('sizes are evaluated', () => {
  expect(
    evalSize(['+', ['*', 'a', 3], ['div', 'b', 4], ['mod', -1, 4], ['min', 2, 1], ['max', 2, 1]], {
      a: 5,
      b: 7,
    }),
  ).toBe(22);
});

describe('threads', () => {
  it('make a memory import shared', () => {
    const plan = program().plans['step']!;
    if (plan.code.kind !== 'wasm') throw new Error('not wasm');
    expect(WebAssembly.validate(withSharedMemory(plan.code.bytes) as BufferSource)).toBe(true);
  });

  it('meet in every step, however late one of them wakes', async () => {
    const session = await openWasm(program(), { threads: 3, shareFrom: 0 });
    await session.reserve('step', { batch: 12000 });
    const x = xs(12000);
    for (let i = 0; i < 1000; i++) void session.run('step', { batch: 12000 }, { x }, { step: 1 });
    expect(await session.read('w')).toEqual(Float32Array.of(1000, 1000));
    expect(await session.output('step', 'y')).toEqual(ys(12000, [999, 999]));
    session.close();
  });

  it('are not waited for: steps begin without them, and they join in', async () => {
    const session = await openWasm(program(), { threads: 2, shareFrom: 0, pool: startThreads(2) });
    // Each moves memory while the other thread still starts, or learns where it was.
    for (let i = 0; i < 50; i++) {
      const batch = 3000 + 100 * i;
      expect(session.run('step', { batch }, { x: xs(batch) }, { step: 1 })).toBeUndefined();
      expect(
        session.run('again', { batch: batch + 2000 }, { x: xs(batch + 2000) }, { step: 1 }),
      ).toBeUndefined();
    }
    expect(await session.read('w')).toEqual(Float32Array.of(100, 100));
    expect(await session.output('step', 'y')).toEqual(ys(7900, [98, 98]));
    expect(await session.output('again', 'y')).toEqual(ys(9900, [99, 99]));
    session.close();
  });

  it('say so in the next step when one of them failed', async () => {
    const broken = { ...program().plans['step']! };
    const { code } = broken;
    if (code.kind !== 'wasm') throw new Error('not wasm');
    const pool = startThreads(2);
    const session = await openWasm(program(), { threads: 2, shareFrom: 0, pool });
    const step = (): unknown => session.run('step', { batch: 3000 }, { x: xs(3000) }, { step: 1 });
    step();
    // A module that cannot be instantiated with what the thread is sent.
    (await pool)!.load(
      new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true }),
      [broken],
      [
        {
          module: new WebAssembly.Module(code.bytes as BufferSource),
          buffers: [],
          scratch: 0,
          prepared: 0,
          dims: 0,
          entries: [],
        },
      ],
    );
    await vi.waitFor(() => expect(step).toThrow('a thread failed'), { timeout: 5000 });
    session.close();
  });

  it('run the same steps', async () => {
    const session = await openWasm(program(), { threads: 3, shareFrom: 0 });
    expect(session.device).toBe('wasm, 3 threads');
    await session.write('w', Float32Array.of(10, 20));
    await session.reserve('step', { batch: 30000 });
    for (let i = 0; i < 20; i++)
      expect(session.run('step', { batch: 30000 - i }, { x: xs(30000 - i) }, { step: 1 })).toBeUndefined();
    expect(await session.output('step', 'y')).toEqual(ys(29981, [29, 39]));
    await session.run('again', { batch: 50000 }, { x: xs(50000) }, { step: 5 });
    expect(await session.output('again', 'y')).toEqual(ys(50000, [30, 40]));
    expect(await session.output('step', 'y')).toEqual(ys(29981, [29, 39]));
    expect(await session.read('w')).toEqual(Float32Array.of(35, 45));
    await session.run('step', { batch: 29981 }, { x: xs(29981) });
    expect(await session.output('step', 'y')).toEqual(ys(29981, [35, 45]));
    session.close();
  });
});
