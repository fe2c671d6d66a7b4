/**
 * Random loops: a body with one to three carries, made of what recurrent layers are made of (matrix products with
 * captured and sliced operands, gates, masks, reads at the iteration), walked forwards or backwards. Shrinks like
 * `randomGraph`: a shorter tape with smaller numbers is a smaller loop.
 */
import fc from 'fast-check';
import { Graph, type Leaf, type Node } from '../../compiler/ir/graph.ts';
import { indexAt } from '../../compiler/ir/indices.ts';
import { closeLoop } from '../../compiler/ir/loop.ts';
import { add, constant, one, subtract, symbol, type Poly } from '../../compiler/shape/poly.ts';
import { evaluate as evaluatePoly } from '../../compiler/shape/poly.ts';
import type { RandomGraph } from './random-graph.ts';

export interface RandomLoopOptions {
  readonly batch?: readonly number[];
  readonly times?: readonly number[];
  /** Every dimension but the batch is at least 1: proofs rely on it. */
  /** Width of the carries. Default up to 3. */
  readonly widths?: readonly number[];
  readonly length?: number;
}

export const randomLoop = (options: RandomLoopOptions = {}): fc.Arbitrary<RandomGraph> =>
  fc
    .array(fc.nat({ max: 1 << 20 }), { minLength: 6, maxLength: options.length ?? 60, size: 'max' })
    .map((tape) => new Builder(tape, options).build());

const n = symbol('n');
const time = symbol('time');
const iteration = '$t·1';

class Builder {
  private readonly graph = new Graph();
  private position = 0;
  private readonly values = new Map<string, Float64Array>();
  private readonly floats: Leaf[] = [];
  private readonly dims: { n: number; time: number };
  private readonly tape: readonly number[];
  private readonly widths: readonly number[];
  private random: number;

  constructor(tape: readonly number[], options: RandomLoopOptions) {
    this.tape = tape;
    const { batch = [2, 1, 3, 0], times = [3, 1, 2], widths = [3, 2, 1] } = options;
    this.widths = widths;
    this.random = tape.reduce((a, b) => (Math.imul(a, 31) + b) >>> 0, 7);
    this.dims = { n: this.pick(batch), time: this.pick(times) };
  }

  build(): RandomGraph {
    const { graph } = this;
    const reversed = this.pick([false, true]);
    const width = constant(this.pick(this.widths));
    const t = symbol(iteration);
    const inits = Array.from({ length: 1 + this.choose(3) }, (_, i) => this.initial(i, [n, width]));
    const x = this.leaf('x', [n, time, width]);
    const seen = this.leaf('length', [n]);
    const weight = this.leaf('w', [width, width]);
    const bias = this.leaf('b', [width]);
    const since = graph.mark;
    const carries = inits.map((init) => ({ leaf: graph.unbound('f32', init.shape), init }));
    const at = (shape: readonly Poly[], i: number): Poly => indexAt(i, shape);
    const wide = [n, width];
    const pool: Node[] = [
      ...carries.map((c) => c.leaf),
      graph.view(x, wide, [at(wide, 0), t, at(wide, 1)]),
      graph.broadcast(bias, wide, [1]),
    ];
    const steps = 2 + this.choose(7);
    for (let i = 0; i < steps; i++) pool.push(this.step(pool, { weight, seen, t, wide }));
    const nexts = carries.map((c) => ({
      ...c,
      next: this.choose(4) === 0 ? this.pick(pool) : this.late(pool),
    }));
    const each = [this.late(pool), this.pick(pool), this.product(this.late(pool), weight)];
    const backwards = (i: Poly): Poly => subtract(subtract(time, one), i);
    const index = { symbol: iteration, at: reversed ? backwards : (i: Poly): Poly => i };
    const loop = closeLoop(graph, { extent: time, carries: nexts, index, since }, each);
    const results = [
      ...each.map((e) => loop.each(e)),
      ...carries.filter(() => this.choose(2) === 0).map((c) => loop.final(c.leaf)),
      ...(this.choose(3) === 0 ? [loop.history((carries[0] as { leaf: Leaf }).leaf)] : []),
    ];
    return this.finish(results);
  }

  private finish(results: readonly Node[]): RandomGraph {
    const { graph } = this;
    const sums = results.map((r, i) => {
      const c = this.leaf(`c${i}`, r.shape);
      return graph.reduce('sum', graph.map('mul', [r, c]), r.shape.length);
    });
    const loss = sums.reduce((a, b) => graph.map('add', [a, b]));
    const outputs = [...results.map((node, i) => ({ name: `y${i}`, node })), { name: 'loss', node: loss }];
    const computation = { name: 'random', graph, outputs, updates: [] };
    return { graph, computation, loss, dims: this.dims, values: this.values, floats: this.floats };
  }

  private step(
    pool: readonly Node[],
    { weight, seen, t, wide }: { weight: Node; seen: Node; t: Poly; wide: readonly Poly[] },
  ): Node {
    const { graph } = this;
    const [a, b] = [this.late(pool), this.pick(pool)];
    switch (this.choose(9)) {
      case 0:
        return this.product(a, weight);
      case 1:
        return graph.map('tanh', [a]);
      case 2:
        return graph.map('mul', [a, b]);
      case 3:
        return graph.map('add', [a, graph.map('tanh', [b])]);
      case 4: {
        // A mask by the number of the iteration.
        const now = graph.map('cast', [graph.index(t, wide)], 'f32');
        const inside = graph.map('lt', [now, graph.broadcast(seen, wide, [0])]);
        return graph.map('where', [inside, a, b]);
      }
      case 5: {
        // A read of what the loop computed at a place that the iteration says.
        const last = subtract(wide[1] as Poly, one);
        const guard = [
          { kind: 'ge' as const, value: subtract(last, t) },
          { kind: 'ge' as const, value: t },
        ];
        return graph.map('add', [graph.view(a, wide, [indexAt(0, wide), t], { guard }), b]);
      }
      case 6: {
        const mean = graph.reduce('sum', a, 1);
        return graph.map('sub', [b, graph.broadcast(mean, wide, [0])]);
      }
      case 7:
        return graph.map('mul', [
          graph.map('cast', [graph.index(add(t, 1), wide)], 'f32'),
          graph.map('tanh', [a]),
        ]);
      default: {
        const half = graph.full(0.5, 'f32', a.shape);
        return graph.map('mul', [graph.map('sub', [a, b]), half]);
      }
    }
  }

  /** `sum(k) a[i, k] * w[k, j]` */
  private product(a: Node, w: Node): Node {
    const { graph } = this;
    const [rows, inner] = a.shape as [Poly, Poly];
    const space = [rows, inner, inner];
    const left = graph.view(a, space, [indexAt(0, space), indexAt(2, space)]);
    const right = graph.view(w, space, [indexAt(2, space), indexAt(1, space)]);
    return graph.reduce('sum', graph.map('mul', [left, right]), 1);
  }

  private initial(i: number, shape: readonly Poly[]): Node {
    const { graph } = this;
    if (this.choose(3) === 0) return graph.full(i / 4, 'f32', shape);
    const leaf = this.leaf(`h${i}`, shape);
    return this.choose(2) === 0 ? leaf : graph.map('tanh', [leaf]);
  }

  private leaf(name: string, shape: readonly Poly[]): Leaf {
    const leaf = this.graph.leaf('input', name, 'f32', shape);
    const size = shape.reduce(
      (a, d) => a * evaluatePoly(d, (s) => (s === 'n' ? this.dims.n : this.dims.time)),
      1,
    );
    this.values.set(
      name,
      Float64Array.from({ length: size }, () => this.next()),
    );
    this.floats.push(leaf);
    return leaf;
  }

  /** -1.5 … 1.5 in steps that f32 represents. */
  private next(): number {
    this.random = (Math.imul(this.random, 1664525) + 1013904223) >>> 0;
    return ((this.random >>> 16) % 97) / 32 - 1.5;
  }

  private choose(count: number): number {
    return (this.tape[this.position++ % this.tape.length] ?? 0) % count;
  }
  private pick<T>(list: readonly T[]): T {
    return list[this.choose(list.length)] as T;
  }
  /** Mostly what was made last. */
  private late(pool: readonly Node[]): Node {
    return pool[Math.max(0, pool.length - 1 - this.choose(3))] as Node;
  }
}
