/**
 * Which products of a contraction count. Where a factor is known to be 0, or nobody looks at the sum, they need not be added:
 * half of those of causal attention, forward and backward.
 */
import type { Computation, Node, Reduce } from '../ir/graph.ts';
import { simplifyGuard } from '../ir/indices.ts';
import type { ReduceOp } from '../ir/ops.ts';
import { needsOf, type Outside } from '../ir/outside.ts';
import { type Condition, type Poly, stepOf } from '../shape/poly.ts';
import type { Contraction } from './contract.ts';
import { isUnit } from './reads.ts';

/**
 * What gives a contraction of the computation the conditions under which its products count. `node` is its sum as the
 * computation has it, `product` what is summed.
 */
export function findLive(
  computation: Computation,
  outside: Outside,
): (found: Contraction, product: Node, node: Node) => Contraction {
  const needs = needsOf(computation, outside);
  return (found, product, node) => withLive(found, product, needs(node), outside);
}

function withLive(
  found: Contraction,
  product: Node,
  needed: readonly Condition[],
  outside: Outside,
): Contraction {
  const regions = [found.a, found.b].map((x) => outside.of(x));
  const zeros = regions.flatMap((r) => (r?.value === 0 ? r.conditions : []));
  const candidates = [...needed, ...zeros].filter((c) => isBound(c, found));
  if (candidates.length === 0) return found;
  return { ...found, live: simplifyGuard(candidates, product.shape) ?? [] };
}

type Roles = Pick<Contraction, 'batch' | 'm' | 'n' | 'k'>;

/**
 * Whether a condition bounds one role by another in steps of a constant: a triangle or a band, of which blocks can be left
 * out. Not what concerns single elements, as padding does.
 */
function isBound({ kind, value }: Condition, { batch, m, n, k }: Roles): boolean {
  const step = (axis: number): number | undefined => stepOf(value, `$${axis}`);
  if (kind !== 'ge' || batch.some((i) => step(i) !== 0)) return false;
  const touched = [m, n, k].filter((role) => role.some((i) => step(i) !== 0));
  const isConstant = touched.every(([i, ...more]) => i !== undefined && more.length === 0 && step(i));
  return touched.length === 2 && isConstant && k.every((i) => Math.abs(step(i) ?? 2) <= 1);
}

const identities: Readonly<Record<ReduceOp, number>> = { sum: 0, prod: 1, max: -Infinity, min: Infinity };

/** Conditions over the operand of a reduction that bound its axis by another: the elements that may change it. */
export function liveElements({ fn, shape, inputs }: Reduce, outside: Outside): readonly Condition[] {
  const [x] = inputs;
  const region = x && outside.of(x);
  if (!x || region?.value !== identities[fn]) return [];
  return bounding(region.conditions, x.shape, (i) => i >= shape.length);
}

/** Those of the conditions that bound the one inner axis of a shape by one other, as the k of a product is by its m. */
export function bounding(
  conditions: readonly Condition[],
  shape: readonly Poly[],
  isInner: (axis: number) => boolean,
): readonly Condition[] {
  const axes = shape.flatMap((d, i) => (isUnit(d) ? [] : [i]));
  const k = axes.filter(isInner);
  const outer = axes.filter((i) => !isInner(i));
  return conditions.filter((c) => {
    const m = outer.filter((i) => stepOf(c.value, `$${i}`) !== 0);
    return isBound(c, { batch: [], m, n: [], k });
  });
}
