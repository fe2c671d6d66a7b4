/** What a schedule is: kernels in order, the buffers they share, and the loops around them. */
import type { Leaf, Node, Origin } from '../ir/graph.ts';
import type { DType } from '../ir/ops.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Poly } from '../shape/poly.ts';

export interface Scheduled {
  /** In order of execution. */
  readonly kernels: readonly ScheduledKernel[];
  readonly buffers: readonly Buffer[];
  /** Buffer of each output of the computation. */
  readonly outputs: readonly { readonly name: string; readonly node: Node; readonly buffer: number }[];
  /** Kernels that are run several times; properly nested, outer ones first. */
  readonly loops: readonly ScheduledLoop[];
}

/** Kernels `begin` to `end` - 1, `count` times, the dimension `dim` being 1, 2, … */
export interface ScheduledLoop {
  readonly begin: number;
  readonly end: number;
  readonly dim: string;
  readonly count: Poly;
}

export interface ScheduledKernel {
  readonly kernel: Kernel;
  /** Floating point operations, a multiply-add counting two. */
  readonly flops: Poly;
}

export interface Buffer {
  readonly name: string;
  readonly dtype: DType;
  /** Elements. */
  readonly size: Poly;
  /** The leaf that stands in it, for inputs, clocks and kept tensors. */
  readonly leaf: Leaf | undefined;
  /** Index of the first and last kernel that touches it; -1: written by the host before. */
  readonly first: number;
  readonly last: number;
  /** Where its value comes from in the text, if that is known. */
  readonly origins?: readonly Origin[];
}
