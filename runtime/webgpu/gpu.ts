/** One WebGPU device: objects made on it and counted, pipelines, and what went wrong. */
import { RuntimeError } from '../errors.ts';
import { isSoftware, workgroupsOf } from './adapter.ts';

/** What was done since the device was opened; in steady state only `dispatches` and `submits` grow. */
export interface GpuStats {
  dispatches: number;
  submits: number;
  buffersCreated: number;
  pipelinesCreated: number;
  bindGroupsCreated: number;
}

const COMPUTE = 4;

export class Gpu {
  /** What to call it: `webgpu (nvidia ampere)`. */
  readonly name: string;
  readonly device: GPUDevice;
  readonly stats: GpuStats = {
    dispatches: 0,
    submits: 0,
    buffersCreated: 0,
    pipelinesCreated: 0,
    bindGroupsCreated: 0,
  };
  // Dawn crashes when the instance or the adapter is collected before the device.
  readonly instance: GPU;
  readonly adapter: GPUAdapter;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  #problem: Error | undefined;
  #closed = false;

  constructor(instance: GPU, adapter: GPUAdapter, device: GPUDevice, name: string) {
    this.instance = instance;
    this.adapter = adapter;
    this.device = device;
    this.name = name;
    void device.lost.then((info) => {
      this.#problem ??= this.#closed
        ? new RuntimeError('closed', 'the device is closed', 'open a new one')
        : new RuntimeError(
            'device-lost',
            `the GPU was lost: ${info.message || info.reason}`,
            'start again, from the last checkpoint if there is one',
            { reason: info.reason },
          );
    });
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#problem ??= problemOf(event.error);
    });
  }

  /** So many workgroups keep it busy: what programs for it are compiled for. */
  get workgroups(): number {
    return workgroupsOf(this.adapter.info);
  }

  /** A driver that computes on the CPU: programs for it are compiled otherwise. */
  get isSoftware(): boolean {
    return isSoftware(this.adapter.info);
  }

  /** Programs for it may reduce by subgroups. */
  get subgroups(): boolean {
    return this.device.features.has('subgroups');
  }

  /** Throws what went wrong since the last look, if anything did. */
  check(): void {
    if (this.#problem) throw this.#problem;
    if (this.#closed) throw new RuntimeError('closed', 'the device is closed', 'open a new one');
  }

  /** Waits for `work`; when it fails as the device was lost or closed, says so. */
  async waitFor<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      // The loss is reported a moment after what it breaks.
      await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
      this.check();
      throw error;
    }
  }

  /**
   * Runs `work`, which creates objects of the device. Throws RuntimeError `out-of-memory` when there is not enough; what
   * the device finds invalid is a bug of ours and thrown as such.
   */
  async guarded<T>(what: string, work: () => T): Promise<T> {
    this.device.pushErrorScope('validation');
    this.device.pushErrorScope('out-of-memory');
    let result: T;
    try {
      result = work();
    } finally {
      const [memory, invalid] = [this.device.popErrorScope(), this.device.popErrorScope()];
      const errors = await this.waitFor(Promise.all([memory, invalid]));
      if (errors[0]) throw outOfMemory(what, errors[0].message);
      if (errors[1]) throw new Error(`WebGPU refuses ${what}: ${errors[1].message}`);
    }
    return result;
  }

  buffer(label: string, size: number, usage: number): GPUBuffer {
    if (size > this.device.limits.maxBufferSize)
      throw outOfMemory(
        label,
        `a buffer of this device holds at most ${this.device.limits.maxBufferSize} bytes`,
        size,
      );
    this.stats.buffersCreated++;
    return this.device.createBuffer({ label, size, usage });
  }

  bindGroup(label: string, layout: GPUBindGroupLayout, resources: readonly GPUBufferBinding[]): GPUBindGroup {
    this.stats.bindGroupsCreated++;
    const entries = resources.map((resource, binding) => ({ binding, resource }));
    return this.device.createBindGroup({ label, layout, entries });
  }

  /** `buffers` read-write storage buffers, then a part of a uniform buffer, chosen at each dispatch. */
  layout(buffers: number, hasDims: boolean): GPUBindGroupLayout {
    const key = `${buffers} ${hasDims}`;
    const known = this.#layouts.get(key);
    if (known) return known;
    const entry = (binding: number, type: GPUBufferBindingType) => ({
      binding,
      visibility: COMPUTE,
      buffer: { type, hasDynamicOffset: type === 'uniform' },
    });
    const entries = Array.from({ length: buffers }, (_, i) => entry(i, 'storage'));
    if (hasDims) entries.push(entry(buffers, 'uniform'));
    const made = this.device.createBindGroupLayout({ entries });
    this.#layouts.set(key, made);
    return made;
  }

  /** The pipeline of a shader, compiled once for each text. A text that does not compile is a bug of ours. */
  pipeline(label: string, code: string, layout: GPUBindGroupLayout): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(code);
    if (known) return known;
    const made = this.#compile(label, code, layout);
    this.#pipelines.set(code, made);
    return made;
  }

  async #compile(label: string, code: string, layout: GPUBindGroupLayout): Promise<GPUComputePipeline> {
    this.stats.pipelinesCreated++;
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ label, code });
    const invalid = this.device.popErrorScope();
    try {
      await this.waitFor(invalid);
      return await this.device.createComputePipelineAsync({
        label,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
    } catch (error) {
      const info = await this.waitFor(module.getCompilationInfo());
      const messages = info.messages.map((m) => `${m.lineNum}:${m.linePos} ${m.message}`);
      throw new Error(
        `the shader of \`${label}\` does not compile: ${messages.join('; ') || String(error)}`,
        {
          cause: error,
        },
      );
    }
  }

  /** Destroys the device and everything on it, so that the process can end. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.device.destroy();
  }
}

function problemOf(error: GPUError): Error {
  return /out of memory/i.test(error.message) || error.constructor.name === 'GPUOutOfMemoryError'
    ? outOfMemory('the GPU', error.message)
    : new Error(`WebGPU: ${error.message}`);
}

export function outOfMemory(what: string, why: string, bytes?: number): RuntimeError {
  const wanted = bytes === undefined ? '' : ` of ${bytes} bytes`;
  return new RuntimeError(
    'out-of-memory',
    `not enough GPU memory for ${what}${wanted}: ${why}`,
    'use a smaller batch or model',
    { what, bytes },
  );
}

/** What a GPU is asked before a program runs on it. */
export interface Abilities extends Pick<Gpu, 'name' | 'subgroups'> {
  readonly device: Pick<GPUDevice, 'features'>;
}

/** @throws RuntimeError `unsupported-dtype` (E0908) when the device cannot compute in f16 */
export function needHalf({ device, name }: Abilities): void {
  if (device.features.has('shader-f16')) return;
  throw new RuntimeError(
    'unsupported-dtype',
    `the program computes in f16, which ${name} cannot do (it lacks \`shader-f16\`)`,
    'take another GPU, the backend `reference`, or f32 (no `precision: "mixed"`)',
    { device: name },
  );
}

/** @throws RuntimeError `no-device` when the program was compiled for a GPU with subgroups and this one has none */
function needSubgroups({ subgroups, name }: Abilities): void {
  if (subgroups) return;
  throw new RuntimeError(
    'no-device',
    `the program was compiled for a GPU with subgroups, which ${name} does not have`,
    'compile it for this GPU, or use the backend `wasm`',
    { device: name },
  );
}

/** What shaders may enable, and whether the device has it. */
const needed = [
  ['f16', needHalf],
  ['subgroups', needSubgroups],
] as const;

/** @throws RuntimeError when the shaders enable what the device does not have */
export function needFeatures(gpu: Abilities, shaders: readonly string[]): void {
  for (const [feature, need] of needed) if (shaders.some((text) => enables(text, feature))) need(gpu);
}

/** `enable` directives come first in a module. */
const enables = (text: string, feature: string): boolean =>
  new RegExp(`^(enable \\w+;\\s*)*enable ${feature};`).test(text);
