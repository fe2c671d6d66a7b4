/** The body of a `fit`: losses, metrics, gradients and updates. */
import type { Action, Expr, Fit, Metric, Minimize, Statement } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Leaf, Node } from '../ir/graph.ts';
import type { DataInfo, EarlyStopping, Plateau } from '../plan.ts';
import type { Poly } from '../shape/poly.ts';
import { asConstant } from '../shape/poly.ts';
import { Args } from './builtin-args.ts';
import { numberOf, toTensor } from './arithmetic.ts';
import { runBody } from './body.ts';
import { bytesForm, parseBytes } from './bytes.ts';
import { batchSize, fieldTensors } from './data.ts';
import { describe } from './describe.ts';
import { earlyStopping, plateau } from './early-stopping.ts';
import type { Update } from './optimizers.ts';
import { expectMatch, matches } from './patterns.ts';
import { also, at, fail } from './report.ts';
import { makeEntry } from './storage.ts';
import { castTo } from './tensor.ts';
import type { Context, Instance, OptimizerValue, Totals, Value } from './values.ts';
import { int, restOf, Scope } from './values.ts';

export interface Loss {
  readonly name: string;
  readonly node: Node;
  readonly optimizer: OptimizerValue;
  readonly over: ReadonlySet<string> | undefined;
  /** Acts in every step that is a multiple of it. */
  readonly every: number;
  readonly statement: Minimize;
}

interface Quantity {
  readonly name: string;
  /** Of one batch. */
  readonly node: Node;
  readonly span: Span;
  /** Of all batches so far, where it is made of sums over them. */
  readonly whole?: { readonly node: Node; readonly sums: readonly Update[] } | undefined;
}

export interface Step {
  /** Losses first, then metrics that are numbers. */
  readonly quantities: readonly Quantity[];
  /** Metrics that are vectors or matrices. */
  readonly tables: readonly Quantity[];
  readonly losses: readonly Loss[];
  readonly earlyStopping: EarlyStopping | undefined;
  readonly plateau: Plateau | undefined;
  /** New values of states. */
  readonly states: readonly Update[];
}

/** Elaborates the body once, for `ctx.training` or not. */
export function fitBody(ctx: Context, info: DataInfo, body: readonly Statement[]): Step {
  const scope = new Scope(ctx.scope);
  for (const [name, value] of fieldTensors(ctx, info))
    scope.define(name, value, undefined, 'a field of the data');
  const inner: Context = { ...ctx, scope, updates: new Map(), draws: new Map() };
  const reader = new BodyReader();
  runBody(inner, { kind: 'fit', name: 'fit', body, given: new Map(), other: (c, s) => reader.read(c, s) });
  const quantities = [
    ...reader.losses
      .filter((l, i) => reader.losses.findIndex((other) => other.name === l.name) === i)
      .map((l) => ({ name: l.name, node: l.node, span: l.statement.loss.span })),
    ...reader.metrics.filter((m) => m.node.shape.length === 0),
  ];
  return {
    quantities,
    tables: reader.metrics.filter((m) => m.node.shape.length > 0),
    losses: reader.losses,
    earlyStopping: reader.watch('early_stopping', ctx, quantities, earlyStopping),
    plateau: reader.watch('plateau', ctx, quantities, plateau),
    states: [...inner.updates.values()],
  };
}

class BodyReader {
  readonly losses: Loss[] = [];
  readonly metrics: Quantity[] = [];
  private readonly watches = new Map<string, { readonly ctx: Context; readonly statement: Action }>();

  read(ctx: Context, s: Statement): boolean {
    if (s.kind === 'minimize') this.minimize(ctx, s);
    else if (s.kind === 'metric') this.metric(ctx, s);
    else if (s.kind === 'action') this.action(ctx, s);
    else return false;
    return true;
  }

  private minimize(ctx: Context, s: Minimize): void {
    const node = this.number(ctx, s.loss, 'the loss');
    const optimizer = ctx.session.run.evaluate(ctx, s.with);
    const every = everyOf(ctx, s);
    let chosen = optimizer;
    if (optimizer.kind === 'declaration' && optimizer.decl.kind === 'optimizer')
      chosen = ctx.session.run.call(ctx, optimizer, [], s.with.span);
    if (chosen.kind !== 'optimizer') {
      if (chosen.kind !== 'poison')
        fail(ctx, 'E0510', { found: describe(chosen) }, at(s.with.span, describe(chosen)));
      return;
    }
    const over = s.over && overPaths(ctx, s.over);
    if (!node || (s.over && !over)) return;
    // One loss may train several parts, each with its own optimizer.
    const same = this.losses.find((l) => l.node === node);
    const name = same?.name ?? this.nameOf(s);
    if (!same && this.isTaken(ctx, name, s.loss.span)) return;
    this.losses.push({ name, node, optimizer: chosen, over, every, statement: s });
  }

  /** The first is the `loss`; with several, those that are names keep them. */
  private nameOf(s: Minimize): string {
    if (this.losses.length === 0) return 'loss';
    return s.loss.kind === 'name' ? s.loss.name : `loss${this.losses.length + 1}`;
  }

  private isTaken(ctx: Context, name: string, span: Span): boolean {
    const before = [
      ...this.metrics,
      ...this.losses.map((l) => ({ name: l.name, span: l.statement.loss.span })),
    ].find((q) => q.name === name);
    if (before || name === 'count')
      fail(
        ctx,
        'E0504',
        { name },
        at(span, 'this name is taken'),
        ...(before ? [also(before.span, 'first used here')] : []),
      );
    return before !== undefined || name === 'count';
  }

  private metric(ctx: Context, s: Metric): void {
    const { name, span } = s.name;
    const totals: Totals = { metric: name, updates: [] };
    const node = this.measured({ ...ctx, totals }, s);
    if (this.isTaken(ctx, name, span) || !node) return;
    if (totals.updates.length === 0) {
      this.metrics.push({ name, node, span });
      return;
    }
    const batch = this.measured(ctx, s);
    if (batch) this.metrics.push({ name, node: batch, span, whole: { node, sums: totals.updates } });
  }

  /** A number, or a vector or matrix of known size. */
  private measured(ctx: Context, s: Metric): Node | undefined {
    const v = ctx.session.run.evaluate(ctx, s.value);
    const t = v.kind === 'poison' ? undefined : toTensor(ctx, v, 'f32');
    const shape = t ? restOf(t) : [];
    const isTable = shape.length <= 2 && shape.every((d) => asConstant(d) !== undefined);
    if (t && isTable) return castTo(ctx.session.graph, t, 'f32').node;
    if (v.kind !== 'poison') this.refused(ctx, v, s.value, `the metric \`${s.name.name}\``);
    return undefined;
  }

  /** One f32 number. */
  private number(ctx: Context, e: Expr, what: string): Node | undefined {
    const v = ctx.session.run.evaluate(ctx, e);
    if (v.kind === 'poison') return undefined;
    const t = toTensor(ctx, v, 'f32');
    if (t && restOf(t).length === 0) return castTo(ctx.session.graph, t, 'f32').node;
    return this.refused(ctx, v, e, what);
  }

  private refused(ctx: Context, v: Value, e: Expr, what: string): undefined {
    fail(ctx, 'E0502', { what, found: describe(v) }, at(e.span, describe(v)));
  }

  private action(ctx: Context, statement: Action): void {
    const { callee } = statement.call;
    const name = callee.kind === 'name' ? callee.name : '';
    const before = this.watches.get(name);
    if (before) {
      const label = also(before.statement.span, 'first used here');
      fail(ctx, 'E0202', { name }, at(statement.span, 'used again here'), label);
    } else if (name === 'early_stopping' || name === 'plateau') this.watches.set(name, { ctx, statement });
    else {
      const help = 'here stand equations, `minimize`, `metric`, `early_stopping(…)` and `plateau(…)`';
      const fields = { what: 'this call', where: 'a `fit`', help };
      fail(ctx, 'E0207', fields, at(statement.span, 'here'));
    }
  }

  watch<W>(name: string, ctx: Context, quantities: readonly Quantity[], read: WatchReader<W>): W | undefined {
    const found = this.watches.get(name);
    if (!found) return undefined;
    const losses = this.losses.map((l) => l.name);
    const names = quantities.map((q) => q.name);
    return read({ ...ctx, scope: found.ctx.scope }, found.statement, names, losses);
  }
}

type WatchReader<W> = (
  ctx: Context,
  statement: Action,
  names: readonly string[],
  losses: readonly string[],
) => W | undefined;

/** `every 5`: in the steps that are multiples of it. */
function everyOf(ctx: Context, s: Minimize): number {
  if (!s.every) return 1;
  const v = ctx.session.run.evaluate(ctx, s.every);
  if (v.kind === 'poison') return 1;
  const n = numberOf(v);
  if (n !== undefined && Number.isInteger(n) && n >= 1 && n <= 1000) return n;
  const found = n === undefined ? describe(v) : String(n);
  const expected = 'a whole number from 1 to 1000';
  fail(ctx, 'E0505', { option: 'every', expected, found }, at(s.every.span, describe(v)));
  return 1;
}

/**
 * Paths of the parameters that `over` names: of a model, a layer, single ones, or by patterns (`"features"`,
 * `"*.bias"`); a pattern that begins with `!` takes away from what stands before it, or from all.
 */
function overPaths(ctx: Context, over: readonly Expr[]): ReadonlySet<string> | undefined {
  const all = [...ctx.session.tensors.values()].flatMap((e) => (e.role === 'param' ? [e.path] : []));
  const values = over.map((e) => ({ e, v: ctx.session.run.evaluate(ctx, e) }));
  const [first] = values;
  const paths = new Set(first?.v.kind === 'string' && first.v.value.startsWith('!') ? all : []);
  for (const { e, v } of values) {
    if (v.kind === 'instance') for (const p of pathsOf(v.instance)) paths.add(p);
    else if (v.kind === 'tensor' && v.node.op === 'leaf' && v.node.role === 'param') paths.add(v.node.name);
    else if (v.kind === 'string') {
      const pattern = v.value.replace(/^!/, '');
      if (!expectMatch(ctx, pattern, all, e.span)) return undefined;
      const named = all.filter((path) => matches(pattern, path));
      for (const path of named)
        if (v.value.startsWith('!')) paths.delete(path);
        else paths.add(path);
    } else {
      const fields = {
        what: 'what `over` names',
        expected: 'a model, a layer, a parameter or a pattern of paths',
        found: describe(v),
        help: undefined,
      };
      if (v.kind !== 'poison') fail(ctx, 'E0402', fields, at(e.span, describe(v)));
      return undefined;
    }
  }
  return paths;
}

function* pathsOf(instance: Instance): Generator<string> {
  for (const entry of instance.tensors.values()) yield entry.path;
  for (const child of instance.children.values()) yield* pathsOf(child);
}

// ---------------------------------------------------------------- running sums

/**
 * `metrics/NAME` += value * batch, `metrics/count` += batch: the host divides one by the other. A metric of sums over the
 * batches is set to its value times the count, so that the same quotient is the value.
 */
export function runningSums(ctx: Context, quantities: readonly Quantity[], span: Span): readonly Update[] {
  const { graph } = ctx.session;
  const batch = toTensor(ctx, int(batchSize), 'f32')!.node;
  const times = (node: Node, n: Node): Node => graph.map('mul', [node, graph.broadcast(n, node.shape, [])]);
  const accumulate = (name: string, amount: Node): Update => {
    const leaf = metricLeaf(ctx, name, amount.shape, span);
    return { leaf, value: graph.map('add', [leaf, amount]) };
  };
  // The count stands last, as it is not one of them.
  for (const q of quantities) metricLeaf(ctx, q.name, q.node.shape, span);
  const count = accumulate('count', batch);
  const measure = ({ name, node, whole }: Quantity): readonly Update[] =>
    whole
      ? [
          ...whole.sums,
          { leaf: metricLeaf(ctx, name, node.shape, span), value: times(whole.node, count.value) },
        ]
      : [accumulate(name, times(node, batch))];
  return [...quantities.flatMap(measure), count];
}

function metricLeaf(ctx: Context, name: string, dims: readonly Poly[], span: Span): Leaf {
  const path = `metrics/${name}`;
  const known = ctx.session.tensors.get(path);
  const shape = dims.flatMap((d) => asConstant(d) ?? []);
  if (known?.shape.join() === shape.join()) return known.leaf;
  const initial = ctx.session.graph.full(0, 'f32', dims);
  return makeEntry(ctx, { path, role: 'metric', dtype: 'f32', shape, initial, span }).leaf;
}

/** Options of a `fit` or `evaluate`, each within its range. */
export class Options {
  private readonly args: Args;
  private readonly ctx: Context;

  constructor(ctx: Context, name: string, s: Pick<Fit, 'args' | 'span'>, names: readonly string[]) {
    const given = s.args.map((a) => ({
      name: a.name,
      value: ctx.session.run.evaluate(ctx, a.value),
      span: a.value.span,
    }));
    this.ctx = ctx;
    this.args = new Args(
      ctx,
      { name, args: given, span: s.span },
      names.map((n) => `${n}?`),
    );
  }

  number(name: string, otherwise: number, expected: string, fits: (n: number) => boolean): number {
    const v = this.args.value(name);
    if (!v || v.kind === 'poison') return otherwise;
    const n = numberOf(v);
    if (n !== undefined && fits(n)) return n;
    fail(
      this.ctx,
      'E0505',
      { option: name, expected, found: n === undefined ? describe(v) : String(n) },
      at(this.args.span(name), describe(v)),
    );
    return otherwise;
  }

  /** One of some words; the first where none is given. */
  chosen<W extends string>(name: string, words: readonly [W, ...W[]]): W {
    const v = this.args.value(name);
    const found = v?.kind === 'string' ? words.find((w) => w === v.value) : undefined;
    if (found === undefined && v && v.kind !== 'poison') {
      const expected = words.map((w) => `"${w}"`).join(' or ');
      const told = v.kind === 'string' ? `"${v.value}"` : describe(v);
      fail(this.ctx, 'E0505', { option: name, expected, found: told }, at(this.args.span(name), 'here'));
    }
    return found ?? words[0];
  }

  /** So many bytes as a text like "512MB" says. */
  bytes(name: string): number | undefined {
    const v = this.args.value(name);
    if (!v || v.kind === 'poison') return undefined;
    const found = v.kind === 'string' ? parseBytes(v.value) : undefined;
    if (found !== undefined) return found;
    const told = v.kind === 'string' ? `"${v.value}"` : describe(v);
    fail(
      this.ctx,
      'E0505',
      { option: name, expected: bytesForm, found: told },
      at(this.args.span(name), 'here'),
    );
    return undefined;
  }

  span(name: string): Span {
    return this.args.span(name);
  }

  flag(name: string, otherwise: boolean): boolean {
    const v: Value | undefined = this.args.value(name);
    if (!v || v.kind === 'poison') return otherwise;
    if (v.kind === 'bool') return v.value;
    fail(
      this.ctx,
      'E0505',
      { option: name, expected: 'true or false', found: describe(v) },
      at(this.args.span(name), describe(v)),
    );
    return otherwise;
  }
}
