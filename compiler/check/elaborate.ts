/** From a checked file to computations: of one model, or of a task. */
import type { Expr, Layer, Model as ModelDeclaration, Parameter, Task } from '../../grammar/syntax.ts';
import type { Problem } from '../../grammar/problem.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { Computation, Leaf } from '../ir/graph.ts';
import { sizeOf } from '../ir/serialise.ts';
import type { DataInfo, ModelInfo, PortInfo, StaticValue, TaskStep } from '../plan.ts';
import { constant } from '../shape/poly.ts';
import { bindParameters, matchArguments, unknownArgument } from './arguments.ts';
import { bool, float, toTensor } from './arithmetic.ts';
import { runBody } from './body.ts';
import type { Host } from './host.ts';
import { applyOpenWith, makeInstance } from './instances.ts';
import type { Module } from './modules.ts';
import { at, fail } from './report.ts';
import { Reporter } from './reporter.ts';
import { createContext, createOwner, createSession } from './session.ts';
import { type BatchPlan, TaskRun } from './tasks.ts';
import type {
  Context,
  Differentiate,
  Given,
  Instance,
  Session,
  TensorEntry,
  TensorValue,
  Value,
} from './values.ts';
import { int, Scope } from './values.ts';

export type { Differentiate };

/** A tensor that is kept between runs; its shape is in numbers. */
export interface TensorInfo {
  readonly path: string;
  readonly role: 'param' | 'state' | 'slot' | 'metric';
  readonly dtype: TensorEntry['dtype'];
  readonly shape: readonly number[];
}

export interface ModelGraphs {
  readonly model: ModelInfo;
  readonly tensors: readonly TensorInfo[];
  /** `init` and `predict`. */
  readonly computations: Readonly<Record<string, Computation>>;
}

export interface TaskGraphs {
  readonly name: string;
  readonly data: readonly DataInfo[];
  readonly models: readonly ModelInfo[];
  readonly tensors: readonly TensorInfo[];
  /** `init`, `train`, `evaluate`, `predict`, …; the steps name them. */
  readonly computations: Readonly<Record<string, Computation>>;
  readonly steps: readonly TaskStep[];
  /** Computations that the task runs on batches. */
  readonly batches: ReadonlyMap<string, BatchPlan>;
}

/** What an elaboration gives: nothing but problems when there is an error. */
export type Elaborated<T> =
  | { readonly graphs: T; readonly problems: readonly Problem[] }
  | { readonly graphs: undefined; readonly problems: readonly Problem[] };

export type Settings = Readonly<Record<string, StaticValue>>;

const finish = <T>(reporter: Reporter, graphs: T | undefined): Elaborated<T> => {
  const failed = reporter.problems.some((p) => p.severity === 'error');
  return { graphs: failed ? undefined : graphs, problems: reporter.problems } as Elaborated<T>;
};

export interface ElaborateOptions {
  readonly differentiate: Differentiate | undefined;
  readonly reporter?: Reporter;
  /** Is told which declarations were applied. */
  readonly used?: Set<unknown>;
}

// ---------------------------------------------------------------- models

/** A model by itself: `predict` from its input ports to its output ports, with `training` false. */
export function elaborateModelIn(
  module: Module,
  decl: ModelDeclaration,
  args: Settings,
  options: ElaborateOptions,
): Elaborated<ModelGraphs> {
  const reporter = options.reporter ?? new Reporter();
  const session = createSession({
    reporter,
    differentiate: options.differentiate,
    ...(options.used && { used: options.used }),
  });
  const name = 'net';
  const ctx: Context = { ...createContext(session, module.scope, createOwner(name), false), naming: name };
  const given = settingsOf(ctx, decl, args);
  const instance = given && makeInstance(ctx, decl, module.scope, given, decl.name.span);
  if (!instance) return finish<ModelGraphs>(reporter, undefined);
  const predict = predictor(ctx, { name, instance, from: undefined }, '', 'predict');
  if (!predict) return finish<ModelGraphs>(reporter, undefined);
  const computations = { init: initialise(session), predict: predict.computation };
  return finish(reporter, { model: predict.info, tensors: tensorsOf(session), computations });
}

interface Predictor {
  readonly info: ModelInfo;
  readonly computation: Computation;
}

function predictor(
  ctx: Context,
  used: { readonly name: string; readonly instance: Instance; readonly from: string | undefined },
  prefix: string,
  plan: string,
): Predictor | undefined {
  const { instance } = used;
  const opened = applyOpenWith(
    runBody,
    { ...ctx, training: false, updates: new Map(), draws: new Map() },
    instance,
  );
  if (!opened) return undefined;
  const outputs = [...opened.outputs].flatMap(([name, v]): { name: string; t: TensorValue }[] => {
    const t = toTensor(ctx, v);
    return t ? [{ name, t }] : [];
  });
  const port = (name: string, t: TensorValue): PortInfo => ({
    name,
    dtype: t.node.dtype,
    shape: t.node.shape.map(sizeOf),
  });
  const info: ModelInfo = {
    name: used.name,
    declaration: instance.decl.name.name,
    prefix,
    predict: plan,
    from: used.from,
    inputs: [...opened.inputs].map(([name, t]) => port(name, t)),
    outputs: outputs.map(({ name, t }) => port(name, t)),
  };
  return {
    info,
    computation: {
      name: plan,
      graph: ctx.session.graph,
      outputs: outputs.map(({ name, t }) => ({ name, node: t.node })),
      updates: [],
    },
  };
}

/** Fills every tensor from the clock `seed`. */
function initialise(session: Session): Computation {
  const updates = [...session.tensors.values()].map((e): { leaf: Leaf; value: TensorEntry['initial'] } => ({
    leaf: e.leaf,
    value: e.initial,
  }));
  return { name: 'init', graph: session.graph, outputs: [], updates };
}

const tensorsOf = (session: Session): readonly TensorInfo[] =>
  [...session.tensors.values()].map(({ path, role, dtype, shape }) => ({ path, role, dtype, shape }));

// ---------------------------------------------------------------- tasks

/** Everything a task does, as computations and steps. `sets`: values of the task's parameters by name. */
export function elaborateTaskIn(
  module: Module,
  task: Task,
  sets: Settings,
  host: Host,
  options: ElaborateOptions,
): Elaborated<TaskGraphs> {
  const reporter = options.reporter ?? new Reporter();
  const run = new TaskRun(host);
  const session = createSession({
    reporter,
    differentiate: options.differentiate,
    data: run.data.make,
    ...(options.used && { used: options.used }),
  });
  const scope = new Scope(module.scope, 'dims');
  const names = modelNames(module.scope, task);
  const [single] = names;
  const owner = createOwner(names.length === 1 ? single : undefined);
  const ctx = createContext(session, scope, owner, false);
  if (!bindSettings(ctx, task, sets)) return finish<TaskGraphs>(reporter, undefined);
  run.run(ctx, task);
  const models = run.models.map((used, i) => {
    const prefix = used.instance.path === '' ? '' : `${used.instance.path}.`;
    return predictor(
      ctx,
      used,
      prefix,
      run.models.length === 1 || i < 0 ? 'predict' : `predict_${used.name}`,
    );
  });
  const whole = models.filter((m) => m !== undefined);
  if (whole.length < models.length) return finish<TaskGraphs>(reporter, undefined);
  const computations = {
    init: initialise(session),
    ...Object.fromEntries(run.computations),
    ...Object.fromEntries(whole.map((m) => [m.info.predict, m.computation])),
  };
  const steps = run.finish();
  return finish(reporter, {
    name: task.name.name,
    data: [...run.data.byName.values()].map((s) => s.info),
    models: whole.map((m) => m.info),
    tensors: tensorsOf(session),
    computations,
    steps,
    batches: run.batches,
  });
}

/** Names that the task gives to models. */
function modelNames(scope: Scope, task: Task): readonly string[] {
  const made = (e: Expr): boolean => {
    if (e.kind === 'from') return made(e.value);
    const value =
      e.kind === 'call' && e.callee.kind === 'name' ? scope.lookup(e.callee.name)?.value : undefined;
    return value?.kind === 'declaration' && (value.decl.kind === 'model' || value.decl.kind === 'layer');
  };
  return task.body.flatMap((s) => (s.kind === 'equation' && made(s.value) ? [s.target.name] : []));
}

// ---------------------------------------------------------------- settings

/** A value from outside of the text; text is read as the parameter's type wants it. */
function valueOf(raw: StaticValue, param: Parameter | undefined): Value {
  if (typeof raw === 'boolean') return bool(raw);
  if (typeof raw === 'number') return Number.isSafeInteger(raw) ? int(constant(raw)) : float(raw);
  if (typeof raw !== 'string') return { kind: 'list', items: raw.map((r) => valueOf(r, undefined)) };
  const wantsText = param?.type?.kind === 'named' && param.type.name.name === 'string';
  if (!wantsText && (raw === 'true' || raw === 'false')) return bool(raw === 'true');
  if (!wantsText && raw.trim() !== '' && Number.isFinite(Number(raw))) return valueOf(Number(raw), param);
  return { kind: 'string', value: raw };
}

function settingsOf(
  ctx: Context,
  decl: ModelDeclaration | Layer | Task,
  settings: Settings,
): readonly Given[] | undefined {
  let good = true;
  const has = decl.params.map((p) => p.name.name);
  const given = Object.entries(settings).flatMap(([name, raw]): Given[] => {
    const param = decl.params.find((p) => p.name.name === name);
    if (param) return [{ name: param.name, value: valueOf(raw, param), span: param.span }];
    good = false;
    if (decl.kind === 'task')
      fail(
        ctx,
        'E0512',
        { name, task: decl.name.name, near: suggest(name, has), has },
        at(decl.name.span, 'this task'),
      );
    else
      unknownArgument(
        ctx,
        { name: decl.name.name, span: decl.name.span },
        { name, span: decl.name.span },
        has,
      );
    return [];
  });
  return good ? given : undefined;
}

function bindSettings(ctx: Context, task: Task, sets: Settings): boolean {
  const given = settingsOf(ctx, task, sets);
  if (!given) return false;
  const callee = { name: task.name.name, span: task.name.span };
  const missing = bindParameters(ctx, callee, task.params, matchArguments(ctx, callee, task.params, given));
  if (missing.length > 0)
    fail(ctx, 'E0403', { callee: callee.name, missing }, at(task.name.span, `without ${missing.join(', ')}`));
  return missing.length === 0;
}
