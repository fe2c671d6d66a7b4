/** Contractions of which not all products count: which slices of k a workgroup needs. */
import type { Axis } from '../../kernel/kernel.ts';
import { liveBounds } from '../../kernel/live.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './scope.ts';
import type { Condition } from '../../shape/poly.ts';

/** What a workgroup has of a role: so many indices from `start` on. */
interface Extent {
  readonly axes: readonly Axis[];
  readonly start: Value;
  readonly size: number;
}

interface Block {
  readonly m: Extent;
  readonly n?: Extent;
  readonly k: readonly Axis[];
}

interface Share {
  readonly from: Value;
  readonly end: Value;
}

/** The share of k that counts anywhere in the block. It begins a whole number of slices of `depth` behind where it did. */
export function liveShare(
  emitter: Emitter,
  conditions: readonly Condition[],
  { m, n, k }: Block,
  share: Share,
  depth: number,
): Share {
  const bounds = liveBounds(conditions, { m: m.axes, n: n?.axes ?? [], k });
  const named = (code: string): Value => emitter.here(emitter.block.name(code, 'v'), true);
  return bounds.reduce<Share>(({ from, end }, bound) => {
    const constant = emitter.poly(bound.constant).code;
    const terms = [...greatest(bound.m, m), ...greatest(bound.n, n)];
    const most = (constant === '0i' ? terms : [constant, ...terms]).join(' + ');
    if (bound.k < 0) return { from, end: named(`min(${end.code}, ${most} + 1i)`) };
    if (bound.k === 0) return { from, end: named(`select(${from.code}, ${end.code}, ${most} >= 0i)`) };
    const skipped = `max(0i, -(${most}) - ${from.code}) / ${depth}i * ${depth}i`;
    return { from: named(`${from.code} + ${skipped}`), end };
  }, share);
}

/** The greatest multiple of an index of the extent. */
function greatest(times: number, extent: Extent | undefined): string[] {
  if (times === 0 || !extent) return [];
  const { start, size } = extent;
  const index = times > 0 ? `(${start.code} + ${size - 1}i)` : start.code;
  return [times === 1 ? index : `${times < 0 ? `(${times}i)` : `${times}i`} * ${index}`];
}
