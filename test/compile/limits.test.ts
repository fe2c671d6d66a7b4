import { describe, expect, it } from 'vitest';
import type { Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { dataIndex, resultIndex } from '../../compiler/ir/indices.ts';
import { inputLimits } from '../../compiler/limits.ts';
import { add, constant, symbol } from '../../compiler/shape/poly.ts';

const n = symbol('batch');

function limits(build: (g: Graph, logits: Node, label: Node) => Node): Record<string, number> {
  const g = new Graph();
  const logits = g.leaf('input', 'logits', 'f32', [n, constant(10)]);
  const label = g.leaf('input', 'label', 'i32', [n]);
  const node = build(g, logits, label);
  return Object.fromEntries(
    inputLimits({ name: 'c', graph: g, outputs: [{ name: 'y', node }], updates: [] }),
  );
}
const pick = (g: Graph, x: Node, label: Node, at = dataIndex(0)): Node =>
  g.view(x, [n], [resultIndex(0), at], { data: [label] });

describe('limits of inputs', () => {
  it('are the dimensions that their values select in', () => {
    expect(limits((g, logits, label) => pick(g, logits, label))).toEqual({ label: 10 });
    expect(limits((_, logits) => logits)).toEqual({});
  });

  it('are the smallest of several', () => {
    expect(
      limits((g, logits, label) => {
        const small = g.leaf('param', 'table', 'f32', [n, constant(4)]);
        return g.map('add', [pick(g, small, label), pick(g, logits, label)]);
      }),
    ).toEqual({ label: 4 });
  });

  it('are seen through repetition, not through arithmetic', () => {
    const wide = [n, constant(3)];
    expect(
      limits((g, logits, label) => {
        const repeated = g.broadcast(label, wide, [0]);
        return g.view(logits, wide, [resultIndex(0), dataIndex(0)], { data: [repeated] });
      }),
    ).toEqual({ label: 10 });
    expect(limits((g, logits, label) => pick(g, logits, label, add(dataIndex(0), 1)))).toEqual({});
    expect(limits((g, logits, label) => pick(g, logits, g.map('abs', [label])))).toEqual({});
  });

  it('are seen in a comparison with an index', () => {
    const wide = [n, constant(10)];
    const compare = (g: Graph, label: Node, index: Node): Node =>
      g.map('eq', [g.broadcast(label, wide, [0]), index]);
    expect(limits((g, _, label) => compare(g, label, g.index(resultIndex(1), wide)))).toEqual({ label: 10 });
    const counted = (g: Graph): Node => g.broadcast(g.index(resultIndex(0), [constant(10)]), wide, [1]);
    expect(limits((g, _, label) => compare(g, label, counted(g)))).toEqual({ label: 10 });
    expect(limits((g, _, label) => compare(g, label, g.index(add(resultIndex(1), 1), wide)))).toEqual({});
    expect(limits((g, _, label) => compare(g, label, g.full(3, 'i32', wide)))).toEqual({});
  });

  it('need a dimension that is known', () => {
    expect(
      limits((g, _, label) => {
        const table = g.leaf('input', 'table', 'f32', [n, symbol('classes')]);
        return pick(g, table, label);
      }),
    ).toEqual({});
  });
});
