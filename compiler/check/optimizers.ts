/** Optimizers: their equations, elaborated once for every parameter. */
import type { Port } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Leaf, Node } from '../ir/graph.ts';
import type { DType } from '../ir/ops.ts';
import type { Poly } from '../shape/poly.ts';
import { constant } from '../shape/poly.ts';
import { runBody } from './body.ts';
import { portsOf } from './instances.ts';
import { at, fail } from './report.ts';
import { dtypeOf, shapeOf, tensorType } from './dims.ts';
import { float } from './arithmetic.ts';
import { matches } from './patterns.ts';
import { initialNode, makeEntry, sizesOf } from './storage.ts';
import type { Context, Given, OptimizerValue, TensorEntry, Value } from './values.ts';
import { poison, Scope, tensor } from './values.ts';

export interface Update {
  readonly leaf: Leaf;
  readonly value: Node;
}

/** What an optimizer does with one parameter. */
export interface Optimized {
  readonly updates: readonly Update[];
  /** What the optimizer keeps beside the parameter. */
  readonly slots: readonly TensorEntry[];
}

/**
 * New values of a parameter and of its slots, from its gradient.
 * @param count how many updates there were, this one included: the `step` of the optimizer's equations
 */
export function optimize(
  outer: Context,
  optimizer: OptimizerValue,
  parameter: TensorEntry,
  gradient: Node,
  count: Value,
  span: Span,
): Optimized {
  const { decl } = optimizer;
  const scope = scheduled(outer, optimizer, span);
  scope.define('step', count, undefined, 'a constant of the language');
  if (optimizer.options.noDecay?.some((p) => matches(p, parameter.path)))
    scope.define('weight_decay', float(0), undefined, 'an argument');
  const ctx: Context = {
    ...outer,
    scope,
    calls: [...outer.calls, span],
    memo: undefined,
    naming: undefined,
  };
  const [weight, slope] = portsOf(decl, 'input').map((p) => p.name);
  const given = new Map<string, Given>();
  if (weight)
    given.set(weight.name, {
      name: weight,
      value: tensor(asFloat(outer, parameter.leaf)),
      span: weight.span,
    });
  if (slope) given.set(slope.name, { name: slope, value: tensor(gradient), span: slope.span });
  const slots = new Map<string, TensorEntry>();
  const store = (at: Context, p: Port): Value => slot(at, p, parameter, slots);
  const { next } = runBody(ctx, { kind: 'optimizer', name: decl.name.name, body: decl.body, given, store });
  const updates: Update[] = [];
  for (const [name, { value }] of next) {
    const leaf = name === weight?.name ? parameter.leaf : slots.get(name)?.leaf;
    if (leaf && value.kind === 'tensor')
      updates.push({ leaf, value: outer.session.graph.map('cast', [value.node], leaf.dtype) });
  }
  if (!weight || !next.has(weight.name)) {
    fail(
      ctx,
      'E0508',
      { name: decl.name.name, parameter: weight?.name ?? 'w' },
      at(decl.name.span, 'never says how the parameter changes'),
    );
  }
  return { updates, slots: [...slots.values()] };
}

/** What is stored in f16 is updated in f32. */
export const asFloat = (ctx: Context, x: Node): Node =>
  x.dtype === 'f16' ? ctx.session.graph.map('cast', [x], 'f32') : x;

/** The optimizer's arguments; a schedule given as a function is called with the step. */
function scheduled(ctx: Context, optimizer: OptimizerValue, span: Span): Scope {
  const scope = new Scope(optimizer.scope, 'dims');
  for (const p of optimizer.decl.params) {
    const binding = optimizer.scope.names.get(p.name.name);
    const isSchedule = p.type?.kind === 'named' && p.type.name.name === 'schedule';
    if (!binding || !isSchedule || (binding.value.kind !== 'fn' && binding.value.kind !== 'builtin'))
      continue;
    const step = tensor(ctx.session.graph.leaf('clock', 'step', 'i32', []));
    scope.define(
      p.name.name,
      ctx.session.run.call(ctx, binding.value, [{ name: undefined, value: step, span }], span),
      binding.span,
      'an argument',
    );
  }
  return scope;
}

/**
 * `state m = zeros`: a tensor kept beside the parameter, of its shape unless its type says another:
 * `state rows: f32[dim(w, 0)] = zeros`.
 */
function slot(ctx: Context, p: Port, parameter: TensorEntry, slots: Map<string, TensorEntry>): Value {
  const path = `${parameter.path}/${p.name.name}`;
  const like = slotType(ctx, p, parameter);
  const condition = p.when && ctx.session.run.evaluate(ctx, p.when);
  if (!like) return poison;
  const { dtype, shape } = like;
  const sizes = sizesOf(ctx, shape, path, p.type?.span ?? p.span);
  if (!sizes) return poison;
  const known = ctx.session.tensors.get(path);
  if (known?.dtype === dtype && known.shape.join() === sizes.join()) {
    slots.set(p.name.name, known);
    return tensor(known.leaf);
  }
  const initial = p.init
    ? initialNode(ctx, p.init, path, dtype, shape, p.name.span)
    : ctx.session.graph.full(0, dtype, shape);
  if (!initial) return poison;
  if (condition?.kind === 'bool' && !condition.value) return tensor(initial);
  const entry = makeEntry(ctx, { path, role: 'slot', dtype, shape: sizes, initial, span: p.name.span });
  slots.set(p.name.name, entry);
  return tensor(entry.leaf);
}

function slotType(
  ctx: Context,
  p: Port,
  parameter: TensorEntry,
): { readonly dtype: DType; readonly shape: readonly Poly[] } | undefined {
  const type = tensorType(p.type);
  if (!type)
    return {
      dtype: parameter.dtype === 'f16' ? 'f32' : parameter.dtype,
      shape: parameter.shape.map((n) => constant(n)),
    };
  const [dtype, shape] = [dtypeOf(ctx, type.dtype), shapeOf(ctx, type, p.name.name)];
  return dtype && shape && { dtype, shape };
}
