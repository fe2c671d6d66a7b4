/** Evaluates expressions. Everything that takes a value apart by its kind is in the files this one calls. */
import type { Binary, Call, Conditional, Expr, Field, Name, Pipe } from '../../grammar/syntax.ts';
import type { Origin } from '../ir/graph.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { Poly } from '../shape/poly.ts';
import { constant, negate, one, subtract } from '../shape/poly.ts';
import { binary, bool, float, select, toTensor, unary } from './arithmetic.ts';
import { describe } from './describe.ts';
import { matmul } from './matmul.ts';
import { index } from './subscripts.ts';
import { reduction } from './reductions.ts';
import { at, fail, withinRange } from './report.ts';
import { libraryPrefix } from './reporter.ts';
import { itersIn, stepsIn } from './tensor.ts';
import type { Context, Given, Instance, Value } from './values.ts';
import { int, poison, tensor } from './values.ts';

export function evaluate(ctx: Context, expr: Expr): Value {
  const here = (): Value => ctx.session.graph.from(originsOf(ctx, expr), () => evaluateHere(ctx, expr));
  return withinRange<Value>(ctx, expr.span, here, (p) => p);
}

/** Nodes made by the library came from the user's call too. */
function originsOf(ctx: Context, expr: Expr): readonly Origin[] {
  const call = expr.span.file.startsWith(libraryPrefix)
    ? ctx.calls.findLast((s) => !s.file.startsWith(libraryPrefix))
    : undefined;
  return call ? [expr.span, call] : [expr.span];
}

function evaluateHere(ctx: Context, expr: Expr): Value {
  switch (expr.kind) {
    case 'number':
      return number(ctx, expr);
    case 'bool':
      return bool(expr.value);
    case 'string':
      return { kind: 'string', value: expr.value };
    case 'name':
      return name(ctx, expr);
    case 'unary':
      return unary(ctx, expr.op, evaluate(ctx, expr.operand), {
        whole: expr.span,
        op: expr.span,
        operands: [expr.operand.span],
      });
    case 'binary':
      return operator(ctx, expr);
    case 'pipe':
      return pipe(ctx, expr);
    case 'conditional':
      return conditional(ctx, expr);
    case 'call':
      return call(ctx, expr, []);
    case 'index':
      return index(ctx, expr);
    case 'field':
      return field(ctx, expr);
    case 'reduction':
      return reduction(ctx, expr);
    case 'list':
    case 'tuple':
      return { kind: 'list', items: expr.items.flatMap((i) => item(ctx, i)) };
    case 'from':
      return fail(
        ctx,
        'E0207',
        {
          what: '`from`',
          where: 'an expression',
          help: 'it stands after a model in a task: `net = LeNet() from "weights.safetensors"`',
        },
        at(expr.span, 'here'),
      );
    case 'invalid':
      return poison;
  }
}

function number(ctx: Context, expr: Extract<Expr, { kind: 'number' }>): Value {
  if (!expr.integer) return float(expr.value);
  if (Number.isSafeInteger(expr.value)) return int(constant(expr.value));
  return fail(
    ctx,
    'E0409',
    { what: 'this whole number is too large', help: 'write it as a float: `1e20`' },
    at(expr.span, 'does not fit'),
  );
}

function item(
  ctx: Context,
  e:
    Expr | { readonly kind: 'spread'; readonly name: { readonly name: string }; readonly span: Expr['span'] },
): readonly Value[] {
  if (e.kind !== 'spread') return [evaluate(ctx, e)];
  const value = ctx.scope.lookup(e.name.name)?.value;
  if (value?.kind === 'list') return value.items;
  if (value?.kind === 'poison') return [poison];
  return [fail(ctx, 'E0320', { name: e.name.name }, at(e.span, 'bound by nothing'))];
}

function name(ctx: Context, expr: Name): Value {
  const written = expr.prime ? `${expr.name}'` : expr.name;
  const binding = ctx.scope.lookup(written);
  if (binding?.value.kind === 'builtin' && binding.value.constant)
    return binding.value.run(ctx, { name: written, args: [], span: expr.span });
  if (binding) return binding.value;
  const near = suggest(written, ctx.scope.visible());
  // What the text lacks altogether was reported when its names were resolved; this is about order.
  if (expr.prime && ctx.scope.lookup(expr.name))
    return fail(ctx, 'E0206', { name: written }, at(expr.span, 'not defined yet'));
  return fail(ctx, 'E0201', { name: written, near }, at(expr.span, 'not defined'));
}

function operator(ctx: Context, expr: Binary): Value {
  const left = evaluate(ctx, expr.left);
  // The static `and` and `or` evaluate their right side only when it matters.
  if (left.kind === 'bool' && ((expr.op === 'and' && !left.value) || (expr.op === 'or' && left.value)))
    return left;
  const right = evaluate(ctx, expr.right);
  const place = { whole: expr.span, op: expr.opSpan, operands: [expr.left.span, expr.right.span] };
  return expr.op === '@' ? matmul(ctx, left, right, place) : binary(ctx, expr.op, left, right, place);
}

// ---------------------------------------------------------------- calls

function call(ctx: Context, expr: Call, before: readonly Given[]): Value {
  const callee = evaluate({ ...ctx, naming: undefined }, expr.callee);
  const inner: Context = { ...ctx, naming: undefined };
  const args = expr.args.map((a): Given => ({
    name: a.name,
    value: evaluate(inner, a.value),
    span: a.value.span,
  }));
  if (callee.kind === 'poison') return poison;
  return ctx.session.run.call(ctx, callee, [...before, ...args], expr.span);
}

/** `x |> f`, `x |> f(a)` is `f(x, a)`; `x |> Dense(10)` makes the layer and applies it. */
function pipe(ctx: Context, expr: Pipe): Value {
  const inner: Context = { ...ctx, naming: undefined };
  const given: Given = { name: undefined, value: evaluate(inner, expr.left), span: expr.left.span };
  const { right } = expr;
  if (right.kind === 'call') {
    const callee = evaluate(inner, right.callee);
    if (callee.kind === 'poison') return poison;
    if (callee.kind === 'fn' || callee.kind === 'builtin') return call(inner, right, [given]);
  }
  let target = evaluate(inner, right);
  if (target.kind === 'poison') return poison;
  if (target.kind === 'declaration' && (target.decl.kind === 'layer' || target.decl.kind === 'model')) {
    target = inner.session.run.call(inner, target, [], right.span);
  }
  return inner.session.run.call(inner, target, [given], expr.span);
}

function field(ctx: Context, expr: Field): Value {
  const base = evaluate(ctx, expr.base);
  const { name: wanted, span } = expr.name;
  const missing = (of: string, has: readonly string[]): Value =>
    fail(ctx, 'E0208', { name: wanted, of, near: suggest(wanted, has), has }, at(span, 'no such field'));
  switch (base.kind) {
    case 'poison':
      return poison;
    case 'record':
      return base.fields.get(wanted) ?? missing(describe(base), [...base.fields.keys()]);
    case 'instance': {
      const { instance } = base;
      const entry = instance.tensors.get(wanted);
      if (entry) return tensor(entry.leaf);
      const child = childNamed(instance, wanted);
      if (child) return child;
      const has = [...instance.tensors.keys(), ...instance.childNames];
      if (has.length === 0)
        return fail(
          ctx,
          'E0414',
          { name: instance.path || instance.decl.name.name },
          at(expr.base.span, 'not applied yet'),
        );
      return missing(describe(base), has);
    }
    case 'data':
      if (!base.vocabulary) return missing(describe(base), []);
      return wanted === 'vocabulary'
        ? int(constant(base.vocabulary.size))
        : missing(describe(base), ['vocabulary']);
    default:
      return missing(describe(base), []);
  }
}

/** The layer of this name inside another; the list of those that a `repeat` made. */
function childNamed(instance: Instance, wanted: string): Value | undefined {
  const path = instance.path === '' ? wanted : `${instance.path}.${wanted}`;
  const children = [...instance.children.values()];
  const child = children.find((c) => c.path === path);
  if (child) return { kind: 'instance', instance: child };
  const copies = children.filter((c) => c.path.startsWith(`${path}.`));
  return copies.length === 0
    ? undefined
    : { kind: 'list', items: copies.map((c) => ({ kind: 'instance', instance: c })) };
}

// ---------------------------------------------------------------- conditions

function conditional(ctx: Context, expr: Conditional): Value {
  const condition = evaluate(ctx, expr.condition);
  if (condition.kind === 'poison') return poison;
  if (condition.kind === 'bool') return evaluate(ctx, condition.value ? expr.then : expr.else);
  const test = toTensor(ctx, condition);
  if (!test || test.node.dtype !== 'bool') {
    return fail(
      ctx,
      'E0402',
      {
        what: 'a condition',
        expected: 'true or false',
        found: describe(condition),
        help: 'compare: `x > 0`',
      },
      at(expr.condition.span, describe(condition)),
    );
  }
  const then = evaluate(
    { ...ctx, assumed: [...ctx.assumed, ...facts(ctx, expr.condition, true)] },
    expr.then,
  );
  const otherwise = evaluate(
    { ...ctx, assumed: [...ctx.assumed, ...facts(ctx, expr.condition, false)] },
    expr.else,
  );
  return select(ctx, test, then, otherwise, {
    whole: expr.span,
    op: expr.span,
    operands: [expr.condition.span, expr.then.span, expr.else.span],
  });
}

/** What a condition on indices says, as polynomials that are not negative where it is `holds`. */
function facts(ctx: Context, e: Expr, holds: boolean): readonly Poly[] {
  if (e.kind === 'unary' && e.op === 'not') return facts(ctx, e.operand, !holds);
  if (e.kind !== 'binary') return [];
  if (e.op === (holds ? 'and' : 'or')) return [...facts(ctx, e.left, holds), ...facts(ctx, e.right, holds)];
  if (!['<', '<=', '>', '>=', '=='].includes(e.op) || (e.op === '==' && !holds)) return [];
  const [a, b] = [evaluate(ctx, e.left), evaluate(ctx, e.right)];
  if (a.kind !== 'int' || b.kind !== 'int') return [];
  const varies =
    itersIn(ctx.session, a.poly, b.poly).length > 0 || stepsIn(ctx.session, a.poly, b.poly).size > 0;
  if (!varies) return [];
  const difference = subtract(b.poly, a.poly);
  if (e.op === '==') return [difference, negate(difference)];
  // a <= b, a < b, and the same with the sides exchanged; negated, `<=` becomes the exchanged `<`.
  const forward = e.op === '<' || e.op === '<=';
  const strict = e.op === '<' || e.op === '>';
  const upward = forward === holds;
  const gap = upward ? difference : negate(difference);
  return [strict === holds ? subtract(gap, one) : gap];
}
