/**
 * Contractions as packed-panel matrix products (Goto & van de Geijn 2008), in which the panels are filled from any
 * expression: matrix products in every layout, convolutions and their gradients. A unit is one block of m and n of one batch
 * index; `strips.ts` and `rows.ts` run one.
 */
import type { ContractKernel, RowsKernel } from '../../../kernel/kernel.ts';
import type { Poly } from '../../../shape/poly.ts';
import { asSymbol, substitute, zero } from '../../../shape/poly.ts';
import { mergeRoles, planContract } from './plan.ts';
import type { EmitContext } from '../context.ts';
import { RowEmitter } from './rows.ts';
import type { Single } from './single.ts';
import { StripEmitter } from './strips.ts';
import { emitRows } from '../rows.ts';
import { exMapper, mapStore } from '../transform.ts';
import { emitImage } from '../winograd/image.ts';
import { planImage, planWeight } from '../winograd/plan.ts';
import { emitWeight } from '../winograd/weight.ts';

export function emitContract(
  kernel: ContractKernel,
  context: EmitContext,
): { readonly units: Poly; readonly single?: Single | undefined } {
  if (kernel.parts) throw new Error('contractions are split for other targets only');
  if (kernel.sums) throw new Error('sums are folded into contractions for other targets only');
  const merged = mergeRoles(kernel);
  // Sums in another order and by differences: not where results are to be the same everywhere.
  const image = context.relaxed ? planImage(merged, context.wide) : undefined;
  if (image) return emitImage(image, context);
  const weight = context.relaxed ? planWeight(merged, context.wide) : undefined;
  if (weight) return emitWeight(weight, context);
  const planned = planContract(merged, context.wide);
  if (!planned) return emitRows(asRows(kernel), context);
  const { plan } = planned;
  if (plan.order === 'strips') return new StripEmitter(planned.kernel, plan, context).emit();
  const rows = new RowEmitter(planned.kernel, plan, context);
  return { ...rows.emit(), single: rows.single() };
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

/**
 * The product at batch 1, where one role has a single index: plain loops, as packing a matrix to use it once costs more than
 * the product. Undefined where no role is just a dimension.
 */
export function singleRow(
  k: ContractKernel,
): { readonly dim: string; readonly kernel: RowsKernel } | undefined {
  for (const role of ['m', 'n'] as const) {
    const [axis, ...others] = k[role];
    const dim = axis && asSymbol(axis.extent);
    if (!axis || dim === undefined || others.length > 0 || k.batch.length > 0) continue;
    const zeroAt = (p: Poly): Poly => substitute(p, (s) => (s === axis.name ? zero : undefined));
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
