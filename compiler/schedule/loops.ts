/**
 * Loops in the schedule. A scan is a cluster of its own; its body is scheduled like a computation, reading what it needs
 * straight from the buffers outside, through the views that lead there, at the number of the iteration. A carry whose
 * history is asked for is written beside its last value (slot i + 1), any other in place.
 */
import type { Computation, Graph, Leaf, Node, Part, Scan } from '../ir/graph.ts';
import { eachOf, replaced } from '../ir/walk.ts';
import { atIndices, indexAt } from '../ir/indices.ts';
import { constantValue } from '../ir/make.ts';
import { add, multiply, one, subtract, symbol, zero, type Poly } from '../shape/poly.ts';
import type { Place } from './relocate.ts';
import type { Scheduled } from './scheduled.ts';

/** What an operand of a loop is read from, and at which index of it for each index of the operand. */
export interface Access {
  readonly source: Node;
  readonly index: readonly Poly[];
}

/** A chain of plain views ends at something that stands in memory, at the latest at what `isSource`. */
export function accessOf(operand: Node, isSource: (n: Node) => boolean): Access {
  let source = operand;
  let index: readonly Poly[] = operand.shape.map((_, i) => indexAt(i, operand.shape));
  while (
    source.op === 'view' &&
    source.guard.length === 0 &&
    source.inputs.length === 1 &&
    !isSource(source)
  ) {
    const [x] = source.inputs;
    if (!x) break;
    const outer = index;
    index = source.index.map((e) => atIndices(e, outer));
    source = x;
  }
  return { source, index };
}

/**
 * Brings the operands of scans into the form that `order` expects: the first value of a carry is a value of its own, what
 * slices and captures are read from stands in memory. `force` has a value stored.
 */
export class LoopOperands {
  private readonly first = new Set<Node>();
  private readonly histories: ReadonlySet<string>;

  constructor(
    private readonly graph: Graph,
    nodes: readonly Node[],
    private readonly force: (node: Node, reason: string) => void,
  ) {
    this.histories = new Set(
      nodes.flatMap((n) => (n.op === 'part' && n.result.kind === 'history' ? [historyKey(n)] : [])),
    );
  }

  scan(node: Scan): Scan {
    const { graph } = this;
    const inputs = node.inputs.map((x, k) => {
      if (k < node.carries.length) return this.initial(x);
      const { source } = accessOf(x, () => false);
      if (!['leaf', 'part', 'const', 'index'].includes(source.op)) this.force(source, 'an operand of a loop');
      return x;
    });
    const made = graph.withInputs(node, inputs);
    return made.op === 'scan' ? made : node;
  }

  private initial(x: Node): Node {
    let made = this.graph.stop(x);
    while (this.first.has(made)) made = this.graph.stop(made);
    this.first.add(made);
    this.force(made, 'the first value of a carry');
    return made;
  }

  /** The last value of a carry whose history stands in memory is read there. `original`: as it was before `made`. */
  part(made: Part, original: Part): Node {
    const { result } = made;
    const [scan] = made.inputs;
    if (result.kind !== 'final' || scan?.op !== 'scan' || !this.histories.has(historyKey(original)))
      return made;
    const history = this.graph.part(scan, { kind: 'history', carry: result.carry });
    const last = [scan.extent, ...made.shape.map((_, i) => indexAt(i, made.shape))];
    return this.graph.view(history, made.shape, last);
  }
}

const historyKey = ({ inputs, result }: Part): string =>
  `${inputs[0]?.id} ${result.kind === 'each' ? '' : result.carry}`;

/** A scan of which these parts are asked for, its body scheduled. */
export interface Loop {
  readonly scan: Scan;
  readonly parts: readonly Part[];
  readonly body: Scheduled;
  /** The plan's name for the number of the iteration, which counts from 1. */
  readonly dim: string;
  /** Where the body's leaves come from; a carry has none. */
  readonly sources: ReadonlyMap<Leaf, Node>;
  /** What each output of the body is. */
  readonly results: readonly { readonly kind: 'next' | 'each'; readonly at: number }[];
  readonly each: readonly Node[];
}

/** Every dimension is at least 1, so the symbol may stand in polynomials with the others. */
const iterationOf = (dim: string): Poly => subtract(symbol(dim), one);

export function scheduleLoop(
  graph: Graph,
  scan: Scan,
  parts: readonly Part[],
  dim: string,
  isSource: (n: Node) => boolean,
  run: (body: Computation) => Scheduled,
): Loop {
  const each = eachOf(scan, parts);
  const kept = new Set(parts.flatMap((p) => (p.result.kind === 'history' ? [p.result.carry] : [])));
  const binding = new Binding(graph, scan, iterationOf(dim), kept, isSource);
  const roots = replaced(graph, [...scan.next, ...each], binding.leaves);
  const taken = new Set<Node>();
  const distinct = (node: Node): Node => {
    let made = node.op === 'leaf' ? graph.stop(node) : node;
    while (taken.has(made)) made = graph.stop(made);
    taken.add(made);
    return made;
  };
  const results: Loop['results'][number][] = [];
  const outputs: Computation['outputs'][number][] = [];
  const output = (kind: 'next' | 'each', at: number, node: Node | undefined): void => {
    if (!node) return;
    results.push({ kind, at });
    outputs.push({ name: `${kind} ${at}`, node: distinct(node) });
  };
  for (const k of kept) output('next', k, roots[k]);
  each.forEach((_, j) => output('each', j, roots[scan.carries.length + j]));
  const updates = scan.carries.flatMap((leaf, k) => {
    const value = roots[k];
    return kept.has(k) || !value ? [] : [{ leaf, value }];
  });
  const body = run({ name: dim, graph, outputs, updates });
  return { scan, parts, body, dim, sources: binding.sources, results, each };
}

/** What the bound leaves of a body are read as. */
class Binding {
  readonly leaves = new Map<Node, Node>();
  readonly sources = new Map<Leaf, Node>();

  constructor(
    private readonly graph: Graph,
    scan: Scan,
    iteration: Poly,
    kept: ReadonlySet<number>,
    private readonly isSource: (n: Node) => boolean,
  ) {
    const { carries, slices, captures, inputs, extent } = scan;
    carries.forEach((leaf, k) => {
      if (!kept.has(k)) return;
      const whole = graph.leaf('bound', `history ${k}`, leaf.dtype, [add(extent, one), ...leaf.shape]);
      this.leaves.set(leaf, graph.view(whole, leaf.shape, [iteration, ...own(leaf.shape)]));
    });
    slices.forEach((leaf, k) => {
      const input = inputs[carries.length + k] as Node;
      this.leaves.set(leaf, this.read(input, leaf.shape, [iteration, ...own(leaf.shape)]));
    });
    captures.forEach((leaf, k) => {
      const input = inputs[carries.length + slices.length + k] as Node;
      this.leaves.set(leaf, this.read(input, leaf.shape, own(leaf.shape)));
    });
  }

  /** `input` at these indices, from the buffer that it stands in. */
  private read(input: Node, shape: readonly Poly[], indices: readonly Poly[]): Node {
    const { graph } = this;
    const constant = constantValue(input);
    if (constant !== undefined) return graph.full(constant, input.dtype, shape);
    const { source, index } = accessOf(input, this.isSource);
    const at = index.map((e) => atIndices(e, indices));
    if (source.op === 'index') return graph.index(atIndices(source.value, at), shape);
    const leaf = graph.leaf('bound', `outer ${source.id}`, source.dtype, source.shape);
    this.sources.set(leaf, source);
    return graph.view(leaf, shape, at);
  }
}

const own = (shape: readonly Poly[]): Poly[] => shape.map((_, i) => indexAt(i, shape));

const sizeOf = (shape: readonly Poly[]): Poly => multiply(...shape);

/** What `order` knows of the buffers around a loop. */
export interface Surroundings {
  readonly home: (node: Node) => number;
  readonly carry: (scan: Scan, carry: number) => number;
  /** Memory that only one iteration uses, alive in the given kernels of the body. */
  readonly scratch: (buffer: Scheduled['buffers'][number]) => number;
}

/** Where each buffer of the body stands. */
export function placesOf(loop: Loop, around: Surroundings): readonly Place[] {
  const { scan, body, parts } = loop;
  const iteration = iterationOf(loop.dim);
  const written = new Map<number, Place>();
  body.outputs.forEach((o, i) => {
    const result = loop.results[i];
    if (!result) return;
    if (result.kind === 'next') {
      const start = multiply(add(iteration, one), sizeOf(scan.carries[result.at]?.shape ?? []));
      written.set(o.buffer, { buffer: around.carry(scan, result.at), start });
      return;
    }
    const value = loop.each[result.at] as Node;
    const part = parts.find((p) => p.result.kind === 'each' && p.result.value === value) as Part;
    written.set(o.buffer, { buffer: around.home(part), start: multiply(iteration, sizeOf(value.shape)) });
  });
  return body.buffers.map((b, i) => {
    const { leaf } = b;
    const known = written.get(i);
    if (known) return known;
    if (!leaf) return { buffer: around.scratch(b), start: zero };
    const source = loop.sources.get(leaf);
    if (source) return { buffer: around.home(source), start: zero };
    const [, k] = leaf.name.split(' ');
    return { buffer: around.carry(scan, Number(k)), start: zero };
  });
}
