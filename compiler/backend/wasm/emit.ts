/** Kernels to one WebAssembly module. */
import { kernelKey } from '../../kernel/key.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Poly, Ranges } from '../../shape/poly.ts';
import { constant } from '../../shape/poly.ts';
import type { Func, I32, OwnGlobal } from './encoder.ts';
import { Module } from './encoder.ts';
import { Interner } from './intern.ts';
import type { Environment } from './levels.ts';
import { MathLibrary } from './math.ts';
import { printModule } from './print.ts';
import type { EmitContext } from './context.ts';
import { emitContract, singleRow } from './contract.ts';
import { i32 } from './instr.ts';
import { buildMicro } from './micro.ts';
import { emitRows, emitScatter } from './rows.ts';
import { IntegerLibrary } from './scalar-ops.ts';

export interface EmitOptions {
  /** Relaxed SIMD: multiply and add may fuse. Without it results are the same on every machine. */
  readonly relaxed: boolean;
  /** The engine runs pairs of vectors as one of 256 bits: register tiles are twice as wide. */
  readonly wide?: boolean;
  /** Import a shared memory, for threads. */
  readonly shared?: boolean;
}

export interface EmittedKernel {
  readonly entry: string;
  readonly units: Poly;
  /** What to run instead where the dimension has this value. */
  readonly special?: {
    readonly dim: string;
    readonly value: number;
    readonly entry: string;
    readonly units: Poly;
  };
}

export interface Emitted {
  readonly bytes: Uint8Array;
  /** In the order of the kernels. */
  readonly entries: readonly EmittedKernel[];
  /** For each thread. */
  readonly scratchBytes: Poly;
}

/**
 * Code for `kernels`. `dims` are the plan's dimensions in the order of the globals d0 …; `bufferCount` the number of its
 * buffers b0 …. Each kernel becomes an exported function (begin, end, thread) that runs units begin … end - 1; units never
 * write the same element, and results do not depend on how they are split.
 */
export function emitWasm(
  kernels: readonly Kernel[],
  dims: readonly string[],
  bufferCount: number,
  options: EmitOptions,
): Emitted {
  const emitter = new Emitter(dims, bufferCount, options);
  const entries = kernels.map((k) => emitter.kernel(k));
  return { bytes: emitter.module.encode(), entries, scratchBytes: constant(emitter.scratchBytes) };
}

/** The text of the code that `emitWasm` makes for these kernels; only of the named one if `name` is given. */
export function printWasm(
  kernels: readonly Kernel[],
  dims: readonly string[],
  bufferCount: number,
  options: EmitOptions,
  name?: string,
): string {
  const emitter = new Emitter(dims, bufferCount, options);
  for (const k of kernels) emitter.kernel(k);
  return printModule(emitter.module, name);
}

/** The code of a kernel over the buffers in `slots`. */
interface Body {
  readonly f: Func;
  readonly units: Poly;
}

const unitParams = [
  ['begin', 'i32'],
  ['end', 'i32'],
  ['thread', 'i32'],
] as const;

class Emitter {
  readonly module: Module;
  scratchBytes = 0;
  private readonly bases: readonly I32[];
  private readonly dims: ReadonlyMap<string, I32>;
  private readonly scratchBase: I32;
  /** Byte offsets of the buffers of the running kernel. */
  private readonly slots: OwnGlobal[] = [];
  private readonly bodies = new Map<string, Body>();
  private readonly micros = new Map<string, Func>();
  private readonly math: MathLibrary;
  private readonly integers: IntegerLibrary;

  constructor(
    dims: readonly string[],
    bufferCount: number,
    private readonly options: EmitOptions,
  ) {
    this.module = new Module({ shared: options.shared ?? false });
    this.bases = Array.from({ length: bufferCount }, (_, i) => this.module.importGlobal(`b${i}`, false).get);
    this.scratchBase = this.module.importGlobal('scratch', false).get;
    this.dims = new Map(dims.map((d, i) => [d, this.module.importGlobal(`d${i}`, true).get]));
    this.math = new MathLibrary(this.module, options.relaxed);
    this.integers = new IntegerLibrary(this.module);
  }

  /** The entry says which buffers, the body what is done to them: kernels that do the same share it. */
  kernel(k: Kernel): EmittedKernel {
    const single = k.kind === 'contract' ? singleRow(k) : undefined;
    const made = this.entry(k);
    return single ? { ...made, special: { ...this.entry(single.kernel), dim: single.dim, value: 1 } } : made;
  }

  private entry(k: Kernel): { readonly entry: string; readonly units: Poly } {
    const key = kernelKey(k);
    const body = this.bodies.get(key) ?? this.body(k);
    this.bodies.set(key, body);
    const f = this.module.func(k.name, unitParams, 'void', true);
    k.buffers.forEach((use, i) => f.body.push(this.slot(i).set(this.bases[use.buffer]!)));
    f.body.push(body.f.call('void', ...f.params.map((p) => p.get)));
    return { entry: k.name, units: body.units };
  }

  private slot(i: number): OwnGlobal {
    return (this.slots[i] ??= this.module.ownGlobal(`base${i}`));
  }

  private body(k: Kernel): Body {
    const f = this.module.func(`${k.name}.body`, unitParams, 'void');
    const context: EmitContext = {
      f,
      module: this.module,
      relaxed: this.options.relaxed,
      wide: this.options.wide ?? false,
      environment: (kernel, ranges, g = f) => this.environment(g, kernel, ranges),
      helper: (name, params) =>
        this.module.func(
          `${k.name}.${name}`,
          params.map((p) => [p, 'i32'] as const),
          'void',
        ),
      micro: (rows, vectors, used, pitch) => this.micro(rows, vectors, used, pitch),
      scratch: (thread, bytes) => this.scratch(thread, bytes),
    };
    return { f, units: this.units(k, context) };
  }

  private micro(rows: number, vectors: number, used: number, pitch = 16 * vectors): Func {
    const key = `${rows}x${used}/${vectors} ${pitch}`;
    const known = this.micros.get(key);
    if (known) return known;
    const made = buildMicro(this.module, { rows, vectors, used, pitch }, this.options.relaxed);
    this.micros.set(key, made);
    return made;
  }

  /** The threads' areas are as large as the largest of all kernels needs, which is known when the module is encoded. */
  private scratch(thread: I32, bytes: number): I32 {
    this.scratchBytes = Math.max(this.scratchBytes, Math.ceil(bytes / 64) * 64);
    const size = (): I32 => i32.const(this.scratchBytes);
    const perThread: I32 = {
      type: 'i32',
      args: [],
      get text() {
        return size().text;
      },
      get bytes() {
        return size().bytes;
      },
    };
    return i32.add(this.scratchBase, i32.mul(thread, perThread));
  }

  private units(k: Kernel, context: EmitContext): Poly {
    switch (k.kind) {
      case 'rows':
        return emitRows(k, context).units;
      case 'contract':
        return emitContract(k, context).units;
      case 'scatter':
        return emitScatter(k, context).units;
    }
  }

  private environment(f: Func, kernel: Pick<Kernel, 'buffers'>, ranges: Ranges): Environment {
    const written = new Set(kernel.buffers.filter((b) => b.mode !== 'read').map((b) => b.buffer));
    return {
      f,
      buffers: kernel.buffers,
      bases: kernel.buffers.map((_, i) => {
        const base = f.local('i32', `b${i}`);
        f.body.push(base.set(this.slot(i).get));
        return base.get;
      }),
      dims: this.dims,
      ranges,
      interner: new Interner((buffer) => written.has(kernel.buffers[buffer]?.buffer ?? -1)),
      math: this.math,
      integers: this.integers,
    };
  }
}
