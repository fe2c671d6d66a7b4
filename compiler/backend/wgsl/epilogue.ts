/** What follows a contraction's sums: the stores, in which `acc` stands for a sum, and those of the folded sums. */
import type { Axis, ContractKernel } from '../../kernel/kernel.ts';
import { bindFlat, count, countOf, isMultiple, sumOf } from './axes.ts';
import type { Emitter, Value } from './emitter.ts';
import type { Threads, TileOrigin } from './place.ts';
import { writeStores } from './rows.ts';
import { columnsOf, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';

/** Stores one accumulator after the other: in a loop, as the text of an epilogue may be long. */
export function epilogue(
  kernel: ContractKernel,
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  origin: TileOrigin,
): void {
  const { perM, perN } = tile;
  const inside = (
    start: Value,
    thread: string,
    i: Value,
    apart: number,
    axes: readonly Axis[],
    width: number,
  ) => {
    const step =
      i.code === '0i' || apart === 1
        ? i
        : emitter.named({ code: `(${i.code} * ${apart}i)`, home: i.home, simple: false });
    const place = sumOf(emitter, start, sumOf(emitter, emitter.here(thread, true), step));
    const covered = isMultiple(countOf(axes), width);
    const test = covered ? '' : `if (${place.code} < ${emitter.named(emitter.poly(countOf(axes))).code})`;
    return { place, test };
  };
  const zero = emitter.constant('i32', 0);
  const columns = (visit: (j: Value) => void): void =>
    count(emitter, perN, 1, zero, (j) => {
      const n = inside(origin.n, threads.n, j, tile.threadsN, kernel.n, columnsOf(tile));
      emitter.within(n.test, () => {
        bindFlat(emitter, kernel.n, { ...n.place, home: emitter.block });
        visit(j);
      });
    });
  count(emitter, perM, 1, zero, (i) => {
    const m = inside(origin.m, threads.m, i, tile.threadsM, kernel.m, rowsOf(tile));
    emitter.within(m.test, () => {
      bindFlat(emitter, kernel.m, { ...m.place, home: emitter.block });
      columns((j) => {
        const at = perN === 1 ? i.code : i.code === '0i' ? j.code : `${i.code} * ${perN}i + ${j.code}`;
        emitter.bindLocal('acc', emitter.block.name(`sums[${at}]`, 'acc'));
        writeStores(kernel.stores, emitter);
      });
    });
  });
  const { sums } = kernel;
  if (!sums) return;
  // Every tile of m has them; the first stores.
  const first = [origin.m.code, threads.m].filter((c) => c !== '0i').map((c) => `${c} == 0i`);
  emitter.within(first.length > 0 ? `if (${first.join(' && ')})` : '', () =>
    columns((j) => {
      const at = j.code === '0i' ? `${perM * perN}i` : `${perM * perN}i + ${j.code}`;
      emitter.bindLocal('sum', emitter.block.name(`sums[${at}]`, 'sum'));
      writeStores(sums, emitter);
    }),
  );
}
