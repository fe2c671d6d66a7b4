/** Memory for a plan's transient buffers: those whose lives do not meet share addresses. */
import type { PlanBuffer } from '../compiler/plan.ts';

export interface ArenaPlan {
  /** Byte offset of every buffer from the start of the arena; -1 for those that live in a store. */
  readonly offsets: readonly number[];
  /** Bytes. */
  readonly total: number;
}

interface Placed {
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Greedy best fit by size (Pisarchyk & Lee 2020): largest buffer first, into the smallest gap between the buffers alive at
 * the same time that holds it. Every buffer takes at least `align` bytes, so that none is empty. Deterministic.
 */
export function planArena(
  buffers: readonly PlanBuffer[],
  sizesInBytes: readonly number[],
  align: number,
): ArenaPlan {
  const rounded = sizesInBytes.map((bytes) => Math.max(1, Math.ceil(bytes / align)) * align);
  const order = buffers.map((_, i) => i).sort((i, j) => rounded[j]! - rounded[i]! || i - j);
  const offsets = buffers.map(() => -1);
  const placed: Placed[] = [];
  for (const i of order) {
    const place = buffers[i]!.place;
    if (place.kind !== 'arena') continue;
    const meets = placed.filter((p) => p.first <= place.last && place.first <= p.last);
    const start = bestGap(meets, rounded[i]!);
    offsets[i] = start;
    placed.push({ start, end: start + rounded[i]!, first: place.first, last: place.last });
  }
  return { offsets, total: placed.reduce((most, p) => Math.max(most, p.end), 0) };
}

/** Start of the smallest gap between `taken` of at least `size`, or the end of them all. */
function bestGap(taken: readonly Placed[], size: number): number {
  let free = 0;
  let best = -1;
  let slack = Infinity;
  for (const p of [...taken].sort((a, b) => a.start - b.start)) {
    const gap = p.start - free;
    if (gap >= size && gap - size < slack) [best, slack] = [free, gap - size];
    free = Math.max(free, p.end);
  }
  return best >= 0 ? best : free;
}
