import { describe, expect, it } from 'vitest';
import { inSteps } from '../../compiler/backend/wasm/steps.ts';
import type { BufferUse, Ex, RowsKernel, Store } from '../../compiler/kernel/kernel.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { add, scale, symbol } from '../../compiler/shape/poly.ts';
import { axis, check, dim, floats, load, op } from './harness.ts';

const use = (buffer: number, mode: BufferUse['mode']): BufferUse => ({ buffer, dtype: 'f32', mode });
const [i, j] = [symbol('i'), symbol('j')];
const at = add(scale(i, 37), j);
const f = (fn: 'tanh' | 'sigmoid' | 'add' | 'mul', ...args: Ex[]): Ex => op(fn, 'f32', ...args);
const store = (buffer: number, value: Ex, offset: Poly = at): Store => ({ buffer, offset, value });
const map = (buffers: readonly BufferUse[], ...stores: Store[]): RowsKernel => ({
  kind: 'rows',
  name: 'k',
  notes: [],
  buffers,
  grid: [axis('i', 'rows'), axis('j', 37)],
  stages: [{ kind: 'map', axes: [], stores }],
});
const stagesOf = (k: RowsKernel): Store[][] =>
  inSteps(k).stages.map((s) => (s.kind === 'map' ? [...s.stores] : []));

describe('costly functions of costly values that are stored', () => {
  const buffers = [use(0, 'read'), use(1, 'update'), use(2, 'write')];
  // Made anew for each store: what is equal counts, not what is one object.
  const cell = (): Ex => f('add', f('mul', f('sigmoid', load(0, at)), load(1, at)), f('tanh', load(0, at)));
  const gates = map(
    buffers,
    store(1, cell()),
    store(2, f('mul', f('sigmoid', load(0, at)), f('tanh', cell()))),
  );

  it('are computed of what was stored, in a second stage', () => {
    const [first, second] = stagesOf(gates);
    expect(first).toEqual([store(1, cell())]);
    expect(second).toEqual([store(2, f('mul', f('sigmoid', load(0, at)), f('tanh', load(1, at))))]);
  });

  it('read what else was stored', () => {
    const kept = map(
      [...buffers, use(3, 'write')],
      store(3, f('sigmoid', load(0, at))),
      store(1, cell()),
      store(2, f('mul', f('sigmoid', load(0, at)), f('tanh', cell()))),
    );
    expect(stagesOf(kept)[1]).toEqual([store(2, f('mul', load(3, at), f('tanh', load(1, at))))]);
  });

  it('stay where they are if they need what the first stage overwrites', () => {
    const before = map(buffers, store(1, cell()), store(2, f('mul', load(1, at), f('tanh', cell()))));
    expect(inSteps(before)).toBe(before);
    const aliased = map(
      [use(0, 'update'), use(1, 'update'), use(0, 'update')],
      store(1, cell()),
      store(0, f('tanh', load(0, at))),
      store(2, f('tanh', cell()), add(at, dim(5000))),
    );
    expect(inSteps(aliased)).toBe(aliased);
  });

  it('stay where nothing costly is stored', () => {
    const one = map(buffers, store(2, f('tanh', cell())), store(1, load(0, at)));
    expect(inSteps(one)).toBe(one);
  });

  it.each([0, 1, 3, 8])('give the same, %i rows', (rows) => {
    const size = 37 * rows;
    check(
      gates,
      [floats(size, 1), floats(size, 2), floats(size, 3)],
      { rows },
      { relative: 1e-5, absolute: 1e-6 },
    );
  });
});
