/** Every kernel of a step: its time, and how near it is to what the machine could do. */
import { assembleTask, load } from '../compiler/compile.ts';
import type { Axis, Kernel } from '../compiler/kernel/kernel.ts';
import type { Plan, TaskInfo } from '../compiler/plan.ts';
import { trafficOf } from '../compiler/schedule/traffic.ts';
import { evaluate, multiply, one } from '../compiler/shape/poly.ts';
import { hasRelaxedSimd } from '../runtime/wasm.ts';
import type { Dims } from '../runtime/device.ts';
import { fileHost } from './host.ts';
import { milliseconds } from './numbers.ts';
import { tableLines } from './table.ts';
import type { Options } from './options.ts';
import type { Peaks } from './peaks.ts';
import { copyRate } from './peaks.ts';
import { memoryOptions } from './settings.ts';
import type { Terminal } from './terminal.ts';

export interface KernelTiming {
  readonly name: string;
  /** `64×500×784`: m, n and k of a contraction; of others the grid, and in brackets what each of its points walks along. */
  readonly shape: string;
  /** How often a step runs it: more than once in a loop. */
  readonly runs: number;
  /** Milliseconds a step, all runs together. */
  readonly ms: number;
  /** Of all runs of a step: arithmetic, and bytes that have to cross once. */
  readonly flops: number;
  readonly bytes: number;
  /** Milliseconds at the measured peaks: the longer of arithmetic and traffic. */
  readonly ideal: number;
  readonly limit: 'arithmetic' | 'memory';
}

/** What a kernel has to do in one run. */
export interface Work {
  readonly name: string;
  readonly shape: string;
  readonly flops: number;
  readonly bytes: number;
}

/** The work of every dispatch of a plan, from its schedule: to prepare what kernels read is none that has to be done. */
export function workOf(
  terminal: Terminal,
  file: string,
  info: TaskInfo,
  plan: Plan,
  dims: Dims,
  options: Options,
): Work[] {
  const model = load(file, fileHost(terminal.cwd));
  const limits = memoryOptions({ target: 'wasm', threads: 1 }, options);
  const assembling = {
    target: 'wasm',
    relaxed: hasRelaxedSimd(),
    sets: options.set,
    predict: false,
    ...limits,
  } as const;
  const made = assembleTask(model, info.name, assembling).result?.assembled.made[plan.name];
  if (!made) throw new Error(`${file} has no plan ${plan.name}`);
  const { kernels, buffers, loops } = made.scheduled;
  // A loop's number changes which elements are touched, not how many.
  const values = (name: string): number => dims[name] ?? (loops.some((l) => l.dim === name) ? 1 : 0);
  const rest = kernels.values();
  return plan.dispatches.map(({ name, prepares }) => {
    if (prepares !== undefined) return { name, shape: '', flops: 0, bytes: 0 };
    const { kernel, flops } = rest.next().value!;
    const sizes = kernel.buffers.map((b) => buffers[b.buffer]!.size);
    return {
      name,
      shape: shapeOf(kernel, values),
      flops: evaluate(flops, values),
      bytes: evaluate(trafficOf(kernel, sizes), values),
    };
  });
}

function shapeOf(kernel: Kernel, values: (name: string) => number): string {
  const points = (axes: readonly Axis[]): string =>
    String(evaluate(multiply(one, ...axes.map((a) => a.extent)), values));
  switch (kernel.kind) {
    case 'contract': {
      const shape = [kernel.m, kernel.n, kernel.k].map(points).join('×');
      return kernel.batch.length > 0 ? `${points(kernel.batch)} of ${shape}` : shape;
    }
    case 'rows': {
      const inner = kernel.stages.filter((s) => s.axes.length > 0).map((s) => points(s.axes));
      return inner.length > 0 ? `${points(kernel.grid)} (${inner.join(', ')})` : points(kernel.grid);
    }
    case 'scatter':
      return `${points(kernel.grid)} (${points(kernel.axes)})`;
  }
}

/** Puts time and work together. `ms` and `runs` in the order of `work`. */
export const timings = (
  work: readonly Work[],
  ms: readonly number[],
  runs: readonly number[],
  peaks: Peaks,
): KernelTiming[] =>
  work.map((w, i) => {
    const arithmetic = w.flops / peaks.flops;
    const memory = w.bytes / copyRate(peaks, w.bytes);
    const times = runs[i]!;
    return {
      name: w.name,
      shape: w.shape,
      runs: times,
      ms: ms[i]!,
      flops: w.flops * times,
      bytes: w.bytes * times,
      ideal: Math.max(arithmetic, memory) * 1000 * times,
      limit: arithmetic > memory ? 'arithmetic' : 'memory',
    };
  });

/** A table, the slowest first, and the sum. */
export function rooflineTable(kernels: readonly KernelTiming[], peaks: Peaks): string {
  const total = kernels.reduce((sum, k) => sum + k.ms, 0);
  const sum = (of: (k: KernelTiming) => number): number => kernels.reduce((all, k) => all + of(k), 0);
  const row = (k: Omit<KernelTiming, 'limit' | 'runs'> & { limit: string; runs: number | '' }): string[] => [
    k.name,
    k.shape,
    String(k.runs),
    milliseconds(k.ms),
    `${((100 * k.ms) / total).toFixed(1)} %`,
    (k.flops / k.ms / 1e6).toFixed(2),
    (k.bytes / k.ms / 1e6).toFixed(2),
    `${((100 * k.ideal) / k.ms).toFixed(0)} %`,
    k.limit,
  ];
  const rows = [
    ['kernel', 'shape', 'runs', 'time', 'share', 'GFLOP/s', 'GB/s', 'of peak', 'limit'],
    ...[...kernels].sort((a, b) => b.ms - a.ms).map(row),
    row({
      name: 'all',
      shape: '',
      runs: '',
      ms: total,
      flops: sum((k) => k.flops),
      bytes: sum((k) => k.bytes),
      ideal: sum((k) => k.ideal),
      limit: '',
    }),
  ];
  const copies = peaks.copies.map((c) => `${(c.rate / 1e9).toFixed(1)} (${size(c.bytes)})`).join(', ');
  return [
    `peaks of one thread: ${(peaks.flops / 1e9).toFixed(1)} GFLOP/s; a copy of so many bytes, GB/s: ${copies}`,
    ...tableLines(rows, [0, 1, 8]),
    '',
  ].join('\n');
}

const size = (bytes: number): string => (bytes < 2 ** 20 ? `${bytes >> 10} K` : `${bytes >> 20} M`);
