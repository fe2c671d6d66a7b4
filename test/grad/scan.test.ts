import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gradient } from '../../compiler/grad/reverse.ts';
import { Graph, type Leaf, type Node } from '../../compiler/ir/graph.ts';
import { topological } from '../../compiler/ir/walk.ts';
import { indexAt } from '../../compiler/ir/indices.ts';
import { closeLoop } from '../../compiler/ir/loop.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { removeStops, simplify } from '../../compiler/rewrite/simplify.ts';
import { constant } from '../../compiler/shape/poly.ts';
import { evaluateNodes, valuesOf } from '../support/evaluate.ts';
import { finiteDifferences, isClose, lossFunction } from '../support/finite-differences.ts';
import { randomLoop } from '../support/random-loop.ts';

const runs = Number(process.env['NNET_RANDOM'] ?? 60);
const c = constant;

/** h' = h * w + x[t], over four steps, from h0. */
function recurrence(): { g: Graph; x: Leaf; w: Leaf; h0: Leaf; last: Node; all: Node } {
  const g = new Graph();
  const [x, w, h0] = [
    g.leaf('input', 'x', 'f32', [c(4)]),
    g.leaf('param', 'w', 'f32', []),
    g.leaf('input', 'h0', 'f32', []),
  ];
  const h = g.unbound('f32', []);
  const now = g.unbound('f32', []);
  const next = g.map('add', [g.map('mul', [h, w]), now]);
  const loop = closeLoop(
    g,
    { extent: c(4), carries: [{ leaf: h, init: h0, next }], slices: new Map([[now, x]]) },
    [next],
  );
  return { g, x, w, h0, last: loop.final(h), all: loop.each(next) };
}

describe('a scan', () => {
  it('walks through its iterations', () => {
    const { g, last, all } = recurrence();
    const values = valuesOf({ x: [1, 2, 3, 4], w: [2], h0: [1] });
    const [l, a] = evaluateNodes(g, [last, all], {}, values);
    expect([...(a ?? [])]).toEqual([3, 8, 19, 42]);
    expect([...(l ?? [])]).toEqual([42]);
  });

  it('is differentiated, once and twice', () => {
    const { g, x, w, h0, last } = recurrence();
    const values = valuesOf({ x: [1, 2, 3, 4], w: [2], h0: [1] });
    const first = gradient(g, last, [x, w, h0]);
    expect(first.problems).toEqual([]);
    const [gx, gw, gh] = evaluateNodes(g, first.gradients, {}, values);
    expect([...(gx ?? [])]).toEqual([8, 4, 2, 1]);
    // 4 h0 w^3 + 3 w^2 x0 + 2 w x1 + x2
    expect([...(gw ?? [])]).toEqual([32 + 12 + 8 + 3]);
    expect([...(gh ?? [])]).toEqual([16]);
    const second = gradient(g, first.gradients[1] as Node, [w, x]);
    const [gww, gwx] = evaluateNodes(g, second.gradients, {}, values);
    expect([...(gww ?? [])]).toEqual([48 + 12 + 4]);
    expect([...(gwx ?? [])]).toEqual([12, 4, 1, 0]);
  });

  it('reduces the gradient of what every step uses once, behind the loop', () => {
    const g = new Graph();
    const [x, u] = [
      g.leaf('input', 'x', 'f32', [c(5), c(2), c(3)]),
      g.leaf('param', 'u', 'f32', [c(3), c(3)]),
    ];
    const [h, now] = [g.unbound('f32', [c(2), c(3)]), g.unbound('f32', [c(2), c(3)])];
    const space = [c(2), c(3), c(3)];
    const product = (a: Node): Node =>
      g.reduce(
        'sum',
        g.map('mul', [
          g.view(a, space, [indexAt(0, space), indexAt(2, space)]),
          g.view(u, space, [indexAt(2, space), indexAt(1, space)]),
        ]),
        1,
      );
    const next = g.map('tanh', [g.map('add', [product(h), product(now)])]);
    const loop = closeLoop(g, {
      extent: c(5),
      carries: [{ leaf: h, init: g.full(0, 'f32', [c(2), c(3)]), next }],
      slices: new Map([[now, x]]),
    });
    const loss = g.reduce('sum', loop.final(h), 2);
    const { gradients } = gradient(g, loss, [u]);
    const scans = topological(gradients).filter((n) => n.op === 'scan');
    expect(scans).toHaveLength(2);
    for (const s of scans) {
      const reductions = topological(s.op === 'scan' ? s.next : []).filter((n) => n.op === 'reduce');
      expect(reductions).toHaveLength(1);
      expect(s.op === 'scan' && s.carries).toHaveLength(1);
    }
  });
});

describe('a random loop', () => {
  it('has the gradients that finite differences show, simplified or not', () => {
    fc.assert(
      fc.property(
        randomLoop({ batch: [2, 1, 3], times: [3, 1, 2] }),
        ({ graph, loss, floats, dims, values }) => {
          const { gradients, problems } = gradient(graph, loss, floats);
          const outputs = gradients.map((node, i) => ({ name: `g${i}`, node }));
          const computation = { name: 'gradients', graph, outputs, updates: [] };
          verify(computation, 'gradient');
          const simple = simplify(removeStops(computation).computation).computation;
          verify(simple, 'simplify');
          const found = evaluateNodes(graph, gradients, dims, values);
          const after = evaluateNodes(
            graph,
            simple.outputs.map((o) => o.node),
            dims,
            values,
          );
          const f = lossFunction(graph, loss, dims);
          floats.forEach((leaf, i) => {
            const wanted = finiteDifferences(f, values, leaf);
            wanted.forEach((w, k) => {
              const [g, s] = [found[i]?.[k] ?? NaN, after[i]?.[k] ?? NaN];
              if (w !== undefined && !isClose(g, w)) expect.fail(`${leaf.name}[${k}]: ${g} is not ${w}`);
              if (!isClose(s, g)) expect.fail(`${leaf.name}[${k}] simplified: ${s} is not ${g}`);
            });
            if (
              problems.some((p) => p.wrt === leaf) &&
              wanted.some((w) => w !== undefined && Math.abs(w) > 1e-4)
            )
              expect.fail(`${leaf.name} has a gradient`);
          });
        },
      ),
      { numRuns: runs, seed: 3 },
    );
  });
});
