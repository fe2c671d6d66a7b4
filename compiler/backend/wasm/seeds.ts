/**
 * Large whole constants as parameters of a kernel's code. Random draws hash numbers that are different for every tensor and every
 * place of the text: with these apart, all tensors of a size are drawn by one body.
 */
import type { Ex, Kernel, RowsKernel } from '../../kernel/kernel.ts';
import { rebuild, exRebuilder } from '../../kernel/rebuild.ts';
import { rootsOf, usesIn } from '../../kernel/walk.ts';
import { symbol } from '../../shape/poly.ts';

/** Smaller ones are shifts and masks, which vector code wants to know. */
const least = 2 ** 16;

const isSeed = (ex: Ex): ex is Extract<Ex, { kind: 'const' }> =>
  ex.kind === 'const' && ex.dtype === 'u32' && ex.value >= least;

/** Stands for the value of seed number `i`, as a dimension does. */
export const seedName = (i: number): string => `seed ${i}`;

const named = (i: number): Ex => {
  const index: Ex = { kind: 'index', dtype: 'i32', value: symbol(seedName(i)), data: [] };
  return { kind: 'op', fn: 'cast', dtype: 'u32', args: [index] };
};

/** The kernel with names in place of its seeds, and their values by number. */
export function withoutSeeds(kernel: Kernel): { readonly kernel: Kernel; readonly seeds: readonly number[] } {
  if (kernel.kind !== 'rows' || !hasSeeds(kernel)) return { kernel, seeds: [] };
  const seeds = new Map<number, Ex>();
  const name = (ex: Ex): Ex => {
    if (!isSeed(ex)) return ex;
    const made = seeds.get(ex.value) ?? named(seeds.size);
    seeds.set(ex.value, made);
    return made;
  };
  const made = rebuild(kernel, kernel.buffers, { ex: exRebuilder(name), number: (b) => b });
  return { kernel: made, seeds: [...seeds.keys()] };
}

const hasSeeds = ({ stages }: RowsKernel): boolean =>
  [...usesIn(stages.flatMap(rootsOf)).keys()].some(isSeed);
