/** Plans within a budget of memory: what they take is known before they run, and less is had by computing values again. */
import type { Computation } from './ir/graph.ts';
import { apartRoom, deviceMemory, footprint, roomOf } from './memory.ts';
import type { Plan, Store } from './plan.ts';
import { type Held, rematerialise, type Rematerialised } from './schedule/rematerialise.ts';
import type { Buffer, Scheduled } from './schedule/schedule.ts';
import { evaluate, multiply, one } from './shape/poly.ts';

/** How much memory a session may take while it runs a plan with these dimensions (others count as 1), in bytes. */
export interface Budget {
  readonly bytes: number;
  readonly dims: Readonly<Record<string, number>>;
  /** Each needs a scratch area. */
  readonly threads: number;
}

/** What a plan computes twice. */
export type Again = Pick<Rematerialised, 'kernelsAgain' | 'flopsAgain' | 'flops'>;

/** A plan cannot keep to its budget. */
export class OverBudget extends Error {
  constructor(
    readonly plan: string,
    readonly budget: Budget,
    /** Bytes: the least that was found, and of it what is kept between runs. */
    readonly least: number,
    readonly kept: number,
    /** The largest buffers at the peak. */
    readonly largest: readonly Held[],
  ) {
    super(`plan ${plan} needs ${least} bytes and may have ${budget.bytes}`);
  }
}

interface Subject {
  readonly name: string;
  readonly stores: readonly Store[];
  /** Bytes that outputs of other plans take. */
  readonly outputs: number;
  readonly target: 'wasm' | 'webgpu';
}

/**
 * The plan of a schedule, or of one that computes values again so that all fits.
 * @throws OverBudget
 */
export function withinBudget(
  budget: Budget,
  scheduled: Scheduled,
  make: (scheduled: Scheduled) => Plan,
  { name, stores, outputs, target }: Subject,
): { readonly plan: Plan; readonly scheduled: Scheduled; readonly again: Again } {
  const { dims, threads } = budget;
  const { alignment, bytesOf, page } = deviceMemory[target];
  const pages = (bytes: number): number => Math.ceil(bytes / page) * page;
  // How much scratch kernels need is known when their code is made; that some run twice changes nothing.
  const plan = make(scheduled);
  const { kept, transient, bytes } = footprint({ stores }, [{ plan, dims }], target, threads);
  const rest = bytes + outputs - transient;
  const room = (b: Pick<Buffer, 'dtype'>, n: number): number => roomOf(bytesOf(b.dtype, n), alignment);
  const limit = Math.floor(budget.bytes / page) * page - rest;
  const outcome = rematerialise(scheduled, { dims, alignment, roomOf: room }, limit);
  const { kernelsAgain, flopsAgain, flops, arena } = outcome.result;
  if (!outcome.fits) throw new OverBudget(name, budget, pages(rest + arena), kept, outcome.largest);
  const again = { kernelsAgain, flopsAgain, flops };
  if (kernelsAgain === 0) return { plan, scheduled, again };
  return { plan: make(outcome.result.scheduled), scheduled: outcome.result.scheduled, again };
}

/** Bytes that the outputs of a computation take. */
export function outputRoom(c: Computation, { dims }: Budget, target: 'wasm' | 'webgpu'): number {
  return c.outputs.reduce((sum, { node }) => {
    const size = evaluate(multiply(one, ...node.shape), (name) => dims[name] ?? 1);
    return sum + apartRoom(target, node.dtype, size);
  }, 0);
}
