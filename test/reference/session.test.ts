import { describe, expect, it } from 'vitest';
import type { Plan, Program } from '../../compiler/plan.ts';
import type { Computation } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { toGraphData } from '../../compiler/ir/serialise.ts';
import { constant, symbol } from '../../compiler/shape/poly.ts';
import { openReference } from '../../runtime/reference.ts';

function planOf(computation: Computation, inputs: Plan['inputs'], outputs: Plan['outputs']): Plan {
  return {
    name: computation.name,
    target: 'reference',
    dims: ['n'],
    inputs,
    outputs,
    clocks: [],
    buffers: [],
    dispatches: [],
    loops: [],
    code: { kind: 'reference', graph: toGraphData(computation) },
  };
}

/** a' = b, b' = a + sum(x) * step: both from the old values. */
function swap(): Program {
  const g = new Graph();
  const n = symbol('n');
  const x = g.leaf('input', 'x', 'f32', [n]);
  const a = g.leaf('state', 'a', 'f32', []);
  const b = g.leaf('state', 'b', 'f32', []);
  const step = g.map('cast', [g.leaf('clock', 'step', 'i32', [])], 'f32');
  const next = g.map('add', [a, g.map('mul', [g.reduce('sum', x, 1), step])]);
  const count = g.index(n, [constant(1)]);
  const computation: Computation = {
    name: 'swap',
    graph: g,
    outputs: [
      { name: 'next', node: next },
      { name: 'count', node: count },
    ],
    updates: [
      { leaf: a, value: b },
      { leaf: b, value: next },
    ],
  };
  const port = (name: string, dtype: 'f32' | 'i32', shape: Plan['inputs'][number]['shape']) => ({
    name,
    dtype,
    shape,
    buffer: 0,
  });
  const plan = planOf(
    computation,
    [port('x', 'f32', ['n'])],
    [port('next', 'f32', []), port('count', 'i32', [1])],
  );
  const tensor = (path: string, offset: number) =>
    ({ path, role: 'state', dtype: 'f32', shape: [], store: 0, offset }) as const;
  return {
    format: 1,
    stores: [{ name: 'state', dtype: 'f32', size: 2 }],
    tensors: [tensor('a', 0), tensor('b', 1)],
    plans: { swap: plan },
  };
}

describe('the reference device', () => {
  it('runs plans: inputs, clocks, outputs, and updates that take effect together', async () => {
    const session = openReference(swap());
    await session.write('a', Float32Array.of(1));
    await session.write('b', Float32Array.of(2));
    await session.run('swap', { n: 3 }, { x: Float32Array.of(1, 2, 3) }, { step: 10 });
    expect(await session.output('swap', 'next')).toEqual(Float32Array.of(61));
    expect(await session.output('swap', 'count')).toEqual(Int32Array.of(3));
    expect(await session.read('a')).toEqual(Float32Array.of(2));
    expect(await session.read('b')).toEqual(Float32Array.of(61));
    await session.run('swap', { n: 0 }, { x: new Float32Array(0) });
    expect(await session.read('a')).toEqual(Float32Array.of(61));
    expect(await session.read('b')).toEqual(Float32Array.of(2));
    expect(await session.output('swap', 'count')).toEqual(Int32Array.of(0));
    session.close();
    expect(() => session.run('swap', { n: 0 }, { x: new Float32Array(0) })).toThrow(/closed/);
  });

  it('explains mistakes of the caller', async () => {
    const session = openReference(swap());
    const x = new Float32Array(2);
    expect(() => session.run('other', { n: 2 }, { x })).toThrow(/no plan is called `other`/);
    expect(() => session.run('swap', {}, { x })).toThrow(/dimension `n`/);
    expect(() => session.run('swap', { n: 3 }, { x })).toThrow(/holds 2 values/);
    expect(() => session.run('swap', { n: 2 }, {})).toThrow(/`x` is missing/);
    await expect(session.output('swap', 'next')).rejects.toThrow(/has not run yet/);
    await expect(session.read('c')).rejects.toThrow(/no tensor is called `c`/);
  });
});
