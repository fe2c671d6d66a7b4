/** The plans of a task as tables: what runs, how much arithmetic and memory traffic that is, where memory goes. */
import type { TaskGraphs } from '../compiler/check/index.ts';
import type { Plan, Program } from '../compiler/plan.ts';
import type { Buffer, Scheduled } from '../compiler/schedule/scheduled.ts';
import { trafficOf } from '../compiler/schedule/traffic.ts';
import { evaluate, type Poly } from '../compiler/shape/poly.ts';
import { planArena } from '../runtime/arena.ts';
import { runsOf } from '../runtime/loops.ts';
import { evalSize } from '../runtime/size.ts';
import { bytes } from './numbers.ts';
import { tableLines } from './table.ts';

const bytesPerElement = 4;
const alignment = 64;

/** What the dimensions of every plan are taken to be. */
export function dimsOf(graphs: TaskGraphs): Readonly<Record<string, number>> {
  const step = graphs.steps.find((s) => s.kind === 'fit') ?? graphs.steps.find((s) => s.kind === 'evaluate');
  return { batch: step && 'batch' in step ? step.batch : 1 };
}

export function printPlan(
  plan: Plan,
  scheduled: Scheduled,
  dims: Readonly<Record<string, number>>,
  program: Program,
): string {
  const loops = Object.fromEntries(plan.loops.map((l) => [l.dim, 1]));
  const bound = { ...dims, ...loops };
  const valueOf = (p: Poly): number => evaluate(p, (s) => bound[s] ?? 1);
  const runs = runsOf(plan, bound);
  const rows = scheduled.kernels.map(({ kernel, flops }, i) => {
    const sizes = kernel.buffers.map((u) => (scheduled.buffers[u.buffer] as Buffer).size);
    return {
      cells: [kernel.name, kernel.kind, `${kernel.buffers.length}`, `${runs[i] ?? 1}`],
      flops: valueOf(flops) * (runs[i] ?? 1),
      traffic: valueOf(trafficOf(kernel, sizes)) * (runs[i] ?? 1),
    };
  });
  const traffic = rows.reduce((sum, r) => sum + r.traffic, 0);
  const ideal = idealTraffic(plan, scheduled, bound);
  const head = ['kernel', 'kind', 'buffers', 'runs', 'MFLOP', 'moves'];
  const body = rows.map((r) => [...r.cells, (r.flops / 1e6).toFixed(2), bytes(r.traffic)]);
  const at = Object.entries(dims).map(([name, n]) => `${name} ${n}`);
  return [
    `${plan.name} on ${plan.target}, ${at.join(', ')}: ${plan.dispatches.length} dispatches, ${codesOf(plan)}`,
    ...tableLines([head, ...body], [0, 1]).map((line) => `  ${line}`),
    `  memory  ${bytes(arenaOf(plan, bound))} transient, ${bytes(storesOf(program))} kept`,
    `  moves   ${bytes(traffic)}, ${(traffic / Math.max(1, ideal)).toFixed(2)} times the ideal of ${bytes(ideal)}` +
      ' (inputs, parameters and states once each way, what is stored between kernels once each way)',
    '',
  ].join('\n');
}

function codesOf({ code, dispatches }: Plan): string {
  if (code.kind === 'wgsl') return `${Object.keys(code.shaders).length} shaders`;
  return code.kind === 'wasm' ? `${bytes(code.bytes.length)} of Wasm` : `${dispatches.length} nodes`;
}

const storesOf = ({ stores }: Program): number =>
  stores.reduce((sum, s) => sum + s.size * bytesPerElement, 0);

function arenaOf({ buffers }: Plan, dims: Readonly<Record<string, number>>): number {
  return planArena(
    buffers,
    buffers.map((b) => evalSize(b.size, dims) * bytesPerElement),
    alignment,
  ).total;
}

/**
 * Every input is read and every output written once; what is kept is read once, and written once where some kernel
 * writes it; what stands between kernels is written and read once.
 */
function idealTraffic(plan: Plan, { kernels }: Scheduled, dims: Readonly<Record<string, number>>): number {
  const given = new Set([...plan.inputs, ...plan.clocks].map((p) => p.buffer));
  const taken = new Set(plan.outputs.map((p) => p.buffer));
  const uses = kernels.flatMap((k) => k.kernel.buffers);
  const read = new Set(uses.filter((u) => u.mode !== 'write').map((u) => u.buffer));
  const written = new Set(uses.filter((u) => u.mode !== 'read').map((u) => u.buffer));
  const crossings = (i: number, isKept: boolean): number => {
    if (given.has(i) || taken.has(i)) return 1;
    return isKept ? Number(read.has(i)) + Number(written.has(i)) : 2;
  };
  return plan.buffers.reduce(
    (sum, b, i) => sum + evalSize(b.size, dims) * bytesPerElement * crossings(i, b.place.kind === 'store'),
    0,
  );
}
