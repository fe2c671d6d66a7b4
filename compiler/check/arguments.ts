/** Arguments of a call matched to parameters, and values to the types of static parameters. */
import type { Argument, Parameter, TypeExpr } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { suggest } from '../diagnostics/suggest.ts';
import { float, numberOf } from './arithmetic.ts';
import { describe, describeType } from './describe.ts';
import type { Subject } from './dims.ts';
import { dtypeOf, shapeOf, tensorType, unify } from './dims.ts';
import { toTensor } from './arithmetic.ts';
import { also, at, fail } from './report.ts';
import { castTo, spreadTo } from './tensor.ts';
import type { Context, Given, TensorValue, Value } from './values.ts';
import { poison, restOf, tensor } from './values.ts';

export interface Callee {
  readonly name: string;
  readonly span: Span;
}

/** Which argument each parameter gets; mistakes are reported. `call`: where the call stands. */
export function matchArguments(
  ctx: Context,
  callee: Callee,
  params: readonly Parameter[],
  args: readonly Given[],
  help?: string,
): Map<string, Given> {
  const matched = new Map<string, Given>();
  let position = 0;
  for (const arg of args) {
    const param = arg.name ? params.find((p) => p.name.name === arg.name?.name) : params[position++];
    if (arg.name && !param)
      unknownArgument(
        ctx,
        callee,
        arg.name,
        params.map((p) => p.name.name),
      );
    else if (!param) {
      fail(
        ctx,
        'E0405',
        { callee: callee.name, most: params.length, given: args.length, help },
        at(arg.span, 'one too many'),
      );
      break;
    } else if (matched.has(param.name.name)) {
      fail(
        ctx,
        'E0406',
        { callee: callee.name, name: param.name.name },
        at(arg.span, 'given again'),
        also(matched.get(param.name.name)!.span, 'given here'),
      );
    } else matched.set(param.name.name, arg);
  }
  return matched;
}

export function unknownArgument(
  ctx: Context,
  callee: Callee,
  name: NonNullable<Argument['name']>,
  has: readonly string[],
): void {
  fail(
    ctx,
    'E0404',
    { callee: callee.name, name: name.name, near: suggest(name.name, has), has },
    at(name.span, 'no such argument'),
  );
}

/**
 * Defines every parameter in `ctx.scope`: from its argument, its default, or as poison where it is missing. Names of
 * missing ones are given back; the caller decides whether that is an error.
 */
export function bindParameters(
  ctx: Context,
  callee: Callee,
  params: readonly Parameter[],
  given: ReadonlyMap<string, Given>,
): string[] {
  const missing: string[] = [];
  for (const param of params) {
    const name = param.name.name;
    const arg = given.get(name);
    let value: Value = poison;
    if (arg)
      value = conform(
        ctx,
        arg.value,
        param.type,
        { what: `\`${name}\` of \`${callee.name}\``, span: arg.span, name },
        param.span,
      );
    else if (param.default) {
      const initial = spreadDefault(ctx, ctx.session.run.evaluate(ctx, param.default), param.type, name);
      value = conform(
        ctx,
        initial,
        param.type,
        { what: `the default of \`${name}\``, span: param.default.span, name },
        param.span,
      );
    } else missing.push(name);
    ctx.scope.define(name, value, arg?.span ?? param.span, 'an argument');
  }
  return missing;
}

/** A number or truth value as the default of a tensor: everywhere in the declared shape. Other values as they are. */
export function spreadDefault(
  ctx: Context,
  value: Value,
  declared: TypeExpr | undefined,
  name: string,
): Value {
  const type = tensorType(declared);
  if (!type || !['int', 'float', 'bool'].includes(value.kind) || type.dims.length === 0) return value;
  const dtype = dtypeOf(ctx, type.dtype);
  const [only] = type.dims;
  // `mask: bool[...m] = true`: any shape will do, and the least is none.
  const free = type.dims.length === 1 && only?.kind === 'spread' && !ctx.scope.lookup(only.name.name);
  const shape = free ? [] : dtype && shapeOf(ctx, type, name);
  const scalar = toTensor(ctx, value, value.kind === 'bool' ? 'bool' : dtype);
  if (!shape || !scalar) return poison;
  return tensor(spreadTo(ctx.session.graph, scalar, scalar.iters, shape), scalar.iters);
}

/** The value as the type wants it (a whole number becomes a float, a number a tensor); poison when it is not of it. */
export function conform(
  ctx: Context,
  value: Value,
  type: TypeExpr | undefined,
  subject: Subject,
  declared: Span,
): Value {
  if (!type || value.kind === 'poison') return value;
  const wanted = tensorType(type);
  if (wanted) return tensorArgument(ctx, value, wanted, subject);
  const fitting = accept(value, type);
  if (fitting) return fitting;
  if (value.kind === 'tensor') {
    return fail(
      ctx,
      'E0401',
      { what: subject.what, help: 'tensors go into `input`s, or into parameters of tensor type' },
      at(subject.span, describe(value)),
      also(declared, 'declared here'),
    );
  }
  return fail(
    ctx,
    'E0402',
    { what: subject.what, expected: describeType(type), found: describe(value), help: undefined },
    at(subject.span, describe(value)),
    also(declared, 'declared here'),
  );
}

/** Checks dtype and shape of a tensor that is given for a port or parameter. */
export function tensorArgument(
  ctx: Context,
  value: Value,
  type: Parameters<typeof unify>[1],
  subject: Subject,
): TensorValue | typeof poison {
  const dtype = dtypeOf(ctx, type.dtype);
  if (!dtype || value.kind === 'poison') return poison;
  const found = toTensor(ctx, value, value.kind === 'bool' ? undefined : dtype);
  if (!found) {
    const help =
      value.kind === 'instance' || value.kind === 'declaration' ? 'apply it to a tensor first' : undefined;
    return fail(
      ctx,
      'E0402',
      { what: subject.what, expected: 'a tensor', found: describe(value), help },
      at(subject.span, describe(value)),
      also(type.span, 'declared here'),
    );
  }
  if (found.node.dtype !== dtype) {
    fail(
      ctx,
      'E0303',
      { what: subject.what, expected: dtype, found: found.node.dtype },
      at(subject.span, describe(found)),
      also(type.span, `${dtype}, declared here`),
    );
    // The shape can still be checked, and what follows be proved, as if it had been converted.
    unify(ctx, type, restOf(found), subject);
    return castTo(ctx.session.graph, found, dtype);
  }
  if (!unify(ctx, type, restOf(found), subject)) return poison;
  if (!ctx.session.declared.has(found.node)) ctx.session.declared.set(found.node, type);
  return found;
}

/** The value as one of the type, or nothing. */
function accept(value: Value, type: TypeExpr): Value | undefined {
  switch (type.kind) {
    case 'union':
      return type.options.map((o) => accept(value, o)).find((v) => v !== undefined);
    case 'literal':
      return value.kind === 'string' && value.value === type.value ? value : undefined;
    case 'listOf':
      return value.kind === 'list'
        ? acceptAll(
            value.items,
            value.items.map(() => type.element),
          )
        : undefined;
    case 'tupleOf':
      return value.kind === 'list' && value.items.length === type.elements.length
        ? acceptAll(value.items, type.elements)
        : undefined;
    case 'tensor':
      return value.kind === 'tensor' ? value : undefined;
    case 'named':
      return acceptNamed(value, type.name.name);
  }
}

function acceptAll(items: readonly Value[], types: readonly TypeExpr[]): Value | undefined {
  const accepted = items.map((v, i) => accept(v, types[i]!));
  return accepted.every((v) => v !== undefined) ? { kind: 'list', items: accepted } : undefined;
}

function acceptNamed(value: Value, name: string): Value | undefined {
  const n = numberOf(value);
  switch (name) {
    case 'int':
      return value.kind === 'int' ? value : undefined;
    case 'float':
      return n === undefined ? undefined : float(n);
    case 'bool':
      return value.kind === 'bool' ? value : undefined;
    case 'string':
      return value.kind === 'string' ? value : undefined;
    case 'fn':
      return value.kind === 'fn' ||
        value.kind === 'builtin' ||
        value.kind === 'instance' ||
        value.kind === 'declaration'
        ? value
        : undefined;
    case 'layer':
      return value.kind === 'instance' ||
        value.kind === 'declaration' ||
        value.kind === 'fn' ||
        value.kind === 'builtin'
        ? value
        : undefined;
    case 'schedule':
      if (n !== undefined) return float(n);
      return value.kind === 'tensor' || value.kind === 'fn' || value.kind === 'int' ? value : undefined;
    default:
      return undefined;
  }
}
