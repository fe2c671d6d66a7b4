/**
 * The gradient of every operation: one row each. Where the derivative does not exist the rows follow PyTorch:
 *
 * - `max` and `min` of two: at a tie each operand gets half; where one operand is a constant the tie goes to the
 *   constant, so relu, max(x, 0), has gradient 0 at 0.
 * - `max` and `min` over dimensions: the first element (in index order) that attains it gets everything.
 * - `abs` has gradient 0 at 0; `pow` is safe at base 0 and exponent 0.
 * - `floor` and `round` are flat, comparisons, bits and integers have no derivative: `null` rows cut the path, and a
 *   gradient for which every path is cut is reported, never silently zero.
 *
 * Rows use the result rather than the operand where both would do, so that only one of them has to be kept.
 */
import type { Node, OpKind, Part, Scan } from '../ir/graph.ts';
import type { ReduceOp, ScalarOp } from '../ir/ops.ts';
import { constantValue } from '../ir/make.ts';
import type { Context, Partial } from './context.ts';
import { prodGradient, selectGradient, sumGradient } from './reduce.ts';
import { scatterGradient, viewGradient } from './view.ts';

export type { Context, Partial } from './context.ts';

/** For each operand a partial, or null where there is no derivative. */
type Row = readonly (Partial | null)[];

export interface GradientRules {
  readonly scalar: { readonly [Op in ScalarOp]: Row };
  readonly reduce: { readonly [Op in ReduceOp]: Row };
  /**
   * Operations other than `map` and `reduce`: first operand only, data operands are integers. The gradients of a scan and
   * its parts are taken together, see `scan.ts`.
   */
  readonly other: { readonly [Op in Exclude<OpKind, 'map' | 'reduce' | 'scan' | 'part'>]: Row };
}

const second = (c: Context): Node => {
  const b = c.x[1];
  if (!b) throw new Error('a binary operation has two operands');
  return b;
};
const condition = (c: Context): Node => c.x[0];

/** 2 / sqrt(pi), the slope of erf at 0. */
const erfSlope = 1.1283791670955126;

const scalar: GradientRules['scalar'] = {
  neg: [({ make, g }) => make.map('neg', g)],
  abs: [
    ({ make, g, x: [x] }) =>
      make.where(make.map('lt', 0, x), g, make.where(make.map('lt', x, 0), make.map('neg', g), 0)),
  ],
  exp: [({ make, g, y }) => make.map('mul', g, y)],
  log: [({ make, g, x: [x] }) => make.map('div', g, x)],
  sqrt: [({ make, g, y }) => make.map('div', make.map('mul', g, 0.5), y)],
  sin: [({ make, g, x: [x] }) => make.map('mul', g, make.map('cos', x))],
  cos: [({ make, g, x: [x] }) => make.map('neg', make.map('mul', g, make.map('sin', x)))],
  tanh: [({ make, g, y }) => make.map('mul', g, make.map('sub', 1, make.map('mul', y, y)))],
  sigmoid: [({ make, g, y }) => make.map('mul', g, make.map('mul', y, make.map('sub', 1, y)))],
  erf: [
    ({ make, g, x: [x] }) =>
      make.map('mul', g, make.map('mul', make.map('exp', make.map('neg', make.map('mul', x, x))), erfSlope)),
  ],
  floor: [null],
  round: [null],
  not: [null],
  // Only between floats: an integer carries no gradient.
  cast: [({ make, g, x: [x] }) => make.graph.map('cast', [g], x.dtype)],
  add: [({ g }) => g, ({ g }) => g],
  sub: [({ g }) => g, ({ make, g }) => make.map('neg', g)],
  mul: [(c) => c.make.map('mul', c.g, second(c)), ({ make, g, x: [x] }) => make.map('mul', g, x)],
  div: [
    (c) => c.make.map('div', c.g, second(c)),
    (c) => c.make.map('neg', c.make.map('mul', c.g, c.make.map('div', c.y, second(c)))),
  ],
  mod: [
    ({ g }) => g,
    (c) =>
      c.make.map('neg', c.make.map('mul', c.g, c.make.map('floor', c.make.map('div', c.x[0], second(c))))),
  ],
  pow: [powBase, powExponent],
  max: [(c) => extremum(c, c.x[0], second(c), 'max'), (c) => extremum(c, second(c), c.x[0], 'max')],
  min: [(c) => extremum(c, c.x[0], second(c), 'min'), (c) => extremum(c, second(c), c.x[0], 'min')],
  lt: [null, null],
  le: [null, null],
  eq: [null, null],
  and: [null, null],
  or: [null, null],
  xor: [null, null],
  shl: [null, null],
  shr: [null, null],
  where: [null, (c) => c.make.where(condition(c), c.g, 0), (c) => c.make.where(condition(c), 0, c.g)],
};

/** Gradient of max(a, b) or min(a, b) with respect to `a`. */
function extremum({ make, g, y }: Context, a: Node, b: Node, fn: 'max' | 'min'): Node {
  const beats = (p: Node, q: Node): Node => (fn === 'max' ? make.map('lt', q, p) : make.map('lt', p, q));
  if (constantValue(b) !== undefined) return make.where(beats(y, b), g, 0);
  const half = make.map('mul', g, 0.5);
  return make.where(make.map('eq', a, b), half, make.where(beats(a, b), g, 0));
}

/** d(a^b)/da = b * a^(b-1), and 0 where a and b are 0. */
function powBase(c: Context): Node {
  const { make, g, x } = c;
  const [a, b] = [x[0], second(c)];
  const n = constantValue(b);
  if (n === 0) return make.graph.full(0, a.dtype, a.shape);
  if (n === 1) return g;
  if (n !== undefined) return make.map('mul', g, make.map('mul', n === 2 ? a : make.map('pow', a, n - 1), n));
  const origin = make.map('and', make.map('eq', a, 0), make.map('eq', b, 0));
  const exponent = make.map('sub', make.where(origin, 1, b), 1);
  return make.map('mul', g, make.map('mul', b, make.map('pow', a, exponent)));
}

/** d(a^b)/db = a^b * log(a), and 0 where a is 0 and b is not negative. */
function powExponent(c: Context): Node {
  const { make, g, x, y } = c;
  const [a, b] = [x[0], second(c)];
  const flat = make.map('and', make.map('eq', a, 0), make.map('le', 0, b));
  return make.map('mul', g, make.map('mul', y, make.map('log', make.where(flat, 1, a))));
}

/** Every gradient there is. Tests hand in tables with a row changed, to see that they notice. */
export const gradientRules: GradientRules = {
  scalar,
  reduce: {
    sum: [sumGradient],
    prod: [prodGradient],
    max: [selectGradient],
    min: [selectGradient],
  },
  other: {
    leaf: [],
    const: [],
    index: [],
    view: [viewGradient],
    scatter: [scatterGradient],
    stop: [null],
  },
};

/** The row of a node. */
export function rowOf(rules: GradientRules, node: Exclude<Node, Scan | Part>): Row {
  if (node.op === 'map') return rules.scalar[node.fn];
  return node.op === 'reduce' ? rules.reduce[node.fn] : rules.other[node.op];
}
