/** Training steps written by hand as graphs, as the checker would elaborate them. */
import type { Computation, Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { dataIndex, indexAt, resultIndex } from '../../compiler/ir/indices.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  constant,
  floorDivide,
  floorMod,
  multiply,
  one,
  scale,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';

const c = constant;
const $ = resultIndex;
export const batch = symbol('batch');

/** y[…, o] = sum(i) x[…, i] * w[i, o] + b[o] */
export function dense(g: Graph, x: Node, units: number, name: string): Node {
  const n = x.shape[1] ?? one;
  const w = g.leaf('param', `${name}.weight`, 'f32', [n, c(units)]);
  const b = g.leaf('param', `${name}.bias`, 'f32', [c(units)]);
  const shape = [x.shape[0] ?? one, c(units), n];
  const product = g.map('mul', [g.view(x, shape, [$(0), $(2)]), g.view(w, shape, [$(2), $(1)])]);
  const y = g.reduce('sum', product, 1);
  return g.map('add', [y, g.broadcast(b, y.shape, [1])]);
}

export function relu(g: Graph, x: Node): Node {
  return g.map('max', [x, g.full(0, 'f32', x.shape)]);
}

/** x: f32[n, c, h, w]; kernel k by k */
export function conv2d(
  g: Graph,
  x: Node,
  filters: number,
  k: number,
  options: { padding?: number; stride?: number },
  name: string,
): Node {
  const { padding = 0, stride = 1 } = options;
  const [n = one, channels = one, h = one, w = one] = x.shape;
  const wide = [n, channels, add(h, 2 * padding), add(w, 2 * padding)];
  const inside = (i: number, size: Poly): { kind: 'ge'; value: Poly }[] => {
    const at = subtract($(i), padding);
    return [
      { kind: 'ge', value: at },
      { kind: 'ge', value: subtract(subtract(size, 1), at) },
    ];
  };
  const xp = g.view(
    x,
    wide,
    [indexAt(0, wide), indexAt(1, wide), subtract($(2), padding), subtract($(3), padding)],
    {
      guard: [...inside(2, h), ...inside(3, w)],
    },
  );
  const weight = g.leaf('param', `${name}.weight`, 'f32', [c(filters), channels, c(k), c(k)]);
  const bias = g.leaf('param', `${name}.bias`, 'f32', [c(filters)]);
  const out = (size: Poly): Poly => add(floorDivide(subtract(size, k), stride), 1);
  const shape = [n, c(filters), out(wide[2] ?? one), out(wide[3] ?? one), channels, c(k), c(k)];
  const window = (i: number, r: number): Poly => add(scale($(i), stride), $(r));
  const product = g.map('mul', [
    g.view(xp, shape, [$(0), indexAt(4, shape), window(2, 5), window(3, 6)]),
    g.view(weight, shape, [$(1), indexAt(4, shape), $(5), $(6)]),
  ]);
  const y = g.reduce('sum', product, 3);
  return g.map('add', [y, g.broadcast(bias, y.shape, [1])]);
}

export function maxPool(g: Graph, x: Node, k: number, stride = k): Node {
  const [n = one, channels = one, h = one, w = one] = x.shape;
  const out = (size: Poly): Poly => add(floorDivide(subtract(size, k), stride), 1);
  const shape = [n, channels, out(h), out(w), c(k), c(k)];
  const index = [$(0), indexAt(1, shape), add(scale($(2), stride), $(4)), add(scale($(3), stride), $(5))];
  return g.reduce('max', g.view(x, shape, index), 2);
}

export function flatten(g: Graph, x: Node): Node {
  const [n = one, a = one, h = one, w = one] = x.shape;
  const shape = [n, multiply(a, h, w)];
  const ranges = new Map([['$1', multiply(a, h, w)]]);
  const index = [
    $(0),
    floorDivide($(1), multiply(h, w)),
    floorMod(floorDivide($(1), w), h, ranges),
    floorMod($(1), w),
  ];
  return g.view(x, shape, index);
}

/** mean over the batch of log(sum(exp(x - max))) - (x - max)[label] */
export function crossEntropy(g: Graph, x: Node, label: Node): Node {
  const [n = one] = x.shape;
  const highest = g.stop(g.reduce('max', x, 1));
  const shifted = g.map('sub', [x, g.broadcast(highest, x.shape, [0])]);
  const total = g.reduce('sum', g.map('exp', [shifted]), 1);
  const own = g.view(shifted, [n], [$(0), dataIndex(0)], { data: [label] });
  const losses = g.map('sub', [g.map('log', [total]), own]);
  const count = g.map('cast', [g.index(n, [])], 'f32');
  return g.map('div', [g.reduce('sum', losses, 1), count]);
}

export interface Network {
  readonly graph: Graph;
  readonly loss: Node;
  readonly params: readonly Node[];
}

/** 784-500-10 (or smaller) with relu. */
export function mlp(sizes: readonly [number, number, number] = [784, 500, 10]): Network {
  const g = new Graph();
  const x = g.leaf('input', 'image', 'f32', [batch, c(sizes[0])]);
  const label = g.leaf('input', 'label', 'i32', [batch]);
  const logits = dense(g, relu(g, dense(g, x, sizes[1], 'fc1')), sizes[2], 'fc2');
  return network(g, crossEntropy(g, logits, label), logits);
}

/** conv 6 (padding 2), pool, conv 16, pool, 120, 84, 10 on [batch, 1, size, size]. */
export function lenet(size = 28): Network {
  const g = new Graph();
  const x = g.leaf('input', 'image', 'f32', [batch, one, c(size), c(size)]);
  const label = g.leaf('input', 'label', 'i32', [batch]);
  const a = maxPool(g, relu(g, conv2d(g, x, 6, 5, { padding: 2 }, 'conv1')), 2);
  const b = maxPool(g, relu(g, conv2d(g, a, 16, 5, {}, 'conv2')), 2);
  const d = relu(g, dense(g, relu(g, dense(g, flatten(g, b), 120, 'fc1')), 84, 'fc2'));
  const logits = dense(g, d, 10, 'fc3');
  return network(g, crossEntropy(g, logits, label), logits);
}

function network(graph: Graph, loss: Node, logits: Node): Network {
  const params: Node[] = [];
  const visit = (node: Node, seen: Set<Node>): void => {
    if (seen.has(node)) return;
    seen.add(node);
    for (const x of node.inputs) visit(x, seen);
    if (node.op === 'leaf' && node.role === 'param') params.push(node);
  };
  visit(logits, new Set());
  return { graph, loss, params };
}

/** w' = w - lr * g for every parameter, and the loss. */
export function sgdStep(
  { graph: g, loss, params }: Network,
  gradients: readonly Node[],
  lr = 0.01,
): Computation {
  const updates = params.map((w, i) => {
    const step = g.map('mul', [gradients[i] ?? w, g.full(lr, 'f32', w.shape)]);
    if (w.op !== 'leaf') throw new Error('a parameter is a leaf');
    return { leaf: w, value: g.map('sub', [w, step]) };
  });
  return { name: 'train', graph: g, outputs: [{ name: 'loss', node: loss }], updates };
}
