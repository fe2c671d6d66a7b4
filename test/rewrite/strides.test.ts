import { describe, expect, it } from 'vitest';
import type { Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { topological } from '../../compiler/ir/walk.ts';
import { maker } from '../../compiler/ir/make.ts';
import { simplify } from '../../compiler/rewrite/simplify.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  constant,
  floorDivide,
  floorMod,
  format,
  negate,
  scale,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';
import { evaluateNodes, valuesOf } from '../support/evaluate.ts';

const [y, t] = [symbol('$1'), symbol('$2')];
const batch = 2;

interface Case {
  readonly stride: number;
  readonly taps: number;
  /** Of the image that is spread. */
  readonly size: number;
  /** Of the result. */
  readonly outputs: number;
  readonly padding: number;
}

/** sum over t of x[b, q / stride] * w[t], if the stride divides q = y + padding - t or, turned, y - padding + t. */
function transposed(g: Graph, { stride, taps, size, outputs, padding }: Case, isTurned: boolean): Node {
  const x = g.leaf('input', 'x', 'f32', [constant(batch), constant(size)]);
  const w = g.leaf('param', 'w', 'f32', [constant(taps)]);
  const shape = [constant(batch), constant(outputs), constant(taps)];
  const q: Poly = isTurned ? add(y, t, -padding) : subtract(add(y, padding), t);
  const at = floorDivide(q, stride);
  const guard = [negate(floorMod(q, stride)), at, subtract(size - 1, at)].map(
    (value) => ({ kind: 'ge', value }) as const,
  );
  const spread = g.view(x, shape, [symbol('$0'), at], { guard });
  return g.reduce('sum', maker(g).map('mul', spread, g.view(w, shape, [t])), 1);
}

const isStrided = (root: Node): boolean =>
  topological([root]).some(
    (node) =>
      node.op === 'view' &&
      node.guard.some((c) => /^-.*%/.test(format(c.value)) && c.value.terms.length === 1),
  );

const numbers = (count: number, step: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.sin(1 + i * step) * 2);

function check(made: Case, isTurned: boolean): boolean {
  const g = new Graph();
  const before = transposed(g, made, isTurned);
  const { computation, counts } = simplify({
    name: 't',
    graph: g,
    outputs: [{ name: 'y', node: before }],
    updates: [],
  });
  const after = computation.outputs[0]!.node;
  const values = valuesOf({ x: numbers(batch * made.size, 1.3), w: numbers(made.taps, 0.7) });
  const [expected, found] = evaluateNodes(g, [before, after], {}, values);
  expect(found).toHaveLength(expected!.length);
  expected!.forEach((v, i) => expect(found![i], `element ${i}`).toBeCloseTo(v, 10));
  const isApplied = (counts.get('sum over every n-th index') ?? 0) > 0;
  if (isApplied) expect(isStrided(after)).toBe(false);
  return isApplied;
}

describe('a sum that only every n-th index counts in', () => {
  it.each([2, 3])('is over those, for stride %d', (stride) => {
    for (const taps of [2, 3, 4, 5])
      for (const padding of [0, 1, 2])
        for (const outputs of [stride * 6, 4])
          for (const isTurned of [false, true])
            expect(check({ stride, taps, size: 5, outputs, padding }, isTurned)).toBe(true);
  });

  it('is left alone where the stride does not divide a long output', () => {
    expect(check({ stride: 2, taps: 3, size: 5, outputs: 11, padding: 1 }, false)).toBe(false);
  });

  it('may be over the long index, for each of few taps: the gradient of the weight', () => {
    const g = new Graph();
    const [size, taps, outputs] = [5, 3, 10];
    const x = g.leaf('input', 'x', 'f32', [constant(size)]);
    const d = g.leaf('input', 'd', 'f32', [constant(outputs)]);
    // [taps, outputs]
    const shape = [constant(taps), constant(outputs)];
    const q = subtract(add(symbol('$1'), 1), symbol('$0'));
    const guard = [negate(floorMod(q, 2)), q, subtract(scale(constant(size), 2), add(q, 1))].map(
      (value) => ({ kind: 'ge', value }) as const,
    );
    const spread = g.view(x, shape, [floorDivide(q, 2)], { guard });
    const before = g.reduce('sum', maker(g).map('mul', spread, g.view(d, shape, [symbol('$1')])), 1);
    const { computation, counts } = simplify({
      name: 't',
      graph: g,
      outputs: [{ name: 'y', node: before }],
      updates: [],
    });
    expect(counts.get('sum over every n-th index')).toBe(1);
    const after = computation.outputs[0]!.node;
    expect(after.op === 'reduce' && after.inputs[0]?.shape.map(format)).toEqual(['3', '5']);
    const values = valuesOf({ x: numbers(size, 1.3), d: numbers(outputs, 0.7) });
    const [expected, found] = evaluateNodes(g, [before, after], {}, values);
    expected!.forEach((v, i) => expect(found![i]).toBeCloseTo(v, 10));
  });
});
