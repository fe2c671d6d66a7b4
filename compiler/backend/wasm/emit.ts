/** Kernels to one WebAssembly module. */
import { kernelKey } from '../../kernel/key.ts';
import type { Ex, Kernel } from '../../kernel/kernel.ts';
import type { Poly, Ranges } from '../../shape/poly.ts';
import { constant } from '../../shape/poly.ts';
import type { Func, I32, OwnGlobal } from './encoder.ts';
import { Module } from './encoder.ts';
import { Interner } from './intern.ts';
import { type KernelLoop, Lasting, type Moment } from './lasting.ts';
import type { Environment } from './levels.ts';
import { MathLibrary } from './math.ts';
import { printModule } from './print.ts';
import type { EmitContext } from './context.ts';
import type { Single } from './contract/single.ts';
import { emitContract, singleRow } from './contract/index.ts';
import { workOf } from './cost.ts';
import { i32 } from './instr.ts';
import { buildMicro, type MicroShape } from './contract/micro.ts';
import type { Mode } from './contract/tiles.ts';
import { emitRows, emitScatter } from './rows.ts';
import { IntegerLibrary } from './scalar-ops.ts';
import { seedName, withoutSeeds } from './seeds.ts';

export interface EmitOptions {
  /** Relaxed SIMD: multiply and add may fuse. Without it results are the same on every machine. */
  readonly relaxed: boolean;
  /** The engine runs pairs of vectors as one of 256 bits: register tiles are twice as wide. */
  readonly wide?: boolean;
  /** Threads for which work is cut into units where more units are more work; 4 if not given. Results do not depend on it. */
  readonly threads?: number;
  /** Import a shared memory, for threads. */
  readonly shared?: boolean;
  /**
   * Buffers that stay as they are from run to run (parameters, in a plan that only computes): what depends on nothing else is
   * made once, before the first run. None if not given.
   */
  readonly constant?: (buffer: number) => boolean;
  /** Kernels that are run several times, outer loops first: what a loop does not change is made before it. */
  readonly loops?: readonly KernelLoop[];
}

export interface EmittedKernel {
  readonly entry: string;
  readonly units: Poly;
  /** Of rows: how long it takes, in operations of a matrix product; others take as long as their arithmetic says. */
  readonly work?: Poly;
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
  /** Bytes that the module imports the offset of as `env.prepared`, and what fills them. */
  readonly preparedBytes: number;
  readonly prepare: readonly Preparation[];
}

/** What fills the room of what a kernel reads prepared. */
export interface Preparation {
  readonly entry: string;
  readonly units: number;
  readonly moment: Moment;
  /** Number of the kernel, and what it takes to prepare it, in operations of a matrix product. */
  readonly kernel: number;
  readonly work: number;
}

/**
 * Code for `kernels`. `dims` are the plan's dimensions in the order of the globals d0 …; `bufferCount` the number of its
 * buffers b0 …. Each kernel becomes an exported function (begin, end, thread, again) that runs units begin … end - 1; units never
 * write the same element, and results do not depend on how they are split. `again`, 0 if left out: since the thread ran other
 * units of the same dispatch it has done nothing else, so that what it packed for those is there still.
 */
export function emitWasm(
  kernels: readonly Kernel[],
  dims: readonly string[],
  bufferCount: number,
  options: EmitOptions,
): Emitted {
  const emitter = new Emitter(kernels, dims, bufferCount, options);
  const entries = kernels.map((_, i) => emitter.kernel(i));
  const { preparedBytes, prepare } = emitter;
  const scratchBytes = constant(emitter.scratchBytes);
  return { bytes: emitter.module.encode(), entries, scratchBytes, preparedBytes, prepare };
}

/** The text of the code that `emitWasm` makes for these kernels; only of the named one if `name` is given. */
export function printWasm(
  kernels: readonly Kernel[],
  dims: readonly string[],
  bufferCount: number,
  options: EmitOptions,
  name?: string,
): string {
  const emitter = new Emitter(kernels, dims, bufferCount, options);
  kernels.forEach((_, i) => emitter.kernel(i));
  return printModule(emitter.module, name);
}

/** The code of a kernel over the buffers in `slots`. */
interface Body {
  readonly f: Func;
  readonly units: Poly;
  readonly prepared?: Prepared;
  readonly single?: Single | undefined;
}

/** Room that a kernel has for what is made of an operand before it runs, and the function that does so. */
interface Prepared {
  readonly operand: Ex;
  readonly bytes: number;
  readonly units: number;
  readonly f: Func;
}

/** To pack an element takes as long as so many operations of a matrix product. */
const packOperations = 10;

const unitParams = [
  ['begin', 'i32'],
  ['end', 'i32'],
  ['thread', 'i32'],
  ['again', 'i32'],
] as const;

class Emitter {
  readonly module: Module;
  scratchBytes = 0;
  preparedBytes = 0;
  readonly prepare: Emitted['prepare'][number][] = [];
  private readonly bases: readonly I32[];
  /** And the seeds of the running kernel. */
  private readonly dims: Map<string, I32>;
  private readonly scratchBase: I32;
  private readonly preparedBase: I32 | undefined;
  /** Byte offset of what was prepared for the running kernel. */
  private preparedSlot: OwnGlobal | undefined;
  /** Byte offsets of the buffers of the running kernel. */
  private readonly slots: OwnGlobal[] = [];
  private readonly seeds: OwnGlobal[] = [];
  private readonly bodies = new Map<string, Body>();
  private readonly micros = new Map<string, Func>();
  private readonly math: MathLibrary;
  private readonly integers: IntegerLibrary;
  private readonly lasting: Lasting;

  constructor(
    private readonly kernels: readonly Kernel[],
    dims: readonly string[],
    bufferCount: number,
    private readonly options: EmitOptions,
  ) {
    const { constant: isConstant = () => false, loops = [] } = options;
    this.lasting = new Lasting(kernels, dims, loops, isConstant);
    this.module = new Module({ shared: options.shared ?? false });
    this.bases = Array.from({ length: bufferCount }, (_, i) => this.module.importGlobal(`b${i}`, false).get);
    this.scratchBase = this.module.importGlobal('scratch', false).get;
    if (options.constant || loops.length > 0)
      this.preparedBase = this.module.importGlobal('prepared', false).get;
    this.dims = new Map(dims.map((d, i) => [d, this.module.importGlobal(`d${i}`, true).get]));
    this.math = new MathLibrary(this.module, options.relaxed);
    this.integers = new IntegerLibrary(this.module);
  }

  private get mode(): Mode {
    const { relaxed, wide = false } = this.options;
    return { relaxed, wide };
  }

  /** The entry says which buffers, the body what is done to them: kernels that do the same share it. */
  kernel(at: number): EmittedKernel {
    const k = this.kernels[at]!;
    const { special, ...made } = { ...this.entry(k, at), ...(k.kind === 'rows' && { work: workOf(k) }) };
    if (special) return { ...made, special };
    const single = k.kind === 'contract' ? singleRow(k) : undefined;
    return single
      ? { ...made, special: { ...this.entry(single.kernel, at), dim: single.dim, value: 1 } }
      : made;
  }

  /** `k`: the kernel of that number, or what stands for it in a special case. */
  private entry(whole: Kernel, at: number): EmittedKernel {
    const { kernel: k, seeds } = withoutSeeds(whole);
    seeds.forEach((_, i) => this.seed(i));
    const key = `${kernelKey(k)} ${this.lasting.key(at)}`;
    const body = this.bodies.get(key) ?? this.body(k, at);
    this.bodies.set(key, body);
    const { prepared, single } = body;
    this.exported(k.name, k, body, body.f, seeds);
    if (single) this.exported(`${k.name}.single`, k, body, single.f);
    if (prepared) {
      const entry = `${k.name}.prepare`;
      this.exported(entry, k, body, prepared.f);
      const { operand, units, bytes } = prepared;
      const moment = this.lasting.from(at, operand)!;
      this.prepare.push({ entry, units, moment, kernel: at, work: (bytes / 4) * packOperations });
      this.preparedBytes += bytes;
    }
    const special = single && {
      ...{ dim: single.dim, value: 1 },
      ...{ entry: `${k.name}.single`, units: single.units },
    };
    return { entry: k.name, units: body.units, ...(special && { special }) };
  }

  private exported(
    name: string,
    k: Kernel,
    { prepared }: Body,
    body: Func,
    seeds: readonly number[] = [],
  ): void {
    const f = this.module.func(name, unitParams, 'void', true);
    seeds.forEach((value, i) => f.body.push(this.seed(i).set(i32.const(value | 0))));
    k.buffers.forEach((use, i) => f.body.push(this.slot(i).set(this.bases[use.buffer]!)));
    if (prepared)
      f.body.push(this.preparedSlot!.set(i32.add(this.preparedBase!, i32.const(this.preparedBytes))));
    f.body.push(body.call('void', ...f.params.map((p) => p.get)));
  }

  private slot(i: number): OwnGlobal {
    return (this.slots[i] ??= this.module.ownGlobal(`base${i}`));
  }

  private seed(i: number): OwnGlobal {
    const made = (this.seeds[i] ??= this.module.ownGlobal(`seed${i}`));
    this.dims.set(seedName(i), made.get);
    return made;
  }

  private body(k: Kernel, at: number): Body {
    const f = this.module.func(`${k.name}.body`, unitParams, 'void');
    let prepared: Prepared | undefined;
    const context: EmitContext = {
      f,
      module: this.module,
      ...this.mode,
      threads: this.options.threads ?? 4,
      environment: (kernel, ranges, g = f) => this.environment(g, kernel, ranges),
      helper: (name, params) =>
        this.module.func(
          `${k.name}.${name}`,
          params.map((p) => [p, 'i32'] as const),
          'void',
        ),
      variant: (name) => this.module.func(`${k.name}.${name}.body`, unitParams, 'void'),
      micro: (shape) => this.micro(shape),
      scratch: (thread, bytes) => this.scratch(thread, bytes),
      prepare: (operand, bytes, units) => {
        if (prepared || !this.preparedBase || this.lasting.from(at, operand) === undefined) return undefined;
        const fill = this.module.func(`${k.name}.fill`, unitParams, 'void');
        // Whole vectors of what is narrower reach past the last of it.
        prepared = { operand, f: fill, units, bytes: Math.ceil((bytes + 16) / 64) * 64 };
        this.preparedSlot ??= this.module.ownGlobal('prepared.base');
        return { base: this.preparedSlot.get, fill };
      },
    };
    const emitted = this.emitted(k, context);
    return { f, ...emitted, ...(prepared && { prepared }) };
  }

  private micro(shape: MicroShape): Func {
    const { rows, vectors, used = vectors, pitch = 16 * vectors, a, placed = false, isPair = false } = shape;
    const key = [rows, vectors, used, pitch, a?.lane ?? 4, a?.k ?? 4 * rows, placed, isPair].join(' ');
    const known = this.micros.get(key);
    if (known) return known;
    const made = buildMicro(this.module, shape, this.mode);
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

  private emitted(k: Kernel, context: EmitContext): Pick<Body, 'units' | 'single'> {
    switch (k.kind) {
      case 'rows':
        return emitRows(k, context);
      case 'contract':
        return emitContract(k, context);
      case 'scatter':
        return emitScatter(k, context);
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
