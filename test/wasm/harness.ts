import { expect } from 'vitest';
import type { Mode } from '../../compiler/backend/wasm/contract/tiles.ts';
import { type EmitOptions, emitWasm } from '../../compiler/backend/wasm/index.ts';
import type { Axis, Ex, Kernel } from '../../compiler/kernel/kernel.ts';
import type { Poly } from '../../compiler/shape/poly.ts';
import { constant, evaluate, symbol } from '../../compiler/shape/poly.ts';
import type { DType, ScalarOp } from '../../compiler/ir/ops.ts';
import { supportsRelaxedSimd } from '../../runtime/wasm.ts';
import { evaluateKernel } from '../support/kernel-eval.ts';

export type Buffer = Float32Array | Int32Array | Uint32Array;

/** What most plans are asked for. */
export const fused: Mode = { relaxed: true, wide: false };

export const modes: readonly boolean[] = supportsRelaxedSimd() ? [false, true] : [false];

// ---------------------------------------------------------------- building kernels

export const dim = (p: Poly | number | string): Poly =>
  typeof p === 'number' ? constant(p) : typeof p === 'string' ? symbol(p) : p;
export const axis = (name: string, extent: Poly | number | string): Axis => ({ name, extent: dim(extent) });
export const load = (
  buffer: number,
  offset: Poly | number | string,
  dtype: DType = 'f32',
  extra: Partial<Extract<Ex, { kind: 'load' }>> = {},
): Ex => ({
  kind: 'load',
  dtype,
  buffer,
  offset: dim(offset),
  guard: [],
  fill: 0,
  data: [],
  ...extra,
});
export const op = (fn: ScalarOp, dtype: DType, ...args: Ex[]): Ex => ({ kind: 'op', fn, dtype, args });
export const float = (value: number): Ex => ({ kind: 'const', dtype: 'f32', value });
export const local = (name: string, dtype: DType = 'f32'): Ex => ({ kind: 'local', dtype, name });

// ---------------------------------------------------------------- running them

const align = (n: number): number => (n + 63) & ~63;
const canary = 0x7fc0beef;

export interface RunOptions {
  readonly relaxed: boolean;
  /** Units a call runs; all at once if not given. */
  readonly split?: number;
  /** Only the first so many units run. */
  readonly units?: number;
  /** Threads for which the code is made. */
  readonly threads?: number;
}

/** Runs kernels on copies of `buffers` and gives the copies; fails when anything around a buffer was written. */
export function runWasm(
  kernels: readonly Kernel[],
  buffers: readonly Buffer[],
  dims: Readonly<Record<string, number>>,
  { relaxed, split, units, threads = 4 }: RunOptions,
): Buffer[] {
  return prepare(kernels, buffers, dims, { relaxed, threads })(split, units);
}

function prepare(
  kernels: readonly Kernel[],
  buffers: readonly Buffer[],
  dims: Readonly<Record<string, number>>,
  options: EmitOptions,
): (split?: number, most?: number) => Buffer[] {
  const names = Object.keys(dims);
  const emitted = emitWasm(kernels, names, buffers.length, options);
  const value = (name: string): number => dims[name] ?? NaN;
  const env: Record<string, WebAssembly.Memory | WebAssembly.Global> = {};
  const global = (at: number, mutable: boolean) => new WebAssembly.Global({ value: 'i32', mutable }, at);
  const offsets: number[] = [];
  let next = 128;
  for (const [i, b] of buffers.entries()) {
    offsets.push(next);
    env[`b${i}`] = global(next, false);
    next = align(next + b.byteLength) + 64;
  }
  env['scratch'] = global(align(next), false);
  const end = align(next) + evaluate(emitted.scratchBytes, value) + 128;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(end / 65536) });
  env['memory'] = memory;
  names.forEach((name, i) => (env[`d${i}`] = global(dims[name]!, true)));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(emitted.bytes as BufferSource), {
    env,
  });
  const view = (b: Buffer, i: number): Buffer =>
    new (b.constructor as Float32ArrayConstructor)(memory.buffer as ArrayBuffer, offsets[i]!, b.length);
  return (split, most = Infinity) => {
    new Int32Array(memory.buffer).fill(canary);
    buffers.forEach((b, i) => view(b, i).set(b));
    for (const { special, ...usual } of emitted.entries) {
      const { entry, units } = special && dims[special.dim] === special.value ? special : usual;
      const total = Math.min(most, evaluate(units, value));
      const step = split ?? Math.max(1, total);
      const run = exports[entry] as (begin: number, end: number, thread: number, again: number) => void;
      for (let u = 0; u < total; u += step) run(u, Math.min(total, u + step), 0, u > 0 ? 1 : 0);
    }
    const words = new Int32Array(memory.buffer);
    buffers.forEach((b, i) => {
      const [before, after] = [offsets[i]! / 4 - 1, offsets[i]! / 4 + b.length];
      expect(words[before], `before buffer ${i}`).toBe(canary);
      expect(words[after], `after buffer ${i}`).toBe(canary);
    });
    return buffers.map((b, i) => view(b, i).slice());
  };
}

export const copies = (buffers: readonly Buffer[]): Buffer[] => buffers.map((b) => b.slice());

export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

export const tight: Tolerance = { relative: 2e-6, absolute: 1e-6 };

export function expectClose(
  found: readonly Buffer[],
  expected: readonly Buffer[],
  t: Tolerance = tight,
): void {
  expected.forEach((e, i) => {
    e.forEach((x, j) => {
      const y = found[i]![j]!;
      if (Object.is(x, y) || x === y) return;
      const isClose = Math.abs(x - y) <= t.absolute + t.relative * Math.abs(x);
      if (!isClose) expect.fail(`buffer ${i} element ${j}: ${y} should be ${x}`);
    });
  });
}

/** Wasm against the oracle in every mode, whole and split; split runs and wide register tiles must give the same bits. */
export function check(
  kernel: Kernel,
  buffers: readonly Buffer[],
  dims: Readonly<Record<string, number>> = {},
  tolerance: Tolerance = tight,
): void {
  const expected = copies(buffers);
  evaluateKernel(
    kernel,
    dims,
    kernel.buffers.map((b) => expected[b.buffer]!),
  );
  for (const relaxed of modes) {
    const run = prepare([kernel], buffers, dims, { relaxed });
    const whole = run();
    expectClose(whole, expected, tolerance);
    for (const split of [1, 3]) expectSame(run(split), whole, 'splitting the units');
    if (kernel.kind === 'contract')
      expectSame(prepare([kernel], buffers, dims, { relaxed, wide: true })(), whole, 'a wide register tile');
  }
}

function expectSame(found: readonly Buffer[], wanted: readonly Buffer[], what: string): void {
  const bits = (b: Buffer): Uint32Array => new Uint32Array(b.buffer, b.byteOffset, b.length);
  found.forEach((b, i) => {
    const [x, y] = [bits(b), bits(wanted[i]!)];
    x.forEach((value, j) => {
      if (value !== y[j])
        expect.fail(`buffer ${i} element ${j}: ${what} changes ${wanted[i]![j]} to ${b[j]}`);
    });
  });
}

/** Deterministic numbers in [-1, 1). */
export function floats(length: number, seed = 1): Float32Array {
  let state = (seed * 2654435761) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
