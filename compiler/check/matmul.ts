/** The matrix product, written with views: a reduction of a product. */
import type { Poly } from '../shape/poly.ts';
import { equal } from '../shape/poly.ts';
import { indexAt } from '../ir/indices.ts';
import { isFloat } from '../ir/ops.ts';
import type { Place } from './arithmetic.ts';
import { toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { also, at, fail } from './report.ts';
import type { Label } from '../../grammar/problem.ts';
import { broadcastShape, castTo, extents, inPrecision, show, showAll, union, viewOf } from './tensor.ts';
import type { Context, TensorValue, Value } from './values.ts';
import { poison, restOf, tensor } from './values.ts';

/**
 * `a @ b`: a[…, m, k], b[…, k, n] give [… broadcast, m, n]; a vector on the left is a row, on the right a column, and
 * its dimension is left out of the result.
 */
export function matmul(ctx: Context, left: Value, right: Value, place: Place): Value {
  if (left.kind === 'poison' || right.kind === 'poison') return poison;
  const pair = [left, right].map((v) => toTensor(ctx, v));
  for (const [i, t] of pair.entries()) {
    const v = i === 0 ? left : right;
    if (!t)
      return fail(
        ctx,
        'E0402',
        { what: 'an operand of `@`', expected: 'a tensor', found: describe(v), help: undefined },
        at(place.operands[i]!, describe(v)),
      );
    if (restOf(t).length === 0)
      return fail(
        ctx,
        'E0302',
        { what: 'an operand of `@`', expected: 'at least 1 dimension', found: [] },
        at(place.operands[i]!, 'a scalar'),
      );
  }
  const [a, b] = floatsMeet(ctx, pair[0]!, pair[1]!);
  const [k, l] = [restOf(a).at(-1)!, restOf(b).at(restOf(b).length === 1 ? 0 : -2)!];
  if (!equal(k, l)) return contractionProblem(ctx, a, b, k, l, place);
  if (a.node.dtype !== b.node.dtype || a.node.dtype === 'bool') {
    const dtypes = [a.node.dtype, b.node.dtype];
    return fail(
      ctx,
      'E0316',
      { op: '@', dtypes, help: 'convert: `f32(…)`' },
      at(place.op, dtypes.join(' and ')),
    );
  }
  return contract(ctx, a, b, place);
}

/** f16 with f32 is f32. */
function floatsMeet(ctx: Context, a: TensorValue, b: TensorValue): readonly [TensorValue, TensorValue] {
  if (!isFloat(a.node.dtype) || !isFloat(b.node.dtype) || a.node.dtype === b.node.dtype) return [a, b];
  const { graph } = ctx.session;
  return [castTo(graph, a, 'f32'), castTo(graph, b, 'f32')];
}

function contract(ctx: Context, a: TensorValue, b: TensorValue, place: Place): Value {
  const { graph } = ctx.session;
  const [ra, rb] = [restOf(a), restOf(b)];
  const k = ra.at(-1)!;
  const m = ra.length > 1 ? [ra.at(-2)!] : [];
  const n = rb.length > 1 ? [rb.at(-1)!] : [];
  const [ba, bb] = [ra.slice(0, -1 - m.length), rb.slice(0, -1 - n.length)];
  const batch = broadcastShape([ba, bb]);
  if (!batch) {
    return fail(
      ctx,
      'E0314',
      { op: '@', left: showAll(ra), right: showAll(rb) },
      at(place.op, 'the leading dimensions do not fit'),
      also(place.operands[0]!, `[${showAll(ra).join(', ')}]`),
      also(place.operands[1]!, `[${showAll(rb).join(', ')}]`),
    );
  }
  const iters = union(a.iters, b.iters);
  const shape = [...extents(iters), ...batch, ...m, ...n, k];
  const start = iters.length + batch.length;
  const axesOf = (t: TensorValue, own: readonly Poly[], last: readonly number[]): Poly[] => [
    ...t.iters.map((i) => indexAt(iters.indexOf(i), shape)),
    ...own.map((d, i) => indexAt(d.key === '1' ? 0 : start - own.length + i, d.key === '1' ? [d] : shape)),
    ...last.map((i) => indexAt(i, shape)),
  ];
  const end = shape.length - 1;
  const x = viewOf(graph, a.node, shape, axesOf(a, ba, [...m.map(() => start), end]));
  const y = viewOf(graph, b.node, shape, axesOf(b, bb, [end, ...n.map(() => end - 1)]));
  return inPrecision(ctx, tensor(graph.reduce('sum', graph.map('mul', [x, y]), 1), iters));
}

/** Shows where each of the two dimensions was declared, when its tensor has a declaration. */
function contractionProblem(
  ctx: Context,
  a: TensorValue,
  b: TensorValue,
  k: Poly,
  l: Poly,
  place: Place,
): Value {
  const labels: Label[] = [at(place.op, `${show(k)} is not ${show(l)}`)];
  const origins = [
    { t: a, from: -1, dim: k, operand: place.operands[0]! },
    { t: b, from: restOf(b).length === 1 ? 0 : -2, dim: l, operand: place.operands[1]! },
  ];
  for (const { t, from, dim, operand } of origins) {
    const declared = ctx.session.declared.get(t.node)?.dims.at(from);
    labels.push(
      declared
        ? also(declared.span, `${show(dim)}, declared here`)
        : also(operand, `[${showAll(restOf(t)).join(', ')}]`),
    );
  }
  const leaf = b.node.op === 'leaf' && b.node.role === 'param';
  const help = leaf ? 'let the weight follow its input: name the dimension in both types' : undefined;
  return fail(
    ctx,
    'E0301',
    { what: 'the operands of `@` disagree on the contracted dimension', left: show(k), right: show(l), help },
    ...labels,
  );
}
