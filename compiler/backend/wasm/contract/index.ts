/**
 * Contractions as packed-panel matrix products (Goto & van de Geijn 2008), in which the panels are filled from any
 * expression: matrix products in every layout, convolutions and their gradients. A unit is one block of m and n of one batch
 * index; `strips.ts` and `rows.ts` run one.
 */
import type { ContractKernel, RowsKernel, Store } from '../../../kernel/kernel.ts';
import { exMapper, mapStore } from '../../../kernel/rebuild.ts';
import type { Poly } from '../../../shape/poly.ts';
import { add, asSymbol, substitute, zero as none } from '../../../shape/poly.ts';
import { mergeRoles, planContract } from './plan.ts';
import type { EmitContext } from '../context.ts';
import { i32, maxI32, minI32 } from '../instr.ts';
import { Lowering } from '../lower.ts';
import { RowEmitter } from './rows.ts';
import type { Single } from './single.ts';
import { StripEmitter } from './strips.ts';
import { emitWindow, planWindow } from './windows.ts';
import { emitRows } from '../rows.ts';
import { emitImage } from '../winograd/image.ts';
import { planImage, planWeight } from '../winograd/plan.ts';
import { emitWeight } from '../winograd/weight.ts';

export function emitContract(
  kernel: ContractKernel,
  context: EmitContext,
): { readonly units: Poly; readonly single?: Single | undefined } {
  if (kernel.parts) throw new Error('contractions are split for other targets only');
  const merged = mergeRoles(kernel);
  // Sums in another order and by differences: not where results are to be the same everywhere.
  const isFast = context.relaxed && !kernel.sums;
  const image = isFast ? planImage(merged, context.wide) : undefined;
  if (image) return emitImage(image, context);
  const weight = isFast ? planWeight(merged, context.wide, context.threads) : undefined;
  if (weight) return emitWeight(weight, context);
  const planned = planContract(merged, context);
  if (!planned)
    return kernel.sums ? emitBoth(kernel, kernel.sums, context) : emitRows(asRows(kernel), context);
  const window = planWindow(merged, context);
  if (window && window.cost < planned.cost) return emitWindow(window, context);
  const { plan } = planned;
  const Order = plan.order === 'strips' ? StripEmitter : RowEmitter;
  const emitter = new Order(planned.kernel, plan, context);
  return { ...emitter.emit(), single: emitter.single() };
}

/** A contraction as plain loops: a reduction over k, then the stores. For sizes that do not pay for packing. */
function asRows(k: ContractKernel): RowsKernel {
  const value = { kind: 'op', fn: 'mul', dtype: 'f32', args: [k.a, k.b] } as const;
  return {
    kind: 'rows',
    name: k.name,
    buffers: k.buffers,
    notes: k.notes,
    grid: [...k.batch, ...k.m, ...k.n],
    stages: [
      { kind: 'reduce', axes: k.k, reductions: [{ name: 'acc', fn: 'sum', dtype: 'f32', value }] },
      { kind: 'map', axes: [], stores: k.stores },
    ],
  };
}

/** A contraction and its sums as plain loops: first the units of one, then those of the other. */
function emitBoth(k: ContractKernel, sums: readonly Store[], context: EmitContext): { readonly units: Poly } {
  const sum = { name: 'sum', fn: 'sum', dtype: 'f32', value: k.b } as const;
  const sumRows: RowsKernel = {
    ...asRows(k),
    grid: k.n,
    stages: [
      { kind: 'reduce', axes: k.k, reductions: [sum] },
      { kind: 'map', axes: [], stores: sums },
    ],
  };
  const parts = [asRows(k), sumRows].map((rows, i) => {
    const f = context.helper(`part${i}`, ['begin', 'end', 'thread']);
    const environment: EmitContext['environment'] = (kernel, ranges, g = f) =>
      context.environment(kernel, ranges, g);
    return { f, ...emitRows(rows, { ...context, f, environment }) };
  });
  const [product, beside] = parts as [(typeof parts)[number], (typeof parts)[number]];
  const { f } = context;
  const lower = new Lowering(context.environment(k, new Map()));
  const [begin, end, thread] = [f.param(0).get, f.param(1).get, f.param(2).get];
  const units = lower.keep(lower.poly(product.units));
  const zero = i32.const(0);
  lower.push(
    product.f.call('void', begin, minI32(end, units), thread),
    beside.f.call('void', maxI32(i32.sub(begin, units), zero), i32.sub(end, units), thread),
  );
  f.body.push(...lower.finish());
  return { units: add(product.units, beside.units) };
}

/**
 * The product at batch 1, where one role has a single index: plain loops, as packing a matrix to use it once costs more than
 * the product. Undefined where no role is just a dimension.
 */
export function singleRow(
  k: ContractKernel,
): { readonly dim: string; readonly kernel: RowsKernel } | undefined {
  if (k.sums) return undefined;
  for (const role of ['m', 'n'] as const) {
    const [axis, ...others] = k[role];
    const dim = axis && asSymbol(axis.extent);
    if (!axis || dim === undefined || others.length > 0 || k.batch.length > 0) continue;
    const zeroAt = (p: Poly): Poly => substitute(p, (s) => (s === axis.name ? none : undefined));
    const mapEx = exMapper(zeroAt);
    const kernel = asRows({
      ...k,
      name: `${k.name}.single`,
      [role]: [],
      a: mapEx(k.a),
      b: mapEx(k.b),
      stores: k.stores.map((s) => mapStore(zeroAt, mapEx, s)),
    });
    return { dim, kernel };
  }
  return undefined;
}
