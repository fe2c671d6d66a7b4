import { describe, expect, it } from 'vitest';
import type { BufferUse, Ex, RowsKernel, Stage } from '../../compiler/kernel/kernel.ts';
import { computeOnce } from '../../compiler/backend/wasm/stages.ts';
import { add, scale, symbol } from '../../compiler/shape/poly.ts';
import { axis, check, floats, load, local, op } from './harness.ts';

const use = (buffer: number, mode: BufferUse['mode']): BufferUse => ({ buffer, dtype: 'f32', mode });
const i = symbol('i');
const n = symbol('n');

describe('what two stages compute', () => {
  const grid = [axis('i', n)];
  const inner = (name: string) => [axis(name, 13)];
  const at = (name: string) => add(scale(i, 13), symbol(name));
  const exponential = (buffer: number, name: string): Ex =>
    op('exp', 'f32', op('sub', 'f32', load(buffer, at(name)), local('top')));
  const top: Stage = {
    kind: 'reduce',
    axes: inner('j'),
    reductions: [{ name: 'top', fn: 'max', dtype: 'f32', value: load(0, at('j')) }],
  };
  const total: Stage = {
    kind: 'reduce',
    axes: inner('j'),
    reductions: [{ name: 'total', fn: 'sum', dtype: 'f32', value: exponential(0, 'j') }],
  };
  const quotients = (value: Ex): Stage => ({
    kind: 'map',
    axes: inner('k'),
    stores: [{ buffer: 1, offset: at('k'), value: op('div', 'f32', value, local('total')) }],
  });
  const softmax = (modes: [BufferUse, BufferUse], value = exponential(0, 'k')): RowsKernel => ({
    kind: 'rows',
    name: 'k',
    notes: [],
    buffers: modes,
    grid,
    stages: [top, total, quotients(value)],
  });
  const apart: [BufferUse, BufferUse] = [use(0, 'read'), use(1, 'write')];

  it('is computed once, in the place of the result', () => {
    const { stages } = computeOnce(softmax(apart));
    expect(stages.map((s) => s.kind)).toEqual(['reduce', 'map', 'reduce', 'map']);
    expect(JSON.stringify(stages).match(/"fn":"exp"/g)).toHaveLength(1);
  });

  it('is computed once in place', () => {
    const together: [BufferUse, BufferUse] = [use(0, 'update'), use(0, 'update')];
    expect(computeOnce(softmax(together)).stages).toHaveLength(4);
  });

  it('is not put where something is still to be read', () => {
    const together: [BufferUse, BufferUse] = [use(0, 'update'), use(0, 'update')];
    const reading = softmax(together, op('mul', 'f32', exponential(0, 'k'), load(0, at('k'))));
    expect(computeOnce(reading)).toBe(reading);
  });

  it.each([0, 1, 2, 5, 16, 17, 31])('gives the same, %i rows', (size) => {
    check(softmax(apart), [floats(13 * size, 3), floats(13 * size, 4)], { n: size });
  });
});
