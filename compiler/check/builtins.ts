/** The functions that cannot be written in `.nnet`: element-wise operations, casts, reductions, random numbers, gradients. */
import type { Reducer } from '../../grammar/syntax.ts';
import type { DType, ScalarOp, UnaryOp } from '../ir/ops.ts';
import { isFloat, scalarOps } from '../ir/ops.ts';
import { maximum, minimum, multiply, one } from '../shape/poly.ts';
import { binary, bool, float, meet, numberOf, select, toTensor } from './arithmetic.ts';
import { Args } from './builtin-args.ts';
import { shapeBuiltins } from './builtin-shapes.ts';
import { describe } from './describe.ts';
import { parameters } from './parameters.ts';
import { randomUniform } from './random.ts';
import { reduceAxes } from './reductions.ts';
import { also, at, fail } from './report.ts';
import { castTo, mapTensors } from './tensor.ts';
import { total } from './totals.ts';
import type { BuiltinCall, BuiltinValue, Context, TensorValue, Value } from './values.ts';
import { int, poison, restOf, Scope, tensor } from './values.ts';

type Run = BuiltinValue['run'];

// ---------------------------------------------------------------- element-wise

type FloatOp = Exclude<UnaryOp, 'neg' | 'not' | 'cast'>;

/** Their values on static numbers; where there is none, the number becomes a tensor. */
const onNumbers: Readonly<Record<FloatOp, ((x: number) => number) | undefined>> = {
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  erf: undefined,
  floor: Math.floor,
  round: roundHalfEven,
};

function roundHalfEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

const elementwise =
  (fn: FloatOp): Run =>
  (ctx, call) => {
    const args = new Args(ctx, call, ['x']);
    const v = args.value('x');
    if (!args.good || !v) return poison;
    const n = numberOf(v);
    const known = onNumbers[fn];
    if (n !== undefined && known)
      return v.kind === 'int' && fn === 'abs' && Number.isSafeInteger(n)
        ? int(multiply(one, Math.abs(n)))
        : float(known(n));
    const x = v.kind === 'int' || v.kind === 'float' ? toTensor(ctx, v, 'f32') : args.tensor('x');
    if (!x) return poison;
    if (!scalarOps[fn].result([x.node.dtype])) {
      return fail(
        ctx,
        'E0316',
        { op: fn, dtypes: [x.node.dtype], help: 'convert it: `f32(…)`' },
        at(call.span, x.node.dtype),
      );
    }
    return mapTensors(ctx.session.graph, fn, [x]);
  };

/** The least whole number that is not less. */
const ceil: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const v = args.value('x');
  if (!args.good || !v) return poison;
  const n = numberOf(v);
  if (n !== undefined) return float(Math.ceil(n));
  const x = args.tensor('x');
  if (!x) return poison;
  if (!isFloat(x.node.dtype))
    return fail(
      ctx,
      'E0316',
      { op: 'ceil', dtypes: [x.node.dtype], help: undefined },
      at(call.span, x.node.dtype),
    );
  const { graph } = ctx.session;
  return mapTensors(graph, 'neg', [mapTensors(graph, 'floor', [mapTensors(graph, 'neg', [x])])]);
};

/** `max(a, b, …)` element by element, `max(x)` over everything, `max(x, axis: 1)`. */
const extremum =
  (fn: 'max' | 'min'): Run =>
  (ctx, call) => {
    const positional = call.args.filter((a) => !a.name);
    const [first] = positional;
    if (call.args.some((a) => a.value.kind === 'poison')) return poison;
    if (positional.length < 2) {
      const list = first?.value.kind === 'list' && call.args.length === 1 ? first.value.items : undefined;
      if (!list || list.length === 0) return reducing(fn)(ctx, call);
      return list.reduce((a, b) => larger(ctx, fn, a, b, call));
    }
    const named = call.args.find((a) => a.name);
    if (named?.name)
      return fail(
        ctx,
        'E0404',
        { callee: call.name, name: named.name.name, near: undefined, has: [] },
        at(named.span, 'no such argument'),
      );
    return positional.map((a) => a.value).reduce((a, b) => larger(ctx, fn, a, b, call));
  };

function larger(ctx: Context, fn: 'max' | 'min', a: Value, b: Value, call: BuiltinCall): Value {
  if (a.kind === 'poison' || b.kind === 'poison') return poison;
  if (a.kind === 'int' && b.kind === 'int')
    return int(fn === 'max' ? maximum(a.poly, b.poly) : minimum(a.poly, b.poly));
  const [n, m] = [numberOf(a), numberOf(b)];
  if (n !== undefined && m !== undefined) return float(fn === 'max' ? Math.max(n, m) : Math.min(n, m));
  const spans = call.args.map((x) => x.span);
  const operands = meet(ctx, fn, [a, b], {
    whole: call.span,
    op: call.span,
    operands: [spans[0]!, spans[1]!],
  });
  return operands ? mapOf(ctx, fn, operands, call) : poison;
}

function mapOf(ctx: Context, fn: ScalarOp, operands: readonly TensorValue[], call: BuiltinCall): Value {
  const dtypes = operands.map((t) => t.node.dtype);
  if (!scalarOps[fn].result(dtypes))
    return fail(
      ctx,
      'E0316',
      { op: call.name, dtypes: [...new Set(dtypes)], help: undefined },
      at(call.span, dtypes.join(' and ')),
    );
  return mapTensors(ctx.session.graph, fn, operands);
}

const pow: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x', 'exponent']);
  const [x, e] = [args.value('x'), args.value('exponent')];
  if (!args.good || !x || !e) return poison;
  return binary(ctx, '^', x, e, {
    whole: call.span,
    op: call.span,
    operands: [args.span('x'), args.span('exponent')],
  });
};

const where: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['condition', 'then', 'otherwise']);
  const [c, a, b] = [args.value('condition'), args.value('then'), args.value('otherwise')];
  if (!args.good || !c || !a || !b) return poison;
  if (c.kind === 'bool') return c.value ? a : b;
  const test = args.tensor('condition');
  if (test?.node.dtype !== 'bool')
    return args.refuse('condition', 'true or false', 'compare: `x > 0`') ?? poison;
  return select(ctx, test, a, b, {
    whole: call.span,
    op: call.span,
    operands: [args.span('condition'), args.span('then'), args.span('otherwise')],
  });
};

const cast =
  (dtype: DType): Run =>
  (ctx, call) => {
    const args = new Args(ctx, call, ['x']);
    const x = args.good ? args.tensor('x') : undefined;
    return x ? castTo(ctx.session.graph, x, dtype) : poison;
  };

// ---------------------------------------------------------------- reductions

const reducing =
  (reducer: Reducer): Run =>
  (ctx, call) => {
    const args = new Args(ctx, call, ['x', 'axis?']);
    const x = args.good ? args.tensor('x') : undefined;
    if (!x) return poison;
    const all = restOf(x).map((_, i) => i);
    const positional = reducer === 'argmax' || reducer === 'argmin';
    if (positional && all.length === 0)
      return fail(ctx, 'E0315', { axis: -1, rank: 0, of: reducer }, at(args.span('x'), 'a scalar'));
    const axes = args.value('axis') ? args.axes('axis', x) : positional ? all.slice(-1) : all;
    return axes ? reduceAxes(ctx, reducer, x, axes, args.span('x')) : poison;
  };

// ---------------------------------------------------------------- randomness and gradients

/** `random(shape)`: uniform on [0, 1). */
const random: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['shape']);
  const shape = args.good ? args.sizes('shape') : undefined;
  if (!shape) return poison;
  ctx.session.asked.random = true;
  const name = ctx.initial ?? ctx.owner.path;
  const count = ctx.draws.get(name) ?? 0;
  ctx.draws.set(name, count + 1);
  const stream = `${ctx.initial === undefined ? 'step' : 'initial'} ${name} ${count}`;
  return tensor(randomUniform(ctx.session.graph, shape, stream, ctx.initial === undefined));
};

const stopGradient: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const x = args.good ? args.tensor('x') : undefined;
  return x ? tensor(ctx.session.graph.stop(x.node), x.iters) : poison;
};

/** `grad(e, x)`: the derivative of the number `e` with respect to `x`, of the shape of `x`. */
const grad: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['of', 'by']);
  const [e, x] = args.good ? [args.tensor('of'), args.tensor('by')] : [];
  if (!e || !x || !args.good) return poison;
  if (!isFloat(e.node.dtype) || e.node.shape.length > 0) {
    return fail(
      ctx,
      'E0502',
      { what: 'what `grad` differentiates', found: describe(e) },
      at(args.span('of'), describe(e)),
    );
  }
  const { differentiate, graph, loops } = ctx.session;
  if ([...loops.values()].some((l) => l.open))
    return fail(
      ctx,
      'E0412',
      { what: '`grad` in a scan', help: 'take the gradient of what the scan gives, behind it' },
      at(call.span, 'here'),
    );
  if (x.iters.length > 0 || !differentiate)
    return fail(
      ctx,
      'E0412',
      { what: '`grad` inside index notation', help: 'give it a name in an equation of its own' },
      at(call.span, 'here'),
    );
  const { gradients, problems } = differentiate(graph, e.node, [x.node]);
  const [found] = gradients;
  if (problems.length > 0 || !found) {
    const { text } = {
      text: problems[0]?.kind === 'independent' ? 'does not depend on it' : 'has no derivative',
    };
    return fail(
      ctx,
      'E0514',
      { path: 'this value' },
      at(args.span('by'), 'no gradient reaches this'),
      also(args.span('of'), text),
    );
  }
  return tensor(found);
};

// ---------------------------------------------------------------- static values

const isList: Run = (ctx, call) => {
  const v = new Args(ctx, call, ['x']).value('x');
  return !v || v.kind === 'poison' ? poison : bool(v.kind === 'list');
};

const isString: Run = (ctx, call) => {
  const v = new Args(ctx, call, ['x']).value('x');
  return !v || v.kind === 'poison' ? poison : bool(v.kind === 'string');
};

const wholeNumber: Run = (ctx, call) => {
  const args = new Args(ctx, call, ['x']);
  const v = args.value('x');
  if (!args.good || !v) return poison;
  if (v.kind === 'int') return v;
  const n = v.kind === 'float' ? Math.trunc(v.value) : undefined;
  if (n !== undefined && Number.isSafeInteger(n)) return int(multiply(one, n));
  return (
    args.refuse(
      'x',
      'a number that is known while compiling',
      v.kind === 'tensor' ? 'convert a tensor: `i32(…)`' : undefined,
    ) ?? poison
  );
};

/** `idx(image: "…", label: "…")`: only a task may name data. */
const dataSource: Run = (ctx, call) =>
  ctx.session.data
    ? ctx.session.data(ctx, call)
    : fail(
        ctx,
        'E0207',
        { what: 'a data source', where: 'this declaration', help: 'name it in the task: `digits = idx(…)`' },
        at(call.span, 'here'),
      );

/** A clock of the runtime, as f32: learning rates and bias corrections compute with it. */
const clock =
  (name: string): Run =>
  (ctx) =>
    tensor(ctx.session.graph.leaf('clock', name, 'i32', []));

const number =
  (value: number): Run =>
  () =>
    float(value);

const functions: Readonly<Record<string, Run>> = {
  ...Object.fromEntries(Object.keys(onNumbers).map((fn) => [fn, elementwise(fn as FloatOp)])),
  ceil,
  max: extremum('max'),
  min: extremum('min'),
  pow,
  where,
  f32: cast('f32'),
  f16: cast('f16'),
  i32: cast('i32'),
  u32: cast('u32'),
  bool: cast('bool'),
  ...Object.fromEntries(
    (['sum', 'mean', 'prod', 'any', 'all', 'argmax', 'argmin'] as const).map((r) => [r, reducing(r)]),
  ),
  random,
  stop_gradient: stopGradient,
  parameters,
  total,
  grad,
  is_list: isList,
  is_string: isString,
  int: wholeNumber,
  idx: dataSource,
  csv: dataSource,
  text: dataSource,
  ...shapeBuiltins,
};

const constants: Readonly<Record<string, Run>> = {
  pi: number(Math.PI),
  inf: number(Infinity),
  nan: number(NaN),
  training: (ctx) => {
    ctx.session.asked.training = true;
    return bool(ctx.training);
  },
  step: clock('step'),
  epoch: clock('epoch'),
  epochs: clock('epochs'),
  steps_per_epoch: clock('steps_per_epoch'),
  plateaus: clock('plateaus'),
};

/** The outermost scope: every file sees these names. */
export function builtinScope(): Scope {
  const scope = new Scope();
  for (const [name, run] of Object.entries(functions))
    scope.define(name, { kind: 'builtin', name, run }, undefined, 'a function of the language');
  for (const [name, run] of Object.entries(constants))
    scope.define(
      name,
      { kind: 'builtin', name, run, constant: true },
      undefined,
      'a constant of the language',
    );
  return scope;
}
