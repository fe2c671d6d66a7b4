/**
 * The left operand read where it lies, if that is rows of k without gaps at equal distances: the register kernel takes a value of
 * each row, and nothing is packed. The last strip may read rows that do not exist. They belong to other tensors or, behind the
 * last, to the scratch area, which has room for them; their products are not stored.
 */
import type { Axis, ContractKernel } from '../../../kernel/kernel.ts';
import type { Poly } from '../../../shape/poly.ts';
import { add, equal, multiply, scale, stepOf, substitute, symbol, zero } from '../../../shape/poly.ts';

export interface InPlace {
  /** Address of the first row, by the batch indices. */
  readonly base: Poly;
  /** Elements from one row to the next. */
  readonly pitch: number;
}

/** How the left operand lies, if it can be read there. */
export function inPlaceOf({ a, m, k, buffers }: ContractKernel): InPlace | undefined {
  if (a.kind !== 'load' || a.dtype !== 'f32' || a.guard.length > 0 || a.data.length > 0) return undefined;
  if (buffers[a.buffer]?.mode !== 'read') return undefined;
  const inner = m.at(-1);
  const pitch = inner && stepOf(a.offset, inner.name);
  if (pitch === undefined || pitch <= 0) return undefined;
  const names = new Set([...m, ...k].map((axis) => axis.name));
  const first = substitute(a.offset, (s) => (names.has(s) ? zero : undefined));
  const expected = add(first, scale(flat(m), pitch), flat(k));
  return equal(a.offset, expected)
    ? { base: add(symbol(`$b${a.buffer}`), scale(first, 4)), pitch }
    : undefined;
}

const flat = (axes: readonly Axis[]): Poly =>
  axes.reduce((sum, axis) => add(multiply(sum, axis.extent), symbol(axis.name)), zero);
