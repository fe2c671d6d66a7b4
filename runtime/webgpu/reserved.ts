/** One plan on the GPU: pipelines, its places in the arena, bind groups. Made for the largest sizes, used for smaller ones too. */
import { outputBuffers, planArena, roomOf, transients } from '../../compiler/memory.ts';
import type { Plan, Port } from '../../compiler/plan.ts';
import type { Dims } from '../device.ts';
import { RuntimeError } from '../errors.ts';
import { inOrder } from '../loops.ts';
import { evalSize } from '../size.ts';
import type { Gpu } from './gpu.ts';
import { needFeatures, outOfMemory } from './gpu.ts';
import type { Place, Stores } from './stores.ts';
import { ALIGNMENT, boundBytes, sizeInBytes, STORAGE_USAGE, WORD } from './stores.ts';

const UNIFORM_USAGE = 0x40 | 0x8;

/** What a plan's dims come to. */
export interface Bound {
  /** Elements of every buffer. */
  readonly sizes: readonly number[];
  /** Workgroups of every dispatch. */
  readonly workgroups: readonly (readonly [number, number, number])[];
  /** Contents of the uniform buffer: dimensions and clocks, once for each state of the loops, `ALIGNMENT` bytes apart. */
  readonly words: Uint32Array<ArrayBuffer>;
  /** Where the clocks stand in them, for each state. */
  readonly clocks: readonly number[];
  /** Every run of a dispatch, in order, and where its dimensions begin in the uniform buffer, in bytes. */
  readonly steps: readonly { readonly dispatch: number; readonly at: number }[];
}

export function bind(plan: Plan, dims: Dims): Bound {
  const loops = plan.loops.map(({ begin, end, count }) => ({ begin, end, times: evalSize(count, dims) }));
  const state = [...plan.dims.map((name) => dims[name] ?? 0), ...loops.map(() => 0)];
  const states = [[...state]];
  const steps: { dispatch: number; at: number }[] = [];
  inOrder(
    plan.dispatches.length,
    loops,
    (loop, iteration) => {
      state[plan.dims.length + loop] = iteration;
      states.push([...state]);
    },
    (dispatch) => {
      const inLoop = loops.some((l) => l.begin <= dispatch && dispatch < l.end);
      steps.push({ dispatch, at: inLoop ? (states.length - 1) * ALIGNMENT : 0 });
    },
  );
  const length = state.length + plan.clocks.length;
  const words = new Uint32Array((states.length - 1) * (ALIGNMENT / WORD) + Math.ceil(length / 4) * 4);
  states.forEach((s, i) => words.set(s, i * (ALIGNMENT / WORD)));
  return {
    words,
    clocks: states.map((s, i) => i * (ALIGNMENT / WORD) + s.length),
    steps,
    sizes: plan.buffers.map((b) => evalSize(b.size, dims)),
    workgroups: plan.dispatches.map((d) => {
      const [x, y, z] = d.workgroups ?? [0, 0, 0];
      return [evalSize(x, dims), evalSize(y, dims), evalSize(z, dims)];
    }),
  };
}

/** What never changes for a plan. */
export interface Compiled {
  readonly pipelines: readonly GPUComputePipeline[];
  readonly layouts: readonly GPUBindGroupLayout[];
  /** Those that a kernel reads from a buffer; the others come with the dimensions. */
  readonly clocks: readonly Port[];
}

/** Compiles all kernels of a plan at once. */
export async function compile(gpu: Gpu, plan: Plan): Promise<Compiled> {
  const shaders = shadersOf(plan);
  needFeatures(gpu, Object.values(shaders));
  const layouts = plan.dispatches.map((d) => gpu.layout(d.buffers.length, uniformBytes(plan) > 0));
  const most = Math.max(0, ...plan.dispatches.map((d) => d.buffers.length));
  const limit = gpu.device.limits.maxStorageBuffersPerShaderStage;
  if (most > limit)
    throw new RuntimeError(
      'no-device',
      `plan \`${plan.name}\` binds ${most} buffers to a kernel, this GPU allows ${limit}`,
      'use the backend `wasm`',
    );
  const pipelines = await gpu.waitFor(
    Promise.all(
      plan.dispatches.map((d, i) => {
        const code = Object.hasOwn(shaders, d.entry) ? shaders[d.entry] : undefined;
        if (code === undefined) throw new Error(`plan \`${plan.name}\` has no shader \`${d.entry}\``);
        return gpu.pipeline(d.name, code, layouts[i]!);
      }),
    ),
  );
  const clocks = plan.clocks.filter((c) => plan.dispatches.some((d) => d.buffers.includes(c.buffer)));
  return { pipelines, layouts, clocks };
}

/** Size of the dimensions and clocks that a kernel sees. */
export const uniformBytes = ({ dims, loops, clocks }: Plan): number =>
  Math.ceil((dims.length + loops.length + clocks.length) / 4) * 16;

export function shadersOf(plan: Plan): Readonly<Record<string, string>> {
  if (plan.code.kind === 'wgsl') return plan.code.shaders;
  throw new RuntimeError(
    'wrong-target',
    `plan \`${plan.name}\` was compiled for ${plan.target}, not for webgpu`,
    'compile it with the target `webgpu`',
    { plan: plan.name, target: plan.target },
  );
}

/** Memory that all plans of a session share, as only one runs at a time. */
export interface Shared {
  readonly stores: Stores;
  /** As large as the largest plan needs. */
  readonly arena: GPUBuffer | undefined;
}

export class Reserved {
  /** Elements every buffer has room for. */
  readonly capacity: readonly number[];
  /** Words that the uniform buffer has room for. */
  readonly words: number;
  /** Bytes of the arena that it uses. */
  readonly arena: number;
  readonly #uniform: GPUBuffer | undefined;
  /** Outputs have a buffer of their own: they outlive the next run of another plan. */
  readonly #outputs: GPUBuffer | undefined;
  readonly #offsets: readonly number[];
  readonly #bytes: readonly number[];
  readonly #plan: Plan;
  readonly #compiled: Compiled;
  #places: readonly Place[] = [];
  #groups: readonly GPUBindGroup[] = [];
  #written: Uint32Array | undefined;
  #clocks: readonly number[] = [];

  /** Creates GPU objects: call within `Gpu.guarded`. Not bound to memory yet: `bindTo`. */
  constructor(gpu: Gpu, plan: Plan, compiled: Compiled, capacity: readonly number[], words: number) {
    this.#plan = plan;
    this.words = words;
    this.#compiled = compiled;
    this.capacity = capacity;
    this.#bytes = capacity.map((n, i) => sizeInBytes(plan.buffers[i]!.dtype, n));
    const limit = gpu.device.limits.maxStorageBufferBindingSize;
    const tooLarge = this.#bytes.findIndex((n) => n > limit);
    if (tooLarge >= 0)
      throw outOfMemory(
        `\`${plan.buffers[tooLarge]!.name}\``,
        `at most ${limit} bytes can be bound`,
        this.#bytes[tooLarge],
      );
    const { offsets, total } = planArena(transients(plan), this.#bytes, ALIGNMENT);
    this.arena = total;
    let outputs = 0;
    const apart = new Map<number, number>();
    for (const b of outputBuffers(plan)) {
      apart.set(b, outputs);
      outputs += roomOf(this.#bytes[b]!, ALIGNMENT);
    }
    this.#offsets = offsets.map((at, i) => apart.get(i) ?? at);
    this.#outputs = outputs > 0 ? gpu.buffer(`${plan.name} outputs`, outputs, STORAGE_USAGE) : undefined;
    const size = uniformBytes(plan);
    this.#uniform = size > 0 ? gpu.buffer(`${plan.name} dims`, words * WORD, UNIFORM_USAGE) : undefined;
  }

  /** Makes the bind groups, also anew when the arena is another. */
  bindTo(gpu: Gpu, { stores, arena }: Shared): void {
    const plan = this.#plan;
    const apart = outputBuffers(plan);
    this.#places = plan.buffers.map(({ place }, i) =>
      place.kind === 'store'
        ? stores.place(place.store)
        : {
            buffer: apart.has(i) ? this.#outputs! : arena!,
            offset: this.#offsets[i]!,
            size: boundBytes(this.#bytes[i]!),
          },
    );
    const uniform = this.#uniform;
    const dims = uniform ? [{ buffer: uniform, offset: 0, size: uniformBytes(plan) }] : [];
    this.#groups = plan.dispatches.map((d, i) =>
      gpu.bindGroup(d.name, this.#compiled.layouts[i]!, [...d.buffers.map((b) => this.#places[b]!), ...dims]),
    );
  }

  /** Bytes of what is its own. */
  get size(): number {
    return (this.#outputs?.size ?? 0) + (this.#uniform?.size ?? 0);
  }

  place(buffer: number): Place {
    return this.#places[buffer]!;
  }

  fits(bound: Bound): boolean {
    return bound.words.length <= this.words && bound.sizes.every((n, i) => n <= this.capacity[i]!);
  }

  /** Encodes and submits one run; `clocks` in the order of the plan. */
  submit(gpu: Gpu, bound: Bound, clocks: readonly number[]): void {
    const { queue } = gpu.device;
    const { pipelines } = this.#compiled;
    const uniform = this.#uniform;
    const isNew = this.#written !== bound.words || clocks.some((c, i) => c !== this.#clocks[i]);
    if (uniform && isNew) {
      for (const at of bound.clocks) bound.words.set(clocks, at);
      queue.writeBuffer(uniform, 0, bound.words);
      this.#written = bound.words;
      this.#clocks = clocks;
    }
    const encoder = gpu.device.createCommandEncoder({ label: this.#plan.name });
    const pass = encoder.beginComputePass();
    bound.steps.forEach(({ dispatch: i, at }) => {
      const [x, y, z] = bound.workgroups[i]!;
      if (x === 0 || y === 0 || z === 0) return;
      pass.setPipeline(pipelines[i]!);
      pass.setBindGroup(0, this.#groups[i]!, uniform ? [at] : []);
      pass.dispatchWorkgroups(x, y, z);
      gpu.stats.dispatches++;
    });
    pass.end();
    queue.submit([encoder.finish()]);
    gpu.stats.submits++;
  }

  close(): void {
    this.#outputs?.destroy();
    this.#uniform?.destroy();
  }
}
