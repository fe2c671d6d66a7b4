import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { dataIndex, resultIndex } from '../../compiler/ir/indices.ts';
import type { Maker } from '../../compiler/ir/make.ts';
import { maker } from '../../compiler/ir/make.ts';
import type { DType, ScalarOp } from '../../compiler/ir/ops.ts';
import { scalarOps } from '../../compiler/ir/ops.ts';
import { verify } from '../../compiler/ir/verify.ts';
import type { AnyRule } from '../../compiler/rewrite/engine.ts';
import { OutOfFuel, rewrite } from '../../compiler/rewrite/engine.ts';
import { foldScalar } from '../../compiler/ir/fold.ts';
import { removeStops, rules, simplify } from '../../compiler/rewrite/simplify.ts';
import {
  add,
  constant,
  floorDivide,
  floorMod,
  negate,
  scale,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';
import { evaluateNodes, valuesOf } from '../support/evaluate.ts';

const c = constant;
const $ = resultIndex;
const n = symbol('n');

interface Leaves {
  /** f32[n, 4] */
  readonly x: Node;
  readonly y: Node;
  /** f32[4] */
  readonly v: Node;
  /** i32[n, 4], values 0 to 3 */
  readonly i: Node;
  readonly m: Maker;
  readonly g: Graph;
}

const wide = [n, c(4), c(3)];
const guard = (limit: number) => [{ kind: 'ge', value: subtract($(1), limit) }] as const;

/** For each rule a graph to which it applies. */
const examples: Readonly<Record<string, (l: Leaves) => Node>> = {
  'fold constants': ({ x, m, g }) => m.map('add', x, m.map('exp', g.full(0.5, 'f32', x.shape))),
  'constant to the right': ({ x, m }) => m.map('add', 2.5, x),
  'x + 0, x - 0': ({ x, m }) => m.map('sub', x, 0),
  'x * 1, x / 1, x ^ 1': ({ x, m }) => m.map('mul', x, 1),
  'integer x * 0': ({ i, m }) => m.map('mul', i, 0),
  'x * -1': ({ x, m }) => m.map('mul', x, -1),
  '0 - x': ({ x, m }) => m.map('sub', 0, x),
  'x / power of two': ({ x, m }) => m.map('div', x, 8),
  'x ^ small constant': ({ x, m }) => m.map('pow', x, 3),
  '-(-x)': ({ x, m }) => m.map('neg', m.map('neg', x)),
  'x + -y': ({ x, y, m }) => m.map('add', x, m.map('neg', y)),
  'x - -y': ({ x, y, m }) => m.map('sub', x, m.map('neg', y)),
  '-x * y, -x / y': ({ x, y, m }) => m.map('mul', x, m.map('neg', y)),
  '-(x * c)': ({ x, m }) => m.map('neg', m.map('mul', x, 3)),
  'where of a constant': ({ x, y, m, g }) => m.where(g.full(1, 'bool', x.shape), x, y),
  'where not': ({ x, y, m }) => m.where(m.map('not', m.map('lt', x, y)), x, y),
  'not not': ({ x, y, m }) => m.map('not', m.map('not', m.map('lt', x, y))),
  'and, or of a bool constant': ({ x, y, m, g }) =>
    m.map('and', m.map('lt', x, y), g.full(1, 'bool', x.shape)),
  'x max x': ({ x, m }) => m.map('max', x, x),
  'x < x': ({ x, m }) => m.map('lt', x, x),
  'cast of a cast': ({ x, y, g, m }) => g.map('cast', [g.map('cast', [m.map('lt', x, y)], 'i32')], 'f32'),
  'where of indices is a guard': ({ x, m, g }) => {
    const index = (i: number): Node => g.index($(i), wide);
    const read = g.view(x, wide, [$(0), $(1)]);
    const inside = m.map('and', m.map('lt', index(2), index(1)), m.map('not', m.map('lt', index(1), 2)));
    return m.map('add', m.where(inside, read, 0.5), m.where(m.map('le', index(0), 1), 2, read));
  },
  '(x * c) * d': ({ x, m }) => m.map('mul', m.map('mul', x, 3), 5),
  'view of a view': ({ x, g }) => g.view(g.view(x, [c(4), n], [$(1), $(0)]), [c(2), n], [add($(0), 1), $(1)]),
  'view of a constant or index': ({ g, x }) =>
    g.view(g.index(add($(0), scale($(1), 5)), x.shape), [c(4), n], [$(1), $(0)]),
  'view of an expression of views': ({ x, v, g, m }) =>
    g.view(
      m.map('mul', g.view(x, wide, [$(0), $(1)]), g.view(v, wide, [$(1)])),
      [c(3), n, c(4)],
      [$(1), $(2), $(0)],
    ),
  'view of part of a sum': ({ x, v, g, m }) => {
    const shape = [n, c(4), c(3)];
    const window = g.view(x, shape, [$(0), $(1)], { guard: [{ kind: 'ge', value: subtract($(1), $(2)) }] });
    const sum = g.reduce('sum', m.map('mul', window, g.view(v, shape, [$(2)])), 1);
    return g.view(sum, [n, c(2)], [$(0), scale($(1), 2)]);
  },
  'view with unused data': ({ x, g }) => {
    const at = g.leaf('input', 'unused', 'i32', [c(4), n]);
    return g.view(x, [c(4), n], [$(1), $(0)], { data: [at] });
  },
  'reduce over one': ({ x, g }) => g.reduce('max', g.view(x, [n, c(1), c(4)], [$(0), $(2)]), 2),
  'reduce of a reduce': ({ x, g }) => g.reduce('sum', g.reduce('sum', x, 1), 1),
  'sum of the same': ({ x, g }) => g.reduce('sum', g.view(x, [c(4), n, n], [$(2), $(0)]), 2),
  'max of the same': ({ x, g }) => g.reduce('max', g.view(x, [n, c(3), c(4)], [$(0), $(2)]), 2),
  'reduce of the identity': ({ g }) => g.reduce('prod', g.full(1, 'f32', [n, c(4)]), 1),
  'sum of a pinned index': ({ x, v, g, m }) => {
    const pinned = g.view(v, [n, c(4), c(6)], [$(1)], {
      guard: [{ kind: 'eq', value: subtract(add($(1), 1), $(2)) }],
    });
    return g.reduce('sum', m.map('mul', pinned, g.view(x, [n, c(4), c(6)], [$(0), $(1)])), 1);
  },
  'one guard for a product': ({ x, v, g, m }) => {
    const shape = [n, c(6), c(4)];
    const a = g.view(x, shape, [$(0), subtract($(1), 2)], { guard: guard(2) });
    return g.reduce('sum', m.map('mul', a, g.view(v, shape, [$(2)], { guard: guard(2) })), 2);
  },
  'x / d + y / d': ({ x, y, v, m, g }) => {
    const d = m.map('add', m.map('abs', v), 1);
    const wide = (node: Node): Node => g.view(node, x.shape, [$(1)]);
    return m.map('sub', m.map('div', x, wide(d)), m.map('div', y, wide(d)));
  },
  '(x / d) * e, where others need e / d': ({ x, y, m }) => {
    const d = m.map('add', m.map('abs', y), 1);
    const kept = m.map('div', m.map('exp', x), d);
    const product = m.map('mul', m.map('div', y, d), m.map('exp', x));
    return m.map('add', m.map('mul', kept, kept), product);
  },
  'sum over every n-th index': ({ x, v, g, m }) => {
    // A transposed convolution of [n, 4] by a window of 4 with stride 2.
    const shape = [n, c(10), c(4)];
    const q = subtract($(1), $(2));
    const guard = [
      { kind: 'ge', value: negate(floorMod(q, 2)) },
      { kind: 'ge', value: q },
      { kind: 'ge', value: subtract(7, q) },
    ] as const;
    const spread = g.view(x, shape, [$(0), floorDivide(q, 2)], { guard });
    return g.reduce('sum', m.map('mul', spread, g.view(v, shape, [$(2)])), 1);
  },
  'factor out of a sum': ({ x, v, g, m }) => {
    const shape = [c(4), n];
    return g.reduce(
      'sum',
      m.map('div', m.map('mul', g.view(v, shape, [$(0)]), g.view(x, shape, [$(1), $(0)])), 3),
      1,
    );
  },
};

function leavesOf(g: Graph): Leaves {
  return {
    g,
    m: maker(g),
    x: g.leaf('input', 'x', 'f32', [n, c(4)]),
    y: g.leaf('input', 'y', 'f32', [n, c(4)]),
    v: g.leaf('input', 'v', 'f32', [c(4)]),
    i: g.leaf('input', 'i', 'i32', [n, c(4)]),
  };
}

const numbers = (count: number, step: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.sin(1 + i * step) * 2);

describe('every rule', () => {
  it('has an example', () => {
    expect(Object.keys(examples).sort()).toEqual(rules.map((r) => r.name).sort());
  });

  it.each(Object.entries(examples))('%s', (name, build) => {
    const g = new Graph();
    const before = build(leavesOf(g));
    const { computation, counts } = simplify({
      name,
      graph: g,
      outputs: [{ name: 'y', node: before }],
      updates: [],
    });
    expect(counts.get(name)).toBeGreaterThan(0);
    verify(computation, name);
    const after = computation.outputs[0]?.node ?? before;
    for (const size of [3, 1, 0]) {
      const values = valuesOf({
        x: numbers(size * 4, 1.3),
        y: numbers(size * 4, 2.1),
        v: numbers(4, 0.7),
        i: Array.from({ length: size * 4 }, (_, k) => k % 4),
        unused: Array.from({ length: size * 4 }, () => 0),
      });
      const [expected, found] = evaluateNodes(g, [before, after], { n: size }, values);
      expect(found?.length).toBe(expected?.length);
      expected?.forEach((v, k) => {
        expect(found?.[k], `n = ${size}, element ${k}`).toBeCloseTo(v, 10);
      });
    }
  });

  it('does not touch what it must not', () => {
    const g = new Graph();
    const { x, m } = leavesOf(g);
    // NaN and infinity must be seen.
    for (const node of [m.map('mul', x, 0), m.map('sub', x, x), m.map('eq', x, x), m.map('div', x, 3)]) {
      const { computation } = simplify({ name: 't', graph: g, outputs: [{ name: 'y', node }], updates: [] });
      expect(computation.outputs[0]?.node).toBe(node);
    }
    // An activation that is read by a window stays whole.
    const active = m.map('max', x, 0);
    const window = g.view(active, [n, c(3), c(2)], [$(0), add($(1), $(2))]);
    const { computation } = simplify({
      name: 't',
      graph: g,
      outputs: [{ name: 'y', node: window }],
      updates: [],
    });
    expect(computation.outputs[0]?.node).toBe(window);
  });
});

describe('views of views', () => {
  const g = new Graph();
  const x = g.leaf('input', 'x', 'f32', [c(5)]);
  const at = g.leaf('input', 'at', 'i32', [c(3)]);
  const to = g.leaf('input', 'to', 'i32', [c(4)]);
  const values = valuesOf({ x: [1, 2, 3, 4, 5], at: [4, -1, 2], to: [2, 3, -1, 0] });
  const padded = g.view(x, [c(7)], [subtract($(0), 1)], {
    guard: [
      { kind: 'ge', value: subtract($(0), 1) },
      { kind: 'ge', value: subtract(5, $(0)) },
    ],
    fill: 9,
  });
  const gathered = g.view(x, [c(3)], [dataIndex(0)], { data: [at], fill: 9 });
  const shifted = g.view(x, [c(3)], [add(dataIndex(0), 1)], { data: [at], fill: 9 });
  const inners: Readonly<Record<string, Node>> = { padded, gathered, shifted };
  const outers: Readonly<Record<string, (inner: Node) => Node>> = {
    reversed: (y) => g.view(y, [c(3)], [subtract(2, $(0))]),
    'padded alike': (y) =>
      g.view(y, [c(5)], [$(0)], { guard: [{ kind: 'ge', value: subtract(2, $(0)) }], fill: 9 }),
    'padded otherwise': (y) =>
      g.view(y, [c(5)], [$(0)], { guard: [{ kind: 'ge', value: subtract(2, $(0)) }], fill: 7 }),
    gathered: (y) => g.view(y, [c(4)], [dataIndex(0)], { data: [to], fill: 9 }),
    'gathered otherwise': (y) => g.view(y, [c(4)], [dataIndex(0)], { data: [to], fill: 7 }),
  };
  const pairs = Object.entries(inners).flatMap(([a, inner]) =>
    Object.entries(outers).map(([b, f]) => [b, a, f(inner)] as const),
  );
  it.each(pairs)('%s of %s', (_outer, _inner, node) => {
    const { computation } = simplify({ name: 't', graph: g, outputs: [{ name: 'y', node }], updates: [] });
    const [expected, found] = evaluateNodes(g, [node, computation.outputs[0]?.node ?? node], {}, values);
    expect(found).toEqual(expected);
  });
});

describe('the engine', () => {
  it('names the rule that loops', () => {
    const swap: AnyRule = {
      name: 'swap for ever',
      op: 'map',
      apply: (node, { graph }) => graph.map('add', [node, node]),
    };
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', []);
    const node = g.map('sin', [x]);
    expect(() =>
      rewrite({ name: 't', graph: g, outputs: [{ name: 'y', node }], updates: [] }, [swap], { fuel: 10 }),
    ).toThrow(OutOfFuel);
    expect(() =>
      rewrite({ name: 't', graph: g, outputs: [{ name: 'y', node }], updates: [] }, [swap], { fuel: 10 }),
    ).toThrow(/swap for ever/);
  });

  it('takes stops away', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', []);
    const node = g.map('sin', [g.stop(x)]);
    const { computation } = removeStops({ name: 't', graph: g, outputs: [{ name: 'y', node }], updates: [] });
    expect(computation.outputs[0]?.node).toBe(g.map('sin', [x]));
  });

  it('follows chains of any length', () => {
    const g = new Graph();
    const m = maker(g);
    let y: Node = g.leaf('input', 'x', 'f32', []);
    for (let i = 0; i < 20_000; i++) y = m.map('sin', y);
    const { computation } = simplify({ name: 't', graph: g, outputs: [{ name: 'y', node: y }], updates: [] });
    expect(computation.outputs[0]?.node).toBe(y);
  });
});

describe('constants are folded as the reference computes', () => {
  const dtypes: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];
  const value = (t: DType): fc.Arbitrary<number> =>
    t === 'f32'
      ? fc.oneof(
          fc.double({ min: -5, max: 5, noNaN: true }),
          fc.constantFrom(0, 0.5, -0.5, 1.5, 2.5, 3e9, -3e9, NaN, Infinity),
        )
      : t === 'bool'
        ? fc.constantFrom(0, 1)
        : t === 'i32'
          ? fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer())
          : fc.oneof(fc.nat(40), fc.nat(0xffffffff));
  const all = (Object.keys(scalarOps) as ScalarOp[]).flatMap((fn) =>
    dtypes.flatMap((t): [ScalarOp, DType, DType][] =>
      fn === 'cast' ? dtypes.map((to): [ScalarOp, DType, DType] => [fn, t, to]) : [[fn, t, t]],
    ),
  );
  const existing = all.filter(
    ([fn, t]) =>
      fn === 'cast' ||
      scalarOps[fn].result(
        fn === 'where' ? ['bool', t, t] : Array.from({ length: scalarOps[fn].arity }, () => t),
      ),
  );
  it.each(existing)('%s of %s to %s', (fn, t, to) => {
    const g = new Graph();
    fc.assert(
      fc.property(fc.boolean(), value(t), value(t), (k, a, b) => {
        const operands =
          fn === 'where'
            ? [g.constant(Number(k), 'bool'), g.constant(a, t), g.constant(b, t)]
            : [a, b].slice(0, scalarOps[fn].arity).map((v) => g.constant(v, t));
        const node = g.map(fn, operands, to);
        const folded = foldScalar(
          fn,
          operands.map((o) => (o.op === 'const' ? o.value : NaN)),
          t,
          node.dtype,
        );
        if (folded === undefined) return;
        expect(folded + 0).toBe((evaluateNodes(g, [node])[0]?.[0] ?? NaN) + 0);
      }),
      { numRuns: 60, seed: 21 },
    );
  });
});
