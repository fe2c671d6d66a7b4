/**
 * Products in f16: what mixed precision does to a sum of products. Its factors are rounded to f16, it is added up in f32,
 * and the result is rounded to f16 again, so that the gradient that comes back is f16 too and the products of the
 * backward pass are of the same kind (Micikevicius et al. 2018, "Mixed precision training").
 */
import { Dependence } from './dependence.ts';
import type { Graph, Node, Origin } from './graph.ts';

/**
 * `node` with its factors in f16 where it is a contraction: a sum of products whose sides vary along result axes of their
 * own. Anything else stays as it is. Its dtype stays f32.
 * @param asked where mixed precision was asked for: what the conversions come from
 */
export function inHalf(graph: Graph, node: Node, asked: readonly Origin[]): Node {
  if (node.op === 'view' && node.guard.length === 0 && node.inputs.length === 1 && node.inputs[0])
    return graph.withInputs(node, [inHalf(graph, node.inputs[0], asked)]);
  const product =
    node.op === 'reduce' && node.fn === 'sum' && node.dtype === 'f32' ? node.inputs[0] : undefined;
  if (!product || node.op !== 'reduce') return node;
  const sides = sidesOf(factorsOf(graph, product), node.shape.length);
  if (!sides) return node;
  const [a, b] = sides.map((factors) => halved(graph, factors, asked)) as [Node, Node];
  return rounded(graph, graph.reduce('sum', graph.map('mul', [a, b]), node.count), asked);
}

/** The factors of a product; a view of a product is a product of views. */
function factorsOf(graph: Graph, node: Node): readonly Node[] {
  if (node.op === 'map' && node.fn === 'mul') return node.inputs.flatMap((x) => factorsOf(graph, x));
  const [x] = node.inputs;
  if (node.op !== 'view' || node.guard.length > 0 || node.inputs.length > 1 || !x) return [node];
  if (x.op !== 'map' || x.fn !== 'mul') return [node];
  return x.inputs.flatMap((f) => factorsOf(graph, graph.view(f, node.shape, node.index)));
}

/** The factors in two groups, each of which varies along one of the first `rank` axes that the other does not. */
function sidesOf(factors: readonly Node[], rank: number): readonly [Node[], Node[]] | undefined {
  const dependence = new Dependence();
  const axes = new Map(
    factors.map((f) => [f, new Set([...dependence.axesOf(f)].filter((i) => i < rank))] as const),
  );
  const of = (f: Node): ReadonlySet<number> => axes.get(f) ?? new Set();
  const [first, ...others] = factors;
  if (!first || others.length === 0) return undefined;
  const widest = others.reduce((best, f) => (of(f).size > of(best).size ? f : best), first);
  const inside = (f: Node): boolean => [...of(f)].every((i) => of(widest).has(i));
  const left = factors.filter(inside);
  const right = factors.filter((f) => !inside(f));
  const covered = new Set(right.flatMap((f) => [...of(f)]));
  const own = [...of(widest)].some((i) => !covered.has(i));
  return right.length > 0 && own ? [left, right] : undefined;
}

/** A side of a product, rounded to f16: below the views of a single factor, so that it is done once for each element. */
function halved(graph: Graph, factors: readonly Node[], asked: readonly Origin[]): Node {
  const [only] = factors;
  if (only && factors.length === 1 && only.op === 'view' && only.inputs[0]) {
    const [x, ...data] = only.inputs;
    return graph.view(halved(graph, [x], asked), only.shape, only.index, {
      guard: only.guard,
      fill: only.fill,
      data,
    });
  }
  return rounded(
    graph,
    factors.reduce((x, y) => graph.map('mul', [x, y])),
    asked,
  );
}

/** An f32 value that is an f16; what came from f16 is one. */
function rounded(graph: Graph, x: Node, asked: readonly Origin[]): Node {
  if (x.op === 'map' && x.fn === 'cast' && x.inputs[0]?.dtype === 'f16') return x;
  return graph.from(asked, () => graph.map('cast', [graph.map('cast', [x], 'f16')], 'f32'));
}
