/** Finding a WebGPU device: the browser's, or in Node that of the optional package `webgpu` (Dawn). */
import type * as Webgpu from 'webgpu';
import { isSoftware, nameOf } from './webgpu/adapter.ts';
import { GpuDevice } from './webgpu/device.ts';

export { GpuDevice } from './webgpu/device.ts';
export type { GpuStats } from './webgpu/gpu.ts';
export type { Shapes } from './webgpu/tune.ts';
export { canTime, timeShapes, withShapes } from './webgpu/tune.ts';
export { WebgpuSession } from './webgpu/session.ts';

export interface WebgpuOptions {
  /** Where to look instead. */
  readonly gpu?: GPU;
  /** Take adapters that compute on the CPU too: they are for tests. */
  readonly allowSoftware?: boolean;
}

/** Opens a GPU, or says why there is none. Throws nothing for a machine without one. */
export async function openWebgpu(
  options: WebgpuOptions = {},
): Promise<GpuDevice | { readonly reason: string }> {
  const gpu = options.gpu ?? (await findGpu());
  if ('reason' in gpu) return gpu;
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return { reason: 'no WebGPU adapter was found' };
    const name = nameOf(adapter.info);
    if (!options.allowSoftware && isSoftware(adapter.info)) return { reason: `${name} computes on the CPU` };
    const requiredFeatures = (['shader-f16', 'subgroups', 'timestamp-query'] as const).filter((f) =>
      adapter.features.has(f),
    );
    const device = await adapter.requestDevice({ requiredLimits: raised(adapter.limits), requiredFeatures });
    return new GpuDevice(gpu, adapter, device, `webgpu (${name})`);
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** As much as the adapter has of what programs may need more of than every device grants. */
function raised(limits: GPUSupportedLimits): Record<string, number> {
  const { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize } = limits;
  return { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize };
}

async function findGpu(): Promise<GPU | { readonly reason: string }> {
  if (typeof navigator !== 'undefined' && 'gpu' in navigator && navigator.gpu) return navigator.gpu;
  if (typeof process === 'undefined' || !process.versions?.node)
    return { reason: 'this browser has no WebGPU' };
  try {
    return await dawn();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { reason: `the optional package \`webgpu\` does not load: ${why}` };
  }
}

/**
 * Workgroup memory is not cleared before a kernel: none reads what it did not write, and SwiftShader makes an instruction for
 * every element of it, which takes many times as long to compile as the kernel itself.
 */
const uninitialised = 'enable-dawn-features=disable_workgroup_init';

// Dawn crashes when its instance is collected: one is kept for the life of the process.
let instance: Promise<GPU> | undefined;

function dawn(): Promise<GPU> {
  // Not a literal, so that bundlers for browsers do not look for it.
  const name = 'webgpu';
  instance ??= (import(/* @vite-ignore */ name) as Promise<typeof Webgpu>).then(({ create }) =>
    create([uninitialised]),
  );
  return instance;
}
