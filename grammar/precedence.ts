/** How tightly operators bind: the one table that parsing and printing share. Higher binds tighter. */
import type { BinaryOp } from './syntax.ts';

export const LEVEL = {
  /** `if … then … else`, `… from …`: only where a whole expression stands. */
  open: 0,
  pipe: 1,
  or: 2,
  and: 3,
  not: 4,
  comparison: 5,
  sum: 6,
  /** The body of a reduction: products and tighter. */
  reduction: 7,
  product: 8,
  negation: 9,
  power: 10,
  postfix: 11,
} as const;

export const BINARY_LEVEL: Readonly<Record<BinaryOp, number>> = {
  or: LEVEL.or,
  and: LEVEL.and,
  '==': LEVEL.comparison,
  '!=': LEVEL.comparison,
  '<': LEVEL.comparison,
  '<=': LEVEL.comparison,
  '>': LEVEL.comparison,
  '>=': LEVEL.comparison,
  '+': LEVEL.sum,
  '-': LEVEL.sum,
  '*': LEVEL.product,
  '/': LEVEL.product,
  div: LEVEL.product,
  '%': LEVEL.product,
  '@': LEVEL.product,
  '^': LEVEL.power,
};

export function isBinaryOp(text: string): text is BinaryOp {
  return Object.hasOwn(BINARY_LEVEL, text);
}
