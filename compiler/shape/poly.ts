/** All of `shape/` in one place, for the stages: what is not listed here is between its files. */
export type { Atom, AtomKind, Poly, Term } from './algebra.ts';
export {
  add,
  asConstant,
  asSymbol,
  constant,
  divideExact,
  equal,
  isFlat,
  linearIn,
  stepOf,
  maximum,
  minimum,
  multiply,
  negate,
  one,
  partition,
  recombine,
  scale,
  soleAtom,
  subtract,
  symbol,
  symbolsOf,
  toPoly,
  zero,
} from './algebra.ts';
export type { Ranges } from './bounds.ts';
export { floorDivide, floorMod, isBetween, isNonNegative, lowerBound, upperBound } from './bounds.ts';
export type { Condition } from './condition.ts';
export { common, conditionKey, distinct, guardKey, mapGuard } from './condition.ts';
export { replaceAtoms, simplify, substitute } from './substitute.ts';
export { evaluate, format } from './values.ts';
