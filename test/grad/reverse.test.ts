import { describe, expect, it } from 'vitest';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { topological } from '../../compiler/ir/walk.ts';
import { resultIndex } from '../../compiler/ir/indices.ts';
import type { BinaryOp } from '../../compiler/ir/ops.ts';
import { simplify } from '../../compiler/rewrite/simplify.ts';
import { add, constant, scale, symbol } from '../../compiler/shape/poly.ts';
import { evaluateNodes, valuesOf } from '../support/evaluate.ts';
import { lenet, mlp, sgdStep } from '../support/networks.ts';

const c = constant;
const $ = resultIndex;

describe('tie rules', () => {
  const at = (build: (g: Graph, x: Node) => Node, x: readonly number[]): number[] => {
    const g = new Graph();
    const leaf = g.leaf('input', 'x', 'f32', [c(x.length)]);
    const y = build(g, leaf);
    const loss = g.reduce('sum', y, y.shape.length);
    const { gradients } = gradient(g, loss, [leaf]);
    return [...(evaluateNodes(g, gradients, {}, valuesOf({ x }))[0] ?? [])];
  };
  const zero = (g: Graph, x: Node): Node => g.full(0, 'f32', x.shape);
  const flipped = (g: Graph, x: Node): Node => g.view(x, [c(2)], [add(c(1), scale($(0), -1))]);
  const both = (fn: BinaryOp) => (g: Graph, x: Node) => g.map(fn, [x, flipped(g, x)]);

  it('relu is flat at 0', () => {
    expect(at((g, x) => g.map('max', [x, zero(g, x)]), [-1, 0, 2])).toEqual([0, 0, 1]);
    expect(at((g, x) => g.map('max', [zero(g, x), x]), [-1, 0, 2])).toEqual([0, 0, 1]);
  });
  it('abs is flat at 0', () => {
    expect(at((g, x) => g.map('abs', [x]), [-1, 0, 2])).toEqual([-1, 0, 1]);
  });
  it('max and min of two share a tie', () => {
    expect(at(both('max'), [3, 3])).toEqual([1, 1]);
    expect(at(both('max'), [3, 4])).toEqual([0, 2]);
    expect(at(both('min'), [3, 4])).toEqual([2, 0]);
  });
  it('a reduction gives everything to the first', () => {
    expect(at((g, x) => g.reduce('max', x, 1), [1, 5, 5])).toEqual([0, 1, 0]);
    expect(at((g, x) => g.reduce('min', x, 1), [1, 1, 5])).toEqual([1, 0, 0]);
  });
  it('a product of zeros keeps its derivative', () => {
    expect(at((g, x) => g.reduce('prod', x, 1), [0, 2, 3])).toEqual([6, 0, 0]);
    expect(at((g, x) => g.reduce('prod', x, 1), [0, 0, 3])).toEqual([0, 0, 0]);
  });
  it('pow is safe at 0', () => {
    expect(at((g, x) => g.map('pow', [x, g.full(2, 'f32', x.shape)]), [0, 3])).toEqual([0, 6]);
    const pair = (g: Graph, x: Node): Node => g.map('pow', [g.view(x, [], [c(0)]), g.view(x, [], [c(1)])]);
    expect(at(pair, [0, 0])).toEqual([0, 0]);
    expect(at(pair, [0, 2])).toEqual([0, 0]);
    expect(at(pair, [1, 0])).toEqual([0, 0]);
  });
});

describe('what has no gradient', () => {
  const g = new Graph();
  const x = g.leaf('input', 'x', 'f32', [c(3)]);
  const sum = (y: Node): Node => g.reduce('sum', y, y.shape.length);

  it('is reported: a loss that does not use the value', () => {
    const other = g.leaf('input', 'other', 'f32', [c(3)]);
    const { gradients, problems } = gradient(g, sum(x), [x, other]);
    expect(problems).toEqual([{ kind: 'independent', wrt: other }]);
    expect(evaluateNodes(g, gradients, {}, valuesOf({ x: [1, 2, 3], other: [1, 2, 3] }))[1]).toEqual(
      new Float64Array(3),
    );
  });
  it.each([
    ['a rounding', g.map('floor', [x])],
    ['a cast to an integer', g.map('cast', [g.map('cast', [x], 'i32')], 'f32')],
    ['a comparison', g.map('cast', [g.map('lt', [x, g.full(0, 'f32', x.shape)])], 'f32')],
    ['a stop', g.stop(x)],
  ])('is reported: a path through %s', (_what, y) => {
    const { problems } = gradient(g, sum(y), [x]);
    expect(problems).toMatchObject([{ kind: 'no-derivative', wrt: x }]);
    expect(problems[0]?.kind === 'no-derivative' && problems[0].node.inputs[0]).toBe(x);
  });
  it('is reported: an integer', () => {
    const at = g.leaf('input', 'at', 'i32', [c(2)]);
    const y = g.view(x, [c(2)], [symbol('@0')], { data: [at] });
    expect(gradient(g, sum(y), [at]).problems).toEqual([{ kind: 'no-derivative', wrt: at, node: at }]);
  });
  it('does not hide another path', () => {
    const y = g.map('mul', [x, g.map('floor', [x])]);
    expect(gradient(g, sum(y), [x]).problems).toEqual([]);
  });
});

describe('gradients', () => {
  it('inherit the origins of what they are the gradient of', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [c(3)]);
    const origin = { file: 'a.nnet', start: 3, end: 9 };
    const y = g.from([origin], () => g.map('sin', [x]));
    const { gradients } = gradient(g, g.reduce('sum', y, 1), [x]);
    const [made] = gradients;
    expect(made && g.originsOf(made)).toEqual([origin]);
  });

  it('of inner values are found, too', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [c(2)]);
    const y = g.map('mul', [x, x]);
    const loss = g.reduce('sum', g.map('mul', [y, y]), 1);
    const { gradients } = gradient(g, loss, [y, x]);
    const [dy, dx] = evaluateNodes(g, gradients, {}, valuesOf({ x: [2, 3] }));
    expect([...(dy ?? [])]).toEqual([8, 18]);
    expect([...(dx ?? [])]).toEqual([32, 108]);
  });
});

/** Every reduction of a training step as `sum f32[…] over n of mul(a, b)` with guards shown. */
function contractions(net: ReturnType<typeof mlp>): { shape: string; over: number; guards: number[] }[] {
  const { gradients } = gradient(net.graph, net.loss, net.params);
  const { computation } = simplify(sgdStep(net, gradients));
  const roots = [...computation.outputs.map((o) => o.node), ...computation.updates.map((u) => u.value)];
  return topological(roots).flatMap((node) => {
    const [x] = node.inputs;
    if (node.op !== 'reduce' || x?.op !== 'map' || x.fn !== 'mul') return [];
    const guards = x.inputs.map((v) => (v.op === 'view' ? v.guard.length : -1));
    return [{ shape: node.shape.map((d) => d.key).join(' '), over: node.count, guards }];
  });
}

describe('training steps are the expected contractions', () => {
  it('of a perceptron', () => {
    const found = contractions(mlp());
    // forward twice, dx of the second layer, dw of both: all products of two unguarded views
    expect(found).toHaveLength(5);
    for (const { over, guards } of found) expect({ over, guards }).toEqual({ over: 1, guards: [0, 0] });
  });

  it('of LeNet', () => {
    const found = contractions(lenet());
    // five layers forward, five dw, four dx
    expect(found).toHaveLength(14);
    const guarded = found.filter(({ guards }) => guards.some((n) => n !== 0));
    // The padded convolution forward and its dw read the image under a guard; the valid one only its dx.
    expect(guarded.map(({ over, guards }) => ({ over, guards: guards.toSorted() }))).toEqual([
      { over: 2, guards: [0, 4] },
      { over: 3, guards: [0, 4] },
      { over: 3, guards: [0, 4] },
    ]);
  });

  it('of LeNet, with the pooling gradient as a map: no reduction over windows', () => {
    const net = lenet();
    const { gradients } = gradient(net.graph, net.loss, net.params);
    const { computation } = simplify(sgdStep(net, gradients));
    const nodes = topological(computation.updates.map((u) => u.value));
    expect(nodes.filter((n) => n.op === 'scatter')).toEqual([]);
    const sums = nodes.filter(
      (n) => n.op === 'reduce' && n.fn === 'sum' && n.inputs[0]?.op === 'map' && n.inputs[0].fn === 'where',
    );
    expect(sums).toEqual([]);
  });
});

it('ways that begin alike are added up before they are multiplied with where they begin', () => {
  const g = new Graph();
  const x = g.leaf('input', 'x', 'f32', [c(3)]);
  // cos(x^2 + x) * (x + x + 1)
  const loss = g.reduce('sum', g.map('sin', [g.map('add', [g.map('mul', [x, x]), x])]), 1);
  const { gradients } = gradient(g, loss, [x]);
  const nodes = topological(gradients);
  const [cos] = nodes.filter((n) => n.op === 'map' && n.fn === 'cos') as [Node];
  expect(nodes.filter((n) => n.inputs.includes(cos))).toHaveLength(1);
  const values = [0.5, -1, 2];
  const expected = values.map((v) => Math.cos(v * v + v) * (2 * v + 1));
  const [found] = evaluateNodes(g, gradients, {}, valuesOf({ x: values })) as [Float64Array];
  found.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 12));
});
