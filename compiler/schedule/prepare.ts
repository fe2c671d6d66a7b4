/**
 * Puts a computation into the form that kernels are cut from: operands of contractions become plain reads of
 * values that stand in memory. Says for every value that was forced into memory why.
 */
import type { Computation, Graph, Node } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
import { isCostly } from '../ir/graph.ts';
import type { Outside } from '../ir/outside.ts';
import { recognise, withHalo, type Contraction } from './contract.ts';
import { findLive } from './live.ts';
import { LoopOperands } from './loops.ts';
import { baseOf, compact, Dependence } from './reads.ts';
import type { Poly } from '../shape/poly.ts';
import type { Target } from './target.ts';
import { isWindow } from './window.ts';

export interface Prepared {
  readonly computation: Computation;
  readonly contractions: ReadonlyMap<Node, Contraction>;
  /** Values that must be stored, with the reason. */
  readonly forced: ReadonlyMap<Node, string>;
  readonly dependence: Dependence;
  /** Contractions that are computed wherever they are read, and what is made of them (see `nested.ts`): never stored. */
  readonly inlined: ReadonlySet<Node>;
}

export function prepare(computation: Computation, target: Target, outside: Outside): Prepared {
  const { graph } = computation;
  const dependence = new Dependence();
  const contractions = new Map<Node, Contraction>();
  const forced = new Map<Node, string>();
  const renewed = new Map<Node, Node>();
  const renew = (node: Node): Node => renewed.get(node) ?? node;

  const plain = (found: Contraction, side: 'a' | 'b', shape: readonly Poly[]): Node => {
    const operand = found[side];
    const role = side === 'a' ? 'the left operand' : 'the right operand';
    const padded = isWindow(found, side, shape, target.windows) ? (n: Node): Node => n : halo;
    const base = baseOf(operand);
    const half = fromHalf(graph, operand, base, dependence);
    if (half) {
      if (half.stored) forced.set(half.stored, `${role} of a contraction is read many times`);
      return padded(half.operand);
    }
    if (base.op === 'map' && !isCheap(base, target.inlineOperations)) {
      const { small, full } =
        base === operand
          ? compact(graph, operand, dependence.axesOf(operand))
          : { small: base, full: operand };
      forced.set(small, `${role} of a contraction is read many times`);
      return padded(full);
    }
    return padded(operand);
  };
  const halo = (operand: Node): Node => {
    const padded = target.haloCopies ? withHalo(graph, operand) : undefined;
    if (!padded) return operand;
    forced.set(padded.copy, 'padding around an operand of a contraction');
    return padded.view;
  };

  const nodes = topological(rootsOf(computation));
  const live = findLive(computation, outside);
  const loops = new LoopOperands(graph, nodes, (n, reason) => forced.set(n, reason));
  for (const node of nodes) {
    let made = graph.withInputs(node, node.inputs.map(renew));
    if (made.op === 'scan') made = loops.scan(made);
    if (made.op === 'part' && node.op === 'part') made = loops.part(made, node);
    const [product] = made.inputs;
    const recognised = recognise(graph, made, dependence);
    if (recognised && product && made.op === 'reduce') {
      const { shape } = product;
      const found = live(recognised, product, node);
      const [a, b] = [plain(found, 'a', shape), plain(found, 'b', shape)];
      const { fn, count } = made;
      made = graph.from(graph.originsOf(node), () => graph.reduce(fn, graph.map('mul', [a, b]), count));
      contractions.set(made, { ...found, a, b });
    }
    renewed.set(node, made);
  }
  return {
    computation: renewedComputation(computation, renew),
    contractions,
    forced,
    dependence,
    inlined: new Set(),
  };
}

function renewedComputation(computation: Computation, renew: (node: Node) => Node): Computation {
  const { graph } = computation;
  // A result that is a leaf itself is copied: `stop` is the identity that can be stored.
  const result = (node: Node): Node => (node.op === 'leaf' ? graph.stop(node) : renew(node));
  return {
    ...computation,
    outputs: computation.outputs.map((o) => ({ ...o, node: result(o.node) })),
    updates: computation.updates
      .filter((u) => u.value !== u.leaf)
      .map((u) => ({ ...u, value: result(u.value) })),
  };
}

/**
 * What the kernel of a node reads. A contraction reads its two factors, even where their product stands in memory
 * because something else asked for it.
 */
export function operandsOf(node: Node, { contractions }: Pick<Prepared, 'contractions'>): readonly Node[] {
  const found = contractions.get(node);
  return found ? [found.a, found.b] : node.inputs;
}

/**
 * An operand that is a conversion from f16 is converted where it is read: in memory stands the smaller. `stored`: what has
 * to be put there.
 */
function fromHalf(
  graph: Graph,
  operand: Node,
  base: Node,
  dependence: Dependence,
): { readonly operand: Node; readonly stored: Node | undefined } | undefined {
  const [under] = base.inputs;
  if (base.op !== 'map' || base.fn !== 'cast' || under?.dtype !== 'f16') return undefined;
  const narrow = baseOf(under);
  if (narrow.op !== 'map') return { operand, stored: undefined };
  if (base !== operand || narrow !== under) return { operand, stored: narrow };
  const { small, full } = compact(graph, narrow, dependence.axesOf(narrow));
  return { operand: graph.map('cast', [full], operand.dtype), stored: small };
}

export const rootsOf = (c: Computation): Node[] => [
  ...c.outputs.map((o) => o.node),
  ...c.updates.map((u) => u.value),
];

/** At most so many simple operations on one tensor and constants. */
function isCheap(node: Node, most: number): boolean {
  const seen = new Set<Node>();
  let operations = 0;
  const tensors = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n)) return;
    seen.add(n);
    const base = baseOf(n);
    if (base.op === 'map' && !isCostly(base)) {
      operations++;
      if (operations <= most) base.inputs.forEach(visit);
    } else if (base.op !== 'const') tensors.add(base);
  };
  visit(node);
  return operations <= most && tensors.size === 1 && [...tensors].every((t) => t.op === 'leaf');
}
