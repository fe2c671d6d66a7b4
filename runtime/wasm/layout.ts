/** Where everything lies in the one memory of a wasm session. All offsets are bytes. */
import {
  deviceMemory,
  outputBuffers,
  planArena,
  preparedRoom,
  roomOf,
  transients,
} from '../../compiler/memory.ts';
import type { Plan, Program } from '../../compiler/plan.ts';
import type { Dims } from '../device.ts';
import { evalSize } from '../size.ts';

const { alignment, bytesOf, margin } = deviceMemory.wasm;

export interface PlanLayout {
  /** Offset of every buffer of the plan. Those of outputs are the plan's own: they outlive the next run of another. */
  readonly buffers: readonly number[];
  /** Offset of the scratch area of the threads. */
  readonly scratch: number;
  /** Offset of what the plan prepares from parameters; its own, too. */
  readonly prepared: number;
}

export interface Layout {
  readonly stores: readonly number[];
  readonly plans: ReadonlyMap<string, PlanLayout>;
  readonly total: number;
}

/**
 * The stores first, which never move; then outputs; then what all plans share as only one runs at a time: the arena and
 * after it scratch areas. `reserved` holds the plans in use with the largest dims they run with. As much as `footprint`
 * predicts.
 */
export function layOut(program: Program, reserved: ReadonlyMap<string, Dims>, threads: number): Layout {
  let next = margin / 2;
  const take = (bytes: number): number => {
    const at = next;
    next += roomOf(bytes, alignment);
    return at;
  };
  const stores = program.stores.map((s) => take(bytesOf(s.dtype, s.size)));
  const planned = [...reserved].map(([name, dims]) => {
    const plan = program.plans[name]!;
    const sizes = plan.buffers.map((b) => bytesOf(b.dtype, evalSize(b.size, dims)));
    const apart = new Map([...outputBuffers(plan)].map((b) => [b, take(sizes[b]!)]));
    const prepared = next;
    next += preparedRoom(plan);
    return { name, plan, dims, apart, prepared, arena: planArena(transients(plan), sizes, alignment) };
  });
  const shared = next;
  const plans = new Map<string, PlanLayout>();
  for (const { name, plan, dims, apart, prepared, arena } of planned) {
    const scratch = shared + arena.total;
    const buffers = plan.buffers.map(
      ({ place }, i) =>
        apart.get(i) ?? (place.kind === 'store' ? stores[place.store]! : shared + arena.offsets[i]!),
    );
    plans.set(name, { buffers, scratch, prepared });
    next = Math.max(next, scratch + threads * scratchOf(plan, dims));
  }
  return { stores, plans, total: next + margin / 2 };
}

function scratchOf({ code }: Plan, dims: Dims): number {
  const bytes = code.kind === 'wasm' ? evalSize(code.scratchBytes, dims) : 0;
  return bytes > 0 ? roomOf(bytes, alignment) : 0;
}
