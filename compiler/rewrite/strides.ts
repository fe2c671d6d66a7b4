/**
 * Sums of products that are 0 unless an index is a multiple of a stride: a transposed convolution, and the gradient of one with
 * a stride. Of `sum over t of a(y - t if s divides y - t) * b(t)` only every s-th t counts, from `y mod s` on: t = s t' + y mod s.
 * An output index y with many values is written s y' + p, so that those that need the same t stand together.
 */
import type { Node, Reduce } from '../ir/graph.ts';
import { atIndices, indexAt } from '../ir/indices.ts';
import type { Maker } from '../ir/make.ts';
import type { Condition, Poly } from '../shape/poly.ts';
import {
  add,
  asConstant,
  constant,
  floorDivide,
  floorMod,
  linearIn,
  one,
  scale,
  soleAtom,
  subtract,
  symbolsOf,
} from '../shape/poly.ts';
import { factorise, product } from './product.ts';

/** `by` divides `c + u * $axis + v * $other`; the axis is summed over. */
interface Stride {
  readonly condition: string;
  readonly by: number;
  readonly axis: number;
  readonly u: number;
  readonly other: number;
  readonly v: number;
  readonly c: number;
}

/** Output indices of which there are more are split. */
const fewOutputs = 8;

/** The sum over those indices that count. Products only: for them a kernel is worth while that is made for it. */
export function everyNth(node: Reduce, x: Node, make: Maker): Node | undefined {
  const { factors, divisors, negative } = factorise(x);
  if (divisors.length > 0 || factors.length < 2) return undefined;
  const kept = x.shape.length - node.count;
  const strides = factors.flatMap((f) =>
    f.op === 'view' && f.fill === 0 ? f.guard.flatMap((g) => strideOf(g, kept) ?? []) : [],
  );
  for (const stride of strides) {
    const [summed, output] = [stride.axis, stride.other].map((i) => asConstant(x.shape[i] ?? one));
    if (summed === undefined || output === undefined || summed <= 1) continue;
    const isSplit = output > fewOutputs;
    if (isSplit && output % stride.by !== 0) continue;
    const sum = strided(make, node, x, factors, stride, isSplit);
    return sum && negative ? make.map('neg', sum) : sum;
  }
  return undefined;
}

function strideOf({ kind, value }: Condition, kept: number): Stride | undefined {
  const atom = soleAtom(scale(value, -1));
  const by = atom?.kind === 'mod' ? asConstant(atom.b) : undefined;
  if (kind !== 'ge' || atom?.kind !== 'mod' || by === undefined) return undefined;
  const names = [...symbolsOf(atom.a)];
  const axes = names.map((s) => (s.startsWith('$') ? Number(s.slice(1)) : -1));
  const [other, axis] = axes.toSorted((i, j) => i - j);
  if (axes.length !== 2 || other === undefined || axis === undefined) return undefined;
  if (other < 0 || other >= kept || axis < kept) return undefined;
  const inner = linearIn(atom.a, `$${axis}`);
  const outer = inner && linearIn(inner.rest, `$${other}`);
  const [u, v, c] = [inner?.coefficient, outer?.coefficient, outer?.rest].map((p) => p && asConstant(p));
  if (u === undefined || v === undefined || c === undefined || Math.abs(u) !== 1) return undefined;
  return { condition: value.key, by, axis, u, other, v, c };
}

function strided(
  make: Maker,
  node: Reduce,
  x: Node,
  factors: readonly Node[],
  stride: Stride,
  isSplit: boolean,
): Node | undefined {
  const { graph } = make;
  const { by, axis, other, u, v, c } = stride;
  const extent = asConstant(x.shape[axis]!)!;
  const shape = x.shape.flatMap((d, i): Poly[] => {
    if (i === axis) return [constant(Math.ceil(extent / by))];
    return i === other && isSplit ? [floorDivide(d, by), constant(by)] : [d];
  });
  const at = (i: number): Poly => indexAt(isSplit && i > other ? i + 1 : i, shape);
  const rest = isSplit ? indexAt(other + 1, shape) : at(other);
  const first = floorMod(scale(add(scale(rest, v), c), -u), by);
  const old = x.shape.map((_, i) => {
    if (i === axis) return add(scale(at(i), by), first);
    return i === other && isSplit ? add(scale(indexAt(other, shape), by), rest) : at(i);
  });
  const inside: Condition[] =
    extent % by === 0 ? [] : [{ kind: 'ge', value: subtract(extent - 1, old[axis]!) }];
  const moved = (e: Poly): Poly => atIndices(e, old);
  const read = (f: Node): Node | undefined => {
    if (f.op !== 'view') return graph.view(f, shape, old, { guard: inside });
    const [base, ...data] = f.inputs;
    if (!base || (inside.length > 0 && f.fill !== 0)) return undefined;
    const guard = f.guard.filter((g) => g.kind !== 'ge' || g.value.key !== stride.condition);
    return graph.view(base, shape, f.index.map(moved), {
      guard: [...guard.map((g) => ({ ...g, value: moved(g.value) })), ...inside],
      fill: f.fill,
      data: data.map((d) => graph.view(d, shape, old, { guard: inside })),
    });
  };
  const made = factors.map(read);
  if (!made.every((f) => f !== undefined)) return undefined;
  const body = product(make, made);
  const sum = body && graph.reduce('sum', body, node.count);
  if (!sum || !isSplit) return sum;
  const own = (i: number): Poly => indexAt(i, node.shape);
  const index = node.shape.flatMap((_, i) =>
    i === other ? [floorDivide(own(i), by), floorMod(own(i), by)] : [own(i)],
  );
  return graph.view(sum, node.shape, index);
}
