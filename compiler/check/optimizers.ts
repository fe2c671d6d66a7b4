/** Optimizers: their equations, elaborated once for every parameter. */
import type { Port } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Leaf, Node } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
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

/** One optimizer in a training step. */
export interface Optimizing {
  readonly ctx: Context;
  readonly optimizer: OptimizerValue;
  /** How many updates there were, this one included: the `step` of the optimizer's equations. */
  readonly count: Value;
  readonly span: Span;
}

interface Trained {
  readonly parameter: TensorEntry;
  readonly gradient: Node;
}

/**
 * New values of parameters and of their slots, from their gradients. The equations are evaluated once for parameters that
 * differ in nothing but their names, with leaves that stand for any of them; that takes much longer than to copy what it gives.
 */
export function optimizeAll(how: Optimizing, trained: readonly Trained[]): readonly Optimized[] {
  const alike = new Map<string, Trained[]>();
  for (const t of trained) {
    const key = keyOf(how.optimizer, t);
    alike.set(key, [...(alike.get(key) ?? []), t]);
  }
  const patterns = new Map<string, Pattern | undefined>();
  return trained.map((t) => {
    const key = keyOf(how.optimizer, t);
    if (!patterns.has(key))
      patterns.set(key, (alike.get(key)?.length ?? 0) > 1 ? patternOf(how, t) : undefined);
    const pattern = patterns.get(key);
    return pattern ? instantiate(how.ctx, pattern, t) : optimize(how, t);
  });
}

/** All that decides about a parameter's update besides its name. */
const keyOf = ({ options }: OptimizerValue, { parameter, gradient }: Trained): string =>
  [
    options.noDecay?.some((p) => matches(p, parameter.path)) === true,
    parameter.dtype,
    parameter.shape.join(),
    gradient.dtype,
    gradient.shape.map((d) => d.key).join(),
  ].join(' ');

function optimize(how: Optimizing, { parameter, gradient }: Trained): Optimized {
  const { ctx } = how;
  const slots = new Map<string, TensorEntry>();
  const store = (at: Context, p: Port): Value => {
    const known = ctx.session.tensors.get(slotPath(parameter, p.name.name));
    const made = slot(at, p, parameter, known);
    if ('kind' in made) return made;
    const entry = made === known ? known : makeEntry(at, made);
    slots.set(p.name.name, entry);
    return tensor(entry.leaf);
  };
  const next = run(how, parameter, { weight: asFloat(ctx, parameter.leaf), slope: gradient, store });
  return { updates: updatesOf(ctx, parameter, slots, next), slots: [...slots.values()] };
}

const updatesOf = (
  { session }: Context,
  parameter: TensorEntry,
  slots: ReadonlyMap<string, TensorEntry>,
  next: readonly Next[],
): readonly Update[] =>
  next.flatMap(({ name, value }): Update[] => {
    const leaf = name === undefined ? parameter.leaf : slots.get(name)?.leaf;
    return leaf ? [{ leaf, value: session.graph.map('cast', [value], leaf.dtype) }] : [];
  });

interface Next {
  /** Of the slot; undefined for the parameter itself. */
  readonly name: string | undefined;
  readonly value: Node;
}

/** Evaluates the equations. */
function run(
  { ctx: outer, optimizer, count, span }: Optimizing,
  parameter: TensorEntry,
  from: { readonly weight: Node; readonly slope: Node; readonly store: (ctx: Context, p: Port) => Value },
): readonly Next[] {
  const { decl } = optimizer;
  const scope = scheduled(outer, optimizer, span);
  scope.define('step', count, undefined, 'a constant of the language');
  if (optimizer.options.noDecay?.some((p) => matches(p, parameter.path)))
    scope.define('weight_decay', float(0), undefined, 'an argument');
  const calls = [...outer.calls, span];
  const ctx: Context = { ...outer, scope, calls, memo: undefined, naming: undefined };
  const [weight, slope] = portsOf(decl, 'input').map((p) => p.name);
  const given = new Map<string, Given>();
  if (weight) given.set(weight.name, { name: weight, value: tensor(from.weight), span: weight.span });
  if (slope) given.set(slope.name, { name: slope, value: tensor(from.slope), span: slope.span });
  const { store } = from;
  const { next } = runBody(ctx, { kind: 'optimizer', name: decl.name.name, body: decl.body, given, store });
  if (!weight || !next.has(weight.name))
    fail(
      ctx,
      'E0508',
      { name: decl.name.name, parameter: weight?.name ?? 'w' },
      at(decl.name.span, 'never says how the parameter changes'),
    );
  return [...next].flatMap(([name, { value }]): Next[] =>
    value.kind === 'tensor' ? [{ name: name === weight?.name ? undefined : name, value: value.node }] : [],
  );
}

// ---------------------------------------------------------------- many parameters alike

type Slot = Omit<TensorEntry, 'leaf'>;

/** What the equations give for leaves that stand for any parameter, its gradient and its slots. */
interface Pattern {
  readonly weight: Node;
  readonly slope: Node;
  /** By the leaves that stand for them. */
  readonly slots: ReadonlyMap<Node, { readonly name: string; readonly slot: Slot }>;
  /** These and all that depends on the leaves, in the order in which they were made. */
  readonly nodes: readonly Node[];
  readonly next: readonly Next[];
}

/** Undefined where parameters cannot share one: a random number has a stream for each, a mistake is told by its name. */
function patternOf(how: Optimizing, { parameter, gradient }: Trained): Pattern | undefined {
  const { graph, reporter, asked } = how.ctx.session;
  const problems = reporter.problems.length;
  asked.random = false;
  const weight = graph.unbound(parameter.dtype === 'f16' ? 'f32' : parameter.dtype, parameter.leaf.shape);
  const slope = graph.unbound(gradient.dtype, gradient.shape);
  const slots = new Map<Node, { name: string; slot: Slot }>();
  const store = (at: Context, p: Port): Value => {
    const made = slot(at, p, parameter);
    if ('kind' in made) return made;
    const sizes = made.shape.map((n) => constant(n));
    const leaf = graph.unbound(made.dtype, sizes);
    slots.set(leaf, { name: p.name.name, slot: made });
    return tensor(leaf);
  };
  const next = run(how, parameter, { weight, slope, store });
  if (asked.random || reporter.problems.length > problems) return undefined;
  const dependent = new Set<Node>([weight, slope, ...slots.keys()]);
  const roots = [...[...slots.values()].map((s) => s.slot.initial), ...next.map((n) => n.value)];
  for (const n of topological(roots)) if (n.inputs.some((x) => dependent.has(x))) dependent.add(n);
  const nodes = [...dependent].filter((n) => n !== weight && n !== slope).sort((a, b) => a.id - b.id);
  return { weight, slope, slots, nodes, next };
}

/** The same for one parameter. */
function instantiate(ctx: Context, pattern: Pattern, { parameter, gradient }: Trained): Optimized {
  const { graph, tensors } = ctx.session;
  const slots = new Map<string, TensorEntry>();
  const by = new Map([
    [pattern.weight, asFloat(ctx, parameter.leaf)],
    [pattern.slope, gradient],
  ]);
  const renewed = (n: Node): Node => by.get(n) ?? n;
  for (const n of pattern.nodes) {
    const found = pattern.slots.get(n);
    if (found) {
      const { name, slot: like } = found;
      const path = slotPath(parameter, name);
      const known = tensors.get(path);
      const made = { ...like, path, initial: renewed(like.initial) };
      const entry = known && isLike(known, like) ? known : makeEntry(ctx, made);
      slots.set(name, entry);
      by.set(n, entry.leaf);
    } else by.set(n, graph.withInputs(n, n.inputs.map(renewed)));
  }
  const next = pattern.next.map(({ name, value }) => ({ name, value: renewed(value) }));
  return { updates: updatesOf(ctx, parameter, slots, next), slots: [...slots.values()] };
}

// ---------------------------------------------------------------- parts

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

const slotPath = (parameter: TensorEntry, name: string): string => `${parameter.path}/${name}`;

const isLike = (a: Slot, b: Pick<Slot, 'dtype' | 'shape'>): boolean =>
  a.dtype === b.dtype && a.shape.join() === b.shape.join();

/**
 * `state m = zeros`: a tensor kept beside the parameter, of its shape unless its type says another:
 * `state rows: f32[dim(w, 0)] = zeros`. The one that was made `before`, if it is like it; a value where nothing is kept.
 */
function slot(ctx: Context, p: Port, parameter: TensorEntry, before?: TensorEntry): Slot | Value {
  const path = slotPath(parameter, p.name.name);
  const like = slotType(ctx, p, parameter);
  const condition = p.when && ctx.session.run.evaluate(ctx, p.when);
  if (!like) return poison;
  const { dtype, shape } = like;
  const sizes = sizesOf(ctx, shape, path, p.type?.span ?? p.span);
  if (!sizes) return poison;
  if (before && isLike(before, { dtype, shape: sizes })) return before;
  const initial = p.init
    ? initialNode(ctx, p.init, path, dtype, shape, p.name.span)
    : ctx.session.graph.full(0, dtype, shape);
  if (!initial) return poison;
  if (condition?.kind === 'bool' && !condition.value) return tensor(initial);
  return { path, role: 'slot', dtype, shape: sizes, initial, span: p.name.span };
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
