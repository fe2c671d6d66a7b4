/**
 * Contractions: a workgroup computes a tile of m by n. For every slice of k it gathers tiles of both operands into
 * workgroup memory, through any expression; then each invocation multiplies into its accumulators, which are scalars
 * with names as the shader compiler does not unroll. The epilogue stores from there.
 */
import type { Axis, ContractKernel, Ex } from '../../kernel/kernel.ts';
import { countOf, isMultiple } from './axes.ts';
import { Emitter, countUses } from './emitter.ts';
import type { VectorStores } from './epilogue.ts';
import { epilogue, vectorStores } from './epilogue.ts';
import { addUp, multiplyTiles } from './multiply.ts';
import { liveShare } from './live.ts';
import { nestedContraction, nestedOperand } from './nested-contract.ts';
import type { Form } from './operands.ts';
import { formOf, operand } from './operands.ts';
import { bindTile, placeThreads } from './place.ts';
import { valueType } from './print.ts';
import type { Emitted, Shader } from './shader.ts';
import { chooseTile, columnsOf, invocationsOf, range, rowsOf } from './tile.ts';
import type { Tile } from './tile.ts';
import { isFourfold, LANES } from './vector.ts';
import { loadsIn } from '../../kernel/walk.ts';

/** `chosen`: one of `tilesOf`. */
export function emitContract(given: ContractKernel, shader: Shader, chosen?: Tile): Emitted {
  const nested = nestedContraction(given, shader);
  const { kernel, tile } = nested ?? { kernel: given, tile: chosen ?? chooseTile(given, shader.limits) };
  const access = accessOf(kernel, tile, shader);
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
  const threads = placeThreads(kernel, emitter, tile, access.inLine);
  const block = {
    m: { axes: kernel.m, start: origin.m, size: rowsOf(tile) },
    n: { axes: kernel.n, start: origin.n, size: columnsOf(tile) },
    k: kernel.k,
  };
  // Sums over one operand alone need all of it.
  const conditions = kernel.sums ? [] : (kernel.live ?? []);
  const { from, end } = liveShare(emitter, conditions, block, origin, tile.depth);
  const share = { end, covered: stepsAreWhole(kernel, tile.depth) };
  const common = { k: kernel.k, share };
  const [left, right] = [
    { ex: kernel.a, side: kernel.m, form: access.a, start: origin.m, width: rowsOf(tile), name: 'a' },
    { ex: kernel.b, side: kernel.n, form: access.b, start: origin.n, width: columnsOf(tile), name: 'b' },
  ];
  const operands = [
    nested
      ? nestedOperand(emitter, nested, { ...left, ...common })
      : operand(emitter, tile, { ...left, ...common }),
    operand(emitter, tile, { ...right, ...common }),
  ] as const;
  emitter.within(`for (var k0 = ${from.code}; k0 < ${end.code}; k0 += ${tile.depth}i)`, () => {
    for (const o of operands) o.fill(emitter);
    emitter.block.add('workgroupBarrier();');
    multiplyTiles(emitter, tile, threads, operands, accumulators, folded);
    emitter.block.add('workgroupBarrier();');
  });
  const all = [...accumulators.flat(), ...folded];
  emitter.block.add(`var sums = array<${valueType(dtype)}, ${all.length}>(${all.join(', ')});`);
  if (tile.threadsK > 1) addUp(emitter, tile, threads, dtype, tile.perM + (kernel.sums ? 1 : 0));
  const store = (): void => epilogue(kernel, emitter.fork(), tile, threads, origin, access);
  emitter.within(tile.threadsK > 1 ? `if (${threads.k} == 0i)` : '', () => store());
  return {
    workgroupSize: invocationsOf(tile),
    workgroups: origin.groups.workgroups,
    large: origin.groups.large,
  };
}

/** What is read and stored four elements at once. */
interface Access extends VectorStores {
  readonly a: Form;
  readonly b: Form;
  /** Sides on which an invocation's rows are neighbours. */
  readonly inLine: { readonly m: boolean; readonly n: boolean };
}

/** Settles which buffers are declared as vectors. An element of such a buffer may be read alone, but not stored. */
function accessOf(kernel: ContractKernel, tile: Tile, shader: Shader): Access {
  const vector = vectorStores(kernel, tile);
  const whole = !kernel.parts || isFourfold(kernel.parts.length);
  const form = (ex: Ex, side: readonly Axis[], per: number): Form => {
    const found = per === LANES ? formOf({ ex, side, k: kernel.k }, tile.depth, whole) : 'elements';
    return loadsIn(ex).some((load) => vector.alone.has(load.buffer)) ? 'elements' : found;
  };
  const [a, b] = [form(kernel.a, kernel.m, tile.perM), form(kernel.b, kernel.n, tile.perN)];
  for (const [ex, found] of [
    [kernel.a, a],
    [kernel.b, b],
  ] as const)
    if (found !== 'elements') for (const { buffer } of loadsIn(ex)) shader.vectors.add(buffer);
  for (const buffer of vector.buffers) shader.vectors.add(buffer);
  const { acc, sum } = vector;
  const inLine = { m: a !== 'elements' || acc === 'm', n: b !== 'elements' || acc === 'n' || sum };
  return { ...vector, a, b, inLine };
}

/** Every slice of k is `depth` steps long. */
const stepsAreWhole = ({ k, parts }: ContractKernel, depth: number): boolean =>
  isMultiple(countOf(k), depth) && (!parts || isMultiple(parts.length, depth));
