/** Equations in index notation: the right side for all values of the indices on the left. */
import type { Equation, Expr, Port, Spread } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { numberOf, toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { shapeOf, tensorType } from './dims.ts';
import { inferEquation } from './ranges.ts';
import { also, at, fail } from './report.ts';
import { inOrder, permuted, show, spreadTo } from './tensor.ts';
import type { Context, Value } from './values.ts';
import { poison, restOf, tensor } from './values.ts';

type NameExpr = Extract<Expr, { kind: 'name' }>;

/** `y[...b, o] = e`: the right side for all values of the indices, in the order of the left. */
export function indexed(ctx: Context, e: Equation, port: Pick<Port, 'name' | 'type'> | undefined): Value {
  const subscripts = (e.subscripts ?? []).filter(
    (s): s is Spread | NameExpr => s.kind === 'spread' || (s.kind === 'name' && !s.prime),
  );
  if (subscripts.length !== (e.subscripts ?? []).length) {
    return fail(
      ctx,
      'E0412',
      {
        what: 'an equation for a part of a tensor',
        help: 'the left side of index notation has plain indices: `y[b, i] = …`; `concat` and `pad` build tensors of parts',
      },
      at(e.target.span, 'here'),
    );
  }
  const left = inferEquation(ctx, subscripts, e.value, declaredShape(ctx, e, port));
  if (!left) return poison;
  const value = ctx.session.run.evaluate(left.ctx, e.value);
  if (value.kind === 'poison') return poison;
  const t = toTensor(
    ctx,
    value,
    numberOf(value) === undefined ? undefined : (numberDType(port) ?? undefined),
  );
  if (!t)
    return fail(
      ctx,
      'E0402',
      {
        what: `the right side of \`${e.target.name}[…]\``,
        expected: 'a number or a tensor',
        found: describe(value),
        help: undefined,
      },
      at(e.value.span, describe(value)),
    );
  const extra = restOf(t);
  if (extra.length > 0) {
    const help = 'add indices for them on the left, and subscripts for them on the right';
    return fail(
      ctx,
      'E0312',
      { name: e.target.name, extra: extra.map((d) => `of size ${show(d)}`), help },
      at(e.value.span, describe(t)),
      also(e.target.span, `${left.iters.length} ${left.iters.length === 1 ? 'index' : 'indices'} here`),
    );
  }
  // Indices of an equation that encloses this function's call stay in front.
  const outer = t.iters.filter((i) => !left.iters.includes(i));
  const sorted = [...left.iters].sort(inOrder);
  const all = [...outer, ...sorted];
  const { graph } = ctx.session;
  const node = spreadTo(graph, t, all, []);
  const order = [...outer, ...left.iters].map((i) => all.indexOf(i));
  return tensor(permuted(graph, node, order), outer);
}

const numberDType = (port: Pick<Port, 'type'> | undefined): 'f32' | 'f16' | 'i32' | undefined => {
  const dtype = tensorType(port?.type)?.dtype.name;
  return dtype === 'f32' || dtype === 'f16' || dtype === 'i32' ? dtype : undefined;
};

/** The shape an output or state must have, where all its names are bound already. */
function declaredShape(
  ctx: Context,
  e: Equation,
  port: Pick<Port, 'name' | 'type'> | undefined,
): { shape: ReturnType<typeof restOf>; span: Span } | undefined {
  if (e.prime) {
    const current = ctx.scope.lookup(e.target.name)?.value;
    return current?.kind === 'tensor' ? { shape: restOf(current), span: e.target.span } : undefined;
  }
  const type = tensorType(port?.type);
  if (!type || !port) return undefined;
  const bound = type.dims.every((d) => isBound(ctx, d));
  if (!bound) return undefined;
  const shape = shapeOf(ctx, type, port.name.name);
  return shape && { shape, span: type.span };
}

function isBound(ctx: Context, d: Expr | Spread): boolean {
  if (d.kind === 'spread') return ctx.scope.lookup(d.name.name)?.value.kind === 'list';
  if (d.kind === 'name') return ctx.scope.lookup(d.name)?.value.kind === 'int';
  if (d.kind === 'binary') return isBound(ctx, d.left) && isBound(ctx, d.right);
  if (d.kind === 'index')
    return d.base.kind === 'name' && ctx.scope.lookup(d.base.name)?.value.kind === 'list';
  return d.kind === 'number';
}
