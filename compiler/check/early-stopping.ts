/** `early_stopping(valid.loss, patience: 3, min_delta: 0.001, mode: "min")` */
import type { Action, Expr } from '../../grammar/syntax.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { EarlyStopping } from '../plan.ts';
import { numberOf } from './arithmetic.ts';
import { Args } from './builtin-args.ts';
import { describe } from './describe.ts';
import { at, fail } from './report.ts';
import type { Context, Value } from './values.ts';

/** `names`: what the `fit` measures; of these `losses` are better when they are less. */
export function earlyStopping(
  ctx: Context,
  statement: Action,
  names: readonly string[],
  losses: readonly string[],
): EarlyStopping | undefined {
  const [watched, ...more] = statement.call.args;
  const given = more.map((a) => ({
    name: a.name,
    value: ctx.session.run.evaluate(ctx, a.value),
    span: a.value.span,
  }));
  const call = { name: 'early_stopping', args: given, span: statement.span };
  const args = new Args(ctx, call, ['patience?', 'min_delta?', 'mode?']);
  const monitor = watched ? quantity(watched.value) : '';
  const has = ['valid', 'train'].flatMap((set) => names.map((name) => `${set}.${name}`));
  if (!has.includes(monitor)) {
    const fields = { monitor: monitor || '…', near: suggest(monitor, has), has };
    fail(ctx, 'E0509', fields, at(watched?.value.span ?? statement.span, 'not measured'));
    return undefined;
  }
  const patience = args.value('patience') ? args.integer('patience') : 3;
  const minDelta = numberOf(args.value('min_delta') ?? zero);
  if (patience === undefined || minDelta === undefined || !args.good) return undefined;
  if (patience < 1) {
    const fields = { option: 'patience', expected: 'at least 1', found: String(patience) };
    fail(ctx, 'E0505', fields, at(args.span('patience'), String(patience)));
  }
  return { monitor, patience, minDelta, mode: modeOf(ctx, args, monitor, losses) };
}

const zero: Value = { kind: 'float', value: 0 };

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
