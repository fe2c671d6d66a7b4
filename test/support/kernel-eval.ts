/**
 * What a kernel means, as an obvious interpreter in float64: every backend's kernels are compared with it. Reads and
 * writes out of bounds throw.
 */
import type { DType, ReduceOp, ScalarOp } from '../../compiler/ir/ops.ts';
import { identityOf } from '../../compiler/ir/ops.ts';
import type { Axis, Binding, Ex, Kernel, Store } from '../../compiler/kernel/kernel.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import { evaluate } from '../../compiler/shape/poly.ts';
import { helpers } from '../../runtime/scalar.ts';

/** Contents of a kernel's buffers; bool is 0 or 1 in a Uint32Array. */
export type BufferData = Float32Array | Int32Array | Uint32Array | Float64Array;

type Names = ReadonlyMap<string, number>;

const isFloat = (t: DType): boolean => t === 'f32' || t === 'f16';

/** Integers wrap; floats keep float64 precision until they are stored. */
const wrap = (x: number, t: DType): number => (t === 'i32' ? x | 0 : t === 'u32' ? x >>> 0 : x);

const floorDivide = (a: number, b: number, t: DType): number =>
  isFloat(t) ? a / b : wrap(Math.floor(a / b), t);
const times = (a: number, b: number, t: DType): number => (isFloat(t) ? a * b : wrap(Math.imul(a, b), t));

function cast(x: number, from: DType, to: DType): number {
  if (to === 'bool') return Number(x !== 0);
  if (isFloat(to)) return x;
  if (isFloat(from)) return to === 'u32' ? helpers.toU32(x) : helpers.toI32(x);
  return wrap(x, to);
}

type Row = (args: readonly number[], dtype: DType, from: DType) => number;

const rows: { readonly [Op in ScalarOp]: Row } = {
  neg: ([a], t) => wrap(-a!, t),
  abs: ([a], t) => wrap(Math.abs(a!), t),
  exp: ([a]) => Math.exp(a!),
  log: ([a]) => Math.log(a!),
  sqrt: ([a]) => Math.sqrt(a!),
  sin: ([a]) => Math.sin(a!),
  cos: ([a]) => Math.cos(a!),
  tanh: ([a]) => Math.tanh(a!),
  sigmoid: ([a]) => 1 / (1 + Math.exp(-a!)),
  erf: ([a]) => helpers.erf(a!),
  floor: ([a]) => Math.floor(a!),
  round: ([a]) => helpers.round(a!),
  not: ([a], t) => (t === 'bool' ? 1 - a! : wrap(~a!, t)),
  cast: ([a], to, from) => cast(a!, from, to),
  add: ([a, b], t) => wrap(a! + b!, t),
  sub: ([a, b], t) => wrap(a! - b!, t),
  mul: ([a, b], t) => times(a!, b!, t),
  div: ([a, b], t) => floorDivide(a!, b!, t),
  mod: ([a, b], t) => wrap(a! - b! * Math.floor(a! / b!), t),
  pow: ([a, b]) => a! ** b!,
  max: ([a, b]) => Math.max(a!, b!),
  min: ([a, b]) => Math.min(a!, b!),
  lt: ([a, b]) => Number(a! < b!),
  le: ([a, b]) => Number(a! <= b!),
  eq: ([a, b]) => Number(a === b),
  and: ([a, b], t) => wrap(a! & b!, t),
  or: ([a, b], t) => wrap(a! | b!, t),
  xor: ([a, b], t) => wrap(a! ^ b!, t),
  shl: ([a, b], t) => wrap(a! << b!, t),
  shr: ([a, b], t) => (t === 'u32' ? a! >>> b! : a! >> b!),
  where: ([c, a, b]) => (c !== 0 ? a! : b!),
};

const joins: { readonly [Op in ReduceOp]: (a: number, b: number, t: DType) => number } = {
  sum: (a, b, t) => wrap(a + b, t),
  prod: (a, b, t) => times(a, b, t),
  max: (a, b) => Math.max(a, b),
  min: (a, b) => Math.min(a, b),
};

/** Runs `kernel` on `buffers`, which are in the order of `kernel.buffers` and are written in place. */
export function evaluateKernel(
  kernel: Kernel,
  dims: Readonly<Record<string, number>>,
  buffers: readonly BufferData[],
): void {
  new Evaluation(kernel, buffers).run(new Map(Object.entries(dims)));
}

class Evaluation {
  readonly #kernel: Kernel;
  readonly #buffers: readonly BufferData[];

  constructor(kernel: Kernel, buffers: readonly BufferData[]) {
    this.#kernel = kernel;
    this.#buffers = buffers;
  }

  run(dims: Names): void {
    const kernel = this.#kernel;
    if (kernel.kind === 'contract') return this.#contract(kernel, dims);
    if (kernel.kind === 'scatter') return this.#scatter(kernel, dims);
    this.#loop(kernel.grid, dims, (point) => {
      const names = new Map(point);
      for (const stage of kernel.stages) {
        if (stage.kind === 'map') this.#loop(stage.axes, names, (at) => this.#store(stage.stores, at));
        else {
          const sums = stage.reductions.map((r) => start(r.fn, r.dtype));
          this.#loop(stage.axes, names, (at) =>
            stage.reductions.forEach((r, i) => {
              sums[i] = joins[r.fn](sums[i]!, this.#value(r.value, at), r.dtype);
            }),
          );
          stage.reductions.forEach((r, i) => names.set(r.name, sums[i]!));
        }
      }
    });
  }

  #contract(kernel: Extract<Kernel, { kind: 'contract' }>, dims: Names): void {
    const { dtype } = kernel.a;
    const parts = kernel.parts ? [kernel.parts.axis] : [];
    this.#loop([...parts, ...kernel.batch, ...kernel.m, ...kernel.n], dims, (point) => {
      let acc = 0;
      this.#contracted(kernel, point, (at) => {
        acc = wrap(acc + times(this.#value(kernel.a, at), this.#value(kernel.b, at), dtype), dtype);
      });
      this.#store(kernel.stores, new Map([...point, ['acc', acc]]));
    });
    const { sums } = kernel;
    if (!sums) return;
    this.#loop([...parts, ...kernel.n], dims, (point) => {
      let sum = 0;
      this.#contracted(kernel, point, (at) => {
        sum = wrap(sum + this.#value(kernel.b, at), dtype);
      });
      this.#store(sums, new Map([...point, ['sum', sum]]));
    });
  }

  /** The points of k, or those of the part that `names` is in. */
  #contracted(
    { k, parts }: Extract<Kernel, { kind: 'contract' }>,
    names: Names,
    body: (names: Names) => void,
  ): void {
    let at = 0;
    const length = parts ? this.#index(parts.length, names) : Infinity;
    const part = parts ? names.get(parts.axis.name)! : 0;
    this.#loop(k, names, (point) => {
      if (Math.floor(at++ / length) === part) body(point);
    });
  }

  #scatter(kernel: Extract<Kernel, { kind: 'scatter' }>, dims: Names): void {
    const { target } = kernel;
    const dtype = kernel.buffers[target]!.dtype;
    this.#loop(kernel.grid, dims, (point) => {
      this.#loop(kernel.clear.axes, point, (at) =>
        this.#write(target, this.#index(kernel.clear.offset, at), 0),
      );
      this.#loop(kernel.axes, point, (at) => {
        const names = this.#bind(kernel.data, at);
        if (!this.#holds(kernel.guard, names)) return;
        const offset = this.#index(kernel.offset, names);
        this.#write(target, offset, wrap(this.#read(target, offset) + this.#value(kernel.value, at), dtype));
      });
    });
  }

  #loop(axes: readonly Axis[], names: Names, body: (names: Names) => void): void {
    const [axis, ...rest] = axes;
    if (!axis) return body(names);
    const extent = this.#index(axis.extent, names);
    const inner = new Map(names);
    for (let i = 0; i < extent; i++) {
      inner.set(axis.name, i);
      this.#loop(rest, inner, body);
    }
  }

  /** All values of a point are computed before the first is stored. */
  #store(stores: readonly Store[], names: Names): void {
    const values = stores.map((s) => this.#value(s.value, names));
    stores.forEach((s, i) => this.#write(s.buffer, this.#index(s.offset, names), values[i]!));
  }

  #index(p: Poly, names: Names): number {
    return evaluate(p, (name) => {
      const value = names.get(name);
      if (value === undefined)
        throw new Error(`kernel \`${this.#kernel.name}\`: nothing is called \`${name}\``);
      return value;
    });
  }

  #bind(data: readonly Binding[], names: Names): Names {
    return data.length === 0
      ? names
      : new Map([...names, ...data.map((d) => [d.name, this.#value(d.value, names)] as const)]);
  }

  #holds(guard: readonly Condition[], names: Names): boolean {
    return guard.every((c) => {
      const x = this.#index(c.value, names);
      return c.kind === 'ge' ? x >= 0 : x === 0;
    });
  }

  #value(ex: Ex, names: Names): number {
    switch (ex.kind) {
      case 'const':
        return ex.value;
      case 'local':
        return this.#named(ex.name, names);
      case 'dot': {
        let sum = 0;
        this.#loop(ex.axes, names, (at) => {
          sum = wrap(sum + times(this.#value(ex.a, at), this.#value(ex.b, at), ex.dtype), ex.dtype);
        });
        return sum;
      }
      case 'index':
        return this.#index(ex.value, this.#bind(ex.data, names)) | 0;
      case 'op': {
        const args = ex.args.map((arg) => this.#value(arg, names));
        return rows[ex.fn](args, ex.dtype, ex.args[0]!.dtype);
      }
      case 'load': {
        const bound = this.#bind(ex.data, names);
        return this.#holds(ex.guard, bound) ? this.#read(ex.buffer, this.#index(ex.offset, bound)) : ex.fill;
      }
    }
  }

  #named(name: string, names: Names): number {
    const value = names.get(name);
    if (value === undefined)
      throw new Error(`kernel \`${this.#kernel.name}\`: no local is called \`${name}\``);
    return value;
  }

  #check(buffer: number, offset: number): void {
    const length = this.#buffers[buffer]?.length ?? 0;
    if (!(offset >= 0 && offset < length))
      throw new Error(
        `kernel \`${this.#kernel.name}\`: element ${offset} of buffer ${buffer}, which has ${length}`,
      );
  }

  #read(buffer: number, offset: number): number {
    this.#check(buffer, offset);
    return this.#buffers[buffer]![offset]!;
  }

  #write(buffer: number, offset: number, value: number): void {
    this.#check(buffer, offset);
    this.#buffers[buffer]![offset] = value;
  }
}

function start(fn: ReduceOp, dtype: DType): number {
  return dtype === 'bool' ? Number(fn === 'min' || fn === 'prod') : identityOf(fn, dtype);
}
