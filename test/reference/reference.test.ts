import { describe, expect, it } from 'vitest';
import { Graph, type Node } from '../../compiler/ir/graph.ts';
import { resultIndex } from '../../compiler/ir/indices.ts';
import { toGraphData } from '../../compiler/ir/serialise.ts';
import { add, constant, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import { evaluateGraph } from '../../runtime/interpret.ts';

const c = constant;
const $ = resultIndex;

function evaluate(
  graph: Graph,
  node: Node,
  leaves: Record<string, readonly number[]> = {},
  dims = {},
): number[] {
  const data = toGraphData({ name: 't', graph, outputs: [{ name: 'y', node }], updates: [] });
  const { outputs } = evaluateGraph(data, dims, (_role, name) => Float64Array.from(leaves[name] ?? []));
  return [...(outputs.get('y') ?? [])];
}

describe('the reference interpreter', () => {
  it('computes a matrix product as a reduction over a product of views', () => {
    const g = new Graph();
    const n = symbol('n');
    const x = g.leaf('input', 'x', 'f32', [n, c(3)]);
    const w = g.leaf('param', 'w', 'f32', [c(3), c(2)]);
    const product = g.map('mul', [
      g.view(x, [n, c(2), c(3)], [$(0), $(2)]),
      g.view(w, [n, c(2), c(3)], [$(2), $(1)]),
    ]);
    const y = g.reduce('sum', product, 1);
    expect(evaluate(g, y, { x: [1, 2, 3, 4, 5, 6], w: [1, 2, 3, 4, 5, 6] }, { n: 2 })).toEqual([
      22, 28, 49, 64,
    ]);
    expect(evaluate(g, y, { x: [], w: [1, 2, 3, 4, 5, 6] }, { n: 0 })).toEqual([]);
  });

  it('reads the fill outside the guard and outside the range of data', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [c(3)]);
    const padded = g.view(x, [c(5)], [subtract($(0), 1)], {
      guard: [
        { kind: 'ge', value: subtract($(0), 1) },
        { kind: 'ge', value: subtract(3, $(0)) },
      ],
      fill: 9,
    });
    expect(evaluate(g, padded, { x: [1, 2, 3] })).toEqual([9, 1, 2, 3, 9]);
    const at = g.leaf('input', 'at', 'i32', [c(3)]);
    const gathered = g.view(x, [c(3)], [symbol('@0')], { data: [at], fill: -1 });
    expect(evaluate(g, gathered, { x: [1, 2, 3], at: [2, -1, 3] })).toEqual([3, -1, -1]);
  });

  it('refuses to read out of bounds', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [c(3)]);
    const wrong = g.view(x, [c(3)], [add($(0), 1)]);
    expect(() => evaluate(g, wrong, { x: [1, 2, 3] })).toThrow(/out of bounds/);
  });

  it('wraps integers as 32-bit hardware does', () => {
    const g = new Graph();
    const run = (
      fn: 'add' | 'mul' | 'div' | 'mod' | 'shl' | 'shr' | 'and' | 'xor',
      t: 'i32' | 'u32',
      a: number,
      b: number,
    ) => evaluate(g, g.map(fn, [g.constant(a, t), g.constant(b, t)]))[0];
    expect(run('mul', 'u32', 0xd2511f53, 0x9e3779b9)).toBe(Number((0xd2511f53n * 0x9e3779b9n) & 0xffffffffn));
    expect(run('add', 'i32', 0x7fffffff, 1)).toBe(-0x80000000);
    expect(run('div', 'i32', -7, 2)).toBe(-4);
    expect(run('mod', 'i32', -7, 2)).toBe(1);
    expect(run('div', 'i32', 7, 0)).toBe(0);
    expect(run('mod', 'u32', 7, 0)).toBe(0);
    expect(run('shr', 'u32', 0x80000000, 31)).toBe(1);
    expect(run('shr', 'i32', -8, 1)).toBe(-4);
    expect(run('shl', 'u32', 3, 31)).toBe(0x80000000);
    expect(run('and', 'u32', 0xffffffff, 0x80000001)).toBe(0x80000001);
    expect(run('xor', 'u32', 0xffffffff, 1)).toBe(0xfffffffe);
  });

  it('scatters by data, adding where indices meet and nothing outside', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [c(4)]);
    const at = g.leaf('input', 'at', 'i32', [c(4)]);
    const y = g.scatter(x, [at], [symbol('@0')], [c(3)]);
    expect(evaluate(g, y, { x: [1, 2, 3, 4], at: [0, 2, 2, 7] })).toEqual([1, 0, 5]);
  });

  it('reduces nothing to the identity and takes strided windows', () => {
    const g = new Graph();
    const n = symbol('n');
    const x = g.leaf('input', 'x', 'f32', [n]);
    expect(evaluate(g, g.reduce('max', x, 1), { x: [] }, { n: 0 })).toEqual([-Infinity]);
    const w = g.leaf('input', 'w', 'f32', [c(5)]);
    const windows = g.view(w, [c(2), c(3)], [add(scale($(0), 2), $(1))]);
    expect(evaluate(g, g.reduce('max', windows, 1), { w: [1, 5, 2, 7, 3] })).toEqual([5, 7]);
  });

  it('follows expressions of any length', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [c(2)]);
    let y: Node = x;
    for (let i = 0; i < 5000; i++) y = g.map('neg', [y]);
    expect(evaluate(g, y, { x: [1, 2] })).toEqual([1, 2]);
  });
});
