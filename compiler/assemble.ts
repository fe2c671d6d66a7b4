/** Computations -> Program: schedules each, has its kernels printed for the target, and lists buffers and ports. */
import { type EmitOptions, emitWasm, type Preparation } from './backend/wasm/index.ts';
import { emitWgsl, variantsOf, type WgslKernel } from './backend/wgsl/index.ts';
import type { Computation, Leaf, Node } from './ir/graph.ts';
import { topological, withBodies } from './ir/walk.ts';
import { sizeOf, toGraphData } from './ir/serialise.ts';
import { clockDim, withClocksAsDims } from './kernel/clocks.ts';
import { kernelKey } from './kernel/key.ts';
import type { Code, Dispatch, Plan, PlanBuffer, Port, Program, Store, Tensor } from './plan.ts';
import { type Again, type Budget, outputRoom, withinBudget } from './budget.ts';
import { withPreparations } from './preparations.ts';
import { schedule, type Scheduled } from './schedule/schedule.ts';
import { type Target, wasmTargetFor, webgpuTargetFor } from './schedule/target.ts';
import { lazily } from './lazy.ts';
import { multiply, one, symbolsOf, type Poly } from './shape/poly.ts';

/** A tensor kept between runs. */
export type TensorSpec = Omit<Tensor, 'store' | 'offset'>;

export interface TargetOptions {
  readonly target: Plan['target'];
  /** Wasm: the engine has relaxed SIMD, and results may depend on whether the machine fuses multiply and add. */
  readonly relaxed: boolean;
  /** Wasm: the engine runs pairs of vectors as one of 256 bits, so that wider register tiles pay. */
  readonly wide?: boolean;
  /** Wasm: threads that will run it: memory is counted for so many (1 if not given), work cut for so many (4 if not given). */
  readonly threads?: number;
  /** WebGPU: so many workgroups keep the GPU busy; contractions of fewer are split. Default 1: any are enough. */
  readonly workgroups?: number;
  /** WebGPU: the device is a driver that computes on the CPU. */
  readonly isSoftware?: boolean;
  /** WebGPU: the device has the feature `subgroups`. */
  readonly subgroups?: boolean;
  /** WebGPU: kernels in several shapes, for the device to choose. */
  readonly variants?: boolean;
}

/** What the schedule has to know of the target. */
export const targetOf = ({
  target,
  relaxed,
  workgroups = 1,
  isSoftware = false,
}: Pick<TargetOptions, 'target' | 'relaxed' | 'workgroups' | 'isSoftware'>): Target =>
  target === 'wasm' ? wasmTargetFor(relaxed) : webgpuTargetFor(workgroups, isSoftware);

/** Plans by name, with what they were made of. */
export interface Assembled {
  readonly program: Program;
  /** Of every plan for a device: made when it is first asked for. */
  readonly made: Readonly<Record<string, Made>>;
}

export interface Made {
  readonly plan: Plan;
  readonly scheduled: Scheduled;
  /** What the budget costs, where there is one. */
  readonly again?: Again;
}

/**
 * All computations of a task or model as one program for one target. A plan is made when it is first asked for: a task
 * trains before it evaluates, and may never predict.
 * @throws OverBudget when a plan is asked for that cannot keep to its budget
 */
export function assembleAll(
  computations: Readonly<Record<string, Computation>>,
  tensors: readonly TensorSpec[],
  options: TargetOptions,
  budgets: ReadonlyMap<string, Budget> = new Map(),
): Assembled {
  const stores: Store[] = tensors.map((t) => ({
    name: t.path,
    dtype: t.dtype,
    size: t.shape.reduce((a, b) => a * b, 1),
  }));
  const storeOf = new Map(tensors.map((t, i) => [`${t.role} ${t.path}`, i]));
  const names = Object.keys(computations);
  const of = (name: string): Computation => computations[name] as Computation;
  const { target } = options;
  const made = lazily(names, (name): Made => {
    if (target === 'reference') return { plan: referencePlan(name, of(name), storeOf), scheduled: nothing };
    const scheduled = schedule(of(name), targetOf(options));
    const make = (s: Scheduled): Plan => devicePlan(name, of(name), s, storeOf, options);
    const budget = budgets.get(name);
    if (!budget) return { scheduled, plan: make(scheduled) };
    const outputs = names.reduce(
      (sum, n) => (n === name ? sum : sum + outputRoom(of(n), budgets.get(n) ?? budget, target)),
      0,
    );
    return withinBudget(budget, scheduled, make, { name, stores, outputs, target });
  });
  return {
    made,
    program: {
      format: 1,
      stores,
      tensors: tensors.map((t, store) => ({ ...t, store, offset: 0 })),
      plans: lazily(names, (name) => (made[name] as Made).plan),
    },
  };
}

/** The same, of which only the program is wanted. */
export const assemble = (...args: Parameters<typeof assembleAll>): Program => assembleAll(...args).program;

const nothing: Scheduled = { kernels: [], buffers: [], outputs: [], loops: [] };

const isKept = (leaf: Leaf): boolean => leaf.role !== 'input' && leaf.role !== 'clock';

function storeIndex(leaf: Leaf, storeOf: ReadonlyMap<string, number>): number {
  const at = storeOf.get(`${leaf.role} ${leaf.name}`);
  if (at === undefined) throw new Error(`${leaf.role} ${leaf.name} is used but not declared as a tensor`);
  return at;
}

const elements = (shape: readonly Poly[]): Poly => multiply(one, ...shape);

// ---------------------------------------------------------------- reference

function referencePlan(name: string, c: Computation, storeOf: ReadonlyMap<string, number>): Plan {
  const nodes = topological([...c.outputs.map((o) => o.node), ...c.updates.map((u) => u.value)]);
  const leaves = nodes.filter((n): n is Leaf => n.op === 'leaf');
  const dims = dimsOfNodes(withBodies(nodes));
  const host = leaves.filter((l) => !isKept(l));
  for (const l of leaves) if (isKept(l)) storeIndex(l, storeOf);
  const buffers: PlanBuffer[] = [...host, ...c.outputs.map((o) => o.node)].map((n, i) => ({
    name: `${n.op} ${i}`,
    dtype: n.dtype,
    size: sizeOf(elements(n.shape)),
    place: { kind: 'arena', first: -1, last: 0 },
  }));
  const port = (portName: string, node: Node, buffer: number): Port => ({
    name: portName,
    dtype: node.dtype,
    shape: node.shape.map(sizeOf),
    buffer,
  });
  const ports = (role: Leaf['role']): Port[] =>
    host.flatMap((l, i) => (l.role === role ? [port(l.name, l, i)] : []));
  return {
    name,
    target: 'reference',
    dims: [...dims].sort(),
    inputs: ports('input'),
    clocks: ports('clock'),
    outputs: c.outputs.map((o, i) => port(o.name, o.node, host.length + i)),
    buffers,
    dispatches: [],
    loops: [],
    code: { kind: 'reference', graph: toGraphData(c) },
  };
}

// ---------------------------------------------------------------- devices

function devicePlan(
  name: string,
  c: Computation,
  scheduled: Scheduled,
  storeOf: ReadonlyMap<string, number>,
  options: TargetOptions,
): Plan {
  const dims = dimsOf(scheduled, c);
  const loops = scheduled.loops.map((l) => ({ ...l, count: sizeOf(l.count) }));
  const all = [...dims, ...loops.map((l) => l.dim)];
  const {
    code,
    dispatches,
    preparations = [],
  } = options.target === 'wasm' ? wasmCode(scheduled, all, c, options) : wgslCode(scheduled, all, options);
  const port = (portName: string, node: Node, buffer: number): Port => ({
    name: portName,
    dtype: node.dtype,
    shape: node.shape.map(sizeOf),
    buffer,
  });
  const ports = (role: Leaf['role']): Port[] =>
    scheduled.buffers.flatMap((b, i) => (b.leaf?.role === role ? [port(b.leaf.name, b.leaf, i)] : []));
  const plan: Plan = {
    name,
    target: options.target,
    dims,
    inputs: ports('input'),
    clocks: ports('clock'),
    outputs: scheduled.outputs.map((o) => port(o.name, o.node, o.buffer)),
    buffers: scheduled.buffers.map((b) => ({
      name: b.name,
      dtype: b.dtype,
      size: sizeOf(b.size),
      place:
        b.leaf && isKept(b.leaf)
          ? { kind: 'store', store: storeIndex(b.leaf, storeOf) }
          : { kind: 'arena', first: b.first, last: b.last },
    })),
    dispatches,
    loops,
    code,
  };
  return withPreparations(plan, preparations);
}

/** Every dimension that a shape or an index expression of these nodes names. */
function dimsOfNodes(nodes: readonly Node[]): Set<string> {
  const names = new Set<string>();
  for (const n of nodes) {
    for (const d of n.shape) symbolsOf(d, names);
    if (n.op === 'index') symbolsOf(n.value, names);
    if (n.op === 'scan') symbolsOf(n.extent, names);
    if (n.op === 'view' || n.op === 'scatter') for (const e of n.index) symbolsOf(e, names);
    if (n.op === 'view') for (const g of n.guard) symbolsOf(g.value, names);
  }
  return new Set([...names].filter((name) => !/^[$@]/.test(name)));
}

/** Every dimension that a size or an index expression names. */
function dimsOf(scheduled: Scheduled, c: Computation): string[] {
  const names = dimsOfNodes(withBodies([...c.outputs.map((o) => o.node), ...c.updates.map((u) => u.value)]));
  for (const b of scheduled.buffers) symbolsOf(b.size, names);
  return [...names].sort();
}

interface Emitted {
  readonly code: Code;
  readonly dispatches: readonly Dispatch[];
  readonly preparations?: readonly Preparation[];
}

/** What code is made for. A computation that changes nothing that is kept can prepare what depends on nothing else. */
export function wasmOptions(
  { buffers, loops }: Scheduled,
  { updates }: Computation,
  { relaxed, wide = false, threads }: Pick<TargetOptions, 'relaxed' | 'wide' | 'threads'>,
): EmitOptions {
  const constant = (buffer: number): boolean => {
    const leaf = buffers[buffer]?.leaf;
    return leaf !== undefined && isKept(leaf);
  };
  return {
    relaxed,
    wide,
    loops,
    ...(threads !== undefined && { threads }),
    ...(updates.length === 0 && { constant }),
  };
}

function wasmCode(
  scheduled: Scheduled,
  dims: readonly string[],
  c: Computation,
  options: TargetOptions,
): Emitted {
  const { relaxed } = options;
  const kernels = scheduled.kernels.map((k) => k.kernel);
  const emitted = emitWasm(kernels, dims, scheduled.buffers.length, wasmOptions(scheduled, c, options));
  const bytes = emitted.preparedBytes;
  const entries = emitted.prepare.filter((p) => p.moment === 'start');
  const dispatches = scheduled.kernels.map(({ kernel, flops }, i): Dispatch => {
    const { entry, units, special, work } = emitted.entries[i] ?? { entry: kernel.name, units: one };
    return {
      name: kernel.name,
      entry,
      buffers: kernel.buffers.map((b) => b.buffer),
      units: sizeOf(units),
      flops: sizeOf(flops),
      ...(work && { work: sizeOf(work) }),
      ...(special && { special: { ...special, units: sizeOf(special.units) } }),
    };
  });
  return {
    code: {
      kind: 'wasm',
      bytes: emitted.bytes,
      scratchBytes: sizeOf(emitted.scratchBytes),
      relaxed,
      ...(bytes > 0 && {
        prepared: { bytes, entries: entries.map(({ entry, units }) => ({ entry, units })) },
      }),
    },
    dispatches,
    preparations: emitted.prepare,
  };
}

function wgslCode(
  scheduled: Scheduled,
  dims: readonly string[],
  { isSoftware = false, subgroups = false, variants: inShapes = false }: TargetOptions,
): Emitted {
  const emitted = new Map<string, readonly WgslKernel[]>();
  const clockOf = (buffer: number): string | undefined => {
    const leaf = scheduled.buffers[buffer]?.leaf;
    return leaf?.role === 'clock' ? leaf.name : undefined;
  };
  const clocks = scheduled.buffers.flatMap((_, i) => clockOf(i) ?? []);
  const uniform = [...dims, ...clocks.map(clockDim)];
  const dispatches = scheduled.kernels.map(({ kernel: whole, flops }): Dispatch => {
    const kernel = withClocksAsDims(whole, clockOf);
    const key = kernelKey(kernel);
    const made = emitted.get(key) ?? [
      emitWgsl(kernel, uniform, { isSoftware, subgroups }),
      ...(inShapes ? variantsOf(kernel, uniform, isSoftware) : []),
    ];
    emitted.set(key, made);
    const [first, ...variants] = made.map(({ entry, workgroups: [x, y, z] }) => ({
      entry,
      workgroups: [sizeOf(x), sizeOf(y), sizeOf(z)] as const,
    }));
    if (!first) throw new Error(`kernel \`${kernel.name}\` has no code`);
    return {
      name: kernel.name,
      ...first,
      buffers: kernel.buffers.map((b) => b.buffer),
      units: 1,
      flops: sizeOf(flops),
      ...(variants.length > 0 && { variants }),
    };
  });
  const shaders = Object.fromEntries([...emitted.values()].flat().map((k) => [k.entry, k.code]));
  return { code: { kind: 'wgsl', shaders }, dispatches };
}
