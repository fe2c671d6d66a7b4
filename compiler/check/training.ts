/** The body of a `fit`: losses, metrics, gradients and updates. */
import type { Expr, Fit, Metric, Minimize, Statement } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Leaf, Node } from '../ir/graph.ts';
import { topological } from '../ir/graph.ts';
import type { DataInfo, EarlyStopping } from '../plan.ts';
import { Args } from './builtin-args.ts';
import { numberOf, toTensor } from './arithmetic.ts';
import { runBody } from './body.ts';
import { batchSize, fieldTensors } from './data.ts';
import { describe } from './describe.ts';
import { earlyStopping } from './early-stopping.ts';
import type { Update } from './optimizers.ts';
import { optimize } from './optimizers.ts';
import { also, at, fail } from './report.ts';
import { makeEntry } from './storage.ts';
import { castTo } from './tensor.ts';
import type { Context, Instance, OptimizerValue, TensorEntry, Value } from './values.ts';
import { int, restOf, Scope } from './values.ts';

interface Loss {
  readonly name: string;
  readonly node: Node;
  readonly optimizer: OptimizerValue;
  readonly over: ReadonlySet<string> | undefined;
  readonly statement: Minimize;
}

interface Quantity {
  readonly name: string;
  readonly node: Node;
  readonly span: Span;
}

export interface Step {
  /** Losses first, then metrics. */
  readonly quantities: readonly Quantity[];
  readonly losses: readonly Loss[];
  readonly earlyStopping: EarlyStopping | undefined;
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
    ...reader.losses.map((l) => ({ name: l.name, node: l.node, span: l.statement.loss.span })),
    ...reader.metrics,
  ];
  return {
    quantities,
    losses: reader.losses,
    earlyStopping: reader.watch(ctx, quantities),
    states: [...inner.updates.values()],
  };
}

class BodyReader {
  readonly losses: Loss[] = [];
  readonly metrics: Quantity[] = [];
  private stopping: { ctx: Context; statement: Extract<Statement, { kind: 'action' }> } | undefined;

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
    if (s.every) fail(ctx, 'E0412', { what: '`every`', help: undefined }, at(s.every.span, 'here'));
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
    const name = this.nameOf(s);
    if (this.isTaken(ctx, name, s.loss.span)) return;
    this.losses.push({ name, node, optimizer: chosen, over, statement: s });
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
    const node = this.number(ctx, s.value, `the metric \`${s.name.name}\``);
    if (!this.isTaken(ctx, s.name.name, s.name.span) && node)
      this.metrics.push({ name: s.name.name, node, span: s.name.span });
  }

  /** One f32 number. */
  private number(ctx: Context, e: Expr, what: string): Node | undefined {
    const v = ctx.session.run.evaluate(ctx, e);
    if (v.kind === 'poison') return undefined;
    const t = toTensor(ctx, v, 'f32');
    if (t && restOf(t).length === 0) return castTo(ctx.session.graph, t, 'f32').node;
    fail(ctx, 'E0502', { what, found: describe(v) }, at(e.span, describe(v)));
    return undefined;
  }

  private action(ctx: Context, s: Extract<Statement, { kind: 'action' }>): void {
    const { callee } = s.call;
    if (callee.kind === 'name' && callee.name === 'early_stopping') {
      this.stopping = { ctx, statement: s };
      return;
    }
    fail(
      ctx,
      'E0207',
      {
        what: 'this call',
        where: 'a `fit`',
        help: 'here stand equations, `minimize`, `metric` and `early_stopping(…)`',
      },
      at(s.span, 'here'),
    );
  }

  watch(ctx: Context, quantities: readonly Quantity[]): EarlyStopping | undefined {
    if (!this.stopping) return undefined;
    const losses = this.losses.map((l) => l.name);
    const names = quantities.map((q) => q.name);
    return earlyStopping({ ...ctx, scope: this.stopping.ctx.scope }, this.stopping.statement, names, losses);
  }
}

/** Paths of the parameters that `over` names: of a model, a layer, or single ones. */
function overPaths(ctx: Context, over: readonly Expr[]): ReadonlySet<string> | undefined {
  const paths = new Set<string>();
  for (const e of over) {
    const v = ctx.session.run.evaluate(ctx, e);
    if (v.kind === 'instance') for (const p of pathsOf(v.instance)) paths.add(p);
    else if (v.kind === 'tensor' && v.node.op === 'leaf' && v.node.role === 'param') paths.add(v.node.name);
    else {
      if (v.kind !== 'poison')
        fail(
          ctx,
          'E0402',
          {
            what: 'what `over` names',
            expected: 'a model, a layer or a parameter',
            found: describe(v),
            help: undefined,
          },
          at(e.span, describe(v)),
        );
      return undefined;
    }
  }
  return paths;
}

function* pathsOf(instance: Instance): Generator<string> {
  for (const entry of instance.tensors.values()) yield entry.path;
  for (const child of instance.children.values()) yield* pathsOf(child);
}

// ---------------------------------------------------------------- gradients

/** New values of all parameters that the losses train, and of the optimizers' slots. */
export function trainingUpdates(ctx: Context, step: Step): readonly Update[] {
  const { session } = ctx;
  const updates: Update[] = [];
  const trained = new Map<string, Span>();
  for (const loss of step.losses) {
    const { span } = loss.statement.loss;
    const entries = parametersOf(ctx, loss);
    if (entries.length === 0) {
      const what = loss.over
        ? 'the loss is computed from none of the parameters that `over` names'
        : 'the loss is computed from no parameter';
      fail(ctx, 'E0503', { what }, at(span, 'this loss'));
      continue;
    }
    const twice = entries.find((e) => trained.has(e.path));
    if (twice) {
      fail(
        ctx,
        'E0513',
        { name: twice.path, times: 2 },
        at(loss.statement.span, 'trained again here'),
        also(trained.get(twice.path)!, 'trained here'),
      );
      continue;
    }
    for (const e of entries) trained.set(e.path, loss.statement.span);
    if (!session.differentiate) continue;
    const { gradients, problems } = session.differentiate(
      session.graph,
      loss.node,
      entries.map((e) => e.leaf),
    );
    const [lost] = problems;
    if (lost) {
      const entry = entries.find((e) => e.leaf === lost.wrt);
      const cut = lost.node && session.graph.originsOf(lost.node).at(-1);
      const stops = cut && cut !== span ? [also(cut, 'it ends here')] : [];
      fail(
        ctx,
        'E0514',
        { path: entry?.path ?? '' },
        at(span, 'no gradient leaves this loss for it'),
        ...stops,
      );
      continue;
    }
    entries.forEach((entry, i) => {
      const updated = session.graph.from([loss.statement.span], () =>
        optimize(ctx, loss.optimizer, entry, gradients[i]!, loss.statement.with.span),
      );
      updates.push(...updated);
    });
  }
  return updates;
}

function parametersOf(ctx: Context, loss: Loss): readonly TensorEntry[] {
  const reached = new Set(topological([loss.node]));
  return [...ctx.session.tensors.values()].filter(
    (e) => e.role === 'param' && reached.has(e.leaf) && (loss.over?.has(e.path) ?? true),
  );
}

// ---------------------------------------------------------------- running sums

/** `metrics/NAME` += value * batch, `metrics/count` += batch: the host divides one by the other. */
export function runningSums(ctx: Context, quantities: readonly Quantity[], span: Span): readonly Update[] {
  const { graph } = ctx.session;
  const batch = toTensor(ctx, int(batchSize), 'f32')!.node;
  const accumulate = (name: string, amount: Node): Update => {
    const leaf = metricLeaf(ctx, name, span);
    return { leaf, value: graph.map('add', [leaf, amount]) };
  };
  return [
    ...quantities.map((q) => accumulate(q.name, graph.map('mul', [q.node, batch]))),
    accumulate('count', batch),
  ];
}

function metricLeaf(ctx: Context, name: string, span: Span): Leaf {
  const path = `metrics/${name}`;
  const known = ctx.session.tensors.get(path);
  if (known) return known.leaf;
  const initial = ctx.session.graph.constant(0, 'f32');
  return makeEntry(ctx, { path, role: 'metric', dtype: 'f32', shape: [], initial, span }).leaf;
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
