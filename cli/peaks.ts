/** What this machine can do on one thread of WebAssembly, measured: floating point operations and bytes a second. */
import type { I32, Stmt, V128 } from '../compiler/backend/wasm/encoder.ts';
import { Module } from '../compiler/backend/wasm/encoder.ts';
import { brIf, f32x4, i32, loop, v128 } from '../compiler/backend/wasm/instr.ts';

export interface Peaks {
  /** Floating point operations a second, a multiply-add counting two. */
  readonly flops: number;
  /** Bytes a second, read and written together, of a copy that touches so many bytes; ascending. */
  readonly copies: readonly { readonly bytes: number; readonly rate: number }[];
}

/** Independent sums: enough to hide the latency of a multiplication and an addition, few enough for 16 registers. */
const chains = 12;
const rounds = 100_000;
const unrolled = 8;

/** From what fits the first-level cache to what fits none. */
const copySizes = [14, 16, 18, 20, 22, 24, 26].map((power) => 2 ** power);

/** Takes about half a second. */
export function measurePeaks(relaxed: boolean): Peaks {
  const memory = new WebAssembly.Memory({ initial: Math.max(...copySizes) / 65536 + 1 });
  const module = new WebAssembly.Module(benchmark(relaxed) as BufferSource);
  const { multiply, copy } = new WebAssembly.Instance(module, { env: { memory } }).exports as {
    readonly multiply: (rounds: number) => void;
    readonly copy: (from: number, to: number, rounds: number) => void;
  };
  const multiplying = best(() => multiply(rounds));
  return {
    flops: (rounds * chains * 4 * 2) / multiplying,
    copies: copySizes.map((bytes) => {
      const times = Math.max(1, 2 ** 22 / bytes);
      const seconds = best(() => {
        for (let i = 0; i < times; i++) copy(64, 64 + bytes / 2, bytes / 2 / (16 * unrolled));
      });
      return { bytes, rate: (bytes * times) / seconds };
    }),
  };
}

/** Seconds that `body` takes when nothing disturbs it. */
function best(body: () => void): number {
  let least = Infinity;
  for (const until = performance.now() + 60; performance.now() < until;) {
    const began = performance.now();
    body();
    least = Math.min(least, performance.now() - began);
  }
  return least / 1000;
}

/** Bytes a second of a copy that touches `bytes`, between the sizes that were measured. */
export function copyRate({ copies }: Peaks, bytes: number): number {
  const above = copies.findIndex((c) => c.bytes >= bytes);
  const high = copies[above];
  const low = copies[above - 1];
  if (!high) return copies.at(-1)?.rate ?? Infinity;
  if (!low) return high.rate;
  const part = Math.log(bytes / low.bytes) / Math.log(high.bytes / low.bytes);
  return low.rate + part * (high.rate - low.rate);
}

/** `multiply(rounds)` does nothing but multiply and add in registers, `copy(from, to, rounds)` copies 128 bytes a round. */
function benchmark(relaxed: boolean): Uint8Array {
  const module = new Module({ shared: false });
  const multiply = module.func('multiply', [['rounds', 'i32']], 'void', true);
  const sums = Array.from({ length: chains }, () => multiply.local('v128', 'sum'));
  const factor = multiply.local('v128', 'factor');
  const term = multiply.local('v128', 'term');
  const step = (sum: V128): V128 =>
    relaxed ? f32x4.relaxedMadd(sum, factor.get, term.get) : f32x4.add(f32x4.mul(sum, factor.get), term.get);
  const all = sums.map((s) => s.get).reduce((a, b) => f32x4.add(a, b));
  multiply.body.push(
    factor.set(f32x4.splatConst(0.5)),
    term.set(f32x4.splatConst(1)),
    loop(...sums.map((s) => s.set(step(s.get))), repeat(multiply.param(0))),
    v128.store(i32.const(0), all),
  );

  const params = ['from', 'to', 'rounds'].map((name) => [name, 'i32'] as const);
  const copy = module.func('copy', params, 'void', true);
  const [from, to, left] = [copy.param(0), copy.param(1), copy.param(2)];
  const moves = Array.from({ length: unrolled }, (_, i) =>
    v128.store(to.get, v128.load(from.get, 16 * i), 16 * i),
  );
  const next = (at: typeof from): Stmt => at.set(i32.add(at.get, i32.const(16 * unrolled)));
  copy.body.push(loop(...moves, next(from), next(to), repeat(left)));
  return module.encode();
}

/** Ends a loop after so many rounds. */
const repeat = (left: { get: I32; tee: (value: I32) => I32 }): Stmt =>
  brIf(0, left.tee(i32.sub(left.get, i32.const(1))));
