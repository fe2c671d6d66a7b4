/** Indices of index notation: making them, finding them in text, and the extremes of what is computed from them. */
import type { Expr, Ident, Slice, Spread } from '../../grammar/syntax.ts';
import type { Poly } from '../shape/poly.ts';
import {
  add,
  isNonNegative,
  linearIn,
  multiply,
  negate,
  one,
  subtract,
  symbol,
  symbolsOf,
} from '../shape/poly.ts';
import { itersIn, stepsIn } from './tensor.ts';
import type { Bound, Context, Iter } from './values.ts';
import { int, Scope } from './values.ts';

/** What the names of indices are bound as; tells an index from a dimension of the same name. */
export const indexBinding = 'an index';

export function newIter(ctx: Context, name: Ident, order?: number): Iter {
  const id = ctx.session.iters.size;
  const iter: Iter = {
    id,
    order: order ?? id,
    name: name.name,
    symbol: `${name.name}·${id}`,
    span: name.span,
    extent: undefined,
    because: undefined,
  };
  ctx.session.iters.set(iter.symbol, iter);
  return iter;
}

/** A scope in which the names stand for their indices. */
export function scopeOf(parent: Scope, bounds: readonly Bound[]): Scope {
  const scope = new Scope(parent);
  for (const b of bounds) define(scope, b);
  return scope;
}

export function define(scope: Scope, b: Bound): void {
  const values = b.iters.map((i) => int(b.start ? add(symbol(i.symbol), b.start) : symbol(i.symbol)));
  scope.define(
    b.name,
    b.spread ? { kind: 'list', items: values } : (values[0] ?? int(one)),
    undefined,
    indexBinding,
  );
}

/** The expressions directly inside one. */
export function childrenOf(e: Expr | Spread | Slice): readonly (Expr | Spread | Slice)[] {
  switch (e.kind) {
    case 'unary':
      return [e.operand];
    case 'binary':
    case 'pipe':
      return [e.left, e.right];
    case 'conditional':
      return [e.condition, e.then, e.else];
    case 'call':
      return [e.callee, ...e.args.map((a) => a.value)];
    case 'index':
      return [e.base, ...e.subscripts];
    case 'field':
      return [e.base];
    case 'reduction':
      return [...e.indices.flatMap((i) => i.range ?? []), e.body];
    case 'list':
    case 'tuple':
      return e.items;
    case 'from':
      return [e.value, e.source];
    case 'slice':
      return [e.start, e.stop, e.step].filter((x) => x !== undefined);
    default:
      return [];
  }
}

/** Whether the text names an index that is bound outside of it. */
export function mentionsIndex(scope: Scope, e: Expr | Spread | Slice): boolean {
  if (e.kind === 'name') return scope.lookup(e.name)?.what === indexBinding;
  if (e.kind === 'spread') return scope.lookup(e.name.name)?.what === indexBinding;
  return childrenOf(e).some((c) => mentionsIndex(scope, c));
}

/** The least or greatest value of a polynomial that is linear in indices of known range. */
export function extreme(ctx: Context, p: Poly, which: 'least' | 'most'): Poly | undefined {
  let q = p;
  const sizes = itersIn(ctx.session, p).flatMap((i) => i.extent ?? []);
  const steps = [...stepsIn(ctx.session, p, ...sizes)].map(([name, extent]) => ({ symbol: name, extent }));
  for (const iter of [...itersIn(ctx.session, p), ...steps]) {
    const linear = linearIn(q, iter.symbol);
    if (!linear || !iter.extent) return undefined;
    const up = isNonNegative(linear.coefficient, new Map());
    const down = isNonNegative(negate(linear.coefficient), new Map());
    if (!up && !down) return undefined;
    q =
      up === (which === 'most')
        ? add(linear.rest, multiply(linear.coefficient, subtract(iter.extent, one)))
        : linear.rest;
  }
  return [...symbolsOf(q)].some((s) => ctx.session.iters.has(s)) ? undefined : q;
}
