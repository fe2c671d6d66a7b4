/**
 * What a `fit` watches from epoch to epoch: `early_stopping(valid.loss, patience: 3, min_delta: 0.001, mode: "min")` and
 * `plateau(valid.loss, patience: 5)`.
 */
import type { Action, Expr } from '../../grammar/syntax.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { EarlyStopping, Plateau, Watch } from '../plan.ts';
import { numberOf } from './arithmetic.ts';
import { Args } from './builtin-args.ts';
import { describe } from './describe.ts';
import { at, fail } from './report.ts';
import type { Context } from './values.ts';

/** `names`: what the `fit` measures; of these `losses` are better when they are less. */
export function earlyStopping(
  ctx: Context,
  statement: Action,
  names: readonly string[],
  losses: readonly string[],
): EarlyStopping | undefined {
  const read = watch(ctx, statement, names, losses, ['start?', 'target?', 'restore?']);
  if (!read) return undefined;
  const { args, watched } = read;
  const start = args.value('start') ? args.integer('start') : 0;
  const target = numeric(args, 'target', undefined);
  const restore = args.value('restore');
  if (restore && restore.kind !== 'bool') args.refuse('restore', 'true or false');
  if (start !== undefined && start < 0) outOfRange(ctx, args, 'start', 'at least 0', start);
  if (!args.good || start === undefined) return undefined;
  return {
    ...watched,
    ...(start > 0 && { start }),
    ...(target !== undefined && { target }),
    ...(restore?.kind === 'bool' && !restore.value && { restore: false }),
  };
}

/** As for `earlyStopping`. */
export function plateau(
  ctx: Context,
  statement: Action,
  names: readonly string[],
  losses: readonly string[],
): Plateau | undefined {
  const read = watch(ctx, statement, names, losses, ['cooldown?']);
  if (!read) return undefined;
  const { args, watched } = read;
  const cooldown = args.value('cooldown') ? args.integer('cooldown') : 0;
  if (cooldown !== undefined && cooldown < 0) outOfRange(ctx, args, 'cooldown', 'at least 0', cooldown);
  return args.good && cooldown !== undefined ? { ...watched, cooldown } : undefined;
}

function watch(
  ctx: Context,
  statement: Action,
  names: readonly string[],
  losses: readonly string[],
  more: readonly string[],
): { readonly watched: Watch; readonly args: Args } | undefined {
  const [watched, ...rest] = statement.call.args;
  const given = rest.map((a) => ({
    name: a.name,
    value: ctx.session.run.evaluate(ctx, a.value),
    span: a.value.span,
  }));
  const { callee } = statement.call;
  const call = { name: callee.kind === 'name' ? callee.name : '', args: given, span: statement.span };
  const args = new Args(ctx, call, ['patience?', 'min_delta?', 'mode?', ...more]);
  const monitor = watched ? quantity(watched.value) : '';
  const has = ['valid', 'train'].flatMap((set) => names.map((name) => `${set}.${name}`));
  if (!has.includes(monitor)) {
    const fields = { monitor: monitor || '…', near: suggest(monitor, has), has };
    fail(ctx, 'E0509', fields, at(watched?.value.span ?? statement.span, 'not measured'));
    return undefined;
  }
  const patience = args.value('patience') ? args.integer('patience') : 3;
  const minDelta = numeric(args, 'min_delta', 0);
  if (patience !== undefined && patience < 1) outOfRange(ctx, args, 'patience', 'at least 1', patience);
  const mode = modeOf(ctx, args, monitor, losses);
  if (patience === undefined || minDelta === undefined || !args.good) return undefined;
  return { watched: { monitor, patience, minDelta, mode }, args };
}

function outOfRange(ctx: Context, args: Args, option: string, expected: string, found: number): void {
  fail(ctx, 'E0505', { option, expected, found: String(found) }, at(args.span(option), String(found)));
}

/** A number that is known while compiling. */
function numeric(args: Args, name: string, otherwise: number | undefined): number | undefined {
  const v = args.value(name);
  if (!v || v.kind === 'poison') return otherwise;
  return numberOf(v) ?? args.refuse(name, 'a number that is known while compiling');
}

/** `valid.loss`; a bare `loss` is that of the validation. */
function quantity(e: Expr): string {
  if (e.kind === 'field' && e.base.kind === 'name') return `${e.base.name}.${e.name.name}`;
  return e.kind === 'name' ? `valid.${e.name}` : '';
}

function modeOf(ctx: Context, args: Args, monitor: string, losses: readonly string[]): 'min' | 'max' {
  const mode = args.value('mode');
  if (mode?.kind === 'string' && (mode.value === 'min' || mode.value === 'max')) return mode.value;
  if (mode) {
    const found = describe(mode);
    fail(ctx, 'E0505', { option: 'mode', expected: '"min" or "max"', found }, at(args.span('mode'), found));
  }
  const name = monitor.split('.')[1] ?? '';
  return losses.includes(name) || /loss|error/.test(name) ? 'min' : 'max';
}
