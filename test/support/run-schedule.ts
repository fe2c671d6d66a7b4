/** Runs scheduled kernels with the evaluator of kernels in float64: what the schedule means, without a device. */
import { asConstant, evaluate, type Poly } from '../../compiler/shape/poly.ts';
import { planArena } from '../../compiler/memory.ts';
import type { Scheduled } from '../../compiler/schedule/schedule.ts';
import { evaluateKernel } from './kernel-eval.ts';

export interface ScheduleRun {
  readonly outputs: ReadonlyMap<string, Float64Array>;
  /** Kept leaves after the run, by name. */
  readonly kept: ReadonlyMap<string, Float64Array>;
}

const bytesEach = Float64Array.BYTES_PER_ELEMENT;

/**
 * Memory for each buffer, none shared; or as on a device: buffers that are neither kept nor outputs share an arena. It starts as NaN, so
 * that reading what was not written shows.
 */
function memoryFor(scheduled: Scheduled, sizes: readonly number[], isShared: boolean): Float64Array[] {
  const outputs = new Set(scheduled.outputs.map((o) => o.buffer));
  const places = scheduled.buffers.map(({ leaf, first, last }, i) =>
    !isShared || outputs.has(i) || (leaf && leaf.role !== 'input' && leaf.role !== 'clock')
      ? { place: { kind: 'store', store: 0 } as const }
      : { place: { kind: 'arena', first, last } as const },
  );
  const bytes = sizes.map((n) => n * bytesEach);
  const { offsets, total } = planArena(places, bytes, bytesEach);
  const arena = new Float64Array(total / bytesEach).fill(NaN);
  return sizes.map((n, i) => {
    const at = (offsets[i] ?? -1) / bytesEach;
    return at >= 0 ? arena.subarray(at, at + n) : new Float64Array(n).fill(NaN);
  });
}

/** `isShared`: in an arena, as on a device. */
export function runSchedule(
  scheduled: Scheduled,
  dims: Readonly<Record<string, number>>,
  values: ReadonlyMap<string, Float64Array>,
  isShared = false,
): ScheduleRun {
  const size = (p: Poly): number => asConstant(p) ?? evaluate(p, (s) => dims[s] ?? NaN);
  const sizes = scheduled.buffers.map((b) => size(b.size));
  const memory = memoryFor(scheduled, sizes, isShared);
  scheduled.buffers.forEach((b, i) => {
    const given = b.leaf && values.get(b.leaf.name);
    if (given) memory[i]?.set(given);
  });
  const run = (begin: number, end: number, loops: Scheduled['loops'], bound: typeof dims): void => {
    for (let at = begin; at < end;) {
      const loop = loops.find((l) => l.begin === at && l.end > at);
      if (loop) {
        const inner = loops.slice(loops.indexOf(loop) + 1).filter((l) => l.begin >= at && l.end <= loop.end);
        for (let i = 1; i <= size(loop.count); i++) run(at, loop.end, inner, { ...bound, [loop.dim]: i });
        at = loop.end;
        continue;
      }
      const { kernel } = scheduled.kernels[at++] as Scheduled['kernels'][number];
      evaluateKernel(
        kernel,
        bound,
        kernel.buffers.map((use) => memory[use.buffer] as Float64Array),
      );
    }
  };
  run(0, scheduled.kernels.length, scheduled.loops, dims);
  const at = (i: number): Float64Array => memory[i] as Float64Array;
  return {
    outputs: new Map(scheduled.outputs.map((o) => [o.name, at(o.buffer)])),
    kept: new Map(scheduled.buffers.flatMap((b, i) => (b.leaf ? [[b.leaf.name, at(i)] as const] : []))),
  };
}
