/** What decides what a file is compiled to besides the file. */
import type { CompileOptions } from '../compiler/compile.ts';
import type { Settings } from '../compiler/check/index.ts';
import type { Chosen } from './devices.ts';
import { UsageError } from './exit.ts';

/** What of a command's options the compiler needs. */
export interface CompileSettings {
  readonly set?: Settings;
  readonly json?: boolean;
  /** Bytes. */
  readonly memory?: number;
  /** In place of the task's own. */
  readonly batch?: number;
}

export type CompileTarget = Pick<
  Chosen,
  'target' | 'relaxed' | 'wide' | 'workgroups' | 'isSoftware' | 'subgroups' | 'threads'
> & {
  /** WebGPU: kernels in several shapes. */
  readonly variants?: boolean;
};

/** @throws UsageError where the memory of a device is limited that has none of its own */
export function memoryOptions(
  { target, threads }: Pick<CompileTarget, 'target' | 'threads'>,
  { memory, batch }: CompileSettings,
): Pick<CompileOptions, 'memory' | 'threads' | 'batch'> {
  if (memory !== undefined && target === 'reference')
    throw new UsageError('--memory is for the backends wasm and webgpu');
  return { threads, ...(memory !== undefined && { memory }), ...(batch !== undefined && { batch }) };
}

/** All of it. */
export const decisive = (target: CompileTarget, settings: CompileSettings): readonly unknown[] => [
  target.target,
  target.relaxed,
  target.wide,
  target.workgroups ?? 1,
  target.isSoftware === true,
  target.subgroups === true,
  target.variants === true,
  settings.set ?? {},
  memoryOptions(target, settings),
];
