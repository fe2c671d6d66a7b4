/** The weights of a convolution in the transformed domain: [position][m / 4][channel][4]. */
import { cheaper } from '../contract/plan.ts';
import { buildPack } from '../contract/pack.ts';
import type { EmitContext } from '../context.ts';
import type { Func, Stmt, V128 } from '../encoder.ts';
import { forLoop, i32, v128 } from '../instr.ts';
import { Lowering } from '../lower.ts';
import { advance, inLocals, keeper, locals, params } from './code.ts';
import { around } from './matrices.ts';
import type { ImagePlan, Sliding } from './plan.ts';
import type { Sizes } from './products.ts';

/** Taps of a filter. */
export const taps = 9;

/** (first m, number of m, room for the taps of four m, transformed weights, batch) */
export function buildTaps(plan: ImagePlan, sizes: Sizes, context: EmitContext): Func {
  const k = plan.kernel;
  const { x, y } = plan.window;
  const axes = [...plan.channels, y.tap, x.tap];
  const along = cheaper(k.a, k.m.at(-1), axes.at(-1)).along;
  const spec = { name: 'packA', kernel: k, operand: k.a, lanes: k.m, batch: k.batch, k: axes };
  const pack = buildPack({ ...spec, plan: { cut: 0 }, along, width: 4 }, context);
  const transform = buildTransform(plan, sizes, context);
  const names = ['first', 'height', 'raw', 'to'] as const;
  const f = context.helper('weights', [...names, ...k.batch.map((a) => a.name)]);
  const at = params(f, ...names);
  const batch = k.batch.map((_, i) => f.param(names.length + i).get);
  const lower = new Lowering(context.environment(k, new Map(), f));
  const whole = lower.poly(axes[0]!.extent);
  const { row, to } = locals(f, 'row', 'to');
  f.body.push(
    ...lower.finish(),
    to.set(at.to),
    ...forLoop(row, i32.const(0), at.height, 4, [
      pack.call('void', i32.add(at.first, row.get), ...batch, i32.const(0), whole, at.raw),
      transform.call('void', at.raw, to.get),
      advance(to, 16 * plan.depth),
    ]),
  );
  return f;
}

/** (taps [channel][9][4], to [position][…][channel][4]): G g Gᵀ. Where the image is read backwards the taps are, too. */
function buildTransform(plan: ImagePlan, sizes: Sizes, context: EmitContext): Func {
  const { depth, window, filtering, size } = plan;
  const f = context.helper('transformTaps', ['taps', 'to']);
  const [from, to] = [f.param(0), f.param(1)];
  const { end } = locals(f, 'end');
  const tap = (s: Sliding, i: number): number => (s.sign === 1 ? i : 2 - i);
  const code: Stmt[] = [];
  const keep = keeper(f, code);
  const g = (i: number, j: number): V128 =>
    keep(v128.load(from.get, 16 * (3 * tap(window.y, i) + tap(window.x, j))));
  around(filtering.G, g, inLocals(), keep, (row, i) =>
    row.forEach((value, j) => code.push(v128.store(to.get, value, 4 * sizes.weightPlane * (size * i + j)))),
  );
  code.push(advance(from, 16 * taps));
  f.body.push(end.set(i32.add(to.get, i32.const(16 * depth))), ...forLoop(to, to.get, end.get, 16, code));
  return f;
}
