/** Whether this engine has relaxed SIMD (f32x4.relaxed_madd), switched on where a flag is still needed. */

/** A module with one function: v128.const 0, three times, f32x4.relaxed_madd. */
function probe(): Uint8Array<ArrayBuffer> {
  const zero = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];
  const body = [0, ...zero, ...zero, ...zero, 0xfd, 0x85, 0x02, 0x0b];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 5, 1, 0x60, 0, 1, 0x7b],
    ...[3, 2, 1, 0],
    ...[10, body.length + 2, 1, body.length, ...body],
  ]);
}

interface V8 {
  setFlagsFromString(flags: string): void;
}

/** Node's v8 module where it can be had without an import that a browser's bundler would stumble over. */
function v8OfNode(): V8 | undefined {
  const host = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return host?.getBuiltinModule?.('node:v8') as V8 | undefined;
}

/** The first Node whose V8 pairs vectors reliably. */
const firstPairing = 24;

/**
 * Asks the engine to run pairs of vectors as one of 256 bits, in modules that are compiled from now on. False where it cannot;
 * whether it does, and how well, is for a measurement to say.
 */
export function requestPairing(): boolean {
  const version = (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node;
  if (!(Number.parseInt(version ?? '0', 10) >= firstPairing)) return false;
  v8OfNode()?.setFlagsFromString('--experimental-wasm-revectorize');
  return true;
}

/** Node 20 has relaxed SIMD behind a flag that may be set at run time, before modules are compiled. It stays set. */
export function supportsRelaxedSimd(): boolean {
  if (WebAssembly.validate(probe())) return true;
  v8OfNode()?.setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(probe());
}

/**
 * Runs `act` with relaxed SIMD switched on where that takes a flag: modules that are compiled in it keep it. It is told whether
 * the engine has it. Under other flags than Node's own code was compiled with, Node loads that code without its cache: a thread
 * took 60 ms to start instead of 28.
 */
export function withRelaxedSimd<T>(act: (isThere: boolean) => T): T {
  if (WebAssembly.validate(probe())) return act(true);
  const v8 = v8OfNode();
  if (!v8) return act(false);
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  try {
    return act(WebAssembly.validate(probe()));
  } finally {
    v8.setFlagsFromString('--no-experimental-wasm-relaxed-simd');
  }
}

/** Whether modules compiled by `withRelaxedSimd` may have it. */
export const hasRelaxedSimd = (): boolean => withRelaxedSimd((isThere) => isThere);
