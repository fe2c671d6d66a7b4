/**
 * A kernel without a word about a device: iteration axes, scalar expressions with loads, accumulators, stores.
 * The backends print it. Three kinds carry everything: `rows` (element-wise maps, reductions, softmax, norms, the
 * optimizer), `contract` (matrix products, convolutions and their gradients) and `scatter`.
 */
import type { Condition, Poly } from '../shape/poly.ts';
import type { DType, ReduceOp, ScalarOp } from '../ir/ops.ts';

/** An index running from 0 to `extent` - 1. Names are unique in a kernel and are symbols in its Polys. */
export interface Axis {
  readonly name: string;
  readonly extent: Poly;
}

/** A buffer of the plan as a kernel sees it. `update`: read and written, each element by the iteration that owns it. */
export interface BufferUse {
  /** Index into the plan's buffers. */
  readonly buffer: number;
  readonly dtype: DType;
  readonly mode: 'read' | 'write' | 'update';
}

/**
 * Scalar expressions. They are DAGs: an object used twice is one value (backends compute it once per scope).
 * The Polys in them are over axes in scope, dimensions, and names bound by `data` and integer locals.
 */
export type Ex = ConstEx | LoadEx | IndexEx | OpEx | LocalEx | DotEx;

export interface ConstEx {
  readonly kind: 'const';
  readonly dtype: DType;
  readonly value: number;
}

/** buffers[buffer][offset] if every condition holds, else `fill`; conditions are tested before the load. */
export interface LoadEx {
  readonly kind: 'load';
  readonly dtype: DType;
  /** Index into the kernel's `buffers`. */
  readonly buffer: number;
  /** In elements from the start of the buffer. */
  readonly offset: Poly;
  readonly guard: readonly Condition[];
  readonly fill: number;
  /** i32 values that `offset` and `guard` name. */
  readonly data: readonly Binding[];
}

export interface Binding {
  readonly name: string;
  readonly value: Ex;
}

/** The value of an index expression, as i32. */
export interface IndexEx {
  readonly kind: 'index';
  readonly dtype: 'i32';
  readonly value: Poly;
  readonly data: readonly Binding[];
}

/** `cast` converts to `dtype`. A `select` of guarded views is `where` with an IndexEx comparison. */
export interface OpEx {
  readonly kind: 'op';
  readonly fn: ScalarOp;
  readonly dtype: DType;
  readonly args: readonly Ex[];
}

/** The result of a reduction of an earlier stage; in a contraction's epilogue `acc`. */
export interface LocalEx {
  readonly kind: 'local';
  readonly dtype: DType;
  readonly name: string;
}

/**
 * Sum over `axes` of a * b: a short contraction whose result is never stored, but computed where it is used. The axes are
 * its own: only `a` and `b` name them. Only where the target nests contractions.
 */
export interface DotEx {
  readonly kind: 'dot';
  readonly dtype: DType;
  readonly axes: readonly Axis[];
  readonly a: Ex;
  readonly b: Ex;
}

/** buffers[buffer][offset] = value */
export interface Store {
  readonly buffer: number;
  readonly offset: Poly;
  readonly value: Ex;
  /** What the value is where the stage's `live` fails. */
  readonly outside?: number;
}

/** A scalar per grid point: `name` = reduction of `value` over the stage's axes, in their order. */
export interface Reduction {
  readonly name: string;
  readonly fn: ReduceOp;
  readonly dtype: DType;
  readonly value: Ex;
}

export type Stage = ReduceStage | MapStage;

export interface ReduceStage {
  readonly kind: 'reduce';
  readonly axes: readonly Axis[];
  readonly reductions: readonly Reduction[];
  /**
   * Conditions over the grid and the axes: where one fails, the values change none of the reductions (0 in a sum, minus
   * infinity in a maximum) and may be left out.
   */
  readonly live?: readonly Condition[];
}

export interface MapStage {
  readonly kind: 'map';
  readonly axes: readonly Axis[];
  readonly stores: readonly Store[];
  /** Conditions over the grid and the axes: where one fails, the value of each store is the number that it gives as `outside`. */
  readonly live?: readonly Condition[];
}

interface Common {
  /** Readable and unique in the plan: `conv1_relu`, `adam_update`. */
  readonly name: string;
  readonly buffers: readonly BufferUse[];
  /** What it computes and why it ends where it does, for `explain`. */
  readonly notes: readonly string[];
}

/**
 * For every point of `grid` (independent of each other): the stages in order. A later stage may load what an
 * earlier stage of the same grid point stored. No inner axes and no reduction: an element-wise map.
 */
export interface RowsKernel extends Common {
  readonly kind: 'rows';
  readonly grid: readonly Axis[];
  readonly stages: readonly Stage[];
}

/**
 * acc[batch, m, n] = sum over k of a * b; then the stores, in which the local `acc` stands for the sum.
 * `a` uses axes of batch, m and k; `b` those of batch, n and k; stores batch, m and n. Axes of one role are listed
 * outermost first and count as one flattened axis.
 */
export interface ContractKernel extends Common {
  readonly kind: 'contract';
  readonly batch: readonly Axis[];
  readonly m: readonly Axis[];
  readonly n: readonly Axis[];
  readonly k: readonly Axis[];
  readonly a: Ex;
  readonly b: Ex;
  readonly stores: readonly Store[];
  /**
   * Conditions over m, n and k, of which only roles of one axis occur: where one fails, the product a * b counts nothing, as it
   * is 0 or nobody looks at the sum. It may be left out, and the sum of no products is 0.
   */
  readonly live?: readonly Condition[];
  /**
   * Stores over n alone, in which the local `sum` stands for the sum over k of `b`: the gradient of a bias beside that of
   * its weight. Only without batch axes, and only where the target folds sums.
   */
  readonly sums?: readonly Store[];
  readonly parts?: Parts;
}

/**
 * The contracted points in parts, each added up by itself: for every value p of `axis`, `acc` and `sum` are those over the
 * points of k, in row-major order, from p * length up to (p + 1) * length. Stores name the axis. Only where the target
 * splits contractions.
 */
export interface Parts {
  readonly axis: Axis;
  readonly length: Poly;
}

/**
 * For every point of `grid` (independent): buffers[target] at `fill` points := 0, then for every point of `axes` in
 * order buffers[target][offset] += value where the guard holds. `offset` may use `data`; grid points never meet in an
 * element. `size` is the number of elements of the target.
 */
export interface ScatterKernel extends Common {
  readonly kind: 'scatter';
  readonly grid: readonly Axis[];
  /** Axes and offset of the elements that one grid point clears first. */
  readonly clear: { readonly axes: readonly Axis[]; readonly offset: Poly };
  readonly axes: readonly Axis[];
  readonly target: number;
  readonly offset: Poly;
  readonly guard: readonly Condition[];
  readonly data: readonly Binding[];
  readonly value: Ex;
}

export type Kernel = RowsKernel | ContractKernel | ScatterKernel;
