import type { Node } from '../ir/graph.ts';

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
  /**
   * Operations on an operand of a contraction that are done again wherever a tile of it is loaded (scaling an image),
   * which spares a kernel and its memory traffic.
   */
  readonly inlineOperations: number;
  /** Sums over an operand of a contraction go along in its kernel. */
  readonly foldSums: boolean;
  /**
   * Contractions of at most so many products an element may be computed again in every kernel that reads them, when their
   * results are more than their operands (see `nested.ts`); 0: all are stored.
   */
  readonly nestedDepth: number;
}

/** No GPU: buffers are addresses, guards in packing loops cost. */
export const wasmTarget: Target = {
  name: 'wasm',
  maxBuffers: Infinity,
  clocksAreDims: false,
  haloCopies: true,
  inlineOperations: 0,
  foldSums: false,
  nestedDepth: 0,
};

/** The storage buffers a stage that every WebGPU adapter grants; guards are free in tile loads. */
export const webgpuTarget: Target = {
  name: 'webgpu',
  maxBuffers: 8,
  clocksAreDims: true,
  haloCopies: false,
  inlineOperations: 3,
  foldSums: true,
  nestedDepth: 128,
};

/** Whether reading the value takes one of the buffers that a kernel may touch. */
export const takesBuffer = (node: Node, target: Target): boolean =>
  !(target.clocksAreDims && node.op === 'leaf' && node.role === 'clock');
