/** Runs scheduled kernels with the evaluator of kernels in float64: what the schedule means, without a device. */
import { asConstant, evaluate, type Poly } from '../../compiler/shape/poly.ts';
import type { Scheduled } from '../../compiler/schedule/schedule.ts';
import { evaluateKernel } from './kernel-eval.ts';

export interface ScheduleRun {
  readonly outputs: ReadonlyMap<string, Float64Array>;
  /** Kept leaves after the run, by name. */
  readonly kept: ReadonlyMap<string, Float64Array>;
}

/** Transient memory starts as NaN, so that reading what was not written shows. */
export function runSchedule(
  scheduled: Scheduled,
  dims: Readonly<Record<string, number>>,
  values: ReadonlyMap<string, Float64Array>,
): ScheduleRun {
  const size = (p: Poly): number => asConstant(p) ?? evaluate(p, (s) => dims[s] ?? NaN);
  const memory = scheduled.buffers.map((b) => {
    const given = b.leaf && values.get(b.leaf.name);
    return given ? Float64Array.from(given) : new Float64Array(size(b.size)).fill(NaN);
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
