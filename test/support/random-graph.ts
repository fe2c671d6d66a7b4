/**
 * Random graphs, for comparing whatever gives a graph's values: the reference with itself after rewriting, the
 * gradient with finite differences, schedules and backends with the reference. Built from a tape of choices, so that
 * fast-check shrinks them: a shorter tape with smaller numbers is a smaller graph.
 */
import fc from 'fast-check';
import { toStringMethod } from 'fast-check';
import type { Computation, Leaf, Node } from '../../compiler/ir/graph.ts';
import { Graph, sameShape } from '../../compiler/ir/graph.ts';
import { dataIndex, indexAt, resultIndex } from '../../compiler/ir/indices.ts';
import type { BinaryOp, ReduceOp, UnaryOp } from '../../compiler/ir/ops.ts';
import { printComputation } from '../../compiler/ir/print.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  equal,
  evaluate as evaluatePoly,
  floorMod,
  scale,
  symbol,
} from '../../compiler/shape/poly.ts';
import type { Dims } from '../../runtime/device.ts';
import { type Choices, randomView } from './random-view.ts';

export interface RandomGraph {
  readonly graph: Graph;
  /** Output `y` is a float tensor; `loss` the sum of it times a leaf, a scalar. */
  readonly computation: Computation;
  readonly loss: Node;
  readonly dims: Dims;
  /** Values of all leaves by name. f32 values are representable in f32. */
  readonly values: Map<string, Float64Array>;
  /** Leaves that a gradient may be asked for. */
  readonly floats: readonly Leaf[];
}

export interface RandomGraphOptions {
  /** No comparisons, roundings or integer conversions of floats, whose value may jump with the last bit. Default true. */
  readonly smooth?: boolean;
  /** Values of the dimension `n`. Default 0 to 3. */
  readonly batch?: readonly number[];
  /** Choices on the tape; about 12 a node. Default 80. */
  readonly length?: number;
  /** No view, scatter or reduction may have more elements than this. Default 600. */
  readonly elements?: number;
}

export function randomGraph(options: RandomGraphOptions = {}): fc.Arbitrary<RandomGraph> {
  const { length = 80 } = options;
  return fc
    .array(fc.nat({ max: 1 << 20 }), { minLength: 4, maxLength: length, size: 'max' })
    .map((tape) => new Builder(tape, options).build());
}

const n = symbol('n');

class Builder implements Choices {
  readonly graph = new Graph();
  private readonly tape: readonly number[];
  private position = 0;
  readonly dims: { n: number };
  private readonly values = new Map<string, Float64Array>();
  private readonly floats: Leaf[] = [];
  private readonly pool: Node[] = [];
  private readonly smooth: boolean;
  private readonly limit: number;
  private random: number;

  constructor(
    tape: readonly number[],
    { smooth = true, batch = [2, 1, 3, 0], elements = 600 }: RandomGraphOptions,
  ) {
    this.tape = tape;
    this.smooth = smooth;
    this.limit = elements;
    this.random = tape.reduce((a, b) => (Math.imul(a, 31) + b) >>> 0, 7);
    this.dims = { n: batch[this.choose(batch.length)] ?? 1 };
  }

  build(): RandomGraph {
    const leaves = 1 + this.choose(3);
    for (let i = 0; i < leaves; i++) this.pool.push(this.leaf(`x${i}`, this.shape()));
    while (this.position < this.tape.length) this.step();
    const { graph } = this;
    const y = this.pool.at(-1) ?? graph.constant(0, 'f32');
    const weights = this.leaf('weights', y.shape);
    const loss = graph.reduce('sum', graph.map('mul', [y, weights]), y.shape.length);
    const outputs = [
      { name: 'y', node: y },
      { name: 'loss', node: loss },
    ];
    const computation: Computation = { name: 'random', graph, outputs, updates: [] };
    const made = { graph, computation, loss, dims: this.dims, values: this.values, floats: this.floats };
    return Object.assign(made, {
      [toStringMethod]: () => `n = ${this.dims.n}\n${printComputation(computation)}`,
    });
  }

  /** A number below `count`, 0 when the tape has ended. */
  choose(count: number): number {
    return (this.tape[this.position++] ?? 0) % count;
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.choose(items.length)] ?? items[0];
  }

  /** A pseudo-random number in [-1.5, 1.5), representable in f32. */
  private number(): number {
    this.random = (Math.imul(this.random, 1664525) + 1013904223) >>> 0;
    return Math.fround((this.random / 2 ** 32) * 3 - 1.5);
  }

  private size(shape: readonly Poly[]): number {
    return shape.reduce((a, d) => a * evaluatePoly(d, (name) => (name === 'n' ? this.dims.n : NaN)), 1);
  }

  private shape(): Poly[] {
    const rank = this.choose(4);
    return Array.from({ length: rank }, () => this.dimension());
  }

  dimension(): Poly {
    return this.pick([constant(3), n, constant(1), constant(2), constant(5), constant(4)]);
  }

  private leaf(name: string, shape: readonly Poly[]): Leaf {
    const leaf = this.graph.leaf('input', name, 'f32', shape);
    this.values.set(
      name,
      Float64Array.from({ length: this.size(shape) }, () => this.number()),
    );
    this.floats.push(leaf);
    return leaf;
  }

  indices(shape: readonly Poly[], below: number): Leaf {
    const name = `at${this.values.size}`;
    const leaf = this.graph.leaf('input', name, 'i32', shape);
    // One value outside on each side: they read the fill and add nothing.
    const value = (): number => Math.floor(((this.number() + 1.5) / 3) * (below + 2)) - 1;
    this.values.set(name, Float64Array.from({ length: this.size(shape) }, value));
    return leaf;
  }

  private step(): void {
    // Mostly the newest node, so that operations are stacked upon each other.
    const back = this.choose(3) === 2 ? this.choose(this.pool.length) : 0;
    const x = this.pool[this.pool.length - 1 - back];
    if (!x) return;
    const kind = this.pick(['view', 'binary', 'unary', 'reduce', 'select', 'scatter', 'contract'] as const);
    const made = this[kind](x);
    if (made && this.size(made.shape) <= this.limit) this.pool.push(made);
  }

  private fill(value: number, like: Node): Node {
    return this.graph.full(value, 'f32', like.shape);
  }

  unary(x: Node): Node {
    const { graph } = this;
    const map = (fn: UnaryOp, y: Node): Node => graph.map(fn, [y]);
    const positive = (): Node => graph.map('add', [graph.map('mul', [x, x]), this.fill(0.5, x)]);
    const fn = this.pick([
      'neg',
      'tanh',
      'sigmoid',
      'abs',
      'exp',
      'log',
      'sqrt',
      'sin',
      'cos',
      'erf',
      'pow',
      'rough',
    ] as const);
    switch (fn) {
      case 'exp':
        return map('exp', map('tanh', x));
      case 'log':
      case 'sqrt':
        return map(fn, positive());
      case 'pow':
        return graph.map('pow', [positive(), this.fill(this.pick([2, 3, 0.5, -1, 1.5]), x)]);
      case 'rough':
        return this.smooth ? map('neg', x) : this.rough(x);
      default:
        return map(fn, x);
    }
  }

  private rough(x: Node): Node {
    const { graph } = this;
    const wide = graph.map('mul', [x, this.fill(4, x)]);
    const whole = graph.map('cast', [wide], 'i32');
    const three = graph.full(3, 'i32', x.shape);
    switch (this.choose(4)) {
      case 0:
        return graph.map('floor', [wide]);
      case 1:
        return graph.map('round', [wide]);
      case 2:
        return graph.map(
          'cast',
          [graph.map(this.pick(['mod', 'div', 'and', 'xor', 'shl', 'max']), [whole, three])],
          'f32',
        );
      default:
        return graph.map('cast', [graph.map(this.pick(['lt', 'le', 'eq']), [whole, three])], 'f32');
    }
  }

  binary(x: Node): Node {
    const { graph } = this;
    const y = this.fit(x.shape);
    const fn = this.pick<BinaryOp>(['add', 'mul', 'sub', 'max', 'min', 'div', 'pow', 'mod']);
    const positive = (a: Node, least: number): Node =>
      graph.map('add', [graph.map('mul', [a, a]), this.fill(least, a)]);
    if (fn === 'div') return graph.map('div', [x, positive(y, 0.7)]);
    if (fn === 'pow') return graph.map('pow', [positive(x, 0.5), graph.map('tanh', [y])]);
    if (fn === 'mod') return this.smooth ? graph.map('add', [x, y]) : graph.map('mod', [x, positive(y, 0.7)]);
    return graph.map(fn, [x, y]);
  }

  /** where(condition on indices or integers, x, y) */
  select(x: Node): Node {
    const { graph } = this;
    const { shape } = x;
    const at =
      shape.length === 0
        ? constant(0)
        : shape.reduce<Poly>((sum, _, i) => add(sum, indexAt(i, shape)), constant(0));
    const left = this.choose(2) === 0 || shape.length === 0 ? graph.index(at, shape) : this.indices(shape, 3);
    const condition = graph.map(this.pick(['lt', 'eq', 'le']), [
      left,
      graph.full(this.choose(3), 'i32', shape),
    ]);
    return graph.map('where', [condition, x, this.fit(shape)]);
  }

  reduce(x: Node): Node {
    const { graph } = this;
    if (x.shape.length === 0) return x;
    const fn = this.pick<ReduceOp>(['sum', 'max', 'min', 'prod']);
    const count = 1 + this.choose(x.shape.length);
    const lost = x.shape.slice(x.shape.length - count);
    // The maximum of nothing is not finite.
    const empty = lost.some((d) => asConstant(d) === undefined);
    if ((fn === 'max' || fn === 'min') && empty) return graph.reduce('sum', x, count);
    return graph.reduce(fn, x, count);
  }

  /** A matrix product or convolution: reduce(sum, mul(view, view)). */
  contract(x: Node): Node | undefined {
    const { graph } = this;
    const last = x.shape.at(-1);
    if (!last) return undefined;
    const outer = x.shape.slice(0, -1);
    const own = outer.map((_, i) => indexAt(i, x.shape));
    const width = asConstant(last);
    const units = constant(2 + this.choose(3));
    if (width === undefined || width < 3 || this.choose(2) === 0) {
      const w = this.leaf(`w${this.values.size}`, [last, units]);
      const shape = [...outer, units, last];
      const k = indexAt(shape.length - 1, shape);
      const product = graph.map('mul', [
        graph.view(x, shape, [...own, k]),
        graph.view(w, shape, [k, resultIndex(outer.length)]),
      ]);
      return this.size(shape) > this.limit ? undefined : graph.reduce('sum', product, 1);
    }
    const kernel = 2;
    const stride = 1 + this.choose(2);
    const w = this.leaf(`w${this.values.size}`, [units, constant(kernel)]);
    const shape = [...outer, units, constant(Math.floor((width - kernel) / stride) + 1), constant(kernel)];
    const at = outer.length;
    const window = add(scale(resultIndex(at + 1), stride), resultIndex(at + 2));
    const product = graph.map('mul', [
      graph.view(x, shape, [...own, window]),
      graph.view(w, shape, [resultIndex(at), resultIndex(at + 2)]),
    ]);
    return this.size(shape) > this.limit ? undefined : graph.reduce('sum', product, 1);
  }

  scatter(x: Node): Node | undefined {
    const { graph } = this;
    const last = x.shape.length - 1;
    if (last < 0) return undefined;
    const below = 2 + this.choose(3);
    const shape = [...x.shape.slice(0, -1), constant(below)];
    const index = shape.map((_, i) => (i === last ? dataIndex(0) : indexAt(i, x.shape)));
    return graph.scatter(x, [this.indices(x.shape, below)], index, shape);
  }

  /** Some node, viewed so that it has this shape. */
  private fit(shape: readonly Poly[]): Node {
    const { graph } = this;
    const x = this.pool[this.choose(this.pool.length)];
    if (!x || x.dtype !== 'f32') return graph.full(0.75, 'f32', shape);
    if (sameShape(x.shape, shape)) return x;
    const index: Poly[] = [];
    for (const d of x.shape) {
      const same = shape.findIndex((e) => equal(d, e));
      const size = asConstant(d);
      const other = shape.findIndex((e) => (asConstant(e) ?? 0) > 1);
      if (same >= 0) index.push(indexAt(same, shape));
      else if (size === undefined) return graph.full(0.75, 'f32', shape);
      else index.push(other < 0 ? constant(size - 1) : floorMod(resultIndex(other), size));
    }
    return graph.view(x, shape, index);
  }

  view(x: Node): Node | undefined {
    return randomView(x, this);
  }
}
