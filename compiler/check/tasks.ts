/** Tasks: their models and data, and a computation for each thing they do with them. */
import type { Action, Equation, Evaluate, Expr, Fit, Statement, Task } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Computation, Node } from '../ir/graph.ts';
import type { DataInfo, DataField, EvaluateStep, FitStep, TaskStep } from '../plan.ts';
import type { Deferred, Used } from './actions.ts';
import { actionStep } from './actions.ts';
import { DataSources } from './data.ts';
import { describe } from './describe.ts';
import type { Host } from './host.ts';
import { also, at, fail } from './report.ts';
import type { Update } from './optimizers.ts';
import type { Step } from './training.ts';
import { fitBody, Options, runningSums } from './training.ts';
import type { Training } from './updates.ts';
import { trainingOf } from './updates.ts';
import type { Context, Value } from './values.ts';

/** A plan that the task runs on batches, and where its text says so. */
export interface BatchPlan {
  readonly batch: number;
  /** Bytes that `memory: "…"` grants. */
  readonly memory: number | undefined;
  readonly span: Span;
}

interface Trained {
  readonly fit: Fit;
  readonly info: DataInfo;
  readonly batch: number;
  readonly evaluate: string;
  readonly metrics: readonly string[];
  readonly tables: Pick<EvaluateStep, 'tables'>;
}

const whole =
  (least: number) =>
  (n: number): boolean =>
    Number.isInteger(n) && n >= least;

export class TaskRun {
  readonly models: Used[] = [];
  private readonly planned: (TaskStep | Deferred<TaskStep>)[] = [];
  readonly computations = new Map<string, Computation>();
  /** By the names of their computations. */
  readonly batches = new Map<string, BatchPlan>();
  readonly data: DataSources;
  private last: Trained | undefined;

  constructor(host: Host) {
    this.data = new DataSources(host);
  }

  run(ctx: Context, task: Task): void {
    for (const s of task.body) this.statement(ctx, s);
  }

  private statement(ctx: Context, s: Statement): void {
    switch (s.kind) {
      case 'equation':
        return this.equation(ctx, s);
      case 'fit':
        return this.fit(ctx, s);
      case 'evaluate':
        return this.evaluate(ctx, s);
      case 'action':
        return this.action(ctx, s);
      default:
        fail(
          ctx,
          'E0207',
          {
            what: 'this statement',
            where: 'a task',
            help: 'a task has equations, `fit`, `evaluate` and `save`',
          },
          at(s.span, 'here'),
        );
    }
  }

  // -------------------------------------------------------------- bindings

  private equation(ctx: Context, e: Equation): void {
    const { name, span } = e.target;
    const before = ctx.scope.names.get(name);
    if (before) {
      fail(
        ctx,
        'E0202',
        { name },
        at(span, 'defined again here'),
        ...(before.span ? [also(before.span, 'first defined here')] : []),
      );
      return;
    }
    const from = e.value.kind === 'from' ? this.weights(ctx, e.value.source) : undefined;
    const made = e.value.kind === 'from' ? e.value.value : e.value;
    const value = this.bound(ctx, e, made);
    ctx.scope.define(name, value, span, 'an equation');
    if (
      value.kind === 'instance' &&
      value.instance.decl.kind === 'model' &&
      !this.models.some((m) => m.instance === value.instance)
    ) {
      this.models.push({ name, instance: value.instance, from });
    }
  }

  private bound(ctx: Context, e: Equation, made: Expr): Value {
    if (e.subscripts || e.prime || e.when)
      return fail(
        ctx,
        'E0412',
        { what: 'tensor code outside of a `fit`', help: 'put it into the body of a `fit` or `evaluate`' },
        at(e.span, 'here'),
      );
    const value = ctx.session.run.evaluate({ ...ctx, naming: e.target.name }, made);
    if (value.kind === 'tensor')
      return fail(
        ctx,
        'E0412',
        { what: 'tensor code outside of a `fit`', help: 'put it into the body of a `fit` or `evaluate`' },
        at(e.value.span, describe(value)),
      );
    return value;
  }

  private weights(ctx: Context, source: Expr): string | undefined {
    const v = ctx.session.run.evaluate(ctx, source);
    if (v.kind === 'string') return v.value;
    if (v.kind !== 'poison')
      fail(
        ctx,
        'E0402',
        {
          what: 'what follows `from`',
          expected: 'the path of a safetensors file',
          found: describe(v),
          help: undefined,
        },
        at(source.span, describe(v)),
      );
    return undefined;
  }

  private source(ctx: Context, on: Expr): { readonly info: DataInfo; readonly span: Span } | undefined {
    const v = ctx.session.run.evaluate(ctx, on);
    if (v.kind === 'data') return this.data.byName.get(v.name);
    if (v.kind !== 'poison') fail(ctx, 'E0511', { found: describe(v) }, at(on.span, describe(v)));
    return undefined;
  }

  // -------------------------------------------------------------- fit

  private fit(ctx: Context, s: Fit): void {
    const names = ['epochs', 'batch', 'valid', 'seed', 'shuffle', 'precision', 'memory'];
    const options = new Options(ctx, 'fit', s, names);
    const source = this.source(ctx, s.on);
    const settings = settingsOf(options);
    const mixed = mixedAt(options);
    const memory = options.bytes('memory');
    if (!source) return;
    const { asked } = ctx.session;
    asked.training = false;
    const train = fitBody({ ...ctx, mixed, training: true }, source.info, s.body);
    // What never asks whether it trains is the same in both.
    const measure = asked.training ? fitBody({ ...ctx, mixed, training: false }, source.info, s.body) : train;
    const watches = { early_stopping: train.earlyStopping, plateau: train.plateau };
    for (const [name, watch] of Object.entries(watches)) {
      if (!watch?.monitor.startsWith('valid.') || settings.valid > 0) continue;
      const expected = `above 0, as \`${name}\` watches \`${watch.monitor}\``;
      fail(
        ctx,
        'E0505',
        { option: 'valid', expected, found: '0' },
        at({ ...s.span, end: s.on.span.end }, 'keeps nothing for validation'),
      );
    }
    const minimizes = s.body.some((x) => x.kind === 'minimize');
    if (!minimizes)
      fail(
        ctx,
        'E0503',
        { what: 'this `fit` has no `minimize`' },
        at({ ...s.span, end: s.on.span.end }, 'trains nothing'),
      );
    const training = trainingOf({ ...ctx, mixed, training: true }, train.losses);
    const metrics = train.quantities.map((q) => q.name);
    const plans = this.trainPlans(ctx, train, training, s.span);
    const named = { train: plans.train, evaluate: this.free('evaluate') };
    this.compute(ctx, named.evaluate, [], runningSums(ctx, measured(measure), s.span));
    const span = memory === undefined ? { ...s.span, end: s.on.span.end } : options.span('memory');
    for (const name of [named.train, named.evaluate, ...(plans.more.cycle ?? [])])
      this.batches.set(name, { batch: settings.batch, memory, span });
    this.planned.push({
      kind: 'fit',
      data: source.info.name,
      ...settings,
      ...named,
      metrics,
      ...tables(train),
      earlyStopping: train.earlyStopping,
      ...(train.plateau && { plateau: train.plateau }),
      ...plans.more,
    });
    this.last = {
      fit: s,
      info: source.info,
      batch: settings.batch,
      evaluate: named.evaluate,
      metrics,
      tables: tables(train),
    };
  }

  /** The plans of a `fit`'s training steps, and those that set its optimizers' memory. */
  private trainPlans(
    ctx: Context,
    step: Step,
    training: Training,
    span: Span,
  ): { readonly train: string; readonly more: Pick<FitStep, 'cycle' | 'begin' | 'average'> } {
    const sums = runningSums(ctx, measured(step), span);
    const names = (training.sets.length > 0 ? training.sets : [[]]).map((updates) => {
      const name = this.free('train');
      this.compute(ctx, name, outputsOf(step), [...updates, ...step.states, ...sums]);
      return name;
    });
    const [train = ''] = names;
    // The memory of a first `fit` is as `init` leaves it.
    const isFirst = !this.planned.some((s) => s.kind === 'fit');
    const begin = [...(isFirst ? [] : training.begin), ...training.averages];
    const plan = (name: string, updates: readonly Update[]): string | undefined => {
      if (updates.length === 0) return undefined;
      const free = this.free(name);
      this.compute(ctx, free, [], updates);
      return free;
    };
    const [began, average] = [plan('begin', begin), plan('average', training.exchange)];
    return {
      train,
      more: {
        ...(names.length > 1 && { cycle: training.cycle.map((i) => names[i] ?? train) }),
        ...(began !== undefined && { begin: began }),
        ...(average !== undefined && { average }),
      },
    };
  }

  private free(name: string): string {
    let n = 1;
    while (this.computations.has(n === 1 ? name : `${name}${n}`)) n++;
    return n === 1 ? name : `${name}${n}`;
  }

  private compute(
    ctx: Context,
    name: string,
    outputs: Computation['outputs'],
    updates: readonly Update[],
  ): void {
    // Of two updates of one state the later wins, as in the text.
    const last = new Map(updates.map((u) => [u.leaf, u]));
    this.computations.set(name, { name, graph: ctx.session.graph, outputs, updates: [...last.values()] });
  }

  // -------------------------------------------------------------- evaluate

  private evaluate(ctx: Context, s: Evaluate): void {
    const options = new Options(ctx, 'evaluate', s, ['batch', 'precision']);
    const mixed = mixedAt(options);
    const source = this.source(ctx, s.on);
    const batch = options.number('batch', this.last?.batch ?? 32, 'a whole number of at least 1', whole(1));
    if (!s.body && !this.last) {
      // After a `fit` that went wrong nothing more is said.
      if (this.planned.length === 0 && ctx.session.reporter.problems.length === 0)
        fail(ctx, 'E0506', {}, at(s.span, 'evaluates nothing'));
      return;
    }
    if (!source) return;
    if (s.body) return this.measure({ ...ctx, mixed }, s, s.body, source.info, batch);
    const { last } = this;
    if (!last || !this.sameFields(ctx, last, source, s)) return;
    const before = this.batches.get(last.evaluate);
    if (before && batch > before.batch) this.batches.set(last.evaluate, { ...before, batch, span: s.span });
    this.planned.push({
      kind: 'evaluate',
      data: source.info.name,
      batch,
      evaluate: last.evaluate,
      metrics: last.metrics,
      ...last.tables,
    });
  }

  private measure(
    ctx: Context,
    s: Evaluate,
    body: readonly Statement[],
    info: DataInfo,
    batch: number,
  ): void {
    const step = fitBody({ ...ctx, training: false }, info, body);
    const name = this.free('evaluate');
    this.compute(ctx, name, [], runningSums(ctx, measured(step), s.span));
    this.batches.set(name, { batch, memory: undefined, span: { ...s.span, end: s.on.span.end } });
    this.planned.push({
      kind: 'evaluate',
      data: info.name,
      batch,
      evaluate: name,
      metrics: step.quantities.map((q) => q.name),
      ...tables(step),
    });
  }

  private sameFields(
    ctx: Context,
    last: Trained,
    source: { readonly info: DataInfo; readonly span: Span },
    s: Evaluate,
  ): boolean {
    for (const [field, wanted] of Object.entries(last.info.fields)) {
      const found = source.info.fields[field];
      if (found && shown(found) === shown(wanted)) continue;
      const fields = {
        field,
        expected: shown(wanted),
        found: found ? shown(found) : 'missing',
        data: source.info.name,
      };
      fail(
        ctx,
        'E0507',
        fields,
        at(s.on.span, `${field}: ${fields.found}`),
        also(last.fit.on.span, `${field}: ${fields.expected}`),
      );
      return false;
    }
    return true;
  }

  // -------------------------------------------------------------- actions

  private action(ctx: Context, s: Action): void {
    const step = actionStep(ctx, s, this.models);
    if (step) this.planned.push(step);
  }

  /** The steps in the order of the text, once every parameter is known. */
  finish(): readonly TaskStep[] {
    return this.planned.flatMap((s) => (s.kind === 'deferred' ? (s.finish() ?? []) : [s]));
  }
}

/** Where `precision: "mixed"` stands. */
const mixedAt = (options: Options): Span | undefined =>
  options.chosen('precision', ['f32', 'mixed']) === 'mixed' ? options.span('precision') : undefined;

/** How a `fit` goes through its data. */
const settingsOf = (options: Options): Pick<FitStep, 'epochs' | 'batch' | 'valid' | 'seed' | 'shuffle'> => ({
  epochs: options.number('epochs', 1, 'a whole number of at least 1', whole(1)),
  batch: options.number('batch', 32, 'a whole number of at least 1', whole(1)),
  valid: options.number('valid', 0, 'a part of the examples, from 0 to below 1', (n) => n >= 0 && n < 1),
  seed: options.number(
    'seed',
    0,
    'a whole number from 0 to 2147483647',
    (n) => whole(0)(n) && n <= 0x7fffffff,
  ),
  shuffle: options.flag('shuffle', true),
});

const measured = ({ quantities, tables }: Step): Step['quantities'] => [...quantities, ...tables];

/** Names of the metrics that are no numbers, where there are any. */
const tables = (step: Step): Pick<EvaluateStep, 'tables'> =>
  step.tables.length > 0 ? { tables: step.tables.map((t) => t.name) } : {};

const shown = (f: DataField): string => `${f.dtype}[${f.shape.join(', ')}]`;

const outputsOf = (step: Step): readonly { readonly name: string; readonly node: Node }[] =>
  step.quantities.map((q) => ({ name: q.name, node: q.node }));
