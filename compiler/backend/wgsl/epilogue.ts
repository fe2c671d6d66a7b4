/** What follows a contraction's sums: the stores, in which `acc` stands for a sum, and those of the folded sums. */
import type { Axis, ContractKernel, Store } from '../../kernel/kernel.ts';
import { bindFlat, count, countOf, isMultiple, lastOf, sumOf } from './axes.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './scope.ts';
import type { Side, Threads, TileOrigin } from './place.ts';
import { writeStores } from './rows.ts';
import { columnsOf, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { areVectorStores, LANES, vectorLoadsOf, writeVectorStores } from './vector.ts';

/** Results that an invocation stores four at once. */
export interface VectorStores {
  /** The side along which sums are, if they are. */
  readonly acc: 'm' | 'n' | undefined;
  /** Folded sums are, along n. */
  readonly sum: boolean;
  /** The buffers that this takes, and those whose elements are stored alone. */
  readonly buffers: ReadonlySet<number>;
  readonly alone: ReadonlySet<number>;
}

export function vectorStores(kernel: ContractKernel, tile: Tile): VectorStores {
  const { stores, sums = [] } = kernel;
  const buffersOf = (list: readonly Store[]): Set<number> => new Set(list.map((s) => s.buffer));
  const fits = (side: 'm' | 'n', list: readonly Store[]): boolean => {
    const [axis, per] = [lastOf(kernel[side]), side === 'm' ? tile.perM : tile.perN];
    return per === LANES && axis !== undefined && areVectorStores(list, axis);
  };
  const side = fits('n', stores) ? 'n' : fits('m', stores) ? 'm' : undefined;
  const both = fits('n', sums);
  // A buffer is of vectors for all of its stores, or for none.
  const shared = [...buffersOf(stores)].some((b) => buffersOf(sums).has(b));
  const acc = shared && !both ? undefined : side;
  const sum = sums.length > 0 && both && !(shared && acc === undefined);
  const alone = buffersOf([...(acc ? [] : stores), ...(sum ? [] : sums)]);
  const touched = (list: readonly Store[], axis: Axis | undefined): number[] =>
    axis ? [...buffersOf(list), ...vectorLoadsOf(list, axis).map((l) => l.buffer)] : [];
  const buffers = [
    ...(acc ? touched(stores, lastOf(kernel[acc])) : []),
    ...(sum ? touched(sums, lastOf(kernel.n)) : []),
  ];
  return { acc, sum, alone, buffers: new Set(buffers.filter((b) => !alone.has(b))) };
}

/** One side of the results of an invocation: its accumulators and where they stand. */
interface Extent {
  readonly side: Side;
  readonly axes: readonly Axis[];
  readonly start: Value;
  /** Rows of the whole tile. */
  readonly width: number;
}

/** Stores one accumulator after the other, or four: in a loop, as the text of an epilogue may be long. */
export function epilogue(
  kernel: ContractKernel,
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  origin: TileOrigin,
  { acc: vector, sum: sumsToo }: VectorStores,
): void {
  const { perM, perN } = tile;
  const m: Extent = { side: threads.m, axes: kernel.m, start: origin.m, width: rowsOf(tile) };
  const n: Extent = { side: threads.n, axes: kernel.n, start: origin.n, width: columnsOf(tile) };
  const bind = (scope: Emitter, i: string, j: string): void => {
    const at = perN === 1 ? i : sum(i === '0i' ? i : `${i} * ${perN}i`, j);
    scope.bindLocal('acc', scope.block.name(`sums[${at}]`, 'acc'));
  };
  if (vector === undefined)
    each(emitter, m, (i) =>
      each(emitter, n, (j) => {
        bind(emitter, i.code, j.code);
        writeStores(kernel.stores, emitter);
      }),
    );
  else {
    const [outer, inner] = vector === 'n' ? [m, n] : [n, m];
    each(emitter, outer, (i) =>
      group(emitter, inner, kernel.stores, (scope, lane) =>
        vector === 'n' ? bind(scope, i.code, `${lane}i`) : bind(scope, `${lane}i`, i.code),
      ),
    );
  }
  const { sums } = kernel;
  if (!sums) return;
  // Every tile of m has them; the first stores.
  const first = [origin.m.code, threads.m.thread].filter((c) => c !== '0i').map((c) => `${c} == 0i`);
  const bindSum = (scope: Emitter, j: string): void =>
    scope.bindLocal('sum', scope.block.name(`sums[${sum(`${perM * perN}i`, j)}]`, 'sum'));
  emitter.within(first.length > 0 ? `if (${first.join(' && ')})` : '', () => {
    if (sumsToo) return group(emitter, n, sums, (scope, lane) => bindSum(scope, `${lane}i`));
    each(emitter, n, (j) => {
      bindSum(emitter, j.code);
      writeStores(sums, emitter);
    });
  });
}

const sum = (a: string, b: string): string => (a === '0i' ? b : b === '0i' ? a : `${a} + ${b}`);

/** Visits the accumulators along a side that stand inside, its axes bound. */
function each(emitter: Emitter, extent: Extent, visit: (i: Value) => void): void {
  const { side } = extent;
  count(emitter, side.per, 1, emitter.constant('i32', 0), (i) => {
    const step =
      i.code === '0i' || side.apart === 1
        ? i
        : emitter.named({ code: `(${i.code} * ${side.apart}i)`, home: i.home, simple: false });
    inside(emitter, extent, sumOf(emitter, emitter.here(side.first, true), step), () => visit(i));
  });
}

/** The stores of four accumulators in line, if they stand inside. */
function group(
  emitter: Emitter,
  extent: Extent,
  stores: readonly Store[],
  bindPoint: (scope: Emitter, lane: number) => void,
): void {
  inside(emitter, extent, emitter.here(extent.side.first, true), () =>
    writeVectorStores(stores, emitter, lastOf(extent.axes)!, bindPoint),
  );
}

function inside(emitter: Emitter, { axes, start, width }: Extent, at: Value, body: () => void): void {
  const place = sumOf(emitter, start, at);
  const total = countOf(axes);
  const test = isMultiple(total, width)
    ? ''
    : `if (${place.code} < ${emitter.named(emitter.poly(total)).code})`;
  emitter.within(test, () => {
    bindFlat(emitter, axes, { ...place, home: emitter.block });
    body();
  });
}
