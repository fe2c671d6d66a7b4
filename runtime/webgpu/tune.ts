/** Finds out which shape of a kernel is fastest on a device, with timestamps of the GPU's own clock. */
import type { Dispatch, Plan } from '../../compiler/plan.ts';
import type { Dims } from '../device.ts';
import { evalSize } from '../size.ts';
import type { Gpu } from './gpu.ts';
import { bind, shadersOf, uniformBytes } from './reserved.ts';
import { boundBytes, sizeInBytes, STORAGE_USAGE } from './stores.ts';

const QUERY_RESOLVE = 0x200;
const COPY_FROM = 0x4;
const COPY_TO = 0x8;
const MAP_READ = 0x1;
const UNIFORM = 0x40;
const FOR_READING = 1;

/** A shape is timed so often, by so many runs at once (clocks are coarse), and the best time counts. */
const ROUNDS = 3;
const RUNS = 4;
/** Another shape has to be so much faster: what is nearer is noise. */
const GAIN = 0.95;

/** For each dispatch of a plan the shape to take: 0 the plan's own, i its variant i - 1. */
export type Shapes = readonly number[];

/** Whether the device tells how long a kernel took. */
export const canTime = (gpu: Gpu): boolean => gpu.device.features.has('timestamp-query');

/**
 * Times every kernel that has variants, on buffers of its own of the sizes that `dims` give. Kernels that are alike are timed once.
 */
export async function timeShapes(gpu: Gpu, plan: Plan, dims: Dims): Promise<Shapes> {
  const timer = new Timer(gpu, plan, dims);
  const known = new Map<string, number>();
  const shapes: number[] = [];
  try {
    for (const [i, d] of plan.dispatches.entries()) {
      if (!d.variants) {
        shapes.push(0);
        continue;
      }
      const found = known.get(d.entry) ?? (await timer.best(d, i));
      known.set(d.entry, found);
      shapes.push(found);
    }
    return shapes;
  } finally {
    timer.close();
  }
}

/** The plan with these shapes of its kernels, and without the others. */
export function withShapes(plan: Plan, shapes: Shapes): Plan {
  const dispatches = plan.dispatches.map(({ variants, ...d }, i): Dispatch => {
    const variant = variants?.[(shapes[i] ?? 0) - 1];
    return variant ? { ...d, ...variant } : d;
  });
  const used = new Set(dispatches.map((d) => d.entry));
  const shaders = Object.entries(shadersOf(plan)).filter(([entry]) => used.has(entry));
  return { ...plan, dispatches, code: { kind: 'wgsl', shaders: Object.fromEntries(shaders) } };
}

class Timer {
  readonly #gpu: Gpu;
  readonly #plan: Plan;
  readonly #dims: Dims;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #read: GPUBuffer;

  constructor(gpu: Gpu, plan: Plan, dims: Dims) {
    this.#gpu = gpu;
    this.#plan = plan;
    this.#dims = dims;
    this.#queries = gpu.device.createQuerySet({ type: 'timestamp', count: 2 });
    this.#resolved = gpu.buffer('times', 16, QUERY_RESOLVE | COPY_FROM);
    this.#read = gpu.buffer('times to read', 16, MAP_READ | COPY_TO);
  }

  /** The number of the fastest shape of a dispatch. */
  async best(d: Dispatch, index: number): Promise<number> {
    const shapes = [
      { entry: d.entry, workgroups: d.workgroups ?? ([0, 0, 0] as const) },
      ...(d.variants ?? []),
    ];
    const { group, layout, at, close } = await this.#gpu.guarded(`timing \`${d.name}\``, () =>
      this.#bind(d, index),
    );
    try {
      const pipelines = await Promise.all(
        shapes.map(({ entry }) => this.#gpu.pipeline(entry, shadersOf(this.#plan)[entry] ?? '', layout)),
      );
      const times: number[] = [];
      for (const [i, pipeline] of pipelines.entries()) {
        const [x, y, z] = shapes[i]!.workgroups.map((size) => evalSize(size, this.#dims));
        let least = Infinity;
        // The first round is not counted: memory is cold.
        for (let round = 0; round <= ROUNDS; round++) {
          const time = await this.#time(pipeline, group, at, [x!, y!, z!]);
          if (round > 0) least = Math.min(least, time);
        }
        times.push(least);
      }
      const fastest = times.indexOf(Math.min(...times));
      return times[fastest]! < GAIN * times[0]! ? fastest : 0;
    } finally {
      close();
    }
  }

  #bind(d: Dispatch, index: number) {
    const gpu = this.#gpu;
    const { sizes, words, steps } = bind(this.#plan, this.#dims);
    const buffers = d.buffers.map((b) => {
      const { dtype } = this.#plan.buffers[b]!;
      return gpu.buffer(d.name, boundBytes(sizeInBytes(dtype, sizes[b]!)), STORAGE_USAGE);
    });
    const bytes = uniformBytes(this.#plan);
    const uniform = bytes > 0 ? gpu.buffer('dims', words.byteLength, UNIFORM | COPY_TO) : undefined;
    if (uniform) gpu.device.queue.writeBuffer(uniform, 0, words);
    const layout = gpu.layout(d.buffers.length, uniform !== undefined);
    const resources = [
      ...buffers.map((buffer) => ({ buffer })),
      ...(uniform ? [{ buffer: uniform, offset: 0, size: bytes }] : []),
    ];
    const group = gpu.bindGroup(d.name, layout, resources);
    const close = (): void => {
      for (const b of [...buffers, ...(uniform ? [uniform] : [])]) b.destroy();
    };
    const at = uniform ? [steps.find((s) => s.dispatch === index)?.at ?? 0] : [];
    return { group, layout, at, close };
  }

  /** Nanoseconds of some runs. */
  async #time(
    pipeline: GPUComputePipeline,
    group: GPUBindGroup,
    at: readonly number[],
    workgroups: readonly [number, number, number],
  ): Promise<number> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass({
      timestampWrites: { querySet: this.#queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
    });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group, [...at]);
    for (let i = 0; i < RUNS; i++) pass.dispatchWorkgroups(...workgroups);
    pass.end();
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#read, 0, 16);
    device.queue.submit([encoder.finish()]);
    await this.#gpu.waitFor(this.#read.mapAsync(FOR_READING));
    const [begin = 0n, end = 0n] = new BigUint64Array(this.#read.getMappedRange().slice(0));
    this.#read.unmap();
    return Number(end - begin);
  }

  close(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#read.destroy();
  }
}
