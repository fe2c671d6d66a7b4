/** A program on a GPU. */
import type { Plan, PlanDType, Program } from '../../compiler/plan.ts';
import type { Data, Dims, Session } from '../device.ts';
import { RuntimeError } from '../errors.ts';
import { checkClocks, checkDims, checkInputs, checkTensor, outputOf, planOf, tensorOf } from '../ports.ts';
import { elements, evalShape } from '../size.ts';
import type { Gpu, GpuStats } from './gpu.ts';
import { Readback } from './readback.ts';
import type { Bound, Compiled } from './reserved.ts';
import { bind, compile, Reserved } from './reserved.ts';
import type { Place } from './stores.ts';
import { packed, sizeInBytes, STORAGE_USAGE, Stores, unpacked } from './stores.ts';

type Inputs = Readonly<Record<string, Data>>;
type Clocks = Readonly<Record<string, number>>;

/** Dims whose sizes are remembered, per plan. */
const REMEMBERED = 64;
/** Runs after which the host looks whether the GPU keeps up, and how many such looks may be under way. */
const RUNS_PER_LOOK = 4;
const LOOKS = 2;

interface PlanState {
  readonly plan: Plan;
  readonly bound: Map<string, Bound>;
  compiled?: Compiled;
  reserved?: Reserved;
  lastDims?: Dims;
}

export class WebgpuSession implements Session {
  readonly device: string;
  readonly program: Program;
  readonly #gpu: Gpu;
  readonly #onClose: () => void;
  readonly #stores: Stores;
  readonly #readback: Readback;
  /** What plans share: transient memory of the one that runs. */
  #arena: GPUBuffer | undefined;
  readonly #plans = new Map<string, PlanState>();
  /** The end of what has to be done in order before the next run can be enqueued at once. */
  #tail: Promise<void> | undefined;
  #runs = 0;
  readonly #looks: Promise<undefined>[] = [];
  #closed = false;

  constructor(gpu: Gpu, program: Program, onClose: () => void) {
    this.#gpu = gpu;
    this.#onClose = onClose;
    this.device = gpu.name;
    this.program = program;
    this.#stores = new Stores(gpu, program);
    this.#readback = new Readback(gpu);
  }

  /** Counters of the device. */
  stats(): GpuStats {
    return { ...this.#gpu.stats };
  }

  async reserve(name: string, dims: Dims): Promise<void> {
    const state = this.#state(name);
    checkDims(state.plan, dims);
    const bound = this.#bind(state, dims);
    if (state.reserved?.fits(bound)) return;
    await this.#inOrder(() => this.#prepare(state, bound));
  }

  run(name: string, dims: Dims, inputs: Inputs, clocks: Clocks = {}): void | Promise<void> {
    const state = this.#state(name);
    checkDims(state.plan, dims);
    checkInputs(state.plan, dims, inputs);
    checkClocks(state.plan, clocks);
    const bound = this.#bind(state, dims);
    if (!this.#tail && state.reserved?.fits(bound)) return this.#enqueue(state, dims, bound, inputs, clocks);
    const copies = Object.fromEntries(Object.entries(inputs).map(([port, data]) => [port, data.slice()]));
    return this.#inOrder(async () => {
      await this.#prepare(state, bound);
      await this.#enqueue(state, dims, bound, copies, clocks);
    });
  }

  async output(name: string, port: string): Promise<Data> {
    const state = this.#state(name);
    const { buffer, dtype, shape } = outputOf(state.plan, port);
    if (this.#tail) await this.#inOrder(() => Promise.resolve());
    if (!state.reserved || !state.lastDims)
      throw new RuntimeError('no-output-yet', `plan \`${name}\` has not run yet`, 'run it first', {
        plan: name,
        port,
      });
    const { buffer: from, offset } = state.reserved.place(buffer);
    const length = elements(evalShape(shape, state.lastDims));
    const bytes = await this.#readback.read(from, offset, sizeInBytes(dtype, length));
    return unpacked(dtype, bytes, length);
  }

  async read(path: string): Promise<Data> {
    this.#check();
    const { dtype, length, place } = this.#tensor(path);
    if (this.#tail) await this.#inOrder(() => Promise.resolve());
    return unpacked(dtype, await this.#readback.read(place.buffer, place.offset, place.size), length);
  }

  async write(path: string, data: Data): Promise<void> {
    this.#check();
    checkTensor(tensorOf(this.program, path), data);
    const { dtype, place } = this.#tensor(path);
    if (this.#tail) {
      const copy = data.slice();
      return this.#inOrder(() => Promise.resolve(this.#upload(place, dtype, copy)));
    }
    this.#upload(place, dtype, data);
  }

  allocated(): number {
    this.#check();
    const own = [...this.#plans.values()].reduce((sum, { reserved }) => sum + (reserved?.size ?? 0), 0);
    return this.#stores.size + (this.#arena?.size ?? 0) + own;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { reserved } of this.#plans.values()) reserved?.close();
    this.#arena?.destroy();
    this.#stores.close();
    this.#readback.close();
    this.#plans.clear();
    this.#onClose();
  }

  #check(): void {
    if (this.#closed) throw new RuntimeError('closed', 'the session is closed', 'open a new one');
    this.#gpu.check();
  }

  #state(name: string): PlanState {
    this.#check();
    const plan = planOf(this.program, name);
    const known = this.#plans.get(name);
    if (known) return known;
    const made: PlanState = { plan, bound: new Map() };
    this.#plans.set(name, made);
    return made;
  }

  #tensor(path: string) {
    const tensor = tensorOf(this.program, path);
    const length = elements(tensor.shape);
    return { dtype: tensor.dtype, length, place: this.#stores.tensor(tensor, length) };
  }

  #bind({ plan, bound }: PlanState, dims: Dims): Bound {
    const key = plan.dims.map((d) => dims[d]).join(' ');
    const known = bound.get(key);
    if (known) return known;
    const made = bind(plan, dims);
    if (bound.size >= REMEMBERED) bound.clear();
    bound.set(key, made);
    return made;
  }

  /** Does `work` after all work that was given here before. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    const before = this.#tail ?? Promise.resolve();
    const done = before
      .catch(() => undefined)
      .then(() => {
        this.#check();
        return work();
      });
    const tail = done.finally(() => {
      if (this.#tail === tail) this.#tail = undefined;
    });
    this.#tail = tail;
    tail.catch(() => undefined);
    return tail;
  }

  /** Compiles and allocates what `bound` needs beyond what there is. */
  async #prepare(state: PlanState, bound: Bound): Promise<void> {
    state.compiled ??= await compile(this.#gpu, state.plan);
    const old = state.reserved;
    if (old?.fits(bound)) return;
    const { plan, compiled } = state;
    const capacity = bound.sizes.map((n, i) => Math.max(n, old?.capacity[i] ?? 0));
    const words = Math.max(bound.words.length, old?.words ?? 0);
    this.#readback.flush();
    const before = this.#arena;
    try {
      state.reserved = await this.#gpu.guarded(`the buffers of \`${plan.name}\``, () => {
        const made = new Reserved(this.#gpu, plan, compiled, capacity, words);
        this.#share(made, old);
        return made;
      });
    } catch (error) {
      if (this.#arena !== before) this.#giveUp();
      throw error;
    }
    old?.close();
    delete state.lastDims;
  }

  /** Gives a plan its part of the arena. Where that grows, every plan moves to the new one; nothing in it lasts. */
  #share(made: Reserved, old: Reserved | undefined): void {
    const grows = made.arena > (this.#arena?.size ?? 0);
    if (grows) {
      this.#arena?.destroy();
      this.#arena = this.#gpu.buffer('arena', made.arena, STORAGE_USAGE);
    }
    const shared = { stores: this.#stores, arena: this.#arena };
    made.bindTo(this.#gpu, shared);
    if (!grows) return;
    for (const { reserved } of this.#plans.values())
      if (reserved !== old) reserved?.bindTo(this.#gpu, shared);
  }

  /** After memory could not be had: what is not kept goes, and is had again when a plan is run. */
  #giveUp(): void {
    this.#arena?.destroy();
    this.#arena = undefined;
    for (const state of this.#plans.values()) {
      state.reserved?.close();
      delete state.reserved;
      delete state.lastDims;
    }
  }

  #enqueue(state: PlanState, dims: Dims, bound: Bound, inputs: Inputs, clocks: Clocks): void | Promise<void> {
    const { plan } = state;
    const reserved = state.reserved!;
    this.#readback.flush();
    for (const { name, dtype, buffer } of plan.inputs)
      this.#upload(reserved.place(buffer), dtype, inputs[name]!);
    for (const { name, dtype, buffer } of state.compiled!.clocks)
      this.#upload(reserved.place(buffer), dtype, Int32Array.of(clocks[name] ?? 0));
    reserved.submit(
      this.#gpu,
      bound,
      plan.clocks.map((c) => clocks[c.name] ?? 0),
    );
    state.lastDims = dims;
    return this.#keepPace();
  }

  #upload({ buffer, offset }: Place, dtype: PlanDType, data: Data): void {
    this.#readback.flush();
    const { queue } = this.#gpu.device;
    const words = packed(dtype, data);
    if (words.length > 0) queue.writeBuffer(buffer, offset, words.buffer, words.byteOffset, words.byteLength);
  }

  /** The host may be a few runs ahead of the GPU, not more: what is enqueued takes memory. */
  #keepPace(): void | Promise<void> {
    this.#runs++;
    if (this.#runs % RUNS_PER_LOOK !== 0) return;
    const look = this.#gpu.device.queue.onSubmittedWorkDone();
    look.catch(() => undefined);
    this.#looks.push(look);
    if (this.#looks.length <= LOOKS) return;
    const oldest = this.#looks.shift()!;
    return this.#gpu.waitFor(oldest).then(() => this.#gpu.check());
  }
}
