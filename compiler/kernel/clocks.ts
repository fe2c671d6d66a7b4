/** Clocks as dimensions: a device that has a uniform for its dimensions needs no buffer for a step's number. */
import { symbol } from '../shape/poly.ts';
import type { Ex, Kernel, LoadEx } from './kernel.ts';
import { exRebuilder, rebuild } from './rebuild.ts';

/** What a clock is called among the dimensions. */
export const clockDim = (clock: string): string => `%clock_${clock}`;

/** The kernel with the values of clocks in place of their loads. `clockOf`: the clock that a buffer of the plan holds. */
export function withClocksAsDims(kernel: Kernel, clockOf: (buffer: number) => string | undefined): Kernel {
  const clocks = kernel.buffers.map((use) => clockOf(use.buffer));
  if (clocks.every((c) => c === undefined)) return kernel;
  const kept = kernel.buffers.flatMap((_, i) => (clocks[i] === undefined ? [i] : []));
  const number = (buffer: number): number => kept.indexOf(buffer);
  const ex = exRebuilder((e) => {
    if (e.kind !== 'load') return e;
    const clock = clocks[e.buffer];
    return clock === undefined ? { ...e, buffer: number(e.buffer) } : valueOf(e, clock);
  });
  return rebuild(
    kernel,
    kernel.buffers.filter((_, i) => clocks[i] === undefined),
    { ex, number },
  );
}

/** A clock's value; the fill where a condition of the load fails. */
function valueOf({ guard, fill, data }: LoadEx, clock: string): Ex {
  const zero: Ex = { kind: 'const', dtype: 'i32', value: 0 };
  const tests = guard.map((c): Ex => {
    const value: Ex = { kind: 'index', dtype: 'i32', value: c.value, data };
    const args = c.kind === 'ge' ? [zero, value] : [value, zero];
    return { kind: 'op', fn: c.kind === 'ge' ? 'le' : 'eq', dtype: 'bool', args };
  });
  const otherwise: Ex = { kind: 'const', dtype: 'i32', value: fill };
  const now: Ex = { kind: 'index', dtype: 'i32', value: symbol(clockDim(clock)), data: [] };
  return tests.reduceRight<Ex>(
    (then, test) => ({ kind: 'op', fn: 'where', dtype: 'i32', args: [test, then, otherwise] }),
    now,
  );
}
