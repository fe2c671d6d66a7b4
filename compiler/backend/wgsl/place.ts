/** Where a workgroup and its invocations stand in a contraction. */
import type { Axis, ContractKernel } from '../../kernel/kernel.ts';
import type { Poly } from '../../shape/poly.ts';
import { add, asConstant, minimum, multiply, one, stepOf, symbol } from '../../shape/poly.ts';
import { bindFlat, ceilDivide, countOf, divided, lastOf, workgroupsOf } from './axes.ts';
import type { Groups } from './axes.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './scope.ts';
import { GROUP, LOCAL } from './shader.ts';
import { columnsOf, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';

export interface TileOrigin {
  /** First row and column of the workgroup's tile. */
  readonly m: Value;
  readonly n: Value;
  readonly groups: Groups;
  /** Where the workgroup's share of the contracted axis begins and ends. */
  readonly from: Value;
  readonly end: Value;
}

/** Finds the workgroup's tile: the tiles of n vary fastest, then those of m, then batch, then the parts of k. */
export function bindTile(kernel: ContractKernel, emitter: Emitter, tile: Tile): TileOrigin {
  const tilesN = ceilDivide(countOf(kernel.n), columnsOf(tile));
  const tilesM = ceilDivide(countOf(kernel.m), rowsOf(tile));
  const count = multiply(tilesN, tilesM, countOf(kernel.batch), kernel.parts?.axis.extent ?? one);
  const groups = workgroupsOf(count);
  const block = emitter.block;
  if (groups.surplus)
    block.add(`if (${GROUP} >= ${emitter.named(emitter.poly(count)).code}) {`, '  return;', '}');
  const group = emitter.here(GROUP, true);
  const inner = emitter.named(divided(emitter, group, tilesN, '/'));
  const start = (index: Value, size: number): Value => {
    const at = emitter.named(index);
    return at.constant
      ? at
      : emitter.named({ code: `(${at.code} * ${size}i)`, home: at.home, simple: false });
  };
  const isAll = (tiles: Poly): boolean => asConstant(tiles) === 1;
  const zero = emitter.constant('i32', 0);
  const outer = [...(kernel.parts ? [kernel.parts.axis] : []), ...kernel.batch];
  const batched = outer.some((a) => asConstant(a.extent) !== 1);
  const n = isAll(tilesN) ? zero : start(divided(emitter, group, tilesN, '%'), columnsOf(tile));
  const m = isAll(tilesM)
    ? zero
    : start(batched ? divided(emitter, inner, tilesM, '%') : inner, rowsOf(tile));
  bindFlat(emitter, outer, divided(emitter, inner, tilesM, '/'));
  return { m, n, groups, ...shareOf(kernel, emitter) };
}

/** The steps of k that a workgroup takes: all, or those of its part. */
function shareOf({ k, parts }: ContractKernel, emitter: Emitter): Pick<TileOrigin, 'from' | 'end'> {
  const total = countOf(k);
  if (!parts) return { from: emitter.constant('i32', 0), end: emitter.named(emitter.poly(total)) };
  const begin = multiply(symbol(parts.axis.name), parts.length);
  const next = add(begin, parts.length);
  return {
    from: emitter.named(emitter.poly(begin)),
    end: emitter.named(emitter.poly(minimum(total, next))),
  };
}

/** The rows (or columns) of an invocation: `first`, `first + apart`, … */
export interface Side {
  /** Its number among the invocations along this side. */
  readonly thread: string;
  readonly first: string;
  readonly per: number;
  readonly apart: number;
}

/** Where an invocation stands in its workgroup. */
export interface Threads {
  readonly m: Side;
  readonly n: Side;
  readonly k: string;
}

/**
 * Neighbouring invocations take neighbouring elements of what is stored. `inLine`: the sides on which an invocation's own
 * rows are neighbours, as where they are read or stored four at once; else neighbours read neighbours.
 */
export function placeThreads(
  kernel: ContractKernel,
  emitter: Emitter,
  tile: Tile,
  inLine: { readonly m: boolean; readonly n: boolean },
): Threads {
  const { threadsM, threadsN, threadsK, perM, perN } = tile;
  const block = emitter.block;
  const digit = (shift: number, count: number, isLast: boolean, name: string): string => {
    if (count === 1) return '0i';
    const shifted = shift === 0 ? LOCAL : `(${LOCAL} >> ${shift}u)`;
    return block.name(isLast ? shifted : `(${shifted} & ${count - 1}i)`, name);
  };
  const offset = kernel.stores[0]?.offset;
  const along = (axes: readonly Axis[]): boolean => {
    const axis = lastOf(axes);
    return axis !== undefined && offset !== undefined && stepOf(offset, axis.name) === 1;
  };
  const mFirst = along(kernel.m) && !along(kernel.n);
  const [bitsM, bitsN] = [Math.log2(threadsM), Math.log2(threadsN)];
  const whole = threadsK === 1;
  const side = (thread: string, threads: number, per: number, isInLine: boolean): Side => {
    if (!isInLine || per === 1) return { thread, first: thread, per, apart: threads };
    return { thread, first: thread === '0i' ? thread : block.name(`(${thread} * ${per}i)`), per, apart: 1 };
  };
  return {
    m: side(digit(mFirst ? 0 : bitsN, threadsM, !mFirst && whole, 'tm'), threadsM, perM, inLine.m),
    n: side(digit(mFirst ? bitsM : 0, threadsN, mFirst && whole, 'tn'), threadsN, perN, inLine.n),
    k: digit(bitsM + bitsN, threadsK, true, 'tk'),
  };
}
