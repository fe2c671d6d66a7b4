/**
 * Counter-based random numbers in u32 operations of the IR, so that every backend draws the same bits. Each element is
 * hashed from its position, the clocks and the stream that the text and its path give it; nothing is carried.
 */
import type { Graph, Node } from '../ir/graph.ts';
import { resultIndex } from '../ir/indices.ts';
import type { Poly } from '../shape/poly.ts';
import { add, multiply, one, zero } from '../shape/poly.ts';
import { viewOf } from './tensor.ts';

/** FNV-1a, 32 bits, over UTF-16 code units: streams are named, and names are stable. */
export function hashName(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** Builds u32 expressions of one shape. */
class Words {
  readonly graph: Graph;
  readonly shape: readonly Poly[];

  constructor(graph: Graph, shape: readonly Poly[]) {
    this.graph = graph;
    this.shape = shape;
  }

  number(value: number): Node {
    return this.graph.full(value, 'u32', this.shape);
  }

  op(fn: 'add' | 'mul' | 'xor' | 'shr', x: Node, y: Node | number): Node {
    return this.graph.map(fn, [x, typeof y === 'number' ? this.number(y) : y]);
  }

  /** PCG-RXS-M-XS-32 as a hash of one word (O'Neill 2014; Jarzynski & Olano 2020). */
  pcg(x: Node): Node {
    const state = this.op('add', this.op('mul', x, 747796405), 2891336453);
    const shift = this.op('add', this.op('shr', state, 28), 4);
    const word = this.op('mul', this.op('xor', this.op('shr', state, shift), state), 277803737);
    return this.op('xor', this.op('shr', word, 22), word);
  }
}

/**
 * f32 tensor, uniform on [0, 1), multiples of 2^-24. Depends on the clock `seed`, on `stream`, and with `everyStep` on
 * the clock `step`.
 */
export function randomUniform(
  graph: Graph,
  shape: readonly Poly[],
  stream: string,
  everyStep: boolean,
): Node {
  const scalar = new Words(graph, []);
  const clock = (name: string): Node => graph.map('cast', [graph.leaf('clock', name, 'i32', [])], 'u32');
  const name = hashName(stream);
  const seeded = scalar.pcg(scalar.op('xor', clock('seed'), name));
  const key = everyStep ? scalar.pcg(scalar.op('add', seeded, clock('step'))) : seeded;
  const second = scalar.pcg(scalar.op('xor', key, hashName(`second ${stream}`)));
  const words = new Words(graph, shape);
  const spread = (x: Node): Node => viewOf(graph, x, shape, []);
  const position = graph.map('cast', [graph.index(linear(shape), shape)], 'u32');
  const first = words.pcg(words.op('add', words.op('mul', position, 0x9e3779b9), spread(key)));
  const bits = words.pcg(words.op('xor', first, spread(second)));
  const fraction = graph.map('cast', [words.op('shr', bits, 8)], 'f32');
  return graph.map('mul', [fraction, graph.full(2 ** -24, 'f32', shape)]);
}

/** Position of an element in row-major order. */
function linear(shape: readonly Poly[]): Poly {
  let position = zero;
  let stride = one;
  for (let i = shape.length - 1; i >= 0; i--) {
    position = add(position, multiply(stride, shape[i]?.key === '1' ? zero : resultIndex(i)));
    stride = multiply(stride, shape[i] ?? one);
  }
  return position;
}
