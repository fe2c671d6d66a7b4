/**
 * Loss scaling (Micikevicius et al. 2018, section 3.2): the loss is multiplied by a power of two, so that small gradients
 * do not vanish in f16, and the gradients are divided by it. Dynamic, as PyTorch's `GradScaler`: where a gradient is not
 * finite the update is skipped and the scale halved; after so many updates in a row it is doubled.
 */
import type { Span } from '../../grammar/span.ts';
import type { Node } from '../ir/graph.ts';
import { maker } from '../ir/make.ts';
import type { Update } from './optimizers.ts';
import { makeEntry } from './storage.ts';
import type { Context, OptimizerOptions, TensorEntry } from './values.ts';

export interface LossScale {
  /** What the loss is multiplied by: f32, of shape []. */
  readonly factor: Node;
  /** The updates, unless a gradient is not finite; and those of the scale itself. */
  readonly guarded: (gradients: readonly Node[], updates: readonly Update[]) => readonly Update[];
  /** The number of updates without those that were skipped. */
  readonly counted: (updates: Node) => Node;
  readonly slots: readonly TensorEntry[];
}

/** Where the scale begins, and after how many updates it doubles, when nothing is said: PyTorch's values. */
const defaults = { from: 65536, every: 2000 };
const least = 2 ** -24;
const most = 2 ** 60;
const largestFloat = 3.4028234663852886e38;

/**
 * The scale of a `minimize`. `mixed` makes it dynamic where the optimizer says nothing about it.
 * @param path what its states are called by: `scaling/loss`
 */
export function lossScale(ctx: Context, options: OptimizerOptions, path: string, span: Span): LossScale {
  const asked = options.lossScale ?? (ctx.mixed ? 'dynamic' : 1);
  if (asked === 'dynamic') return dynamic(ctx, options, path, span);
  const factor = ctx.session.graph.constant(asked, 'f32');
  return { factor, guarded: (_, updates) => updates, counted: (n) => n, slots: [] };
}

function dynamic(ctx: Context, options: OptimizerOptions, path: string, span: Span): LossScale {
  const { graph } = ctx.session;
  const make = maker(graph);
  const { scaleFrom = defaults.from, scaleEvery = defaults.every } = options;
  const scale = kept(ctx, `${path}/scale`, graph.constant(scaleFrom, 'f32'), span);
  const good = kept(ctx, `${path}/good`, graph.constant(0, 'i32'), span);
  const skipped = kept(ctx, `${path}/skipped`, graph.constant(0, 'i32'), span);
  const guarded = (gradients: readonly Node[], updates: readonly Update[]): readonly Update[] => {
    const finite = make.map('eq', countBad(ctx, gradients), 0);
    const choose = ({ leaf, value }: Update): Update => ({
      leaf,
      value: graph.map('where', [graph.broadcast(finite, value.shape, []), value, leaf]),
    });
    const run = make.map('add', good.leaf, 1);
    const grows = make.map('le', graph.constant(scaleEvery, 'i32'), run);
    const larger = make.map('min', make.map('mul', scale.leaf, 2), most);
    const smaller = make.map('max', make.map('mul', scale.leaf, 0.5), least);
    return [
      ...updates.map(choose),
      { leaf: scale.leaf, value: make.where(finite, make.where(grows, larger, scale.leaf), smaller) },
      { leaf: good.leaf, value: make.where(finite, make.where(grows, 0, run), graph.constant(0, 'i32')) },
      { leaf: skipped.leaf, value: make.where(finite, skipped.leaf, make.map('add', skipped.leaf, 1)) },
    ];
  };
  return {
    factor: scale.leaf,
    guarded,
    counted: (n) => graph.map('sub', [n, skipped.leaf]),
    slots: [scale, good, skipped],
  };
}

/** How many elements are infinite or no numbers: i32, of shape []. */
function countBad(ctx: Context, gradients: readonly Node[]): Node {
  const { graph } = ctx.session;
  const make = maker(graph);
  const counts = gradients.map((g) => {
    const fine = make.map('le', make.map('abs', g), largestFloat);
    const bad = graph.map('where', [fine, graph.full(0, 'i32', g.shape), graph.full(1, 'i32', g.shape)]);
    return graph.reduce('sum', bad, g.shape.length);
  });
  return counts.reduce((a, b) => graph.map('add', [a, b]));
}

function kept(ctx: Context, path: string, initial: Node, span: Span): TensorEntry {
  const known = ctx.session.tensors.get(path);
  if (known?.initial === initial) return known;
  return makeEntry(ctx, { path, role: 'slot', dtype: initial.dtype, shape: [], initial, span });
}
