import { describe, expect, it } from 'vitest';
import type { Computation, Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { resultIndex } from '../../compiler/ir/indices.ts';
import { printComputation } from '../../compiler/ir/print.ts';
import { sizeOf, toGraphData } from '../../compiler/ir/serialise.ts';
import { InvalidGraph, problemsOf, unproved, verify } from '../../compiler/ir/verify.ts';
import {
  add,
  constant,
  evaluate,
  floorDivide,
  floorMod,
  maximum,
  minimum,
  multiply,
  scale,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';
import { reduceRows, scalarRows } from '../../runtime/scalar.ts';
import { evalSize } from '../../runtime/size.ts';
import { identityOf, scalarOps } from '../../compiler/ir/ops.ts';
import { reduceStart } from '../../runtime/scalar.ts';
import { lenet, sgdStep } from '../support/networks.ts';

const c = constant;
const $ = resultIndex;
const n = symbol('n');

describe('views are brought into one form', () => {
  const g = new Graph();
  const x = g.leaf('input', 'x', 'f32', [n, c(4)]);

  it('conditions that always hold are left out', () => {
    const a = g.view(x, [n, c(4)], [$(0), $(1)], { guard: [{ kind: 'ge', value: $(1) }], fill: 3 });
    expect(a).toBe(x);
  });
  it('a guard that never holds is the fill', () => {
    const a = g.view(x, [n, c(4)], [$(0), $(1)], {
      guard: [{ kind: 'ge', value: subtract($(1), 4) }],
      fill: 3,
    });
    expect(a).toBe(g.full(3, 'f32', [n, c(4)]));
  });
  it('the index of a dimension of 1 is 0', () => {
    const a = g.view(x, [n, c(1)], [$(0), $(1)]);
    expect(a).toBe(g.view(x, [n, c(1)], [$(0), c(0)]));
  });
  it('the fill of a total view does not matter', () => {
    expect(g.view(x, [c(4), n], [$(1), $(0)], { fill: 5 })).toBe(g.view(x, [c(4), n], [$(1), $(0)]));
  });
  it('conditions hold no division', () => {
    const y = g.view(x, [n, c(9)], [$(0), floorDivide($(1), 2)], {
      guard: [{ kind: 'ge', value: subtract(3, floorDivide($(1), 2)) }],
    });
    expect(y.op === 'view' && y.guard.map((k) => k.value.key)).toEqual([subtract(7, $(1)).key]);
  });
  it('nothing is known of data', () => {
    const at = g.leaf('input', 'at', 'i32', [n]);
    const y = g.view(x, [n], [$(0), symbol('@0')], {
      data: [at],
      guard: [{ kind: 'ge', value: symbol('@0') }],
    });
    expect(y.op === 'view' && y.guard).toHaveLength(1);
  });
});

describe('verify', () => {
  const g = new Graph();
  const x = g.leaf('input', 'x', 'f32', [n, c(4)]);
  const w = g.leaf('param', 'w', 'f32', [c(4)]);
  const computation = (node: Node, more: Partial<Computation> = {}): Computation => ({
    name: 't',
    graph: g,
    outputs: [{ name: 'y', node }],
    updates: [],
    ...more,
  });
  /** A node with a field changed behind the graph's back. */
  const broken = <N extends Node>(node: N, change: Partial<N>): Node => ({ ...node, ...change });

  it('accepts a training step', () => {
    const net = lenet();
    verify(sgdStep(net, net.params), 'test');
  });

  const map = g.map('add', [x, x]);
  const reduce = g.reduce('sum', x, 1);
  const view = g.view(x, [c(4), n], [$(1), $(0)]);
  const scatter = g.scatter(w, [], [$(0)], [c(6)]);
  const cases: readonly (readonly [string, Node, RegExp])[] = [
    ['another dtype', broken(map, { dtype: 'i32' }), /add gives f32, not i32/],
    ['another shape', broken(map, { shape: [n] }), /every operand has the shape/],
    ['too few operands', broken(map, { inputs: [x] }), /takes 2 operands/],
    ['an index in a shape', broken(map, { shape: [$(0), c(4)] }), /its shape holds the index \$0/],
    ['a reduction of too many', broken(reduce as never, { count: 3 } as never), /reduces 3 of 2/],
    ['a sum of bool', g.reduce('sum', g.map('lt', [x, x]), 1), /no sum of bool/],
    [
      'an index that does not exist',
      broken(view as never, { index: [$(1), $(5)] } as never),
      /\$5 does not exist/,
    ],
    [
      'data that does not exist',
      broken(view as never, { index: [$(1), symbol('@0')] } as never),
      /@0 does not exist/,
    ],
    ['too few indices', broken(view as never, { index: [$(1)] } as never), /one index for each dimension/],
    ['a read that is out of bounds', g.view(w, [c(3)], [add($(0), 4)]), /out of bounds/],
    ['a scatter of another rank', broken(scatter as never, { index: [] } as never), /one index for each/],
    ['a constant outside its dtype', g.constant(1.5, 'i32'), /not an i32/],
  ];
  it.each(cases)('refuses %s, naming the pass', (_what, node, message) => {
    expect(() => {
      verify(computation(node), 'some pass');
    }).toThrow(message);
    expect(() => {
      verify(computation(node), 'some pass');
    }).toThrow(/after some pass/);
    expect(problemsOf(node)).not.toEqual([]);
  });

  it('refuses an update of another type, of an input, or twice', () => {
    const leaf = w.op === 'leaf' ? w : undefined;
    if (!leaf) return;
    const update = (value: Node): Computation => computation(x, { updates: [{ leaf, value }] });
    expect(() => {
      verify(update(x), 'p');
    }).toThrow(InvalidGraph);
    expect(() => {
      verify(computation(x, { updates: [{ leaf: x, value: x }] }), 'p');
    }).toThrow(/cannot be updated/);
    expect(() => {
      verify(
        computation(x, {
          updates: [
            { leaf, value: w },
            { leaf, value: w },
          ],
        }),
        'p',
      );
    }).toThrow(/twice/);
  });

  it('tells what is not proved to be in bounds', () => {
    const y = g.view(w, [n], [$(0)]);
    expect(y.op === 'view' && unproved(y)).toHaveLength(1);
    const z = g.view(w, [n], [$(0)], { guard: [{ kind: 'ge', value: subtract(3, $(0)) }] });
    expect(z.op === 'view' && unproved(z)).toHaveLength(0);
  });
});

describe('print and serialise', () => {
  it('a computation reads as text', () => {
    const g = new Graph();
    const x = g.leaf('input', 'x', 'f32', [n, c(4)]);
    const w = g.leaf('param', 'w', 'f32', [c(4)]);
    const at = g.leaf('input', 'at', 'i32', [n]);
    const padded = g.view(x, [n, c(6)], [$(0), subtract($(1), 1)], {
      guard: [
        { kind: 'ge', value: subtract($(1), 1) },
        { kind: 'ge', value: subtract(4, $(1)) },
      ],
    });
    const picked = g.view(x, [n], [$(0), symbol('@0')], { data: [at], fill: -1 });
    const y = g.map('mul', [g.reduce('max', padded, 1), picked]);
    const step = g.scatter(picked, [at], [symbol('@0')], [c(4)]);
    const text = printComputation({
      name: 'demo',
      graph: g,
      outputs: [{ name: 'y', node: g.stop(y) }],
      updates: [{ leaf: w, value: g.map('add', [w, step]) }],
    });
    expect(text).toBe(`demo
  input:x = f32[n, 4] input x
  %0 = f32[n, 6] view input:x[$0, $1 - 1] if $1 - 1 >= 0 and -$1 + 4 >= 0 else 0
  %1 = f32[n] reduce max %0 over 1
  input:at = i32[n] input at
  %2 = f32[n] view input:x[$0, @0] by input:at else -1
  %3 = f32[n] mul %1, %2
  %4 = f32[n] stop %3
  param:w = f32[4] param w
  %5 = f32[4] scatter %2 to [@0] by input:at
  %6 = f32[4] add param:w, %5
  out y = %4
  w' = %6
`);
  });

  it('sizes mean what the polynomial means', () => {
    const [a, b] = [symbol('a'), symbol('b')];
    const all = [
      c(0),
      c(-3),
      a,
      add(scale(multiply(a, a, b), 2), scale(b, -1), 5),
      floorDivide(add(a, 3), b),
      floorMod(subtract(a, b), 3),
      minimum(a, b),
      maximum(add(a, 1), scale(b, 2)),
    ];
    for (const p of all)
      expect(evalSize(sizeOf(p), { a: 7, b: 2 })).toBe(evaluate(p, (name) => (name === 'a' ? 7 : 2)));
  });

  it('graphs survive JSON, with NaN, infinities and -0', () => {
    const g = new Graph();
    const values = [NaN, Infinity, -Infinity, -0, 0, 1.5];
    const outputs = values.map((v, i) => ({ name: `${i}`, node: g.constant(v, 'f32') }));
    const data = JSON.parse(
      JSON.stringify(toGraphData({ name: 't', graph: g, outputs, updates: [] })),
    ) as ReturnType<typeof toGraphData>;
    expect(data.outputs.map((o) => Number(data.nodes[o.node]?.value))).toEqual(values);
  });
});

describe('the reference table', () => {
  it('has a row for every operation of the graph, and no other', () => {
    expect(Object.keys(scalarRows).sort()).toEqual(Object.keys(scalarOps).sort());
    expect(Object.keys(reduceRows).sort()).toEqual(['max', 'min', 'prod', 'sum']);
  });
  it('starts reductions where the graph says', () => {
    for (const fn of ['sum', 'prod', 'max', 'min'] as const)
      for (const t of ['f32', 'i32', 'u32', 'bool'] as const)
        expect(reduceStart(fn, t)).toBe(identityOf(fn, t));
  });
});
