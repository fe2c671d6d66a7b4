/** Contractions of which not all products count. */
import { add, constant as int, multiply, symbol } from '../../compiler/shape/poly.ts';
import type { Case, Size } from '../support/kernel-build.ts';
import {
  at,
  constant,
  contract,
  ge,
  indexOf,
  load,
  local,
  op,
  sized,
  store,
} from '../support/kernel-build.ts';
import { count } from './kernels.ts';

export const pairs = [
  ['i', 'k'],
  ['k', 'i'],
  ['j', 'k'],
  ['k', 'j'],
  ['i', 'j'],
  ['j', 'i'],
] as const;

/**
 * y[b] = x[b] @ w[b], of which products count where `more - less + by >= 0`, indices i, j or k: one operand is 0 elsewhere, or the
 * result is not looked at.
 */
export function triangular(
  [m, n, k]: readonly [Size, Size, Size],
  more: 'i' | 'j' | 'k',
  less: 'i' | 'j' | 'k',
  by: number,
): Case {
  const holds = ge(add(symbol(more), multiply(symbol(less), int(-1)), int(by)));
  const guard = (...own: readonly string[]) => (own.includes(more) && own.includes(less) ? [holds] : []);
  const result = op('mul', local('acc'), constant(0.5));
  const isSeen = op('le', constant(0, 'i32'), indexOf(holds.value));
  const kernel = contract(
    'triangular',
    ['r f32', 'r f32', 'w f32'],
    { batch: { b: 2 }, m: { i: m }, n: { j: n }, k: { k } },
    load(0, at([2, m, k], 'b', 'i', 'k'), { guard: guard('i', 'k') }),
    load(1, at([2, k, n], 'b', 'k', 'j'), { guard: guard('j', 'k') }),
    store(
      2,
      at([2, m, n], 'b', 'i', 'j'),
      guard('i', 'j').length > 0 ? op('where', isSeen, result, constant(-1)) : result,
    ),
  );
  return sized({ ...kernel, live: [holds] }, count(2, m, k), count(2, k, n), count(2, m, n));
}
