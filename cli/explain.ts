/** What each stage of the compiler makes of a task, as text. */
import { printWasm } from '../compiler/backend/wasm/index.ts';
import type { Model, TaskGraphs } from '../compiler/check/index.ts';
import { elaborateTask } from '../compiler/check/index.ts';
import { type Made, wasmOptions } from '../compiler/assemble.ts';
import { type AssembledTask, assembleTask } from '../compiler/compile.ts';
import type { Computation } from '../compiler/ir/graph.ts';
import { printComputation } from '../compiler/ir/print.ts';
import { printKernel } from '../compiler/kernel/print.ts';
import type { Plan } from '../compiler/plan.ts';
import type { Scheduled } from '../compiler/schedule/schedule.ts';
import { format } from '../compiler/shape/poly.ts';
import { shown } from './compilation.ts';
import type { CompileSettings } from './settings.ts';
import type { WasmEngine } from './devices.ts';
import { dimsOf, printPlan } from './explain-plan.ts';
import type { Stage } from './options.ts';
import type { Terminal } from './terminal.ts';

export interface Subject {
  readonly terminal: Terminal;
  readonly model: Model;
  readonly task: string;
  readonly target: 'wasm' | 'webgpu';
  /** Wasm: for which engine code is made. */
  readonly engine: WasmEngine;
  readonly threads: number;
  /** So many keep the GPU busy. */
  readonly workgroups: number;
  readonly settings: CompileSettings;
}

/** One row per stage. */
const printers: { readonly [S in Stage]: (subject: Subject) => string } = {
  syntax: ({ model }) => `${JSON.stringify(model.module?.syntax.declarations, withoutSpans, 2)}\n`,
  graph: (subject) => computations(elaborate(subject).computations, (name) => !trains(name)),
  grad: (subject) => computations(elaborate(subject).computations, trains),
  schedule: (subject) => eachSchedule(subject, printSchedule),
  kernels: (subject) => eachSchedule(subject, printKernels),
  wgsl: (subject) => codeOf({ ...subject, target: 'webgpu' }, printWgsl),
  wat: (subject) => wat({ ...subject, target: 'wasm' }),
  plan: (subject) => plans(subject),
};

export const explainStage = (stage: Stage, subject: Subject): string => printers[stage](subject);

const withoutSpans = (key: string, value: unknown): unknown => (key === 'span' ? undefined : value);

const trains = (name: string): boolean => name.startsWith('train');

// ---------------------------------------------------------------- graphs

function elaborate({ terminal, model, task, settings }: Subject): TaskGraphs {
  const { graphs, problems } = elaborateTask(model, task, settings.set ?? {});
  return shown(terminal, { result: graphs, problems, sources: model.sources }, settings);
}

function computations(all: Readonly<Record<string, Computation>>, wanted: (name: string) => boolean): string {
  return Object.entries(all)
    .filter(([name]) => wanted(name))
    .map(([, computation]) => printComputation(computation))
    .join('\n');
}

// ---------------------------------------------------------------- schedule

function eachSchedule(subject: Subject, print: (name: string, made: Made) => string): string {
  const { made } = assembled(subject).assembled;
  return Object.keys(made)
    .map((name) => print(name, made[name] as Made))
    .join('\n');
}

/** What shares a kernel, and why each cut was made. */
function printSchedule(name: string, { scheduled: { kernels, buffers } }: Made): string {
  const transient = buffers.filter((b) => !b.leaf).length;
  const lines = kernels.flatMap(({ kernel, flops }) => [
    `  ${kernel.kind} ${kernel.name}  (${format(flops)} flops)`,
    `    reads ${names(kernel.buffers, 'read', buffers) || 'nothing'}; writes ${names(kernel.buffers, 'write', buffers)}`,
    ...kernel.notes.map((note) => `    ${note}`),
  ]);
  return [`${name}: ${kernels.length} kernels, ${transient} transient buffers`, ...lines, ''].join('\n');
}

function names(
  uses: Scheduled['kernels'][number]['kernel']['buffers'],
  mode: 'read' | 'write',
  buffers: Scheduled['buffers'],
): string {
  const wanted = uses.filter((use) => (mode === 'read' ? use.mode === 'read' : use.mode !== 'read'));
  return [...new Set(wanted.map((use) => buffers[use.buffer]?.name ?? '?'))].join(', ');
}

function printKernels(name: string, { scheduled: { kernels, buffers } }: Made): string {
  const bufferName = (i: number): string => buffers[i]?.name ?? `b${i}`;
  return [`${name}:`, ...kernels.map(({ kernel }) => printKernel(kernel, bufferName)), ''].join('\n\n');
}

// ---------------------------------------------------------------- code

function assembled(subject: Subject): AssembledTask {
  const { terminal, model, task, target, engine, workgroups, settings } = subject;
  const { memory } = settings;
  const options = {
    target,
    ...(target === 'wasm' ? engine : { relaxed: false }),
    workgroups,
    sets: settings.set ?? {},
    threads: threadsOf(subject),
    ...(memory !== undefined && { memory }),
  };
  return shown(terminal, assembleTask(model, task, options), settings);
}

const threadsOf = ({ target, threads }: Subject): number => (target === 'wasm' ? threads : 1);

const codeOf = (subject: Subject, print: (plan: Plan) => string): string =>
  eachSchedule(subject, (_, { plan }) => print(plan));

function printWgsl({ name, code }: Plan): string {
  const shaders = code.kind === 'wgsl' ? Object.entries(code.shaders) : [];
  return shaders.map(([kernel, text]) => `// ${name}: ${kernel}\n${text}\n`).join('\n');
}

function wat(subject: Subject): string {
  const { graphs, assembled: all } = assembled(subject);
  const texts = Object.entries(graphs.computations).map(([name, computation]) => {
    const { plan, scheduled } = all.made[name] as Made;
    const dims = [...plan.dims, ...plan.loops.map((l) => l.dim)];
    const kernels = scheduled.kernels.map((k) => k.kernel);
    const options = wasmOptions(scheduled, computation, subject.engine);
    return `;; ${name}\n${printWasm(kernels, dims, scheduled.buffers.length, options)}\n`;
  });
  return texts.join('\n');
}

function plans(subject: Subject): string {
  const { graphs, assembled: all } = assembled(subject);
  const threads = threadsOf(subject);
  return Object.keys(all.made)
    .map((name) => printPlan(all.made[name] as Made, dimsOf(graphs, name), all.program, threads))
    .join('\n');
}
