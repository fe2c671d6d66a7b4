/** One small graph or more for every row of the gradient table, on odd sizes, size 1 and empty tensors. */
import type { Leaf, Node } from '../../compiler/ir/graph.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import { dataIndex, indexAt, resultIndex } from '../../compiler/ir/indices.ts';
import type { DType, ReduceOp, ScalarOp } from '../../compiler/ir/ops.ts';
import type { Maker } from '../../compiler/ir/make.ts';
import { maker } from '../../compiler/ir/make.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  constant,
  evaluate,
  floorDivide,
  floorMod,
  multiply,
  scale,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';
import type { Dims } from '../../runtime/device.ts';

export interface GradientCase {
  readonly name: string;
  readonly graph: Graph;
  readonly loss: Node;
  readonly dims: Dims;
  readonly values: Map<string, Float64Array>;
  readonly floats: readonly Leaf[];
}

type Shape = readonly (number | Poly)[];

interface Recipe {
  readonly shapes: readonly Shape[];
  /** Of the float leaves; default f32. */
  readonly dtype?: 'f16' | 'f32';
  /** Values of the float leaves lie here; default -2 to 2. */
  readonly range?: readonly [number, number];
  /** i32 leaves: shape and exclusive upper bound; one value lies below 0. */
  readonly data?: readonly (readonly [Shape, number])[];
  readonly build: (x: readonly [Node, Node, Node], make: Maker, data: readonly Node[]) => Node;
}

const n = symbol('n');
const $ = resultIndex;
const polys = (shape: Shape): Poly[] => shape.map((d) => (typeof d === 'number' ? constant(d) : d));

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The case for one value of `n`. The loss weighs every element differently, so that a misplaced one shows. */
function make(
  name: string,
  { shapes, range: [low, high] = [-2, 2], dtype = 'f32', data = [], build }: Recipe,
  size: number,
): GradientCase {
  const graph = new Graph();
  const next = random(name.length * 977 + size);
  const values = new Map<string, Float64Array>();
  const count = (shape: readonly Poly[]): number => shape.reduce((a, d) => a * evaluate(d, () => size), 1);
  const leaf = (label: string, shape: Poly[], value: () => number, type: DType = 'f32'): Leaf => {
    values.set(label, Float64Array.from({ length: count(shape) }, value));
    return graph.leaf('input', label, type, shape);
  };
  const floats = shapes.map((s, i) => leaf(`x${i}`, polys(s), () => low + (high - low) * next(), dtype));
  const integers = data.map(([s, below], i) =>
    leaf(`at${i}`, polys(s), () => Math.floor(next() * (below + 1)) - 1, 'i32'),
  );
  const [x] = floats;
  if (!x) throw new Error('a case needs an operand');
  const y = build([x, floats[1] ?? x, floats[2] ?? x], maker(graph), integers);
  const weights = leaf('weights', [...y.shape], () => 0.5 + next());
  const loss = graph.reduce('sum', graph.map('mul', [y, weights]), y.shape.length);
  return { name: `${name}, n = ${size}`, graph, loss, dims: { n: size }, values, floats };
}

const unary = (fn: ScalarOp, range: readonly [number, number] = [-2, 2]): Recipe => ({
  shapes: [[n, 3]],
  range,
  build: ([x], m) => m.map(fn, x),
});
const binary = (fn: ScalarOp, range: readonly [number, number] = [-2, 2]): Recipe => ({
  shapes: [
    [n, 3],
    [n, 3],
  ],
  range,
  build: ([a, b], m) => m.map(fn, a, b),
});

/** Each differentiable scalar operation; null where there is no derivative. Total, so that a new one needs a case. */
const scalar: { readonly [Op in ScalarOp]: readonly Recipe[] | null } = {
  neg: [unary('neg')],
  abs: [unary('abs')],
  exp: [unary('exp')],
  log: [unary('log', [0.2, 3])],
  sqrt: [unary('sqrt', [0.2, 3])],
  sin: [unary('sin')],
  cos: [unary('cos')],
  tanh: [unary('tanh')],
  sigmoid: [unary('sigmoid')],
  erf: [unary('erf')],
  floor: null,
  round: null,
  not: null,
  // From a leaf of the other dtype: two casts would hide a sign.
  cast: [{ shapes: [[n, 3]], dtype: 'f16', build: ([x], m) => m.graph.map('cast', [x], 'f32') }],
  add: [binary('add')],
  sub: [binary('sub')],
  mul: [binary('mul')],
  div: [binary('div', [0.3, 2])],
  mod: [binary('mod', [0.3, 2])],
  pow: [
    binary('pow', [0.3, 2]),
    { shapes: [[n, 3]], build: ([x], m) => m.map('pow', x, 2) },
    { shapes: [[n, 3]], build: ([x], m) => m.map('pow', x, 3) },
    { shapes: [[n, 3]], build: ([x], m) => m.map('pow', 2, x) },
  ],
  max: [
    binary('max'),
    { shapes: [[n, 3]], build: ([x], m) => m.map('max', x, 0.1) },
    { shapes: [[n, 3]], build: ([x], m) => m.map('max', 0.1, x) },
  ],
  min: [binary('min'), { shapes: [[n, 3]], build: ([x], m) => m.map('min', x, 0.1) }],
  lt: null,
  le: null,
  eq: null,
  and: null,
  or: null,
  xor: null,
  shl: null,
  shr: null,
  where: [
    {
      shapes: [
        [n, 3],
        [n, 3],
        [n, 3],
      ],
      build: ([c, a, b], m) => m.where(m.map('lt', c, 0), a, b),
    },
  ],
};

const reduction = (fn: ReduceOp, count: number): Recipe => ({
  shapes: [[n, 3, 4]],
  range: [0.5, 1.5],
  build: ([x], m) => m.graph.reduce(fn, x, count),
});

const reduce: { readonly [Op in ReduceOp]: readonly Recipe[] } = {
  sum: [reduction('sum', 1), reduction('sum', 3)],
  prod: [reduction('prod', 1), reduction('prod', 2), reduction('prod', 3)],
  max: [reduction('max', 1), reduction('max', 2)],
  min: [reduction('min', 1), reduction('min', 2)],
};

/** y of `shape`, read at `index`. */
const view = (
  from: Shape,
  shape: Shape,
  index: readonly (Poly | number)[],
  options: { guard?: readonly Condition[]; fill?: number } = {},
): Recipe => ({
  shapes: [from],
  build: ([x], m) =>
    m.graph.view(
      x,
      polys(shape),
      index.map((e) => (typeof e === 'number' ? constant(e) : e)),
      options,
    ),
});

const inside = (e: Poly, extent: number | Poly): Condition[] => [
  { kind: 'ge', value: e },
  { kind: 'ge', value: subtract(subtract(extent, 1), e) },
];

const [i, j, k] = [$(0), $(1), $(2)];
const merged = add(multiply(i, 6), j);
const u = subtract(j, k);

const views: Readonly<Record<string, Recipe>> = {
  broadcast: view([3], [n, 3, 2], [j]),
  'broadcast of one': view([n, 1], [n, 5], [i, 0]),
  transpose: view([n, 3], [3, n], [j, i]),
  slice: view([n, 7], [n, 3], [i, add(j, 2)]),
  'strided slice': view([n, 7], [n, 3], [i, add(scale(j, 2), 1)]),
  reverse: view([n, 5], [n, 5], [i, subtract(4, j)]),
  'one column': view([n, 5], [n], [i, 3]),
  pad: view([n, 3], [n, 6], [i, subtract(j, 2)], { guard: inside(subtract(j, 2), 3), fill: 7 }),
  'merge dimensions': view([n, 3], [multiply(n, 3)], [floorDivide(i, 3), floorMod(i, 3)]),
  'merge symbolic dimensions': view([3, n], [multiply(n, 3)], [floorDivide(i, n), floorMod(i, n)]),
  'split a dimension': view([12], [3, 4], [add(scale(i, 4), j)]),
  'split a symbolic dimension': view([multiply(n, 3)], [n, 3], [add(scale(i, 3), j)]),
  reshape: view(
    [2, 3, 4],
    [4, 6],
    [floorDivide(merged, 12), floorMod(floorDivide(merged, 4), 3), floorMod(merged, 4)],
  ),
  diagonal: view([5, 5], [5], [i, i]),
  'diagonal matrix': view([5], [5, 5], [i], { guard: [{ kind: 'eq', value: subtract(i, j) }] }),
  repeat: view([n], [multiply(n, 3)], [floorDivide(i, 3)]),
  tile: view([4], [10], [floorMod(i, 4)]),
  'windows that overlap': view([n, 7], [n, 5, 3], [i, add(j, k)]),
  'strided windows that overlap': view([n, 9], [n, 4, 3], [i, add(scale(j, 2), k)]),
  'windows that do not overlap': view([n, 7], [n, 3, 2], [i, add(scale(j, 2), k)]),
  'windows with gaps': view([n, 8], [n, 3, 2], [i, add(scale(j, 3), k)]),
  'dilated windows': view([n, 9], [n, 5, 3], [i, add(j, scale(k, 2))]),
  'strided and dilated windows': view([n, 11], [n, 3, 3], [i, add(scale(j, 3), scale(k, 2))]),
  'a strided transposed window': view([n, 4], [n, 9, 3], [i, floorDivide(u, 2)], {
    guard: [{ kind: 'eq', value: floorMod(u, 2) }, ...inside(floorDivide(u, 2), 4)],
  }),
  'a product of indices': view([10], [3, 4], [multiply(i, j)]),
  'a guard that pins': view([n, 4], [n, 4, 3], [i, j], {
    guard: [{ kind: 'eq', value: subtract(add(k, 1), j) }],
    fill: 2,
  }),
};

/** Windows of both image dimensions, as pooling and convolution read them. */
const image: Recipe = {
  shapes: [[n, 2, 7, 6]],
  build: ([x], m) => {
    const shape = polys([n, 2, 3, 3, 2, 2]);
    const index = [$(0), $(1), add(scale($(2), 2), $(4)), add(scale($(3), 2), $(5))];
    return m.graph.reduce('max', m.graph.view(x, shape, index), 2);
  },
};

const gather = (
  from: Shape,
  shape: Shape,
  below: number,
  index: readonly Poly[],
  options: { guard?: Condition[] } = {},
): Recipe => ({
  shapes: [from],
  data: [[shape, below]],
  build: ([x], m, data) => m.graph.view(x, polys(shape), index, { ...options, data, fill: 3 }),
});

const data: Readonly<Record<string, Recipe>> = {
  'gather rows': gather([5, 2], [n, 3, 2], 5, [dataIndex(0), k]),
  'gather one of each row': gather([n, 4], [n], 4, [i, dataIndex(0)]),
  'gather with an offset': gather([n, 5], [n], 4, [i, add(dataIndex(0), 1)]),
  'gather with a guard': gather([4], [n, 3], 4, [dataIndex(0)], {
    guard: [{ kind: 'ge', value: subtract(j, 1) }],
  }),
  'gather where data allows': gather([4], [n, 3], 4, [j], {
    guard: [{ kind: 'ge', value: subtract(dataIndex(0), 1) }],
  }),
  scatter: {
    shapes: [[n, 4]],
    data: [[[n, 4], 3]],
    build: ([x], m, at) => m.graph.scatter(x, at, [indexAt(0, x.shape), dataIndex(0)], polys([n, 3])),
  },
  'scatter out of bounds': {
    shapes: [[n, 5]],
    build: ([x], m) =>
      m.graph.scatter(x, [], [indexAt(0, x.shape), subtract(scale($(1), 2), 3)], polys([n, 4])),
  },
};

const groups: readonly Readonly<Record<string, Recipe | readonly Recipe[] | null>>[] = [
  scalar,
  reduce,
  views,
  data,
  { 'max pool': image },
];

/** All cases, for n = 3, 1 and 0. */
export function gradientCases(): GradientCase[] {
  return groups
    .flatMap((group) => Object.entries(group))
    .flatMap(([name, recipes]) => [recipes ?? []].flat().map((recipe) => [name, recipe] as const))
    .flatMap(([name, recipe]) => [3, 1, 0].map((size) => make(name, recipe, size)));
}

/** Scalar operations without a derivative. */
export const flat = Object.entries(scalar).flatMap(([fn, recipes]) => (recipes ? [] : [fn as ScalarOp]));
