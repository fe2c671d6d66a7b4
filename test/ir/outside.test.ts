/** Where tensors are one number, and where nobody looks at them: what is claimed of attention holds, and is claimed. */
import { describe, expect, it } from 'vitest';
import type { Computation, Graph, Node } from '../../compiler/ir/graph.ts';
import { Graph as IrGraph } from '../../compiler/ir/graph.ts';
import { replaced, topological } from '../../compiler/ir/walk.ts';
import { resultIndex } from '../../compiler/ir/indices.ts';
import { maker } from '../../compiler/ir/make.ts';
import { needsOf, Outside } from '../../compiler/ir/outside.ts';
import type { Condition } from '../../compiler/shape/poly.ts';
import { evaluate as evaluatePoly, subtract, symbol } from '../../compiler/shape/poly.ts';
import { type AttentionCase, attentionModel, computationOf, valuesFor } from '../support/attention.ts';
import { evaluate, evaluateNodes } from '../support/evaluate.ts';

const cases: Readonly<Record<string, AttentionCase>> = {
  causal: { args: ', causal: true', size: 3, width: 4 },
  'causal and masked': {
    args: ', causal: true, mask: mask',
    inputs: 'input mask: bool[batch, 1, 1, s]',
    size: 3,
    width: 2,
  },
  'causal with dropout': { args: ', causal: true, dropout: 0.5', size: 3, width: 4 },
};
const dims = { batch: 2, t: 5, s: 6 };

/** Whether the conditions hold at the element of so many, row by row. */
function holds(conditions: readonly Condition[], node: Node, element: number): boolean {
  const indices: number[] = [];
  let rest = element;
  for (const d of [...node.shape].reverse()) {
    const extent = evaluatePoly(d, (name) => dims[name as keyof typeof dims]);
    indices.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  return conditions.every(({ kind, value }) => {
    const x = evaluatePoly(value, (name) =>
      name.startsWith('$') ? indices[Number(name.slice(1))]! : dims[name as keyof typeof dims],
    );
    return kind === 'ge' ? x >= 0 : x === 0;
  });
}

const nodesOf = ({ outputs, updates }: Computation): Node[] =>
  topological([...outputs.map((o) => o.node), ...updates.map((u) => u.value)]);

/** `node` with another number wherever one of the conditions fails. */
function spoiled(graph: Graph, node: Node, conditions: readonly Condition[]): Node {
  const { map, where } = maker(graph);
  const zeros = graph.full(0, 'i32', node.shape);
  return conditions.reduce((x, { kind, value }) => {
    const index = graph.index(value, node.shape);
    return where(kind === 'ge' ? map('le', zeros, index) : map('eq', zeros, index), x, 12.5);
  }, node);
}

describe.each(Object.entries(cases))('attention, %s', (_, given) => {
  const computation = computationOf(attentionModel(given));
  const values = valuesFor(computation, dims);
  const outside = new Outside();
  const nodes = nodesOf(computation);

  it('is what is claimed outside of every region', () => {
    const found = nodes.filter((n) => outside.of(n));
    // The scores, and what softmax and its gradient make of them.
    expect(new Set(found.map((n) => outside.of(n)!.value))).toEqual(new Set([-Infinity, 0]));
    evaluateNodes(computation.graph, found, dims, values).forEach((elements, i) => {
      const { conditions, value } = outside.of(found[i]!)!;
      let beyond = 0;
      elements.forEach((x, j) => {
        if (holds(conditions, found[i]!, j)) return;
        beyond++;
        expect(x === value, `${found[i]!.op} ${found[i]!.id}[${j}] = ${x}`).toBe(true);
      });
      expect(beyond).toBeGreaterThan(0);
    });
  });

  it('comes out the same whatever stands where nobody looks', () => {
    const needs = needsOf(computation, outside);
    const ignored = nodes.filter((n) => n.dtype === 'f32' && n.op === 'reduce' && needs(n).length > 0);
    // The scores, and the gradient of their softmax.
    expect(ignored).toHaveLength(2);
    const wanted = evaluate(computation, dims, values);
    for (const node of ignored) {
      const by = new Map([[node, spoiled(computation.graph, node, needs(node))]]);
      const roots = replaced(
        computation.graph,
        computation.outputs.map((o) => o.node),
        by,
      );
      const outputs = computation.outputs.map((o, i) => ({ ...o, node: roots[i]! }));
      expect(evaluate({ ...computation, outputs }, dims, values)).toEqual(wanted);
    }
  });
});

describe('a region', () => {
  const graph = new IrGraph();
  const n = symbol('n');
  const x = graph.leaf('input', 'x', 'f32', [n, n]);
  const make = maker(graph);
  const row = graph.index(resultIndex(0), x.shape);
  const column = graph.index(resultIndex(1), x.shape);
  const lower = make.map('le', column, row);
  const keyOf = (node: Node): string => {
    const region = new Outside().of(node);
    return region
      ? `${region.value} unless ${region.conditions.map((c) => c.value.key).join(' and ')}`
      : 'none';
  };
  const triangle = make.where(lower, x, 0);

  it('ends where nothing is known any more', () => {
    expect(keyOf(triangle)).toMatch(/^0 unless/);
    expect(keyOf(make.map('add', triangle, x))).toBe('none');
    expect(keyOf(make.map('add', triangle, 1))).toMatch(/^1 unless/);
    expect(keyOf(make.map('div', x, triangle))).toBe('none');
    expect(keyOf(make.map('exp', make.where(lower, x, -1e9)))).toMatch(/^0 unless/);
    // Not so far below every score that nothing is left of it.
    expect(keyOf(make.map('exp', make.map('sub', make.where(lower, x, -1e9), x)))).toBe('none');
    expect(keyOf(make.where(make.map('lt', x, graph.full(0, 'f32', x.shape)), x, 0))).toBe('none');
  });

  it('goes along with views', () => {
    const at = (...index: number[]): Node => graph.view(triangle, x.shape, index.map(resultIndex));
    expect(keyOf(at(1, 0))).toBe(keyOf(make.where(make.map('le', row, column), x, 0)));
    const guard = [{ kind: 'ge', value: subtract(resultIndex(1), 2) }] as const;
    expect(
      keyOf(graph.view(triangle, x.shape, [resultIndex(0), subtract(resultIndex(1), 2)], { guard })),
    ).toMatch(/and/);
    expect(
      keyOf(graph.view(triangle, x.shape, [resultIndex(0), subtract(resultIndex(1), 2)], { guard, fill: 3 })),
    ).toBe('3 unless -2+1*$1');
  });

  it('of a product is where one of its factors is 0', () => {
    const upper = make.where(make.map('le', row, column), x, 0);
    expect(keyOf(make.map('mul', triangle, upper))).toMatch(/and/);
    expect(keyOf(make.map('mul', triangle, x))).toBe(keyOf(triangle));
  });
});
