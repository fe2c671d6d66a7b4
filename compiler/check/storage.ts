/** Parameters and states: leaves with a path, a shape in numbers and an initial value. */
import type { Expr, Port } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { DType } from '../ir/ops.ts';
import type { Node } from '../ir/graph.ts';
import type { Poly } from '../shape/poly.ts';
import { asConstant, constant } from '../shape/poly.ts';
import { toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { dtypeOf, largest, shapeOf, tensorType } from './dims.ts';
import { also, at, fail } from './report.ts';
import { broadcastShape, castTo, showAll, spreadTo } from './tensor.ts';
import type { Context, Instance, TensorEntry, Value } from './values.ts';
import { int, poison, restOf, tensor } from './values.ts';

/** What `param` or `state` declares in a layer: made on the first application, the same one on every later one. */
export function keep(ctx: Context, instance: Instance, p: Port): Value {
  const type = tensorType(p.type);
  if (!type) return withoutType(ctx, p);
  const dtype = dtypeOf(ctx, type.dtype);
  const shape = shapeOf(ctx, type, p.name.name);
  if (!dtype || !shape) return poison;
  const wanted = isWanted(ctx, p);
  if (wanted === undefined) return poison;
  const name = `${p.name.name}${ctx.copy}`;
  const path = instance.path === '' ? name : `${instance.path}.${name}`;
  // Without it, the name stands for the constant that it would start from.
  if (!wanted) return initialValue(ctx, p, path, dtype, shape) ?? poison;
  const before = instance.tensors.get(name);
  if (before) return again(ctx, instance, before, shape, p);
  const role = p.role === 'param' ? 'param' : 'state';
  if (ctx.session.abstract) return tensor(ctx.session.graph.leaf(role, path, dtype, shape));
  const sizes = sizesOf(ctx, shape, path, type.span);
  const initial = sizes && initialValue(ctx, p, path, dtype, shape);
  if (!sizes || initial?.kind !== 'tensor') return poison;
  const made = { path, role, dtype, shape: sizes, initial: initial.node, span: p.name.span } as const;
  const entry = makeEntry(ctx, made);
  instance.tensors.set(name, entry);
  ctx.session.declared.set(entry.leaf, type);
  return tensor(entry.leaf);
}

function withoutType(ctx: Context, p: Port): Value {
  const found = p.type ? 'another' : 'none';
  const what = `the type of \`${p.name.name}\``;
  const fields = { what, expected: 'that of a tensor', found, help: '`f32[n, units]`' };
  return fail(ctx, 'E0402', fields, at(p.name.span, 'here'));
}

/** `param bias: … when use_bias`; nothing when the condition is a mistake. */
function isWanted(ctx: Context, p: Port): boolean | undefined {
  if (!p.when) return true;
  const condition = ctx.session.run.evaluate(ctx, p.when);
  if (condition.kind === 'bool') return condition.value;
  if (condition.kind !== 'poison') {
    fail(ctx, 'E0401', { what: 'this condition', help: undefined }, at(p.when.span, describe(condition)));
  }
  return undefined;
}

/** The shape in numbers, not too many elements in all. */
export function sizesOf(
  ctx: Context,
  shape: readonly Poly[],
  path: string,
  span: Span,
): readonly number[] | undefined {
  const label = at(span, `[${showAll(shape).join(', ')}]`);
  const sizes = shape.flatMap((d) => asConstant(d) ?? []);
  if (sizes.length < shape.length) {
    fail(ctx, 'E0306', { name: path, dims: showAll(shape) }, label);
    return undefined;
  }
  const elements = sizes.reduce((n, d) => n * d, 1);
  if (elements <= largest) return sizes;
  fail(ctx, 'E0415', { what: `\`${path}\` would have ${elements} elements` }, label);
  return undefined;
}

function again(ctx: Context, instance: Instance, entry: TensorEntry, shape: readonly Poly[], p: Port): Value {
  const now = showAll(shape);
  if (now.join() === entry.shape.join()) return tensor(entry.leaf);
  const name = instance.path || instance.decl.name.name;
  const call = ctx.calls.at(-1);
  return fail(
    ctx,
    'E0318',
    { name, before: entry.shape.map(String), now },
    at(call ?? p.name.span, `needs \`${p.name.name}\` of shape [${now.join(', ')}]`),
    also(instance.span, 'the layer is made here'),
  );
}

/** Registers a tensor that is kept between runs. */
export function makeEntry(ctx: Context, made: Omit<TensorEntry, 'leaf'>): TensorEntry {
  const { tensors, graph } = ctx.session;
  let path = made.path;
  // A layer of the task itself may have the name of one inside its only model.
  for (let n = 2; tensors.has(path); n++) path = `${made.path}_${n}`;
  const leaf = graph.leaf(
    made.role,
    path,
    made.dtype,
    made.shape.map((n) => constant(n)),
  );
  const entry: TensorEntry = { ...made, path, leaf };
  tensors.set(path, entry);
  return entry;
}

function initialValue(
  ctx: Context,
  p: Port,
  path: string,
  dtype: DType,
  shape: readonly Poly[],
): Value | undefined {
  if (!p.init) {
    return fail(
      ctx,
      'E0403',
      { callee: `${p.role} ${p.name.name}`, missing: ['an initial value'] },
      at(p.name.span, 'where does it start? `= zeros`'),
    );
  }
  const node = initialNode(ctx, p.init, path, dtype, shape, p.name.span);
  return node ? tensor(node) : poison;
}

/** An initialiser's value: a function of the shape, a number, or a tensor. Random numbers come from the path's stream. */
export function initialNode(
  outer: Context,
  init: Expr,
  path: string,
  dtype: DType,
  shape: readonly Poly[],
  span: Span,
): Node | undefined {
  const ctx: Context = { ...outer, initial: path, naming: undefined, memo: undefined, draws: new Map() };
  let value = ctx.session.run.evaluate(ctx, init);
  if (value.kind === 'fn' || value.kind === 'builtin') {
    const sizes: Value = { kind: 'list', items: shape.map((d) => int(d)) };
    value = ctx.session.run.call(
      ctx,
      value,
      [{ name: { name: 'shape', span: init.span }, value: sizes, span: init.span }],
      init.span,
    );
  }
  if (value.kind === 'poison') return undefined;
  const t = toTensor(ctx, value, dtype);
  if (!t) {
    fail(
      ctx,
      'E0402',
      {
        what: 'an initial value',
        expected: 'an initialiser, a number or a tensor',
        found: describe(value),
        help: 'for example `= zeros` or `= normal(std: 0.02)`',
      },
      at(init.span, describe(value)),
      also(span, 'starts from it'),
    );
    return undefined;
  }
  const { graph } = ctx.session;
  const to = broadcastShape([restOf(t), shape]);
  if (to?.length !== shape.length || showAll(to).join() !== showAll(shape).join()) {
    fail(
      ctx,
      'E0304',
      { name: path, dims: showAll(restOf(t)), declared: showAll(shape) },
      at(init.span, describe(t)),
      also(span, `[${showAll(shape).join(', ')}]`),
    );
    return undefined;
  }
  return spreadTo(graph, castTo(graph, t, dtype), [], shape);
}
