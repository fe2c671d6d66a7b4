/** All of `shape/` in one place, for the stages: what is not listed here is between its files. */
export type { Atom, AtomKind, Poly, Term } from './sum.ts';
export {
  add,
  asConstant,
  asSymbol,
  constant,
  equal,
  isFlat,
  linearIn,
  maximum,
  minimum,
  multiply,
  negate,
  one,
  partition,
  scale,
  soleAtom,
  subtract,
  symbol,
  symbolsOf,
  toPoly,
  zero,
} from './sum.ts';
export type { Ranges } from './division.ts';
export {
  divideExact,
  floorDivide,
  floorMod,
  isBetween,
  isNonNegative,
  lowerBound,
  upperBound,
} from './division.ts';
export { recombine, replaceAtoms, simplify, substitute } from './substitute.ts';
export { evaluate, format } from './values.ts';
