import { deviceMemory } from '../../compiler/memory.ts';
import type { Plan, Program } from '../../compiler/plan.ts';
import type { Data, Dims, Session } from '../device.ts';
import { RuntimeError } from '../errors.ts';
import {
  arrayOf,
  checkClocks,
  checkDims,
  checkInputs,
  checkTensor,
  outputOf,
  planOf,
  tensorOf,
} from '../ports.ts';
import { inOrder } from '../loops.ts';
import { elements, evalShape } from '../size.ts';
import type { Layout, PlanLayout } from './layout.ts';
import { layOut } from './layout.ts';
import { compile, entriesOf, preparedOf } from './module.ts';
import type { Entry, Shape, ThreadPlan } from './runner.ts';
import { shareRuns, stepShape } from './sharing.ts';
import { shapeOf, type StepShape, ThreadPool } from './threads.ts';

const pageBytes = deviceMemory.wasm.page;

/** A plan with its buffers at fixed addresses. */
interface Loaded extends ThreadPlan {
  /** Its place among the plans that the threads know. */
  readonly index: number;
  readonly plan: Plan;
  readonly layout: PlanLayout;
  /** Fill what it has made of parameters. */
  readonly prepare: readonly (() => void)[];
  /** Of which change of what is stored that was made; -1: not yet. */
  preparedAt: number;
  /** What the dims of the last run came to. */
  bound?: Bound;
}

interface Bound extends StepShape {
  readonly key: string;
  readonly outputs: readonly number[];
  /** What threads are told of it, where any dispatch is shared. */
  readonly shape: Shape | undefined;
}

const outputAt = ({ plan, layout }: Loaded, i: number): number => layout.buffers[plan.outputs[i]!.buffer]!;

/** The other threads of a session; none for one thread. Starting them takes as long as a small program does to compile. */
export const startThreads = async (threads: number): Promise<ThreadPool | undefined> =>
  threads > 1 ? await ThreadPool.start(threads) : undefined;

export interface SessionOptions {
  readonly shareFrom?: number | undefined;
  readonly pool?: Promise<ThreadPool | undefined> | undefined;
}

export class WasmSession implements Session {
  readonly device: string;
  private readonly reserved = new Map<string, Dims>();
  private readonly loaded = new Map<string, Loaded>();
  private readonly ran = new Set<string>();
  private readonly modules = new Map<Plan, WebAssembly.Module>();
  private layout: Layout;
  private memory: WebAssembly.Memory | undefined;
  /** How often what is stored may have changed. */
  private changes = 0;
  /** How many shapes of runs threads have been told of. */
  private shapes = 0;

  private constructor(
    readonly program: Program,
    private readonly pool: ThreadPool | undefined,
    private readonly shareFrom: number,
  ) {
    this.device = pool ? `wasm, ${pool.threads} threads` : 'wasm';
    this.layout = layOut(program, this.reserved, pool?.threads ?? 1);
    this.memory = new WebAssembly.Memory(
      pool ? { initial: 1, maximum: 65536, shared: true } : { initial: 1 },
    );
    this.grow(this.layout.total);
  }

  /** `pool`: threads that were started before. */
  static async open(
    program: Program,
    threads: number,
    { shareFrom = shareRuns, pool = startThreads(threads) }: SessionOptions = {},
  ): Promise<WasmSession> {
    return new WasmSession(program, await pool, shareFrom);
  }

  // ---------------------------------------------------------------- memory

  private get open(): WebAssembly.Memory {
    if (!this.memory) throw new RuntimeError('closed', 'the session is closed', 'open a new one');
    return this.memory;
  }

  private grow(bytes: number): void {
    const memory = this.open;
    const missing = Math.ceil(bytes / pageBytes) - memory.buffer.byteLength / pageBytes;
    if (missing <= 0) return;
    try {
      memory.grow(missing);
    } catch {
      throw new RuntimeError(
        'out-of-memory',
        `${Math.ceil(bytes / 2 ** 20)} MiB of memory cannot be had`,
        'use a smaller batch',
        { bytes },
      );
    }
  }

  /** Views of shared memory cannot be handed out: everything is copied. */
  private copy(at: number, length: number, dtype: Plan['buffers'][number]['dtype']): Data {
    return new (arrayOf(dtype))(this.open.buffer as ArrayBuffer, at, length).slice();
  }

  private put(at: number, data: Data): void {
    new Uint8Array(this.open.buffer, at, data.byteLength).set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    );
  }

  private at(path: string): number {
    const { store, offset } = tensorOf(this.program, path);
    return this.layout.stores[store]! + 4 * offset;
  }

  // ---------------------------------------------------------------- plans

  async reserve(name: string, dims: Dims): Promise<void> {
    this.fit(planOf(this.program, name), name, dims);
    await this.pool?.starting;
  }

  private fits(plan: Plan, name: string, dims: Dims): boolean {
    const reserved = this.reserved.get(name);
    return (
      this.loaded.has(name) && reserved !== undefined && plan.dims.every((d) => dims[d]! <= reserved[d]!)
    );
  }

  /** Makes room for a plan with these dims; does nothing when there is. */
  private fit(plan: Plan, name: string, dims: Dims): Loaded {
    checkDims(plan, dims);
    if (this.fits(plan, name, dims)) return this.loaded.get(name)!;
    const before = this.reserved.get(name);
    const kept = this.keepOutputs();
    this.reserved.set(
      name,
      Object.fromEntries(plan.dims.map((d) => [d, Math.max(dims[d]!, before?.[d] ?? 0)])),
    );
    this.relocate();
    kept.forEach(({ loaded, data }) => {
      const moved = this.loaded.get(loaded);
      data.forEach((d, i) => moved && this.put(outputAt(moved, i), d));
    });
    return this.loaded.get(name)!;
  }

  /** Outputs of earlier runs, which must survive a new layout. */
  private keepOutputs(): { loaded: string; data: Data[] }[] {
    return [...this.loaded].map(([loaded, l]) => ({
      loaded,
      data: l.bound
        ? l.plan.outputs.map((o, i) => this.copy(outputAt(l, i), l.bound!.outputs[i]!, o.dtype))
        : [],
    }));
  }

  private relocate(): void {
    this.layout = layOut(this.program, this.reserved, this.pool?.threads ?? 1);
    this.grow(this.layout.total);
    let index = 0;
    for (const [name, layout] of this.layout.plans) {
      const before = this.loaded.get(name);
      const made = this.instantiate(name, layout, index++);
      made.dims.forEach((global, i) => (global.value = Number(before?.dims[i]?.value ?? 0)));
      this.loaded.set(name, { ...made, ...(before?.bound && { bound: before.bound }) });
    }
    if (this.pool) this.tellThreads(this.pool);
  }

  private tellThreads(pool: ThreadPool): void {
    const plans = [...this.layout.plans].map(([name, { buffers, scratch, prepared }]) => {
      const plan = planOf(this.program, name);
      return {
        module: this.module(plan),
        buffers,
        scratch,
        prepared,
        dims: plan.dims.length + plan.loops.length,
        entries: entriesOf(plan),
      };
    });
    pool.load(
      this.open,
      [...this.layout.plans.keys()].map((name) => planOf(this.program, name)),
      plans,
    );
  }

  /** Compiled when a plan is first wanted: a task trains before it evaluates. */
  private module(plan: Plan): WebAssembly.Module {
    const made = this.modules.get(plan) ?? compile(plan, this.pool !== undefined);
    this.modules.set(plan, made);
    return made;
  }

  private instantiate(name: string, layout: PlanLayout, index: number): Loaded {
    const plan = planOf(this.program, name);
    const dims = [...plan.dims, ...plan.loops].map(
      () => new WebAssembly.Global({ value: 'i32', mutable: true }, 0),
    );
    const fixed = (value: number): WebAssembly.Global =>
      new WebAssembly.Global({ value: 'i32', mutable: false }, value);
    const env: Record<string, WebAssembly.ImportValue> = {
      memory: this.open,
      scratch: fixed(layout.scratch),
      prepared: fixed(layout.prepared),
    };
    layout.buffers.forEach((at, i) => (env[`b${i}`] = fixed(at)));
    dims.forEach((global, i) => (env[`d${i}`] = global));
    const { exports } = new WebAssembly.Instance(this.module(plan), { env });
    const entries = entriesOf(plan).map((entry) => exports[entry] as Entry);
    const prepare = preparedOf(plan).map(
      ({ entry, units }) =>
        () =>
          (exports[entry] as Entry)(0, units, 0),
    );
    return { index, plan, layout, dims, entries, prepare, preparedAt: -1 };
  }

  private bind(loaded: Loaded, dims: Dims): Bound {
    const { plan } = loaded;
    const key = `dims ${plan.dims.map((d) => dims[d]).join(' ')}`;
    if (loaded.bound?.key === key) return loaded.bound;
    plan.dims.forEach((d, i) => (loaded.dims[i]!.value = dims[d]!));
    const step = stepShape(plan, dims, this.shareFrom);
    const isShared = this.pool && step.shared.includes(true);
    loaded.bound = {
      ...step,
      key,
      outputs: plan.outputs.map((o) => elements(evalShape(o.shape, dims))),
      shape: isShared ? shapeOf(step, this.pool.threads, ++this.shapes) : undefined,
    };
    return loaded.bound;
  }

  run(
    name: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>> = {},
  ): void | Promise<void> {
    const plan = planOf(this.program, name);
    checkDims(plan, dims);
    checkInputs(plan, dims, inputs);
    checkClocks(plan, clocks);
    if (!this.pool?.starting) return this.runNow(plan, name, dims, inputs, clocks);
    const kept = Object.fromEntries(Object.entries(inputs).map(([port, data]) => [port, data.slice()]));
    return this.reserve(name, dims).then(() => this.runNow(plan, name, dims, kept, clocks));
  }

  private runNow(
    plan: Plan,
    name: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>>,
  ): void {
    const loaded = this.fit(plan, name, dims);
    const bound = this.bind(loaded, dims);
    this.give(loaded, inputs, clocks);
    this.prepare(loaded);
    this.dispatch(loaded, bound);
    this.ran.add(name);
  }

  private give(
    { plan, layout }: Loaded,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>>,
  ): void {
    for (const port of plan.inputs) this.put(layout.buffers[port.buffer]!, inputs[port.name]!);
    for (const clock of plan.clocks)
      this.put(layout.buffers[clock.buffer]!, arrayOf(clock.dtype).of(clocks[clock.name] ?? 0));
  }

  /** Plans that prepare anything change nothing that is stored; any other may. */
  private prepare(loaded: Loaded): void {
    if (loaded.prepare.length === 0) this.changes++;
    else if (loaded.preparedAt !== this.changes) {
      for (const fill of loaded.prepare) fill();
      loaded.preparedAt = this.changes;
    }
  }

  private dispatch(loaded: Loaded, bound: Bound): void {
    if (this.pool && bound.shape) this.pool.run(loaded.index, loaded, bound.shape);
    else this.each(loaded, bound, (entry, units) => entry(0, units, 0));
  }

  /** Every dispatch of a run that has anything to do, in order. */
  private each(
    { entries, dims }: Loaded,
    bound: Bound,
    run: (entry: Entry, units: number, dispatch: number) => void,
  ): void {
    inOrder(
      bound.units.length,
      bound.loops,
      (loop, i) => (dims[bound.dims.length + loop]!.value = i),
      (d) => {
        const units = bound.units[d]!;
        if (units > 0) run(entries[bound.which[d]!]!, units, d);
      },
    );
  }

  /**
   * Runs a plan on this thread alone. Milliseconds that each dispatch took, all its runs in loops together. The plan
   * must have run with these dims before.
   */
  profile(
    name: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks: Readonly<Record<string, number>> = {},
  ): Float64Array {
    const plan = planOf(this.program, name);
    checkInputs(plan, dims, inputs);
    const loaded = this.fit(plan, name, dims);
    const bound = this.bind(loaded, dims);
    this.give(loaded, inputs, clocks);
    this.prepare(loaded);
    const times = new Float64Array(bound.units.length);
    this.each(loaded, bound, (entry, units, d) => {
      const began = performance.now();
      entry(0, units, 0);
      times[d]! += performance.now() - began;
    });
    return times;
  }

  output(name: string, port: string): Promise<Data> {
    const plan = planOf(this.program, name);
    const { dtype } = outputOf(plan, port);
    const loaded = this.loaded.get(name);
    if (!this.ran.has(name) || !loaded?.bound)
      return Promise.reject(
        new RuntimeError('no-output-yet', `plan \`${name}\` has not run yet`, 'run it first', {
          plan: name,
          port,
        }),
      );
    const i = plan.outputs.findIndex((o) => o.name === port);
    return Promise.resolve(this.copy(outputAt(loaded, i), loaded.bound.outputs[i]!, dtype));
  }

  read(path: string): Promise<Data> {
    const tensor = tensorOf(this.program, path);
    return Promise.resolve(this.copy(this.at(path), elements(tensor.shape), tensor.dtype));
  }

  write(path: string, data: Data): Promise<void> {
    checkTensor(tensorOf(this.program, path), data);
    this.put(this.at(path), data);
    this.changes++;
    return Promise.resolve();
  }

  /** Bytes of the Wasm memory, which holds every tensor. */
  allocated(): number {
    return this.open.buffer.byteLength;
  }

  close(): void {
    if (this.memory) this.pool?.close();
    this.memory = undefined;
    this.loaded.clear();
  }
}
