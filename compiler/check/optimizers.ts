/** Optimizers: their equations, elaborated once for every parameter. */
import type { Port } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Leaf, Node } from '../ir/graph.ts';
import { constant } from '../shape/poly.ts';
import { runBody } from './body.ts';
import { portsOf } from './instances.ts';
import { at, fail } from './report.ts';
import { initialNode, makeEntry } from './storage.ts';
import type { Context, Given, OptimizerValue, TensorEntry, Value } from './values.ts';
import { poison, Scope, tensor } from './values.ts';

export interface Update {
  readonly leaf: Leaf;
  readonly value: Node;
}

/** New values of a parameter and of its slots, from its gradient. */
export function optimize(
  outer: Context,
  optimizer: OptimizerValue,
  parameter: TensorEntry,
  gradient: Node,
  span: Span,
): readonly Update[] {
  const { decl } = optimizer;
  const ctx: Context = {
    ...outer,
    scope: scheduled(outer, optimizer, span),
    calls: [...outer.calls, span],
    memo: undefined,
    naming: undefined,
  };
  const [weight, slope] = portsOf(decl, 'input').map((p) => p.name);
  const given = new Map<string, Given>();
  if (weight) given.set(weight.name, { name: weight, value: tensor(parameter.leaf), span: weight.span });
  if (slope) given.set(slope.name, { name: slope, value: tensor(gradient), span: slope.span });
  const slots = new Map<string, TensorEntry>();
  const store = (at: Context, p: Port): Value => slot(at, p, parameter, slots);
  const { next } = runBody(ctx, { kind: 'optimizer', name: decl.name.name, body: decl.body, given, store });
  const updates: Update[] = [];
  for (const [name, { value }] of next) {
    const leaf = name === weight?.name ? parameter.leaf : slots.get(name)?.leaf;
    if (leaf && value.kind === 'tensor') updates.push({ leaf, value: value.node });
  }
  if (!weight || !next.has(weight.name)) {
    fail(
      ctx,
      'E0508',
      { name: decl.name.name, parameter: weight?.name ?? 'w' },
      at(decl.name.span, 'never says how the parameter changes'),
    );
  }
  return updates;
}

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

/** `state m = zeros`: a tensor of the parameter's shape, kept beside it. */
function slot(ctx: Context, p: Port, parameter: TensorEntry, slots: Map<string, TensorEntry>): Value {
  const path = `${parameter.path}/${p.name.name}`;
  const shape = parameter.shape.map((n) => constant(n));
  const condition = p.when && ctx.session.run.evaluate(ctx, p.when);
  const known = ctx.session.tensors.get(path);
  if (known) {
    slots.set(p.name.name, known);
    return tensor(known.leaf);
  }
  const initial = p.init
    ? initialNode(ctx, p.init, path, parameter.dtype, shape, p.name.span)
    : ctx.session.graph.full(0, parameter.dtype, shape);
  if (!initial) return poison;
  if (condition?.kind === 'bool' && !condition.value) return tensor(initial);
  const entry = makeEntry(ctx, {
    path,
    role: 'slot',
    dtype: parameter.dtype,
    shape: parameter.shape,
    initial,
    span: p.name.span,
  });
  slots.set(p.name.name, entry);
  return tensor(entry.leaf);
}
