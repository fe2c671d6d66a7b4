/** Layers and models: made once per place in the text, applied to tensors, owning parameters. */
import type { Layer, Model, Port } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { bindParameters, matchArguments } from './arguments.ts';
import type { Body, Result } from './body.ts';
import { dtypeOf, openDims, shapeOf, tensorType } from './dims.ts';
import { at, fail, withinRange } from './report.ts';
import type { Context, Given, Instance, TensorValue, Value } from './values.ts';
import { poison, Scope, tensor } from './values.ts';

type RunBody = (ctx: Context, body: Body) => Result;

/** `fc1`, `Dense` -> `dense`, `MaxPool2d` -> `max_pool2d`. */
export const snakeCase = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();

/** The instance that this place makes: the one it made before, when the owner is applied again. */
export function makeInstance(
  ctx: Context,
  decl: Layer | Model,
  home: Scope,
  args: readonly Given[],
  span: Span,
): Instance | undefined {
  const { owner } = ctx;
  const key = `${ctx.site}@${span.file}:${span.start}-${span.end}`;
  const before = owner.children.get(key);
  if (before) return before;
  const scope = new Scope(home, 'dims');
  const callee = { name: decl.name.name, span };
  const help = 'its sizes are given here; it is applied to a tensor by a second call or a pipe: `x |> …`';
  const matched = matchArguments(ctx, callee, decl.params, args, help);
  const missing = bindParameters(
    { ...ctx, scope, memo: undefined, calls: [...ctx.calls, span] },
    callee,
    decl.params,
    matched,
  );
  if (missing.length > 0) {
    fail(ctx, 'E0403', { callee: callee.name, missing }, at(span, `without ${missing.join(', ')}`));
    return undefined;
  }
  if (decl.params.some((p) => scope.names.get(p.name.name)?.value.kind === 'poison')) return undefined;
  const name = nameFor(ctx, decl);
  owner.childNames.add(name);
  const instance: Instance = {
    decl,
    home,
    args: scope,
    path: owner.unnamed === name ? '' : owner.path === '' ? name : `${owner.path}.${name}`,
    span,
    children: new Map(),
    childNames: new Set(),
    tensors: new Map(),
  };
  owner.children.set(key, instance);
  return instance;
}

/** The name an equation gives, else the layer's own with the first free number. */
function nameFor(ctx: Context, decl: Layer | Model): string {
  const taken = ctx.owner.childNames;
  const given = ctx.naming === undefined ? undefined : `${ctx.naming}${ctx.copy}`;
  if (given !== undefined && !taken.has(given)) return given;
  const base = given === undefined ? snakeCase(decl.name.name) : `${given}_`;
  let n = 1;
  while (taken.has(`${base}${n}`)) n++;
  return `${base}${n}`;
}

/** `input` and `output` ports in their order. */
export const portsOf = (decl: { readonly body: Layer['body'] }, role: Port['role']): readonly Port[] =>
  decl.body.filter((s): s is Port => s.kind === 'port' && s.role === role);

/** Applies an instance: `fc1(x)`. One output is a tensor, several are a record. */
export function applyWith(
  runBody: RunBody,
  ctx: Context,
  instance: Instance,
  args: readonly Given[],
  span: Span,
): Value {
  const { decl } = instance;
  const name = decl.name.name;
  if (args.some((a) => a.value.kind === 'poison')) return poison;
  const inputs = portsOf(decl, 'input');
  const params = inputs.map((p) => ({
    doc: p.doc,
    name: p.name,
    type: p.type,
    default: undefined,
    span: p.span,
  }));
  const matched = matchArguments(
    ctx,
    { name, span },
    params,
    args,
    `\`${name}\` is already made; its sizes are given where it is made`,
  );
  const missing = inputs.filter((p) => !matched.has(p.name.name) && !p.init).map((p) => p.name.name);
  if (missing.length > 0)
    return fail(ctx, 'E0403', { callee: name, missing }, at(span, `without the input ${missing.join(', ')}`));
  return outputsOf(
    instance,
    runBody(contextOf(ctx, instance, span), {
      kind: decl.kind,
      name,
      body: decl.body,
      given: matched,
      instance,
    }),
  );
}

function contextOf(ctx: Context, instance: Instance, span: Span): Context {
  return {
    ...ctx,
    scope: new Scope(instance.args, 'dims'),
    owner: instance,
    site: '',
    copy: '',
    naming: undefined,
    memo: undefined,
    calls: [...ctx.calls, span],
  };
}

function outputsOf(instance: Instance, { outputs }: Result): Value {
  const [first] = outputs.values();
  return outputs.size === 1 && first
    ? first
    : outputs.size === 0
      ? poison
      : { kind: 'record', of: instance.decl.name.name, fields: outputs };
}

export interface OpenModel {
  readonly inputs: ReadonlyMap<string, TensorValue>;
  readonly outputs: ReadonlyMap<string, Value>;
}

/** Applies a model to its own inputs: leaves whose open dimensions (`batch`) are symbols. */
export function applyOpenWith(runBody: RunBody, ctx: Context, instance: Instance): OpenModel | undefined {
  const { decl } = instance;
  const scope = new Scope(instance.args, 'dims');
  const inner: Context = { ...contextOf(ctx, instance, decl.name.span), scope, calls: ctx.calls };
  return withinRange<OpenModel | undefined>(
    ctx,
    decl.name.span,
    () => openInputs(runBody, inner, scope, instance),
    () => undefined,
  );
}

function openInputs(
  runBody: RunBody,
  inner: Context,
  scope: Scope,
  instance: Instance,
): OpenModel | undefined {
  const { decl } = instance;
  const { session } = inner;
  const inputs = new Map<string, TensorValue>();
  const given = new Map<string, Given>();
  for (const port of portsOf(decl, 'input')) {
    const type = tensorType(port.type);
    const dtype = type && dtypeOf(inner, type.dtype);
    if (!type || !dtype) return undefined;
    // In a scope of its own, so that the body binds its dimensions as any other application does.
    openDims({ ...inner, scope }, type);
    const shape = shapeOf({ ...inner, scope }, type, port.name.name);
    if (!shape) return undefined;
    const value = tensor(session.graph.leaf('input', port.name.name, dtype, shape));
    session.declared.set(value.node, type);
    inputs.set(port.name.name, value);
    given.set(port.name.name, { name: port.name, value, span: port.name.span });
  }
  const { outputs } = runBody(inner, {
    kind: decl.kind,
    name: decl.name.name,
    body: decl.body,
    given,
    instance,
  });
  return { inputs, outputs };
}
