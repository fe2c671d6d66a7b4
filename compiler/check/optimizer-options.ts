/** Arguments that every optimizer takes besides its own: what happens to gradients before, and to weights after it. */
import type { Optimizer } from '../../grammar/syntax.ts';
import { numberOf } from './arithmetic.ts';
import { describe } from './describe.ts';
import { at, fail } from './report.ts';
import type { Context, Given, OptimizerOptions } from './values.ts';

type Read<T> = (given: Given) => T | undefined;
interface Option<T> {
  readonly expected: string;
  readonly read: Read<T>;
}

const numeric =
  (fits: (n: number) => boolean): Read<number> =>
  ({ value }) => {
    const n = numberOf(value);
    return n !== undefined && fits(n) ? n : undefined;
  };

const patterns: Read<readonly string[]> = ({ value }) => {
  const items = value.kind === 'list' ? value.items : [value];
  const texts = items.flatMap((v) => (v.kind === 'string' ? [v.value] : []));
  return texts.length === items.length && texts.length > 0 ? texts : undefined;
};

/** One row per option: its name in the language, its range, and the field it becomes. */
const rows = {
  clip_norm: { field: 'clipNorm', expected: 'a number above 0', read: numeric((n) => n > 0) },
  clip_value: { field: 'clipValue', expected: 'a number above 0', read: numeric((n) => n > 0) },
  accumulate: {
    field: 'accumulate',
    expected: 'a whole number from 1 to 1000',
    read: numeric((n) => Number.isInteger(n) && n >= 1 && n <= 1000),
  },
  ema: { field: 'ema', expected: 'a number above 0 and below 1', read: numeric((n) => n > 0 && n < 1) },
  loss_scale: {
    field: 'lossScale',
    expected: 'a number above 0, or "dynamic"',
    read: (given) =>
      given.value.kind === 'string' && given.value.value === 'dynamic'
        ? 'dynamic'
        : numeric((n) => n > 0)(given),
  },
  scale_from: { field: 'scaleFrom', expected: 'a number above 0', read: numeric((n) => n > 0) },
  scale_every: {
    field: 'scaleEvery',
    expected: 'a whole number of at least 1',
    read: numeric((n) => Number.isInteger(n) && n >= 1),
  },
  no_decay: {
    field: 'noDecay',
    expected: 'a pattern of paths, or several: `("*.bias", "norm*")`',
    read: patterns,
  },
} as const satisfies Readonly<
  Record<string, { readonly field: keyof OptimizerOptions } & Option<number | 'dynamic' | readonly string[]>>
>;

type Name = keyof typeof rows;
const isName = (name: string): name is Name => Object.hasOwn(rows, name);

/** Names of the options, for messages. */
export const optionNames: readonly string[] = Object.keys(rows);

/** Parts the options from the optimizer's own arguments; an optimizer may have a parameter of an option's name. */
export function splitOptions(
  ctx: Context,
  decl: Optimizer,
  args: readonly Given[],
): { readonly own: readonly Given[]; readonly options: OptimizerOptions } {
  const own: Given[] = [];
  const options: Record<string, unknown> = {};
  for (const arg of args) {
    const name = arg.name?.name ?? '';
    if (!isName(name) || decl.params.some((p) => p.name.name === name)) {
      own.push(arg);
      continue;
    }
    const { field, expected, read } = rows[name];
    const value = read(arg);
    if (value !== undefined && !(field in options)) options[field] = value;
    else if (field in options)
      fail(ctx, 'E0406', { callee: decl.name.name, name }, at(arg.span, 'given again'));
    else
      fail(
        ctx,
        'E0505',
        { option: name, expected, found: describe(arg.value) },
        at(arg.span, describe(arg.value)),
      );
    if (name === 'no_decay' && !decl.params.some((p) => p.name.name === 'weight_decay')) {
      const fields = {
        callee: decl.name.name,
        name,
        near: undefined,
        has: decl.params.map((p) => p.name.name),
      };
      fail(ctx, 'E0404', fields, at(arg.span, 'it has no `weight_decay`'));
    }
  }
  return { own, options: options as OptimizerOptions };
}
