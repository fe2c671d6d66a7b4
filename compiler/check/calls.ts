/** Calls: functions are expanded, declarations make instances, instances are applied. */
import type { Ident } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { bindParameters, conform, matchArguments } from './arguments.ts';
import { runBody } from './body.ts';
import { describe } from './describe.ts';
import { applyWith, makeInstance } from './instances.ts';
import { splitOptions } from './optimizer-options.ts';
import { at, fail } from './report.ts';
import type { Context, FnValue, Given, Instance, Value } from './values.ts';
import { poison, Scope } from './values.ts';

/** How deep calls may nest. */
export const callDepth = 64;

export function call(ctx: Context, callee: Value, args: readonly Given[], span: Span): Value {
  switch (callee.kind) {
    case 'fn':
      return callFn(ctx, callee, args, span);
    case 'builtin':
      if (callee.constant)
        return fail(ctx, 'E0407', { found: `\`${callee.name}\`` }, at(span, 'called here'));
      return args.some((a) => a.value.kind === 'poison')
        ? poison
        : callee.run(ctx, { name: callee.name, args, span });
    case 'declaration':
      return callDeclaration(ctx, callee, args, span);
    case 'instance':
      return applyInstance(ctx, callee.instance, args, span);
    case 'poison':
      return poison;
    default:
      return fail(ctx, 'E0407', { found: describe(callee) }, at(span, 'called here'));
  }
}

function applyInstance(ctx: Context, instance: Instance, args: readonly Given[], span: Span): Value {
  if (ctx.calls.length >= callDepth)
    return fail(
      ctx,
      'E0408',
      { name: instance.decl.name.name, depth: callDepth },
      at(span, 'applied again here'),
    );
  ctx.session.used.add(instance.decl);
  return ctx.session.spend(ctx, span) ? applyWith(runBody, ctx, instance, args, span) : poison;
}

function callDeclaration(
  ctx: Context,
  callee: Extract<Value, { kind: 'declaration' }>,
  args: readonly Given[],
  span: Span,
): Value {
  const { decl, home } = callee;
  if (decl.kind === 'task') return fail(ctx, 'E0407', { found: describe(callee) }, at(span, 'called here'));
  if (args.some((a) => a.value.kind === 'poison')) return poison;
  if (decl.kind === 'optimizer') {
    const scope = new Scope(home, 'dims');
    const { own, options } = splitOptions(ctx, decl, args);
    const good = bindStatic({ ...ctx, scope }, decl, own, span);
    return good ? { kind: 'optimizer', decl, home, scope, options } : poison;
  }
  const instance = makeInstance(ctx, decl, home, args, span);
  return instance ? { kind: 'instance', instance } : poison;
}

function bindStatic(
  ctx: Context,
  decl: { readonly name: Ident; readonly params: FnValue['decl']['params'] },
  args: readonly Given[],
  span: Span,
): boolean {
  const callee = { name: decl.name.name, span };
  const matched = matchArguments(ctx, callee, decl.params, args);
  const missing = bindParameters({ ...ctx, calls: [...ctx.calls, span] }, callee, decl.params, matched);
  if (missing.length > 0)
    fail(ctx, 'E0403', { callee: callee.name, missing }, at(span, `without ${missing.join(', ')}`));
  return missing.length === 0;
}

/** A call that leaves out only `shape` makes an initialiser: `param w: f32[n] = normal(std: 0.02)`. */
const completesLater = 'shape';

function callFn(ctx: Context, fn: FnValue, args: readonly Given[], span: Span): Value {
  const { decl } = fn;
  const name = decl.name.name;
  const all = [...fn.given, ...args];
  if (all.some((a) => a.value.kind === 'poison')) return poison;
  if (ctx.calls.length >= callDepth)
    return fail(ctx, 'E0408', { name, depth: callDepth }, at(span, 'called again here'));
  if (!ctx.session.spend(ctx, span)) return poison;
  ctx.session.used.add(decl);
  const inner: Context = {
    ...ctx,
    scope: new Scope(fn.home, 'dims'),
    site: `${ctx.site}/${span.file}:${span.start}`,
    naming: undefined,
    memo: undefined,
    calls: [...ctx.calls, span],
  };
  const matched = matchArguments(ctx, { name, span }, decl.params, all);
  const lacking = decl.params.filter((p) => !matched.has(p.name.name) && !p.default).map((p) => p.name.name);
  if (lacking.length === 1 && lacking[0] === completesLater && args.length > 0)
    return {
      ...fn,
      given: named(
        decl.params.map((p) => p.name),
        matched,
      ),
    };
  if (lacking.length > 0)
    return fail(ctx, 'E0403', { callee: name, missing: lacking }, at(span, `without ${lacking.join(', ')}`));
  bindParameters(inner, { name, span }, decl.params, matched);
  if (decl.params.some((p) => inner.scope.names.get(p.name.name)?.value.kind === 'poison')) return poison;
  const { returned } = runBody(inner, {
    kind: 'fn',
    name,
    body: decl.body,
    given: new Map(),
    result: decl.result,
  });
  if (!returned)
    return fail(
      ctx,
      'E0413',
      { name },
      { span: decl.name.span, text: 'ends without a result', primary: true },
    );
  return conform(
    inner,
    returned.value,
    decl.result,
    { result: true, what: `the result of \`${name}\``, name, span: returned.span },
    decl.result?.span ?? decl.span,
  );
}

function named(params: readonly Ident[], matched: ReadonlyMap<string, Given>): readonly Given[] {
  return params.flatMap((name) => {
    const given = matched.get(name.name);
    return given ? [{ ...given, name }] : [];
  });
}

/** Counts expansions, so that no text makes the compiler run without end. */
export function spend(ctx: Context, span: Span): boolean {
  const { fuel } = ctx.session;
  fuel.left -= 1;
  if (fuel.left === 0)
    fail(ctx, 'E0415', { what: 'this expands to too many operations' }, at(span, 'while expanding this'));
  return fuel.left > 0;
}
