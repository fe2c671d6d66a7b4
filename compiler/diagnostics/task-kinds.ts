/** E05xx: tasks and training. */
import { near, row } from './row.ts';

export const taskProblems = {
  E0501: row<{ source: string; reason: string; help: string | undefined }>({
    title: 'a data source that cannot be used',
    message: (f) => `\`${f.source}\`: ${f.reason}`,
    help: (f) => f.help,
  }),
  E0502: row<{ what: string; found: string }>({
    title: 'a loss or metric that is not one number',
    message: (f) => `${f.what} must be one number, and this is ${f.found}`,
    help: () => 'reduce it: `mean(…)` or `sum(…)`; a metric may also be a vector or matrix of known size',
  }),
  E0503: row<{ what: string }>({
    title: 'nothing to train',
    message: (f) => f.what,
    help: () =>
      '`minimize` trains the `param`s that the loss is computed from, and of those the ones named by `over`',
  }),
  E0504: row<{ name: string }>({
    title: 'two metrics of one name',
    message: (f) => `there are two metrics \`${f.name}\``,
    help: () => 'the names of losses and metrics must differ',
  }),
  E0505: row<{ option: string; expected: string; found: string }>({
    title: 'a training option outside its range',
    message: (f) => `\`${f.option}\` must be ${f.expected}, and this is ${f.found}`,
  }),
  E0506: row<Record<never, never>>({
    title: 'an evaluation without a body',
    message: () => 'this `evaluate` has no body, and no `fit` before it has one to use',
    help: () => '`evaluate on data { metric … }`, or put it after a `fit`',
  }),
  E0507: row<{ field: string; expected: string; found: string; data: string }>({
    title: 'data whose fields are not those trained on',
    message: (f) =>
      `the field \`${f.field}\` of \`${f.data}\` is ${f.found}, and the body was written for ${f.expected}`,
    help: () => 'the data of a `fit` and of the `evaluate` after it need the same fields',
  }),
  E0508: row<{ name: string; parameter: string }>({
    title: 'an optimizer without an update',
    message: (f) => `the optimizer \`${f.name}\` has no equation for \`${f.parameter}'\``,
    help: (f) => `add \`${f.parameter}' = …\``,
  }),
  E0509: row<{ monitor: string; near: string | undefined; has: readonly string[] }>({
    title: 'an unknown quantity to watch',
    message: (f) => `there is no \`${f.monitor}\` to watch`,
    help: (f) => near(f.near) ?? `there is ${f.has.map((n) => `\`${n}\``).join(', ')}`,
  }),
  E0510: row<{ found: string }>({
    title: '`with` needs an optimizer',
    message: (f) => `\`with\` needs an optimizer, and this is ${f.found}`,
    help: () => 'for example `with Adam(lr: 0.001)`',
  }),
  E0511: row<{ found: string }>({
    title: '`on` needs a data source',
    message: (f) => `\`on\` needs a data source, and this is ${f.found}`,
    help: () => 'for example `digits = idx(image: "…", label: "…")` and `on digits`',
  }),
  E0512: row<{ name: string; task: string; near: string | undefined; has: readonly string[] }>({
    title: 'a setting that the task does not have',
    message: (f) => `the task \`${f.task}\` has no parameter \`${f.name}\` to set`,
    help: (f) =>
      near(f.near) ??
      (f.has.length > 0 ? `it has ${f.has.map((n) => `\`${n}\``).join(', ')}` : 'it has no parameters'),
  }),
  E0513: row<{ name: string; times: number }>({
    title: 'an optimizer for what is already optimized',
    message: (f) => `two \`minimize\` statements train \`${f.name}\``,
    help: () => 'say with `over` which part each of them trains',
  }),
  E0514: row<{ path: string }>({
    title: 'a parameter that the loss does not reach',
    message: (f) => `the loss has no gradient with respect to \`${f.path}\``,
    help: () => 'comparisons, `argmax`, `floor` and `stop_gradient` have none',
  }),
  E0515: row<{ pattern: string; near: string | undefined; has: readonly string[] }>({
    title: 'a pattern that matches no parameter',
    message: (f) => `no parameter's path matches "${f.pattern}"`,
    help: (f) =>
      near(f.near) ??
      (f.has.length > 0 ? `there is ${f.has.slice(0, 8).join(', ')}` : 'there are no parameters here'),
  }),
  E0516: row<{
    plan: string;
    batch: number | undefined;
    budget: string;
    least: string;
    kept: string;
    isKept: boolean;
    largest: readonly string[];
  }>({
    title: 'a memory budget that cannot be kept',
    message: (f) => {
      const batch = f.batch === undefined ? '' : ` with batches of ${f.batch}`;
      return `\`${f.plan}\` takes at least ${f.least} of memory${batch}, and may take ${f.budget}`;
    },
    help: (f) => {
      const largest =
        f.largest.length > 0 ? `; besides, the largest at once are ${f.largest.join(', ')}` : '';
      const smaller = f.isKept ? 'a smaller model' : 'a smaller `batch`';
      return `parameters and states always take ${f.kept}${largest}; take ${smaller}, or allow at least ${f.least}`;
    },
  }),
} as const;
