/** Kernels to one WebAssembly module. */
import type { ContractKernel, Kernel } from '../../kernel/kernel.ts';
import type { Poly, Ranges } from '../../shape/poly.ts';
import { constant } from '../../shape/poly.ts';
import type { Func, I32 } from './encoder.ts';
import { Module } from './encoder.ts';
import { Interner } from './intern.ts';
import type { Environment } from './lower.ts';
import { MathLibrary } from './math.ts';
import { printModule } from './print.ts';
import { emitRows, emitScatter } from './rows.ts';
import { IntegerLibrary } from './scalar-ops.ts';

export interface EmitOptions {
  /** Relaxed SIMD: multiply and add may fuse. Without it results are the same on every machine. */
  readonly relaxed: boolean;
  /** Import a shared memory, for threads. */
  readonly shared?: boolean;
}

export interface Emitted {
  readonly bytes: Uint8Array;
  /** In the order of the kernels. */
  readonly entries: readonly { readonly entry: string; readonly units: Poly }[];
  /** For each thread. */
  readonly scratchBytes: Poly;
}

/** What the emitters of the kernel kinds share: one exported function under construction, and the module's libraries. */
export interface EmitContext {
  readonly f: Func;
  readonly module: Module;
  readonly relaxed: boolean;
  environment(kernel: Pick<Kernel, 'buffers'>, ranges: Ranges): Environment;
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

class Emitter {
  readonly module: Module;
  scratchBytes = 0;
  private readonly bases: readonly I32[];
  private readonly dims: ReadonlyMap<string, I32>;
  private readonly math: MathLibrary;
  private readonly integers: IntegerLibrary;

  constructor(
    dims: readonly string[],
    bufferCount: number,
    private readonly options: EmitOptions,
  ) {
    this.module = new Module({ shared: options.shared ?? false });
    this.bases = Array.from({ length: bufferCount }, (_, i) => this.module.importGlobal(`b${i}`, false).get);
    this.module.importGlobal('scratch', false);
    this.dims = new Map(dims.map((d, i) => [d, this.module.importGlobal(`d${i}`, true).get]));
    this.math = new MathLibrary(this.module, options.relaxed);
    this.integers = new IntegerLibrary(this.module);
  }

  kernel(k: Kernel): { readonly entry: string; readonly units: Poly } {
    const f = this.module.func(
      k.name,
      [
        ['begin', 'i32'],
        ['end', 'i32'],
        ['thread', 'i32'],
      ],
      'void',
      true,
    );
    const context: EmitContext = {
      f,
      module: this.module,
      relaxed: this.options.relaxed,
      environment: (kernel, ranges) => this.environment(f, kernel, ranges),
    };
    return { entry: k.name, units: this.units(k, context) };
  }

  private units(k: Kernel, context: EmitContext): Poly {
    switch (k.kind) {
      case 'rows':
        return emitRows(k, context).units;
      case 'contract':
        return emitRows(asRows(k), context).units;
      case 'scatter':
        return emitScatter(k, context).units;
    }
  }

  private environment(f: Func, kernel: Pick<Kernel, 'buffers'>, ranges: Ranges): Environment {
    const written = new Set(kernel.buffers.filter((b) => b.mode !== 'read').map((b) => b.buffer));
    return {
      f,
      buffers: kernel.buffers,
      base: (buffer) => this.bases[buffer]!,
      dims: this.dims,
      ranges,
      interner: new Interner((buffer) => written.has(kernel.buffers[buffer]?.buffer ?? -1)),
      math: this.math,
      integers: this.integers,
    };
  }
}

/** A contraction as plain loops: a reduction over k, then the stores. For sizes that do not pay for packing. */
export function asRows(k: ContractKernel): Kernel & { kind: 'rows' } {
  return {
    kind: 'rows',
    name: k.name,
    buffers: k.buffers,
    notes: k.notes,
    grid: [...k.batch, ...k.m, ...k.n],
    stages: [
      {
        kind: 'reduce',
        axes: k.k,
        reductions: [
          {
            name: 'acc',
            fn: 'sum',
            dtype: 'f32',
            value: { kind: 'op', fn: 'mul', dtype: 'f32', args: [k.a, k.b] },
          },
        ],
      },
      { kind: 'map', axes: [], stores: k.stores },
    ],
  };
}
