/**
 * Contractions: a workgroup computes a tile of m by n. For every slice of k it gathers tiles of both operands into
 * workgroup memory, through any expression; then each invocation multiplies into its accumulators, which are scalars
 * with names as the shader compiler does not unroll. The epilogue stores from there.
 */
import type { ContractKernel } from '../../kernel/kernel.ts';
import { countOf, isMultiple } from './axes.ts';
import { Emitter, countUses } from './emitter.ts';
import { epilogue } from './epilogue.ts';
import { addUp, multiplyTiles } from './multiply.ts';
import { operand } from './operands.ts';
import { bindTile, placeThreads } from './place.ts';
import { valueType } from './print.ts';
import type { Emitted, Shader } from './shader.ts';
import { chooseTile, columnsOf, invocationsOf, range, rowsOf } from './tile.ts';

export function emitContract(kernel: ContractKernel, shader: Shader): Emitted {
  const tile = chooseTile(kernel, shader.limits);
  const emitter = new Emitter(
    shader,
    countUses([kernel.a, kernel.b, ...[...kernel.stores, ...(kernel.sums ?? [])].map((s) => s.value)]),
  );
  const origin = bindTile(kernel, emitter, tile);
  const dtype = kernel.a.dtype;
  const accumulators = range(tile.perM).map((i) => range(tile.perN).map((j) => `acc${i}_${j}`));
  const folded = kernel.sums ? range(tile.perN).map((j) => `sum${j}`) : [];
  for (const name of [...accumulators.flat(), ...folded])
    emitter.block.add(`var ${name}: ${valueType(dtype)} = ${emitter.constant(dtype, 0).code};`);
  const threads = placeThreads(kernel, emitter, tile);
  const share = { end: origin.end, covered: stepsAreWhole(kernel, tile.depth) };
  const operands = [
    operand(emitter, tile, {
      ex: kernel.a,
      side: kernel.m,
      k: kernel.k,
      start: origin.m,
      share,
      width: rowsOf(tile),
      name: 'a',
    }),
    operand(emitter, tile, {
      ex: kernel.b,
      side: kernel.n,
      k: kernel.k,
      start: origin.n,
      share,
      width: columnsOf(tile),
      name: 'b',
    }),
  ] as const;
  emitter.within(`for (var k0 = ${origin.from.code}; k0 < ${origin.end.code}; k0 += ${tile.depth}i)`, () => {
    for (const o of operands) o.fill(emitter);
    emitter.block.add('workgroupBarrier();');
    multiplyTiles(emitter, tile, threads, operands, accumulators, folded);
    emitter.block.add('workgroupBarrier();');
  });
  const all = [...accumulators.flat(), ...folded];
  emitter.block.add(`var sums = array<${valueType(dtype)}, ${all.length}>(${all.join(', ')});`);
  if (tile.threadsK > 1) addUp(emitter, tile, threads, dtype, tile.perM + (kernel.sums ? 1 : 0));
  const store = (): void => epilogue(kernel, emitter.fork(), tile, threads, origin);
  emitter.within(tile.threadsK > 1 ? `if (${threads.k} == 0i)` : '', () => store());
  return {
    workgroupSize: invocationsOf(tile),
    workgroups: origin.groups.workgroups,
    large: origin.groups.large,
  };
}

/** Every slice of k is `depth` steps long. */
const stepsAreWhole = ({ k, parts }: ContractKernel, depth: number): boolean =>
  isMultiple(countOf(k), depth) && (!parts || isMultiple(parts.length, depth));
