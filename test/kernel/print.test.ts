/** Kernels as text: what is shared is printed once, lines stay short. */
import { expect, it } from 'vitest';
import type { Ex, Kernel, LoadEx } from '../../compiler/kernel/kernel.ts';
import { printKernel } from '../../compiler/kernel/print.ts';
import { add, constant, symbol } from '../../compiler/shape/poly.ts';
import { load as loadAt, op } from '../support/kernel-build.ts';

const i = symbol('i');
const axis = { name: 'i', extent: symbol('n') };
const load = (buffer: number, offset = i): LoadEx => loadAt(buffer, offset);
const buffers = [
  { buffer: 0, dtype: 'f32', mode: 'read' },
  { buffer: 1, dtype: 'f32', mode: 'write' },
] as const;
const named = { name: 'k', buffers, notes: ['a note'] } as const;
const text = (kernel: Kernel): string => printKernel(kernel, (b) => ['x', 'y'][b] ?? '?');
const map = (...values: Ex[]): Kernel => ({
  ...named,
  kind: 'rows',
  grid: [axis],
  stages: [{ kind: 'map', axes: [], stores: values.map((value) => ({ buffer: 1, offset: i, value })) }],
});

it('names what is used more than once, in the order of use, and only that', () => {
  const e = op('exp', op('mul', load(0), load(0)));
  const twice = op('add', e, e);
  expect(text(map(op('mul', twice, op('exp', load(0))), twice))).toBe(
    [
      'rows k (read x, write y)',
      '  // a note',
      '  grid i < n',
      '  here:',
      '    t0 = exp(mul(x[i], x[i]))',
      '    t1 = add(t0, t0)',
      '    y[i] = mul(t1, exp(x[i]))',
      '    y[i] = t1',
    ].join('\n'),
  );
});

it('gives equal values one name', () => {
  const square = (): Ex => op('mul', load(0), load(0));
  const [a, b] = [square(), square()];
  expect(text(map(op('add', op('add', a, a), op('add', b, b))))).toContain(
    't0 = mul(x[i], x[i])\n    y[i] = add(add(t0, t0), add(t0, t0))',
  );
});

it('grows as the kernel does, not as its tree', () => {
  let value: Ex = load(0);
  for (let n = 0; n < 40; n++) value = op('mul', value, op('exp', value));
  expect(text(map(value)).split('\n')).toHaveLength(4 + 39 + 1);
});

it('keeps lines short: long operands are named, lists are broken', () => {
  let value: Ex = load(0);
  for (let n = 0; n < 60; n++) value = op('add', op('exp', value), load(0, add(i, constant(n))));
  const lines = text(map(value)).split('\n');
  expect(Math.max(...lines.map((l) => l.length))).toBeLessThanOrEqual(130);
  const many = { ...map(value), buffers: Array.from({ length: 60 }, () => buffers[0]) };
  expect(
    Math.max(
      ...text(many)
        .split('\n')
        .map((l) => l.length),
    ),
  ).toBeLessThanOrEqual(130);
  expect(text(many).replace(/,\s+/g, ', ')).toContain(
    `(${Array.from({ length: 60 }, () => 'read x').join(', ')})`,
  );
});

it('keeps what a sum shares inside of it', () => {
  const k = symbol('k');
  const square = op('mul', load(0, k), load(0, k));
  const outer = op('exp', load(0));
  const dot: Ex = {
    kind: 'dot',
    dtype: 'f32',
    axes: [{ name: 'k', extent: constant(3) }],
    a: op('add', square, square),
    b: outer,
  };
  expect(text(map(op('add', op('mul', outer, outer), dot)))).toContain(
    [
      '    t0 = exp(x[i])',
      '    t2 = sum for k < 3:',
      '      t1 = mul(x[k], x[k])',
      '      add(t1, t1) * t0',
      '    y[i] = add(mul(t0, t0), t2)',
    ].join('\n'),
  );
  const contract: Kernel = {
    ...named,
    kind: 'contract',
    batch: [],
    m: [axis],
    n: [],
    k: [{ name: 'k', extent: constant(3) }],
    a: op('add', square, square),
    b: load(0),
    stores: [{ buffer: 1, offset: i, value: { kind: 'local', dtype: 'f32', name: 'acc' } }],
  };
  expect(text(contract)).toContain(
    '  acc = sum:\n    t0 = mul(x[k], x[k])\n    add(t0, t0) * x[i]\n  y[i] = acc',
  );
});

it('says what an element of a scatter is added to, and when', () => {
  const scatter: Kernel = {
    ...named,
    kind: 'scatter',
    grid: [],
    clear: { axes: [axis], offset: i },
    axes: [{ name: 'j', extent: constant(5) }],
    target: 1,
    offset: symbol('d'),
    guard: [{ kind: 'ge', value: symbol('d') }],
    data: [{ name: 'd', value: load(0, symbol('j')) }],
    value: load(0, symbol('j')),
  };
  expect(text(scatter)).toContain(
    '  clear y for i < n at i\n  for j < 5:\n    d = x[j]\n    [d] += x[j] if d >= 0',
  );
});
