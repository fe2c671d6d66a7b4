/** Short spellings for kernels written by hand. */
import type { DType, ReduceOp, ScalarOp } from '../../compiler/ir/ops.ts';
import { scalarOps } from '../../compiler/ir/ops.ts';
import type {
  Axis,
  Binding,
  BufferUse,
  ContractKernel,
  Ex,
  Kernel,
  LoadEx,
  Reduction,
  RowsKernel,
  ScatterKernel,
  Stage,
  Store,
} from '../../compiler/kernel/kernel.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import { add, asConstant, multiply, symbol, symbolsOf, toPoly } from '../../compiler/shape/poly.ts';

export type Size = number | string | Poly;
export type Index = number | string | Poly;

export const poly = (p: Size): Poly => (typeof p === 'string' ? symbol(p) : toPoly(p));

/** `{ i: 10, j: 'batch' }` */
export const axes = (extents: Readonly<Record<string, Size>>): Axis[] =>
  Object.entries(extents).map(([name, extent]) => ({ name, extent: poly(extent) }));

/** Row-major offset of `index` in a tensor of this shape. */
export function at(shape: readonly Size[], ...index: readonly Index[]): Poly {
  return index.reduce<Poly>((sum, i, d) => add(multiply(sum, poly(shape[d]!)), poly(i)), toPoly(0));
}

export const constant = (value: number, dtype: DType = 'f32'): Ex => ({ kind: 'const', dtype, value });
export const local = (name: string, dtype: DType = 'f32'): Ex => ({ kind: 'local', dtype, name });
export const indexOf = (value: Index, data: readonly Binding[] = []): Ex => ({
  kind: 'index',
  dtype: 'i32',
  value: poly(value),
  data,
});

export function op(fn: ScalarOp, ...args: readonly Ex[]): Ex {
  const dtype = scalarOps[fn].result(args.map((a) => a.dtype));
  if (!dtype) throw new Error(`${fn} does not exist for ${args.map((a) => a.dtype).join(', ')}`);
  return { kind: 'op', fn, dtype, args };
}
export const cast = (ex: Ex, dtype: DType): Ex => ({ kind: 'op', fn: 'cast', dtype, args: [ex] });

export const ge = (value: Index): Condition => ({ kind: 'ge', value: poly(value) });
export const eq = (value: Index): Condition => ({ kind: 'eq', value: poly(value) });

export interface Guarded {
  readonly guard?: readonly Condition[];
  readonly fill?: number;
  readonly data?: readonly Binding[];
  readonly dtype?: DType;
}

export function load(buffer: number, offset: Index, more: Guarded = {}): LoadEx {
  const { guard = [], fill = 0, data = [], dtype = 'f32' } = more;
  return { kind: 'load', dtype, buffer, offset: poly(offset), guard, fill, data };
}

export const store = (buffer: number, offset: Index, value: Ex): Store => ({
  buffer,
  offset: poly(offset),
  value,
});
export const map = (over: Readonly<Record<string, Size>>, ...stores: readonly Store[]): Stage => ({
  kind: 'map',
  axes: axes(over),
  stores,
});
export const reduce = (over: Readonly<Record<string, Size>>, ...reductions: readonly Reduction[]): Stage => ({
  kind: 'reduce',
  axes: axes(over),
  reductions,
});
export const reduction = (name: string, fn: ReduceOp, value: Ex): Reduction => ({
  name,
  fn,
  dtype: value.dtype,
  value,
});

/** `r`, `w` and `u` (read, write, update) with a dtype: `r f32`. */
export type UseText = `${'r' | 'w' | 'u'} ${DType}`;

const modes = { r: 'read', w: 'write', u: 'update' } as const;

export const uses = (texts: readonly UseText[]): BufferUse[] =>
  texts.map((text, buffer) => {
    const [mode, dtype] = text.split(' ') as ['r' | 'w' | 'u', DType];
    return { buffer, dtype, mode: modes[mode] };
  });

const common = (name: string, buffers: readonly UseText[]) => ({ name, buffers: uses(buffers), notes: [] });

export const rows = (
  name: string,
  buffers: readonly UseText[],
  grid: Readonly<Record<string, Size>>,
  ...stages: readonly Stage[]
): RowsKernel => ({ kind: 'rows', ...common(name, buffers), grid: axes(grid), stages });

export interface Roles {
  readonly batch?: Readonly<Record<string, Size>>;
  readonly m: Readonly<Record<string, Size>>;
  readonly n: Readonly<Record<string, Size>>;
  readonly k: Readonly<Record<string, Size>>;
}

export const contract = (
  name: string,
  buffers: readonly UseText[],
  { batch = {}, m, n, k }: Roles,
  a: Ex,
  b: Ex,
  ...stores: readonly Store[]
): ContractKernel => ({
  kind: 'contract',
  ...common(name, buffers),
  batch: axes(batch),
  m: axes(m),
  n: axes(n),
  k: axes(k),
  a,
  b,
  stores,
});

export const scatter = (
  name: string,
  buffers: readonly UseText[],
  parts: Omit<ScatterKernel, 'kind' | 'name' | 'buffers' | 'notes'>,
): ScatterKernel => ({ kind: 'scatter', ...common(name, buffers), ...parts });

/** A kernel with the number of elements of each of its buffers. */
export interface Case {
  readonly kernel: Kernel;
  readonly sizes: readonly Size[];
  /** Fixed contents instead of random ones, by buffer. */
  readonly data?: Readonly<Record<number, readonly number[]>>;
  /** Dimensions, where more than the sizes name are in use. */
  readonly dims?: readonly string[];
}

export const sized = (kernel: Kernel, ...sizes: readonly Size[]): Case => ({ kernel, sizes });

/** Dimensions that the sizes of a case name. */
export function dimsOf(cases: readonly Case[]): string[] {
  const names = new Set<string>();
  for (const c of cases) for (const d of c.dims ?? []) names.add(d);
  for (const c of cases)
    for (const s of c.sizes) if (asConstant(poly(s)) === undefined) symbolsOf(poly(s), names);
  return [...names].sort();
}
