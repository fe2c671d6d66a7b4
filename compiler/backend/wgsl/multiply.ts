/** The inner loops of a contraction: accumulators, named as the shader compiler does not unroll, and adding them up. */
import type { Ex } from '../../kernel/kernel.ts';
import type { Emitter } from './emitter.ts';
import type { Operand } from './operands.ts';
import type { Side, Threads } from './place.ts';
import { LOCAL } from './shader.ts';
import { invocationsOf, range } from './tile.ts';
import type { Tile } from './tile.ts';
import { components } from './vector.ts';

/** Every accumulator adds the product of its row and its column; the folded sums add the column. */
export function multiplyTiles(
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  [a, b]: readonly [Operand, Operand],
  accumulators: readonly (readonly string[])[],
  folded: readonly string[],
): void {
  const step = tile.threadsK;
  emitter.within(`for (var kz = 0i; kz < ${tile.depth}i; kz += ${step}i)`, () => {
    const { block } = emitter;
    const kk = threads.k === '0i' ? 'kz' : block.name(`(kz + ${threads.k})`, 'kk');
    const read = (o: Operand, side: Side, name: string): string[] => {
      const at = (offset: string): string => o.widen(`${o.array}[${kk} * ${o.pitch}i${offset}]`);
      if (o.isVector) {
        block.add(`let ${name} = ${at(plus(side.thread))};`);
        return components.map((c) => `${name}.${c}`);
      }
      return range(side.per).map((i) => {
        block.add(`let ${name}${i} = ${at(plus(side.first) + plus(`${i * side.apart}i`))};`);
        return `${name}${i}`;
      });
    };
    const [xs, ys] = [read(a, threads.m, 'x'), read(b, threads.n, 'y')];
    accumulators.forEach((row, i) => row.forEach((acc, j) => block.add(`${acc} += ${xs[i]} * ${ys[j]};`)));
    folded.forEach((sum, j) => block.add(`${sum} += ${ys[j]};`));
  });
}

const plus = (code: string): string => (code === '0i' ? '' : ` + ${code}`);

/** Adds the parts of the invocations that share accumulators, in the order of their parts; one row at a time. */
export function addUp(
  emitter: Emitter,
  tile: Tile,
  threads: Threads,
  dtype: Ex['dtype'],
  rows: number,
): void {
  const invocations = invocationsOf(tile);
  const part = tile.threadsM * tile.threadsN;
  const array = emitter.shader.workgroupArray(dtype, invocations * tile.perN, 'parts');
  const columns = range(tile.perN);
  const at = (j: number): string => (j === 0 ? '' : ` + ${j * invocations}i`);
  emitter.within(`for (var i = 0i; i < ${rows}i; i++)`, () => {
    const { block } = emitter;
    const sum = (j: number): string => `sums[i * ${tile.perN}i + ${j}i]`;
    for (const j of columns) block.add(`${array}[${LOCAL}${at(j)}] = ${sum(j)};`);
    block.add('workgroupBarrier();');
    emitter.within(`if (${threads.k} == 0i)`, () => {
      emitter.within(`for (var p = ${part}i; p < ${invocations}i; p += ${part}i)`, () => {
        for (const j of columns) emitter.block.add(`${sum(j)} += ${array}[${LOCAL} + p${at(j)}];`);
      });
    });
    block.add('workgroupBarrier();');
  });
}
