/** Random views of a node: what `random-graph.ts` stacks between its operations. */
import type { Graph, Node } from '../../compiler/ir/graph.ts';
import { dataIndex, indexAt, resultIndex } from '../../compiler/ir/indices.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  equal,
  floorDivide,
  floorMod,
  multiply,
  scale,
  subtract,
} from '../../compiler/shape/poly.ts';

/** Where choices come from, and the graph that they make. */
export interface Choices {
  readonly graph: Graph;
  readonly dims: { readonly n: number };
  /** A number below `count`. */
  choose(count: number): number;
  pick<T>(items: readonly [T, ...T[]]): T;
  dimension(): Poly;
  /** A leaf of integers below `below`, some of which lie outside. */
  indices(shape: readonly Poly[], below: number): Node;
}

/** A transposed, padded, cut, widened, reshaped … `x`; undefined where that cannot be had of it. */
export function randomView(x: Node, choices: Choices): Node | undefined {
  const { graph } = choices;
  const { shape } = x;
  const own = shape.map((_, i) => indexAt(i, shape));
  const kind = choices.pick([
    'transpose',
    'pad',
    'slice',
    'window',
    'broadcast',
    'reshape',
    'diagonal',
    'gather',
    'repeat',
  ] as const);
  if (kind === 'broadcast') {
    const wide = [...shape];
    const at = choices.choose(shape.length + 1);
    wide.splice(at, 0, choices.dimension());
    return graph.view(
      x,
      wide,
      shape.map((_, i) => indexAt(i < at ? i : i + 1, wide)),
    );
  }
  if (shape.length === 0) return undefined;
  const at = choices.choose(shape.length);
  const size = shape[at] ?? constant(1);
  const width = asConstant(size);
  /** Replaces dimension `at` by others. */
  const along = (
    dims: readonly Poly[],
    at2: (first: number) => Poly,
    options: { guard?: Condition[]; fill?: number } = {},
  ): Node => {
    const next = [...shape.slice(0, at), ...dims, ...shape.slice(at + 1)];
    const index = shape.map((_, i) =>
      i < at ? indexAt(i, next) : i > at ? indexAt(i + dims.length - 1, next) : at2(at),
    );
    return graph.view(x, next, index, options);
  };
  const $ = resultIndex;
  switch (kind) {
    case 'transpose': {
      const order = [...own.keys()].sort((a, b) => ((a + at) % own.length) - ((b + at) % own.length));
      const next = order.map((i) => shape[i] ?? size);
      return graph.view(
        x,
        next,
        shape.map((_, i) => indexAt(order.indexOf(i), next)),
      );
    }
    case 'pad': {
      const before = choices.choose(3);
      const after = choices.choose(2);
      const i = subtract($(at), before);
      const guard: Condition[] = [
        { kind: 'ge', value: i },
        { kind: 'ge', value: subtract(subtract(size, 1), i) },
      ];
      const fill = choices.pick([0, 0.5, -1]);
      return along([add(size, before + after)], () => i, { guard, fill });
    }
    case 'slice': {
      const step = 1 + choices.choose(2);
      if (width === undefined || width <= step)
        return along([size], (a) => subtract(subtract(size, 1), $(a)));
      return along([constant(Math.floor((width - 2) / step) + 1)], (a) => add(scale($(a), step), 1));
    }
    case 'window': {
      if (width === undefined || width < 3) return undefined;
      const [stride, dilation] = [1 + choices.choose(3), 1 + choices.choose(2)];
      const kernel = width >= 4 || dilation === 1 ? 2 : 1;
      const count = Math.floor((width - (kernel - 1) * dilation - 1) / stride) + 1;
      return along([constant(count), constant(kernel)], (a) =>
        add(scale($(a), stride), scale($(a + 1), dilation)),
      );
    }
    case 'reshape':
      return reshape(x, at, graph);
    case 'diagonal': {
      const twin = shape.findIndex((d, i) => i !== at && equal(d, size));
      if (twin < 0) {
        const next = [...shape, size];
        const equalIndex: Condition = { kind: 'eq', value: subtract($(at), $(shape.length)) };
        return graph.view(x, next, own, { guard: [equalIndex], fill: choices.pick([0, 2]) });
      }
      const next = shape.filter((_, i) => i !== twin);
      const position = (i: number): number => (i === twin ? position(at) : i > twin ? i - 1 : i);
      return graph.view(
        x,
        next,
        shape.map((_, i) => indexAt(position(i), next)),
      );
    }
    case 'gather': {
      const next = shape.map((d, i) => (i === at ? constant(2) : d));
      const data = choices.indices(next, width ?? choices.dims.n);
      const index = shape.map((_, i) => (i === at ? dataIndex(0) : indexAt(i, next)));
      return graph.view(x, next, index, { data: [data], fill: choices.pick([0, 0.25]) });
    }
    case 'repeat': {
      const times = 2;
      const wide = scale(size, times);
      return choices.choose(2) === 0
        ? along([wide], (a) => floorDivide($(a), times))
        : along([wide], (a) => floorMod($(a), size));
    }
  }
}

/** Merges dimension `at` with the next, or splits it. */
function reshape(x: Node, at: number, graph: Graph): Node | undefined {
  const { shape } = x;
  const [a, b] = [shape[at], shape[at + 1]];
  if (a && b) {
    const next = [...shape.slice(0, at), multiply(a, b), ...shape.slice(at + 2)];
    const k = indexAt(at, next);
    const index = shape.map((_, i) => {
      if (i === at) return floorDivide(k, b);
      return i === at + 1 ? floorMod(k, b) : indexAt(i < at ? i : i - 1, next);
    });
    return graph.view(x, next, index);
  }
  const width = a && asConstant(a);
  if (width !== 4 && width !== 6 && width !== 12) return undefined;
  const next = [...shape.slice(0, at), constant(2), constant(width / 2)];
  const merged = add(multiply(resultIndex(at), width / 2), indexAt(at + 1, next));
  return graph.view(
    x,
    next,
    shape.map((_, i) => (i === at ? merged : indexAt(i, next))),
  );
}
