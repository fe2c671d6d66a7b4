/**
 * What training steps do with the losses of a `fit`: gradients, clipping, accumulation, the optimizers' updates and the
 * averages of weights. All `minimize` of a step start from the same weights. Those that do not act in every step give
 * the `fit` several plans, one for each set of them that acts together.
 */
import type { Span } from '../../grammar/span.ts';
import type { Node } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
import { constantValue, maker } from '../ir/make.ts';
import { constant } from '../shape/poly.ts';
import { binary } from './arithmetic.ts';
import type { Update } from './optimizers.ts';
import { type LossScale, lossScale } from './loss-scale.ts';
import { asFloat, optimizeAll } from './optimizers.ts';
import { expectMatch } from './patterns.ts';
import { also, at, fail } from './report.ts';
import { makeEntry } from './storage.ts';
import type { Loss } from './training.ts';
import type { Context, TensorEntry, Value } from './values.ts';
import { int, tensor } from './values.ts';

/** The updates of one `minimize`. */
interface Trainer {
  /** Acts when the step is a multiple of it. */
  readonly every: number;
  /** Every so many times it acts, the parameters change. */
  readonly accumulate: number;
  readonly apply: readonly Update[];
  /** What happens in between: gradients are added up. */
  readonly gather: readonly Update[];
  /** All that is kept beside the parameters, set anew when a `fit` begins. */
  readonly slots: readonly TensorEntry[];
  readonly averages: readonly Average[];
}

interface Average {
  readonly weight: TensorEntry;
  readonly mean: TensorEntry;
}

export interface Training {
  /** Distinct sets of updates; `cycle[step % cycle.length]` says which of them a step takes. */
  readonly sets: readonly (readonly Update[])[];
  readonly cycle: readonly number[];
  /** Sets everything that is kept beside the parameters to where it starts. */
  readonly begin: readonly Update[];
  /** Starts the averages from the weights; part of `begin`. */
  readonly averages: readonly Update[];
  /** Exchanges weights and their averages. */
  readonly exchange: readonly Update[];
}

/** A longer cycle of steps would need too many plans looked up. */
const longestCycle = 10_000;

/** Gradients of all losses and what follows from them; mistakes are reported. */
export function trainingOf(ctx: Context, losses: readonly Loss[]): Training {
  const trained = new Map<string, Span>();
  const trainers = losses.flatMap((loss, i) => trainer(ctx, loss, trained, i) ?? []);
  const cycle = cycleOf(ctx, losses, trainers);
  const keys = Array.from({ length: cycle }, (_, step) => keyAt(trainers, step));
  // The set of step 0 comes first: it is the one in which everything acts.
  const distinct = [...new Set(keys)];
  const averages = trainers.flatMap((t) => t.averages);
  return {
    sets: distinct.map((key) => updatesOf(trainers, key)),
    cycle: keys.map((key) => distinct.indexOf(key)),
    begin: trainers.flatMap((t) =>
      t.slots
        .filter((slot) => !averages.some((a) => a.mean === slot))
        .map((slot) => ({ leaf: slot.leaf, value: slot.initial })),
    ),
    averages: averages.map(({ weight, mean }) => ({ leaf: mean.leaf, value: weight.leaf })),
    exchange: averages.flatMap(({ weight, mean }) => [
      { leaf: mean.leaf, value: weight.leaf },
      { leaf: weight.leaf, value: mean.leaf },
    ]),
  };
}

/** What each trainer does in a step: nothing, gather or apply. */
const keyAt = (trainers: readonly Trainer[], step: number): string =>
  trainers
    .map(({ every, accumulate }) =>
      step % every !== 0 ? '-' : (step / every) % accumulate !== 0 ? 'g' : 'a',
    )
    .join('');

const updatesOf = (trainers: readonly Trainer[], key: string): readonly Update[] =>
  trainers.flatMap((t, i) => (key[i] === 'a' ? t.apply : key[i] === 'g' ? t.gather : []));

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

function cycleOf(ctx: Context, losses: readonly Loss[], trainers: readonly Trainer[]): number {
  const cycle = trainers.reduce((n, t) => {
    const own = t.every * t.accumulate;
    return (n / gcd(n, own)) * own;
  }, 1);
  if (cycle <= longestCycle) return cycle;
  const last = losses.at(-1)!.statement;
  fail(
    ctx,
    'E0505',
    {
      option: 'every',
      expected: `such that all of them meet within ${longestCycle} steps`,
      found: `they meet after ${cycle} steps`,
    },
    at(last.every?.span ?? last.span, 'meets the others too seldom'),
  );
  return 1;
}

// ---------------------------------------------------------------- one minimize

function trainer(ctx: Context, loss: Loss, trained: Map<string, Span>, index: number): Trainer | undefined {
  const entries = entriesOf(ctx, loss, trained);
  const { options } = loss.optimizer;
  const path = `scaling/${index === 0 ? 'loss' : `loss${index + 1}`}`;
  const scale = entries && lossScale(ctx, options, path, loss.statement.span);
  const raw = entries && scale && gradientsOf(ctx, loss, entries, scale);
  if (!entries || !raw) return undefined;
  const { every } = loss;
  const accumulate = options.accumulate ?? 1;
  return ctx.session.graph.from([loss.statement.span], (): Trainer => {
    const sums = accumulate > 1 ? entries.map((e) => beside(ctx, e, 'gathered', zeroLike(ctx, e))) : [];
    const totals = raw.map((g, i) => (sums[i] ? ctx.session.graph.map('add', [sums[i].leaf, g]) : g));
    const means = accumulate > 1 ? totals.map((g) => scaled(ctx, g, 1 / accumulate)) : totals;
    const gradients = clipped(ctx, means, options.clipValue, options.clipNorm);
    const count = updateCount(ctx, every * accumulate, loss.statement.span, scale);
    const { span } = loss.statement.with;
    const trained = entries.map((parameter, i) => ({ parameter, gradient: gradients[i]! }));
    const results = optimizeAll({ ctx, optimizer: loss.optimizer, count, span }, trained);
    const averages = options.ema === undefined ? [] : entries.map((e) => average(ctx, e));
    return {
      every,
      accumulate,
      gather: sums.map((s, i) => ({ leaf: s.leaf, value: totals[i]! })),
      apply: [
        ...scale.guarded(means, [
          ...results.flatMap((r) => r.updates),
          ...averages.map((a, i) => averaged(ctx, a, results[i]!.updates, options.ema!)),
        ]),
        ...sums.map((s) => ({ leaf: s.leaf, value: s.initial })),
      ],
      slots: [...results.flatMap((r) => r.slots), ...scale.slots, ...sums, ...averages.map((a) => a.mean)],
      averages,
    };
  });
}

/** The parameters that a `minimize` trains; each is trained by one of them only. */
function entriesOf(ctx: Context, loss: Loss, trained: Map<string, Span>): readonly TensorEntry[] | undefined {
  const { span } = loss.statement.loss;
  const reached = new Set(topological([loss.node]));
  const entries = [...ctx.session.tensors.values()].filter(
    (e) => e.role === 'param' && reached.has(e.leaf) && (loss.over?.has(e.path) ?? true),
  );
  if (entries.length === 0) {
    const what = loss.over
      ? 'the loss is computed from none of the parameters that `over` names'
      : 'the loss is computed from no parameter';
    fail(ctx, 'E0503', { what }, at(span, 'this loss'));
    return undefined;
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
    return undefined;
  }
  for (const e of entries) trained.set(e.path, loss.statement.span);
  const paths = entries.map((e) => e.path);
  const patterns = loss.optimizer.options.noDecay ?? [];
  const good = patterns.map((p) => expectMatch(ctx, p, paths, loss.statement.with.span));
  return good.every(Boolean) ? entries : undefined;
}

function gradientsOf(
  ctx: Context,
  loss: Loss,
  entries: readonly TensorEntry[],
  { factor }: LossScale,
): readonly Node[] | undefined {
  const { session } = ctx;
  const { span } = loss.statement.loss;
  if (!session.differentiate) return undefined;
  const { gradients, problems } = session.differentiate(
    session.graph,
    times(ctx, loss.node, factor),
    entries.map((e) => e.leaf),
  );
  const [lost] = problems;
  if (!lost) {
    const inverse = maker(session.graph).map('div', 1, factor);
    return gradients.map((g) => times(ctx, asFloat(ctx, g), inverse));
  }
  const entry = entries.find((e) => e.leaf === lost.wrt);
  const cut = lost.node && session.graph.originsOf(lost.node).at(-1);
  const stops = cut && cut !== span ? [also(cut, 'it ends here')] : [];
  fail(ctx, 'E0514', { path: entry?.path ?? '' }, at(span, 'no gradient leaves this loss for it'), ...stops);
  return undefined;
}

// ---------------------------------------------------------------- arithmetic

/** Every element times a number, which is left out where it is 1. */
function times(ctx: Context, x: Node, factor: Node): Node {
  const { graph } = ctx.session;
  const value = constantValue(factor);
  return value === undefined
    ? graph.map('mul', [x, graph.broadcast(factor, x.shape, [])])
    : scaled(ctx, x, value);
}

const scaled = (ctx: Context, x: Node, factor: number): Node =>
  factor === 1 ? x : ctx.session.graph.map('mul', [x, ctx.session.graph.full(factor, x.dtype, x.shape)]);

const zeroLike = (ctx: Context, e: TensorEntry): Node =>
  ctx.session.graph.full(
    0,
    'f32',
    e.shape.map((n) => constant(n)),
  );

/** `step`, or how often the optimizer has acted. */
function updateCount(ctx: Context, each: number, span: Span, scale: LossScale): Value {
  const step = tensor(ctx.session.graph.leaf('clock', 'step', 'i32', []));
  const times =
    each === 1
      ? step
      : binary(ctx, 'div', step, int(constant(each)), { whole: span, op: span, operands: [span, span] });
  return times.kind === 'tensor' ? tensor(scale.counted(times.node)) : times;
}

/**
 * Gradients with each element within ± `value`, then scaled by `min(1, norm / (sqrt(sum of squares) + 1e-6))` over
 * all of them, as PyTorch's `clip_grad_norm_` does (Pascanu, Mikolov & Bengio 2013).
 */
function clipped(
  ctx: Context,
  gradients: readonly Node[],
  value: number | undefined,
  norm: number | undefined,
): readonly Node[] {
  const { graph } = ctx.session;
  const like = (x: Node, n: number): Node => graph.full(n, x.dtype, x.shape);
  const limited =
    value === undefined
      ? gradients
      : gradients.map((g) => graph.map('max', [graph.map('min', [g, like(g, value)]), like(g, -value)]));
  if (norm === undefined) return limited;
  const squares = limited.map((g) => graph.reduce('sum', graph.map('mul', [g, g]), g.shape.length));
  const total = squares.reduce((a, b) => graph.map('add', [a, b]));
  const length = graph.map('add', [graph.map('sqrt', [total]), like(total, 1e-6)]);
  const factor = graph.map('min', [graph.map('div', [like(total, norm), length]), like(total, 1)]);
  return limited.map((g) => graph.map('mul', [g, graph.view(factor, g.shape, [])]));
}

// ---------------------------------------------------------------- averages

function beside(ctx: Context, e: TensorEntry, name: string, initial: Node): TensorEntry {
  const path = `${e.path}/${name}`;
  const known = ctx.session.tensors.get(path);
  if (known) return known;
  return makeEntry(ctx, { path, role: 'slot', dtype: initial.dtype, shape: e.shape, initial, span: e.span });
}

const average = (ctx: Context, weight: TensorEntry): Average => ({
  weight,
  mean: beside(ctx, weight, 'average', weight.initial),
});

/** `mean' = decay * mean + (1 - decay) * w'` (Polyak & Juditsky 1992, with an exponential window). */
function averaged(
  ctx: Context,
  { weight, mean }: Average,
  updates: readonly Update[],
  decay: number,
): Update {
  const { graph } = ctx.session;
  const now = updates.find((u) => u.leaf === weight.leaf)?.value ?? weight.leaf;
  const [old, fresh] = [asFloat(ctx, mean.leaf), asFloat(ctx, now)];
  const value = graph.map('add', [scaled(ctx, old, decay), scaled(ctx, fresh, 1 - decay)]);
  return { leaf: mean.leaf, value: graph.map('cast', [value], mean.leaf.dtype) };
}
