/** The plans of a task as tables: what runs, how much arithmetic and memory traffic that is, where memory goes. */
import type { Made } from '../compiler/assemble.ts';
import type { Again } from '../compiler/budget.ts';
import type { TaskGraphs } from '../compiler/check/index.ts';
import { hasNested } from '../compiler/kernel/flops.ts';
import { footprint, preparedRoom } from '../compiler/memory.ts';
import type { Plan, Program, Tensor } from '../compiler/plan.ts';
import type { Buffer, Scheduled } from '../compiler/schedule/scheduled.ts';
import { trafficOf } from '../compiler/schedule/traffic.ts';
import { evaluate, type Poly } from '../compiler/shape/poly.ts';
import { runsOf } from '../runtime/loops.ts';
import { elements, evalSize } from '../runtime/size.ts';
import { bytes } from './numbers.ts';
import { tableLines } from './table.ts';

const bytesPerElement = 4;

/** What the dimensions of a plan are taken to be: the batch of the task, as budgets are planned for; others are 1. */
export function dimsOf({ batches }: TaskGraphs, plan: string): Readonly<Record<string, number>> {
  const first = [...batches.values()][0];
  return { batch: (batches.get(plan) ?? first)?.batch ?? 1 };
}

export function printPlan(
  { plan, scheduled, again }: Made,
  known: Readonly<Record<string, number>>,
  program: Program,
  threads: number,
): string {
  const dims = Object.fromEntries(plan.dims.map((d) => [d, known[d] ?? 1]));
  const loops = Object.fromEntries(plan.loops.map((l) => [l.dim, 1]));
  const bound = { ...dims, ...loops };
  const valueOf = (p: Poly): number => evaluate(p, (s) => bound[s] ?? 1);
  const runs = runsOf(plan, bound);
  const kernels = scheduled.kernels.values();
  const rows = plan.dispatches.map((d, i) => {
    if (d.prepares !== undefined)
      return { cells: [d.name, 'prepare', '', `${runs[i] ?? 1}`], flops: 0, traffic: 0 };
    const { kernel, flops } = kernels.next().value!;
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
  const place = [`${plan.name} on ${plan.target}`, ...at].join(', ');
  return [
    `${place}: ${plan.dispatches.length} dispatches, ${codesOf(plan)}`,
    ...tableLines([head, ...body], [0, 1]).map((line) => `  ${line}`),
    ...nestedLines(scheduled),
    `  memory  ${memoryLine(plan, bound, program, threads)}`,
    ...(again ? [`  again   ${againLine(again)}`] : []),
    `  moves   ${bytes(traffic)}, ${(traffic / Math.max(1, ideal)).toFixed(2)} times the ideal of ${bytes(ideal)}` +
      ' (inputs, parameters and states once each way, what is stored between kernels once each way)',
    '',
  ].join('\n');
}

/** Which kernels compute contractions that other kernels would store. */
function nestedLines({ kernels }: Scheduled): string[] {
  const nested = kernels.filter(({ kernel }) => hasNested(kernel)).map(({ kernel }) => kernel.name);
  const what = 'short contractions (scores) are computed again in each of these, and never stored';
  return nested.length === 0 ? [] : [`  nested  ${what}: ${nested.join(', ')}`];
}

function codesOf({ code, dispatches }: Plan): string {
  if (code.kind === 'wgsl') return `${Object.keys(code.shaders).length} shaders`;
  return code.kind === 'wasm' ? `${bytes(code.bytes.length)} of Wasm` : `${dispatches.length} nodes`;
}

/** What a session takes that runs this plan alone, and what for. */
function memoryLine(
  plan: Plan,
  dims: Readonly<Record<string, number>>,
  program: Program,
  threads: number,
): string {
  const target = plan.target === 'webgpu' ? 'webgpu' : 'wasm';
  const { total, kept, transient, scratch, outputs } = footprint(program, [{ plan, dims }], target, threads);
  const keptAs = (roles: readonly Tensor['role'][]): number =>
    program.tensors.reduce(
      (sum, t) => (roles.includes(t.role) ? sum + elements(t.shape) * bytesPerElement : sum),
      0,
    );
  const inputs = plan.inputs.reduce(
    (sum, p) => sum + evalSize(plan.buffers[p.buffer]!.size, dims) * bytesPerElement,
    0,
  );
  const prepared = preparedRoom(plan);
  const [params, slots] = [keptAs(['param']), keptAs(['slot'])];
  const parts = [
    `parameters ${bytes(params)}`,
    `optimizer ${bytes(slots)}`,
    `other states ${bytes(Math.max(0, kept - params - slots))}`,
    `arena ${bytes(transient)} (inputs ${bytes(inputs)}, activations and gradients)`,
    ...(scratch > 0 ? [`scratch ${bytes(scratch)} for ${threads} threads`] : []),
    `outputs ${bytes(outputs - prepared)}`,
    ...(prepared > 0 ? [`prepared ${bytes(prepared)}`] : []),
  ];
  return `${bytes(total)} predicted: ${parts.join(', ')}`;
}

function againLine({ kernelsAgain, flopsAgain, flops }: Again): string {
  if (kernelsAgain === 0) return 'nothing is computed again: all of it fits';
  const part = ((100 * flopsAgain) / Math.max(1, flops)).toFixed(1);
  return `${kernelsAgain} kernels run again to fit into memory, ${part} % more arithmetic`;
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
