/** What a device looks like to the rest of the runtime: one loaded program, its runs, and its stored tensors. */
import type { Program } from '../compiler/plan.ts';

export type Dims = Readonly<Record<string, number>>;

/** bool travels as Uint32Array of 0 and 1. */
export type Data = Float32Array | Int32Array | Uint32Array;

export type Backend = 'wasm' | 'webgpu' | 'reference';

/** One Program loaded on one device. Every method throws RuntimeError for a caller's mistake. */
export interface Session {
  readonly device: string;
  readonly program: Program;
  /**
   * The largest dims a plan will be run with; allocates. Later runs with smaller or equal dims allocate nothing.
   * `run` calls it when needed.
   */
  reserve(plan: string, dims: Dims): Promise<void>;
  /**
   * Enqueues one run. Inputs are copied before it returns. Clocks (step, epoch, seed …) that are not given are 0.
   * Returns nothing to wait for on wasm when the dims are reserved.
   */
  run(
    plan: string,
    dims: Dims,
    inputs: Readonly<Record<string, Data>>,
    clocks?: Readonly<Record<string, number>>,
  ): void | Promise<void>;
  /** An output of the last run of that plan, as a fresh copy. */
  output(plan: string, name: string): Promise<Data>;
  /** A stored tensor by path, as a fresh copy. */
  read(path: string): Promise<Data>;
  write(path: string, data: Data): Promise<void>;
  /**
   * Bytes it has taken of the device so far for tensors, dimensions and scratch; `footprint` predicts them. What is on the
   * way to the host is not counted. Nothing where that is not known (the reference).
   */
  allocated(): number | undefined;
  close(): void;
}
