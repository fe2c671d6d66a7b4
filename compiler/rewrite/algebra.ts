/**
 * Rules about element-wise operations. They keep values but for the sign of zero and, in those marked `fast`, the
 * last bit (constants are combined before they meet the data; not in f16, where that bit matters). Nothing assumes that values are finite: `x * 0` and
 * `x - x` stay for floats, as NaN and infinity must be seen.
 */
import type { Graph, MapNode, Node } from '../ir/graph.ts';
import { constantValue } from '../ir/make.ts';
import type { DType, ScalarOp } from '../ir/ops.ts';
import { scalarOps } from '../ir/ops.ts';
import type { Rule, RuleContext } from './engine.ts';
import { foldScalar } from '../ir/fold.ts';

type MapRule = (x: readonly Node[], context: RuleContext, node: MapNode) => Node | undefined;

/** A rule about some scalar operations. */
const rule = (name: string, fns: readonly ScalarOp[], apply: MapRule): Rule<'map'> => ({
  name,
  op: 'map',
  apply: (node, context) => (fns.includes(node.fn) ? apply(node.inputs, context, node) : undefined),
});

const isFloat = (x: Node | undefined): boolean => x?.dtype === 'f32' || x?.dtype === 'f16';
const isConst = (x: Node | undefined, value: number): boolean =>
  x !== undefined && constantValue(x) === value;
const isMap = (x: Node | undefined, fn: ScalarOp): x is MapNode => x?.op === 'map' && x.fn === fn;

/** 1/c when it is exact: a power of two in the normal range of the dtype. */
function exactReciprocal(c: number, dtype: DType): number | undefined {
  const power = Math.log2(Math.abs(c));
  return Number.isInteger(power) && Math.abs(power) < (dtype === 'f16' ? 14 : 126) ? 1 / c : undefined;
}

const identities: readonly Rule<'map'>[] = [
  rule('fold constants', all(), (x, { graph }, node) => {
    const values = x.map(constantValue);
    if (values.some((v) => v === undefined)) return undefined;
    const from = x[node.fn === 'where' ? 1 : 0]?.dtype ?? node.dtype;
    const value = foldScalar(node.fn, values as number[], from, node.dtype);
    return value === undefined ? undefined : graph.full(value, node.dtype, node.shape);
  }),
  rule(
    'constant to the right',
    ['add', 'mul', 'max', 'min', 'eq', 'and', 'or', 'xor'],
    ([a, b], { graph }, node) =>
      a && b && constantValue(a) !== undefined && constantValue(b) === undefined
        ? graph.map(node.fn, [b, a])
        : undefined,
  ),
  rule('x + 0, x - 0', ['add', 'sub', 'or', 'xor', 'shl', 'shr'], ([a, b]) =>
    isConst(b, 0) ? a : undefined,
  ),
  rule('x * 1, x / 1, x ^ 1', ['mul', 'div', 'pow'], ([a, b]) => (isConst(b, 1) ? a : undefined)),
  rule('integer x * 0', ['mul'], ([a, b]) => (isConst(b, 0) && !isFloat(a) ? b : undefined)),
  rule('x * -1', ['mul'], ([a, b], { make }) =>
    a && isConst(b, -1) && a.dtype !== 'u32' ? make.map('neg', a) : undefined,
  ),
  rule('0 - x', ['sub'], ([a, b], { make }) => (b && isConst(a, 0) ? make.map('neg', b) : undefined)),
  rule('x / power of two', ['div'], ([a, b], { make }) => {
    const c = b && isFloat(b) ? constantValue(b) : undefined;
    const reciprocal = c === undefined ? undefined : exactReciprocal(c, b!.dtype);
    return a && reciprocal !== undefined ? make.map('mul', a, reciprocal) : undefined;
  }),
  rule('x ^ small constant', ['pow'], ([a, b], { make }) => {
    if (!a) return undefined;
    if (isConst(b, 0)) return make.graph.full(1, a.dtype, a.shape);
    if (isConst(b, 2)) return make.map('mul', a, a);
    // In f16 each product rounds visibly.
    if (isConst(b, 3) && a.dtype !== 'f16') return make.map('mul', make.map('mul', a, a), a);
    if (isConst(b, 0.5)) return make.map('sqrt', a);
    return isConst(b, -1) ? make.map('div', 1, a) : undefined;
  }),
];

const signs: readonly Rule<'map'>[] = [
  rule('-(-x)', ['neg'], ([a]) => (isMap(a, 'neg') ? a.inputs[0] : undefined)),
  rule('x + -y', ['add'], ([a, b], { graph }) => {
    if (a && isMap(b, 'neg') && b.inputs[0]) return graph.map('sub', [a, b.inputs[0]]);
    return b && isMap(a, 'neg') && a.inputs[0] ? graph.map('sub', [b, a.inputs[0]]) : undefined;
  }),
  rule('x - -y', ['sub'], ([a, b], { graph }) =>
    a && isMap(b, 'neg') && b.inputs[0] ? graph.map('add', [a, b.inputs[0]]) : undefined,
  ),
  rule('-x * y, -x / y', ['mul', 'div'], ([a, b], { graph, make }, node) => {
    if (!a || !b || (node.fn === 'div' && !isFloat(a))) return undefined;
    if (isMap(a, 'neg') && a.inputs[0]) return make.map('neg', graph.map(node.fn, [a.inputs[0], b]));
    return isMap(b, 'neg') && b.inputs[0] ? make.map('neg', graph.map(node.fn, [a, b.inputs[0]])) : undefined;
  }),
  rule('-(x * c)', ['neg'], ([a], { make }) => {
    const [x, c] = isMap(a, 'mul') ? a.inputs : [];
    const value = c && isFloat(c) ? constantValue(c) : undefined;
    return x && value !== undefined ? make.map('mul', x, -value) : undefined;
  }),
];

const choices: readonly Rule<'map'>[] = [
  rule('where of a constant', ['where'], ([c, a, b]) => {
    const value = c && constantValue(c);
    return value === undefined ? (a === b ? a : undefined) : value !== 0 ? a : b;
  }),
  rule('where not', ['where'], ([c, a, b], { graph }) =>
    isMap(c, 'not') && c.inputs[0] && a && b ? graph.map('where', [c.inputs[0], b, a]) : undefined,
  ),
  rule('not not', ['not'], ([a]) => (isMap(a, 'not') ? a.inputs[0] : undefined)),
  rule('and, or of a bool constant', ['and', 'or'], ([a, b], _context, node) => {
    if (node.dtype !== 'bool') return undefined;
    if (isConst(b, node.fn === 'and' ? 1 : 0)) return a;
    return isConst(b, node.fn === 'and' ? 0 : 1) ? b : undefined;
  }),
  rule('x max x', ['max', 'min', 'and', 'or'], ([a, b]) => (a === b ? a : undefined)),
  rule('x < x', ['lt', 'le', 'eq'], ([a, b], { graph }, node) => {
    if (a !== b || !a || (node.fn !== 'lt' && isFloat(a))) return undefined;
    return graph.full(node.fn === 'lt' ? 0 : 1, 'bool', node.shape);
  }),
  rule('cast of a cast', ['cast'], ([a], { graph }, node) => {
    const [x] = isMap(a, 'cast') ? a.inputs : [];
    const lossless = x && (x.dtype === 'bool' || x.dtype === node.dtype) && holds(a?.dtype, x.dtype);
    return x && lossless ? graph.map('cast', [x], node.dtype) : undefined;
  }),
];

/** Every value of `small` is one of `wide`. */
const holds = (wide: string | undefined, small: string): boolean =>
  small === 'bool' || wide === small || (small === 'f16' && wide === 'f32');

/** fast: two constants are combined before they meet the data. */
const combined: readonly Rule<'map'>[] = [
  rule('(x * c) * d', ['mul', 'add'], ([a, b], { graph }, node) => {
    const [x, c] = isMap(a, node.fn) ? a.inputs : [];
    const [inner, outer] = [c && constantValue(c), b && constantValue(b)];
    if (!x || inner === undefined || outer === undefined || node.dtype === 'f16') return undefined;
    const value = foldScalar(node.fn, [inner, outer], node.dtype, node.dtype);
    return value === undefined || !fits(value, node)
      ? undefined
      : graph.map(node.fn, [x, graph.full(value, node.dtype, node.shape)]);
  }),
];

/**
 * fast: quotients by one divisor, as the gradient of a softmax has them. With its result, y = e / s, this becomes
 * (g - sum(g * y)) * y, in which neither e nor s is left.
 */
const quotients: readonly Rule<'map'>[] = [
  rule('x / d + y / d', ['add', 'sub'], ([a, b], { graph, make, uses }, node) => {
    if (!a || !b || !isFloat(node) || uses(a) > 1 || uses(b) > 1) return undefined;
    const [first, second] = [quotientOf(a, graph), quotientOf(b, graph)];
    if (!first || !second || first.divisor !== second.divisor) return undefined;
    const fn = first.negative === second.negative ? node.fn : node.fn === 'add' ? 'sub' : 'add';
    const quotient = make.map('div', graph.map(fn, [first.top, second.top]), first.divisor);
    return first.negative ? make.map('neg', quotient) : quotient;
  }),
  rule('(x / d) * e, where others need e / d', ['mul'], ([a, b], { graph, uses }) => {
    for (const [quotient, e] of [[a, b] as const, [b, a] as const]) {
      const [x, d] =
        isMap(quotient, 'div') && isFloat(quotient) && uses(quotient) === 1 ? quotient.inputs : [];
      const there = e && d && x !== e ? graph.existing('div', [e, d]) : undefined;
      if (x && there && uses(there) > 1) return graph.map('mul', [x, there]);
    }
    return undefined;
  }),
];

interface Quotient {
  readonly top: Node;
  readonly divisor: Node;
  readonly negative: boolean;
}

/** Numerator and divisor, seen through a sign and through a view that reads both alike. */
function quotientOf(node: Node, graph: Graph): Quotient | undefined {
  const [x, divisor] = node.inputs;
  if (isMap(node, 'div') && x && divisor) return { top: x, divisor, negative: false };
  const inner = x && node.inputs.length === 1 ? quotientOf(x, graph) : undefined;
  if (!inner) return undefined;
  if (isMap(node, 'neg')) return { ...inner, negative: !inner.negative };
  if (node.op !== 'view' || node.guard.length > 0) return undefined;
  const seen = (n: Node): Node => graph.view(n, node.shape, node.index);
  return { ...inner, top: seen(inner.top), divisor: seen(inner.divisor) };
}

/** Combining must not overflow or vanish in f32. */
const fits = (value: number, node: Node): boolean =>
  !isFloat(node) || value === 0 || (Math.abs(value) < 1e30 && Math.abs(value) > 1e-30);

function all(): readonly ScalarOp[] {
  return Object.keys(scalarOps) as ScalarOp[];
}

/** Rules about maps, in the order they are tried. */
export const algebra: readonly Rule<'map'>[] = [
  ...identities,
  ...signs,
  ...choices,
  ...combined,
  ...quotients,
];
