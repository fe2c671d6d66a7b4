import type { Node } from '../ir/graph.ts';
import { transformedWindow, type WindowRule } from '../kernel/window.ts';

/** What the schedule must know of a device: limits and preferences, as constraints of fusion. */
export interface Target {
  readonly name: 'wasm' | 'webgpu';
  /** Most distinct buffers one kernel may touch. */
  readonly maxBuffers: number;
  /** Clocks come with the dimensions and take no buffer. */
  readonly clocksAreDims: boolean;
  /**
   * Copy an operand of a contraction that is read through bounds guards (padding) into a buffer with its halo, so that
   * the inner loop has none.
   */
  readonly haloCopies: boolean;
  /** Of such windows over an image the kernel itself copies what it needs with its halo; undefined: of none. */
  readonly windows: WindowRule | undefined;
  /**
   * Operations on an operand of a contraction that are done again wherever a tile of it is loaded (scaling an image),
   * which spares a kernel and its memory traffic.
   */
  readonly inlineOperations: number;
  /** Sums over the operands of a contraction on these sides go along in its kernel. */
  readonly foldSums: readonly ('m' | 'n')[];
  /**
   * Contractions of at most so many products an element may be computed again in every kernel that reads them, when their
   * results are more than their operands (see `nested.ts`); 0: all are stored.
   */
  readonly nestedDepth: number;
  /** When contractions are split over k; undefined: never. */
  readonly split: SplitRule | undefined;
}

/** A contraction of many steps of k whose tiles do not fill the device is split into parts of k. */
export interface SplitRule {
  /** Workgroups that fill the device. */
  readonly workgroups: number;
  /** Rows and columns that one workgroup computes. */
  readonly tile: number;
  /** Fewer steps are done before another dispatch has begun. */
  readonly leastSteps: number;
  /** Steps of a part, and parts: what is added up at the end is traffic. */
  readonly leastPart: number;
  readonly mostParts: number;
  /** The steps of a part are a multiple of it, so that they are whole slices of every tile. */
  readonly slice: number;
}

/** No GPU: buffers are addresses, guards in packing loops cost. */
export const wasmTarget: Target = {
  name: 'wasm',
  maxBuffers: Infinity,
  clocksAreDims: false,
  haloCopies: true,
  windows: undefined,
  inlineOperations: 0,
  foldSums: ['n'],
  nestedDepth: 0,
  split: undefined,
};

/** With relaxed SIMD, small windows run with fewer multiplications (`backend/wasm/winograd`). */
export const wasmTargetFor = (relaxed: boolean): Target => ({
  ...wasmTarget,
  windows: relaxed ? transformedWindow : undefined,
});

/** The storage buffers a stage that every WebGPU adapter grants; guards are free in tile loads. */
export const webgpuTarget: Target = {
  name: 'webgpu',
  maxBuffers: 8,
  clocksAreDims: true,
  haloCopies: false,
  windows: undefined,
  inlineOperations: 3,
  foldSums: ['m', 'n'],
  nestedDepth: 128,
  split: undefined,
};

/** As published for WebGPU, a dispatch costs 24 to 70 µs, in which a workgroup does about 2000 steps of k. */
const splitRule = { tile: 32, leastSteps: 2048, leastPart: 256, mostParts: 64, slice: 64 };

/**
 * A GPU that is busy from so many workgroups on; 1 (every device is): nothing is split. Or a driver that computes on the CPU,
 * which has no fast memory of a workgroup's own in which to compute a nested contraction.
 */
export const webgpuTargetFor = (workgroups: number, isSoftware = false): Target => ({
  ...webgpuTarget,
  ...(isSoftware && { nestedDepth: 0 }),
  split: workgroups > 1 ? { ...splitRule, workgroups } : undefined,
});

/** Whether reading the value takes one of the buffers that a kernel may touch. */
export const takesBuffer = (node: Node, target: Target): boolean =>
  !(target.clocksAreDims && node.op === 'leaf' && node.role === 'clock');
