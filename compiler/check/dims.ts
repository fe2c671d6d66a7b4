/** Tensor types against shapes: binding dimension names, solving for them, proving equality. */
import type { DimExpr, Expr, Ident, Spread, TensorType, TypeExpr } from '../../grammar/syntax.ts';
import type { Label } from '../../grammar/problem.ts';
import type { Span } from '../../grammar/span.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { DType } from '../ir/ops.ts';
import type { Poly } from '../shape/poly.ts';
import { asConstant, divideExact, equal, linearIn, subtract, symbol, symbolsOf } from '../shape/poly.ts';
import { describe } from './describe.ts';
import { also, at, fail } from './report.ts';
import { show, showAll } from './tensor.ts';
import type { Context, DimBinding } from './values.ts';
import { int, Scope } from './values.ts';

const dtypes: Readonly<Record<string, DType>> = {
  f32: 'f32',
  f16: 'f16',
  i32: 'i32',
  u32: 'u32',
  bool: 'bool',
};

/** The dtype a type names; an unknown one is reported. */
export function dtypeOf(ctx: Context, name: Ident): DType | undefined {
  const found = Object.hasOwn(dtypes, name.name) ? dtypes[name.name] : undefined;
  if (!found)
    fail(
      ctx,
      'E0319',
      { name: name.name, near: suggest(name.name, Object.keys(dtypes)) },
      at(name.span, 'not a dtype'),
    );
  return found;
}

/** A type as that of a tensor: a bare dtype is a scalar. Nothing for types of static values. */
export function tensorType(type: TypeExpr | undefined): TensorType | undefined {
  if (type?.kind === 'tensor') return type;
  if (type?.kind === 'named' && Object.hasOwn(dtypes, type.name.name) && type.name.name !== 'bool') {
    return { kind: 'tensor', dtype: type.name, dims: [], span: type.span };
  }
  return undefined;
}

/** What a shape belongs to, for messages. */
export interface Subject {
  /** `the input \`x\` of \`Dense\`` */
  readonly what: string;
  readonly name: string;
  /** Where the tensor that has the shape stands. */
  readonly span: Span;
  /** It is computed by the declaration itself: an output, the result of a function. */
  readonly result?: boolean;
}

/** Names in a dimension that nothing binds yet. */
function unboundIn(ctx: Context, dim: DimExpr): Set<string> {
  const found = new Set<string>();
  const visit = (e: Expr | Spread): void => {
    if (e.kind === 'name' || e.kind === 'spread') {
      const name = e.kind === 'name' ? e.name : e.name.name;
      const value = ctx.scope.lookup(name)?.value;
      const bound =
        value?.kind === 'int' ||
        value?.kind === 'list' ||
        value?.kind === 'poison' ||
        value?.kind === 'float';
      if (!bound) found.add(name);
    } else if (e.kind === 'binary') [e.left, e.right].forEach(visit);
    else if (e.kind === 'unary') visit(e.operand);
    else if (e.kind === 'call') e.args.forEach((a) => visit(a.value));
    else if (e.kind === 'index') visit(e.base);
    else if (e.kind === 'conditional') [e.then, e.else].forEach(visit);
  };
  visit(dim);
  return found;
}

/** The size a dimension expression gives when all its names are bound; reports and gives nothing otherwise. */
function sizeOf(ctx: Context, dim: Expr, of: string): Poly | undefined {
  const value = ctx.session.run.evaluate(ctx, dim);
  if (value.kind === 'poison') return undefined;
  if (value.kind !== 'int') {
    fail(
      ctx,
      'E0402',
      {
        what: `a dimension of \`${of}\``,
        expected: 'a whole number',
        found: describe(value),
        help: undefined,
      },
      at(dim.span, describe(value)),
    );
    return undefined;
  }
  const n = asConstant(value.poly);
  if (n !== undefined && n < 1) {
    fail(ctx, 'E0321', { dim: textOf(dim), size: String(n), of }, at(dim.span, `this is ${n}`));
    return undefined;
  }
  if (n !== undefined && n > largest) {
    fail(
      ctx,
      'E0415',
      { what: `the dimension \`${textOf(dim)}\` of \`${of}\` would be ${n}` },
      at(dim.span, 'too large'),
    );
    return undefined;
  }
  return value.poly;
}

/** Positions are 32-bit integers on every backend. */
export const largest = 0x7fffffff;

/** The shape of a type all of whose names must be bound. */
export function shapeOf(ctx: Context, type: TensorType, name: string): readonly Poly[] | undefined {
  const shape: Poly[] = [];
  let good = true;
  for (const dim of type.dims) {
    const [unbound] = unboundIn(ctx, dim);
    if (unbound !== undefined) {
      const near = suggest(unbound, [...ctx.scope.dimensions().keys()]);
      fail(ctx, 'E0305', { name: unbound, of: name, near }, at(dim.span, 'its size is not known'));
      good = false;
    } else if (dim.kind === 'spread') {
      const list = ctx.scope.lookup(dim.name.name)?.value;
      if (list?.kind === 'list') shape.push(...list.items.flatMap((v) => (v.kind === 'int' ? [v.poly] : [])));
      else good = false;
    } else {
      const size = sizeOf(ctx, dim, name);
      if (size) shape.push(size);
      else good = false;
    }
  }
  return good ? shape : undefined;
}

/** Makes symbols of the names that nothing binds: the open dimensions of a model (`batch`). */
export function openDims(ctx: Context, type: TensorType): void {
  const dims = ctx.scope.dimensions();
  for (const dim of type.dims) {
    for (const name of unboundIn(ctx, dim)) {
      const dimension = symbol(name);
      dims.set(name, { dims: dim.kind === 'spread' ? [dimension] : dimension, span: dim.span });
    }
  }
}

/** Binds the type's names to the shape's dimensions and proves the rest equal. */
export function unify(ctx: Context, type: TensorType, shape: readonly Poly[], subject: Subject): boolean {
  if (subject.result && !mayFit(ctx, type, shape)) {
    const [dims, declared] = [showAll(shape), type.dims.map((d) => sizeText(ctx, d))];
    fail(
      ctx,
      'E0304',
      { name: subject.name, dims, declared },
      at(subject.span, `[${dims.join(', ')}]`),
      also(type.span, `[${declared.join(', ')}], declared here`),
    );
    return false;
  }
  const spreads = type.dims.filter((d) => d.kind === 'spread');
  const plain = type.dims.length - spreads.length;
  if (shape.length < plain || (spreads.length === 0 && shape.length !== plain) || spreads.length > 1) {
    const some = spreads.length > 0 ? 'at least ' : '';
    const expected = `${some}${plain} dimension${plain === 1 ? '' : 's'}`;
    fail(
      ctx,
      'E0302',
      { what: subject.what, expected, found: showAll(shape) },
      at(subject.span, `[${showAll(shape).join(', ')}]`),
      also(type.span, `declared here: ${expected}`),
    );
    return false;
  }
  const free = shape.length - plain;
  const pairs: { dim: Expr; size: Poly }[] = [];
  let good = true;
  let next = 0;
  for (const dim of type.dims) {
    if (dim.kind === 'spread') {
      good = unifySpread(ctx, dim, shape.slice(next, next + free), subject) && good;
      next += free;
    } else pairs.push({ dim, size: shape[next++]! });
  }
  // Plain names bind first, so that `[2*d, d]` can be solved.
  const isName = (p: { dim: Expr }): boolean => p.dim.kind === 'name';
  for (const { dim, size } of [...pairs.filter(isName), ...pairs.filter((p) => !isName(p))]) {
    good = unifyDim(ctx, dim, size, subject) && good;
  }
  return good;
}

/** Whether nothing that is known already tells the shape from the type. */
function mayFit(ctx: Context, type: TensorType, shape: readonly Poly[]): boolean {
  const known = type.dims.map((d): readonly Poly[] | undefined => {
    if (d.kind === 'spread') {
      const value = ctx.scope.lookup(d.name.name)?.value;
      return value?.kind === 'list'
        ? value.items.flatMap((v) => (v.kind === 'int' ? [v.poly] : []))
        : undefined;
    }
    const value = unboundIn(ctx, d).size > 0 ? undefined : ctx.session.run.evaluate(ctx, d);
    return value?.kind === 'int' ? [value.poly] : undefined;
  });
  const open = type.dims.some((d, i) => d.kind === 'spread' && !known[i]);
  const least = known.reduce((n, k, i) => n + (k?.length ?? (type.dims[i]?.kind === 'spread' ? 0 : 1)), 0);
  if (open) return shape.length >= least;
  let next = 0;
  return (
    shape.length === least &&
    known.every((k) =>
      (k ?? [undefined]).every((d) => {
        const size = shape[next++];
        return !d || (size !== undefined && equal(d, size));
      }),
    )
  );
}

/** A dimension with its size, where the text alone does not say it. */
function sizeText(ctx: Context, d: DimExpr): string {
  if (d.kind === 'number') return d.text;
  const value =
    d.kind === 'spread' || unboundIn(ctx, d).size > 0 ? undefined : ctx.session.run.evaluate(ctx, d);
  const size = value?.kind === 'int' ? show(value.poly) : undefined;
  return size === undefined || size === textOf(d) ? textOf(d) : `${textOf(d)} = ${size}`;
}

function unifySpread(ctx: Context, dim: Spread, sizes: readonly Poly[], subject: Subject): boolean {
  const dims = ctx.scope.dimensions();
  const before = dims.get(dim.name.name);
  if (!before) {
    dims.set(dim.name.name, { dims: sizes, span: subject.span });
    return true;
  }
  const old = 'terms' in before.dims ? [before.dims] : before.dims;
  if (old.length === sizes.length && old.every((d, i) => equal(d, sizes[i]!))) return true;
  const [left, right] = [showAll(sizes).join(', '), showAll(old).join(', ')];
  disagree(ctx, `[${left}]`, `[${right}]`, subject, dim.span, before);
  return false;
}

function unifyDim(ctx: Context, dim: Expr, size: Poly, subject: Subject): boolean {
  const unbound = [...unboundIn(ctx, dim)];
  const dims = ctx.scope.dimensions();
  const [name] = unbound;
  if (name === undefined) {
    const declared = sizeOf(ctx, dim, subject.name);
    if (!declared || equal(declared, size)) return declared !== undefined;
    disagree(
      ctx,
      show(size),
      dim.kind === 'number' ? show(declared) : `${textOf(dim)} = ${show(declared)}`,
      subject,
      dim.span,
      dim.kind === 'name' ? dims.get(dim.name) : undefined,
    );
    return false;
  }
  if (dim.kind === 'name') {
    dims.set(name, { dims: size, span: subject.span });
    return true;
  }
  const solved = unbound.length === 1 ? solve(ctx, dim, name, size) : undefined;
  if (solved) {
    dims.set(name, { dims: solved, span: subject.span });
    return true;
  }
  const help =
    unbound.length === 1
      ? `${show(size)} gives no whole \`${name}\`; give \`${name}\` as a parameter, or use it alone in another dimension`
      : 'name one unknown size in each dimension';
  fail(
    ctx,
    'E0317',
    { dim: textOf(dim), help },
    at(subject.span, `of size ${show(size)}`),
    also(dim.span, 'declared here'),
  );
  return false;
}

/** The value of `name` for which the expression is `size`, where it is linear in it. */
function solve(ctx: Context, dim: Expr, name: string, size: Poly): Poly | undefined {
  const unknown = `?${name}`;
  const scope = new Scope(ctx.scope);
  scope.define(name, int(symbol(unknown)), dim.span, 'a dimension');
  const value = ctx.session.run.evaluate({ ...ctx, scope }, dim);
  if (value.kind !== 'int') return undefined;
  const linear = linearIn(value.poly, unknown);
  if (!linear || linear.coefficient.terms.length === 0 || symbolsOf(linear.coefficient).has(unknown))
    return undefined;
  const found = divideExact(subtract(size, linear.rest), linear.coefficient);
  const n = found && asConstant(found);
  return n !== undefined && n < 1 ? undefined : found;
}

function disagree(
  ctx: Context,
  found: string,
  declared: string,
  subject: Subject,
  dim: Span,
  before: DimBinding | undefined,
): void {
  const labels: Label[] = [at(subject.span, found), also(dim, `${declared}, declared here`)];
  if (before && before.span !== subject.span) labels.push(also(before.span, `${declared} comes from here`));
  fail(ctx, 'E0301', { what: subject.what, left: found, right: declared, help: undefined }, ...labels);
}

/** A dimension expression as short text. */
export function textOf(e: Expr | Spread): string {
  switch (e.kind) {
    case 'spread':
      return `...${e.name.name}`;
    case 'name':
      return e.name;
    case 'number':
      return e.text;
    case 'binary':
      return `${textOf(e.left)} ${e.op} ${textOf(e.right)}`;
    case 'unary':
      return `${e.op === 'not' ? 'not ' : '-'}${textOf(e.operand)}`;
    case 'call':
      return `${textOf(e.callee)}(…)`;
    case 'index':
      return `${textOf(e.base)}[${e.subscripts.map((s) => (s.kind === 'slice' ? ':' : textOf(s))).join(', ')}]`;
    case 'field':
      return `${textOf(e.base)}.${e.name.name}`;
    default:
      return '…';
  }
}
