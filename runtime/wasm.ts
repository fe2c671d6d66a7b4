/** The device `wasm`: SIMD WebAssembly on the CPU. */
import type { Program } from '../compiler/plan.ts';
import type { Session } from './device.ts';
import { type startThreads, WasmSession } from './wasm/session.ts';

export { hasRelaxedSimd, requestPairing, supportsRelaxedSimd } from './relaxed.ts';
export { startThreads } from './wasm/session.ts';

export interface WasmOptions {
  /** How many threads share each step; 1 if not given. Results do not depend on it. */
  readonly threads?: number;
  /** Operations of a run from which threads share it; by default as many as pay for waking them. */
  readonly shareFrom?: number;
  /** Threads that were started before, by `startThreads` and as many. */
  readonly pool?: ReturnType<typeof startThreads>;
}

/** Opens a program whose plans were compiled for `wasm`. Its modules are compiled when they are first run. */
export function openWasm(program: Program, { threads = 1, ...options }: WasmOptions = {}): Promise<Session> {
  return WasmSession.open(program, threads, options);
}
