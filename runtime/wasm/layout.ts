/** Where everything lies in the one memory of a wasm session. All offsets are bytes. */
import type { Plan, Program } from '../../compiler/plan.ts';
import { planArena } from '../arena.ts';
import type { Dims } from '../device.ts';
import { evalShape, elements, evalSize } from '../size.ts';

const alignment = 64;
/** Generated code may read a few elements around what it uses. */
const margin = 128;

const roundUp = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

export interface PlanLayout {
  /** Offset of every buffer of the plan. */
  readonly buffers: readonly number[];
  /** Offset of the copy of every output that outlives the next run of another plan. */
  readonly outputs: readonly number[];
}

export interface Layout {
  readonly stores: readonly number[];
  readonly scratch: number;
  readonly plans: ReadonlyMap<string, PlanLayout>;
  readonly total: number;
}

/**
 * The stores first, which never move; then the arena, which all plans share as only one runs at a time; the scratch
 * area; copies of outputs. `reserved` holds the plans in use with the largest dims they run with.
 */
export function layOut(program: Program, reserved: ReadonlyMap<string, Dims>, threads: number): Layout {
  let next = margin;
  const take = (bytes: number): number => {
    const at = next;
    next += roundUp(Math.max(bytes, 1));
    return at;
  };
  const stores = program.stores.map((s) => take(4 * s.size));
  const arenaStart = next;
  const planned = [...reserved].map(([name, dims]) => {
    const plan = program.plans[name]!;
    const sizes = plan.buffers.map((b) => 4 * evalSize(b.size, dims));
    return { name, plan, dims, arena: planArena(plan.buffers, sizes, alignment) };
  });
  take(Math.max(0, ...planned.map((p) => p.arena.total)));
  const scratch = take(threads * Math.max(0, ...planned.map((p) => scratchOf(p.plan, p.dims))));
  const plans = new Map<string, PlanLayout>();
  for (const { name, plan, dims, arena } of planned) {
    const buffers = plan.buffers.map((b, i) =>
      b.place.kind === 'store' ? stores[b.place.store]! : arenaStart + arena.offsets[i]!,
    );
    plans.set(name, {
      buffers,
      outputs: plan.outputs.map((o) => take(4 * elements(evalShape(o.shape, dims)))),
    });
  }
  return { stores, scratch, plans, total: next + margin };
}

const scratchOf = (plan: Plan, dims: Dims): number =>
  plan.code.kind === 'wasm' ? roundUp(evalSize(plan.code.scratchBytes, dims)) : 0;
