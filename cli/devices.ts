/** Chooses where to compute. WebGPU's code is imported when it is needed, as it takes long to load. */
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import type { Plan, Program, Target } from '../compiler/plan.ts';
import type { Dims, Session } from '../runtime/device.ts';
import type { Shapes } from '../runtime/webgpu/tune.ts';
import { problem } from '../runtime/problems.ts';
import { openReference } from '../runtime/reference.ts';
import { hasRelaxedSimd, openWasm, requestPairing, startThreads } from '../runtime/wasm.ts';
import { PlanCache } from './cache.ts';
import type { BackendChoice } from './options.ts';

/** What an engine is given code for. */
export interface WasmEngine {
  /** With relaxed SIMD. */
  readonly relaxed: boolean;
  /** With wide register tiles. */
  readonly wide: boolean;
}

/** Code that every engine has the same results of. */
export const anyEngine: WasmEngine = { relaxed: false, wide: false };

/** A device before its program: the compiler needs to know what it compiles for. `WasmEngine`: of Wasm only. */
export interface Chosen extends WasmEngine {
  readonly target: Target;
  /** WebGPU only: so many workgroups keep it busy. */
  readonly workgroups?: number;
  /** WebGPU only: a driver that computes on the CPU. */
  readonly isSoftware?: boolean;
  /** WebGPU only: the device has the feature `subgroups`. */
  readonly subgroups?: boolean;
  readonly threads: number;
  /** WebGPU only: times the shapes of a plan's kernels; undefined where the device has no clock to time them with. */
  readonly timeShapes?: ((plan: Plan, dims: Dims) => Promise<Shapes>) | undefined;
  /** One line about the choice; `auto` says why. */
  readonly about: string;
  readonly load: (program: Program) => Promise<Session>;
  readonly close: () => void;
}

/**
 * `auto` takes a real GPU, else Wasm. A named device that is not there is an error, never replaced by another.
 * @throws RuntimeError E0901
 */
export async function chooseDevice(choice: BackendChoice, threads: number | undefined): Promise<Chosen> {
  switch (choice) {
    case 'reference':
      return reference();
    case 'wasm':
      return await wasm(threads, 'wasm');
    case 'webgpu': {
      const found = await webgpu(true);
      if ('reason' in found)
        throw problem('E0901', {
          reason: `there is no WebGPU device: ${found.reason}`,
          mend: '--backend auto takes Wasm where there is no GPU',
        });
      return found;
    }
    case 'auto': {
      const found = mayHaveGpu() ? await webgpu(false) : { reason: 'this machine shows none' };
      return 'reason' in found ? await wasm(threads, `wasm (no GPU: ${found.reason})`) : found;
    }
  }
}

/** Spares the loading of WebGPU where the kernel shows no GPU at all (Linux: DRM, NVIDIA, WSL). */
function mayHaveGpu(): boolean {
  return (
    process.platform !== 'linux' ||
    ['/dev/dri', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path))
  );
}

function reference(): Chosen {
  return {
    target: 'reference',
    ...anyEngine,
    threads: 1,
    about: 'reference (float64, slow)',
    load: (program) => Promise.resolve(openReference(program)),
    close: () => undefined,
  };
}

/** More than that seldom helps: the gradient of a weight is cut into few pieces. */
const mostThreads = 4;

/** Threads of the wasm backend where nobody says how many. */
export const defaultThreads = (): number => Math.min(mostThreads, availableParallelism());

async function wasm(wanted: number | undefined, name: string): Promise<Chosen> {
  const threads = wanted ?? defaultThreads();
  const about = threads > 1 ? `${name}, ${threads} threads` : name;
  const engine = await wasmEngine();
  // They start while the task is compiled, or read from the cache: at once, not when this thread first waits.
  const pool = startThreads(threads);
  await pool.catch(() => undefined);
  return {
    target: 'wasm',
    ...engine,
    threads,
    about,
    load: async (program) => await openWasm(program, { threads, pool }),
    close: () => void pool.then((p) => p?.close()).catch(() => undefined),
  };
}

/** What code is made for that is run on this machine at once. */
export async function wasmEngine(): Promise<WasmEngine> {
  const relaxed = hasRelaxedSimd();
  return { relaxed, wide: requestPairing() && (await prefersWide(relaxed)) };
}

/** Measured once for an engine on a processor. */
async function prefersWide(relaxed: boolean): Promise<boolean> {
  const measure = async (): Promise<boolean> => (await import('./engine.ts')).prefersWideTiles(relaxed);
  const engine = ['wide tiles', process.versions.v8, process.arch, cpus()[0]?.model, relaxed];
  return (await PlanCache.open(process.env)?.measured(engine, measure)) ?? (await measure());
}

async function webgpu(allowSoftware: boolean): Promise<Chosen | { readonly reason: string }> {
  const { canTime, openWebgpu, timeShapes } = await import('../runtime/webgpu.ts');
  const device = await openWebgpu({ allowSoftware });
  if ('reason' in device) return device;
  return {
    target: 'webgpu',
    ...anyEngine,
    workgroups: device.workgroups,
    isSoftware: device.isSoftware,
    subgroups: device.subgroups,
    threads: 1,
    timeShapes: canTime(device) ? (plan, dims) => timeShapes(device, plan, dims) : undefined,
    about: device.name,
    load: async (program) => await device.load(program),
    close: () => device.close(),
  };
}
