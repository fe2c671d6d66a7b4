/** Which plans of a task have a budget of memory, and what is said about those that cannot keep to it. */
import type { Label, Problem } from '../grammar/problem.ts';
import type { Span } from '../grammar/span.ts';
import type { Assembled, TargetOptions } from './assemble.ts';
import { type Budget, OverBudget } from './budget.ts';
import { type BatchPlan, formatBytes } from './check/index.ts';
import { libraryPrefix } from './check/reporter.ts';
import type { CheckFields } from './diagnostics/catalogue.ts';
import type { Computation } from './ir/graph.ts';
import type { Held } from './schedule/rematerialise.ts';
import { format } from './shape/poly.ts';

interface Options extends TargetOptions {
  readonly memory?: number;
  readonly threads?: number;
  readonly batch?: number;
}

type Batches = ReadonlyMap<string, BatchPlan>;

/**
 * The smaller of what the options and the text of the task grant. Other plans than those that the task runs on batches
 * (`predict`) are planned for the batch of the first that it does.
 */
export function budgetsOf(
  computations: Readonly<Record<string, Computation>>,
  batches: Batches,
  { target, memory, threads = 1, batch }: Options,
): ReadonlyMap<string, Budget> {
  if (target === 'reference') return new Map();
  const [first] = batches.values();
  const found = Object.keys(computations).flatMap((name) => {
    const plan = batches.get(name);
    const bytes = Math.min(memory ?? Infinity, plan?.memory ?? Infinity);
    const dims = { batch: batch ?? (plan ?? first)?.batch ?? 1 };
    return bytes === Infinity ? [] : [[name, { bytes, dims, threads }] as const];
  });
  return new Map(found);
}

/** Makes all plans that have a budget. Of those that cannot keep to it the one that needs most is a problem. */
export function overBudget(
  { program }: Assembled,
  budgets: ReadonlyMap<string, Budget>,
  batches: Batches = new Map(),
): readonly Problem[] {
  const errors = [...budgets.keys()].flatMap((name) => {
    try {
      void program.plans[name];
      return [];
    } catch (error) {
      if (error instanceof OverBudget) return [error];
      throw error;
    }
  });
  const isRun = (e: OverBudget): number => Number(batches.has(e.plan));
  const [worst] = errors.sort((a, b) => b.least - a.least || isRun(b) - isRun(a));
  return worst ? [problemOf(worst, batches.get(worst.plan))] : [];
}

/** Parts of the whole below which a buffer is not worth telling of. */
const worthTelling = 0.01;

function problemOf(error: OverBudget, plan: BatchPlan | undefined): Problem {
  const { budget, least, kept } = error;
  const largest = error.largest.filter((h) => h.bytes >= worthTelling * least);
  const fields: CheckFields<'E0516'> = {
    plan: error.plan,
    batch: plan && budget.dims['batch'],
    budget: formatBytes(budget.bytes),
    least: formatBytes(least),
    kept: formatBytes(kept),
    isKept: kept >= budget.bytes,
    largest: largest.map((h) => `${formatBytes(h.bytes)} of ${what(h)}`),
  };
  const own: Label[] = plan
    ? [{ span: plan.span, text: `may take ${formatBytes(budget.bytes)}`, primary: true }]
    : [];
  return { code: 'E0516', severity: 'error', fields, labels: [...own, ...places(largest, !plan)] };
}

const what = ({ buffer }: Held): string =>
  buffer.leaf ? `\`${buffer.leaf.name}\`` : `${buffer.dtype}[${format(buffer.size)}]`;

/** Where the buffers come from in the user's text; those from one place have one label. */
function places(largest: readonly Held[], isPrimary: boolean): Label[] {
  const found = new Map<string, { readonly span: Span; bytes: number[] }>();
  for (const { buffer, bytes } of largest) {
    const span = buffer.origins?.findLast((o) => !o.file.startsWith(libraryPrefix));
    if (!span) continue;
    const key = `${span.file} ${span.start} ${span.end}`;
    found.set(key, { span, bytes: [...(found.get(key)?.bytes ?? []), bytes] });
  }
  return [...found.values()].map(({ span, bytes }, i) => ({
    span,
    text: bytes.map(formatBytes).join(' and '),
    primary: isPrimary && i === 0,
  }));
}
