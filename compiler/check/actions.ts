/** Calls by themselves in a task: `save(net, "net.safetensors")`, `load(net, "net.safetensors", only: "conv*")`. */
import type { Action } from '../../grammar/syntax.ts';
import type { LoadStep, SaveStep } from '../plan.ts';
import { Args } from './builtin-args.ts';
import { expectMatch, matches } from './patterns.ts';
import { at, fail } from './report.ts';
import type { Context, Instance } from './values.ts';

/** A model that the task names. */
export interface Used {
  readonly name: string;
  readonly instance: Instance;
  readonly from: string | undefined;
}

const help = '`save(model, "file.safetensors")` and `load(model, "file.safetensors", only: "conv*")`';

/** A step that needs the paths of all parameters, which are known when the whole task has been read. */
export interface Deferred<S> {
  readonly kind: 'deferred';
  readonly finish: () => S | undefined;
}

/** What the call does; mistakes are reported. */
export function actionStep(
  ctx: Context,
  s: Action,
  models: readonly Used[],
): SaveStep | Deferred<LoadStep> | undefined {
  const { callee } = s.call;
  const name = callee.kind === 'name' ? callee.name : '';
  if (name !== 'save' && name !== 'load') {
    const fields = {
      what: 'this call',
      where: 'a task',
      help: `a task has equations, \`fit\`, \`evaluate\`, ${help}`,
    };
    fail(ctx, 'E0207', fields, at(s.span, 'here'));
    return undefined;
  }
  const given = s.call.args.map((a) => ({
    name: a.name,
    value: ctx.session.run.evaluate(ctx, a.value),
    span: a.value.span,
  }));
  const more = name === 'load' ? ['only?', 'under?', 'partial?'] : [];
  const args = new Args(ctx, { name, args: given, span: s.span }, ['model', 'file', ...more]);
  if (!args.good) return undefined;
  const model = args.value('model');
  const used = model?.kind === 'instance' ? models.find((m) => m.instance === model.instance) : undefined;
  const path = args.value('file');
  if (!used) args.refuse('model', 'a model of the task', help);
  else if (path?.kind !== 'string') args.refuse('file', 'a path', help);
  else if (name === 'save') return { kind: 'save', model: used.name, path: path.value };
  else return loadStep(ctx, args, used, path.value);
  return undefined;
}

function loadStep(ctx: Context, args: Args, used: Used, path: string): Deferred<LoadStep> | undefined {
  const only = args.value('only');
  const items = only?.kind === 'list' ? only.items : only ? [only] : [];
  const patterns = items.flatMap((v) => (v.kind === 'string' ? [v.value] : []));
  if (only && (patterns.length < items.length || patterns.length === 0)) {
    args.refuse('only', 'a pattern of paths, or several: `("conv*", "fc1")`');
    return undefined;
  }
  const under = args.value('under');
  if (under && under.kind !== 'string') {
    args.refuse('under', 'the beginning of paths in the file');
    return undefined;
  }
  const partial = args.value('partial');
  if (partial && partial.kind !== 'bool') {
    args.refuse('partial', 'true or false');
    return undefined;
  }
  const finish = (): LoadStep | undefined => {
    const { path: own } = used.instance;
    const prefix = own === '' ? '' : `${own}.`;
    const all = [...ctx.session.tensors.values()].flatMap((e) =>
      (e.role === 'param' || e.role === 'state') && e.path.startsWith(prefix)
        ? [e.path.slice(prefix.length)]
        : [],
    );
    const good = patterns.map((p) => expectMatch(ctx, p, all, args.span('only')));
    if (!good.every(Boolean)) return undefined;
    const asked = all.filter((name) => patterns.length === 0 || patterns.some((p) => matches(p, name)));
    return {
      kind: 'load',
      model: used.name,
      path,
      prefix,
      asked,
      others: all.filter((name) => !asked.includes(name)),
      ...(under?.kind === 'string' && { under: under.value }),
      ...(partial?.value && { partial: true }),
    };
  };
  return { kind: 'deferred', finish };
}
