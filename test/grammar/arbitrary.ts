/** Random syntax trees: everything the grammar can say, in places where it may stand. */
import fc from 'fast-check';
import type {
  Argument, Call, Declaration, DimExpr, Expr, Ident, IndexBinder, Parameter, Slice, Statement, Subscript, Syntax, TypeExpr,
} from '../../grammar/syntax.ts'; // prettier-ignore

const span = { file: 'random.nnet', start: 0, end: 0 } as const;

/** Words that are keywords in some places are among them on purpose. */
const NAMES = ['x', 'y', 'net', 'w1', '_t', 'step', 'valid', 'state', 'input', 'metric', 'layer', 'fn', 'scan', 'sum', 'max', 'any']; // prettier-ignore
const LABELS = [
  ...NAMES,
  'on',
  'over',
  'every',
  'with',
  'in',
  'reversed',
  'from',
  'div',
  'fit',
  'if',
  'true',
  'not',
];
const NUMBERS: readonly (readonly [string, number, boolean])[] = [
  ['0', 0, true],
  ['12', 12, true],
  ['1_000', 1000, true],
  ['0xff', 255, true],
  ['0.5', 0.5, false],
  ['1e-3', 1e-3, false],
  ['1.5e3', 1500, false],
  ['1_0.2_5', 10.25, false],
];

const name = fc.constantFrom(...NAMES);
const asIdent = (text: string): Ident => ({ name: text, span });
const ident = name.map(asIdent);
const label = fc.constantFrom(...LABELS).map(asIdent);
const string = fc.string({ unit: 'grapheme', maxLength: 8 }).map((s) => s.replace(/[\r\u2028\u2029]/g, '\n'));
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const few = <T>(value: fc.Arbitrary<T>, minLength = 0, maxLength = 3): fc.Arbitrary<T[]> =>
  fc.array(value, { minLength, maxLength });

type Tied = Record<'expr', Expr> & Record<'type', TypeExpr>;

const reducers = ['sum', 'mean', 'prod', 'max', 'min', 'argmax', 'argmin', 'any', 'all'] as const;
const operators = [
  '+',
  '-',
  '*',
  '/',
  'div',
  '%',
  '^',
  '@',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  'and',
  'or',
] as const;

const { expr, type } = fc.letrec<Tied>((tie) => {
  const e = tie('expr');
  const t = tie('type');
  const spread = ident.map((n): DimExpr & { kind: 'spread' } => ({ kind: 'spread', name: n, span }));
  const slice = fc
    .record({ start: maybe(e), stop: maybe(e), step: maybe(e) })
    .map((parts): Slice => ({ kind: 'slice', ...parts, span }));
  const item = fc.oneof({ weight: 4, arbitrary: e }, { weight: 1, arbitrary: spread });
  const subscript: fc.Arbitrary<Subscript> = fc.oneof({ weight: 4, arbitrary: e }, spread, slice);
  const argument = fc.record({ name: maybe(label), value: e }).map((parts): Argument => ({ ...parts, span }));
  const binder = fc
    .record({ name: ident, spread: fc.boolean(), range: fc.oneof(fc.constant(undefined), e, slice) })
    .map((parts): IndexBinder => ({ ...parts, span }));
  const atoms: fc.Arbitrary<Expr>[] = [
    fc
      .constantFrom(...NUMBERS)
      .map(([text, value, integer]) => ({ kind: 'number', value, integer, text, span })),
    fc.boolean().map((value) => ({ kind: 'bool', value, span })),
    string.map((value) => ({ kind: 'string', value, span })),
    fc.record({ name, prime: fc.boolean() }).map((parts) => ({ kind: 'name', ...parts, span })),
  ];
  const compounds: fc.Arbitrary<Expr>[] = [
    fc.record({ op: fc.constantFrom('-', 'not'), operand: e }).map((p) => ({ kind: 'unary', ...p, span })),
    fc
      .record({ op: fc.constantFrom(...operators), left: e, right: e })
      .map((p) => ({ kind: 'binary', ...p, opSpan: span, span })),
    fc.record({ left: e, right: e }).map((p) => ({ kind: 'pipe', ...p, span })),
    fc.record({ condition: e, then: e, else: e }).map((p) => ({ kind: 'conditional', ...p, span })),
    fc.record({ callee: e, args: few(argument) }).map((p) => ({ kind: 'call', ...p, span })),
    fc.record({ base: e, subscripts: few(subscript) }).map((p) => ({ kind: 'index', ...p, span })),
    fc.record({ base: e, name: label }).map((p) => ({ kind: 'field', ...p, span })),
    fc
      .record({ reducer: fc.constantFrom(...reducers), indices: few(binder, 1), body: e })
      .map((p) => ({ kind: 'reduction', ...p, span })),
    few(e).map((items) => ({ kind: 'list', items, span })),
    few(item).map((items) => ({ kind: 'tuple', items, span })),
    fc.record({ value: e, source: e }).map((p) => ({ kind: 'from', ...p, span })),
  ];
  const typeName = fc.constantFrom('int', 'f32', 'schedule', 'fn', 'layer').map(asIdent);
  return {
    expr: fc.oneof({ depthSize: 'small', withCrossShrink: true }, ...atoms, ...compounds),
    type: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      typeName.map((n): TypeExpr => ({ kind: 'named', name: n, span })),
      string.map((value): TypeExpr => ({ kind: 'literal', value, span })),
      fc.record({ dtype: typeName, dims: few(item) }).map((p): TypeExpr => ({ kind: 'tensor', ...p, span })),
      t.map((element): TypeExpr => ({ kind: 'listOf', element, span })),
      few(t).map((elements): TypeExpr => ({ kind: 'tupleOf', elements, span })),
      few(t, 2).map((options): TypeExpr => ({ kind: 'union', options, span })),
    ),
  };
});

const argument = fc
  .record({ name: maybe(label), value: expr })
  .map((parts): Argument => ({ ...parts, span }));
const doc = fc
  .array(fc.stringMatching(/^[ -~]{0,12}$/), { minLength: 1, maxLength: 3 })
  .map((lines) => lines.map((l) => l.trimEnd()).join('\n'));
const parameter = fc
  .record({ doc: maybe(doc), name: ident, type: maybe(type), default: maybe(expr) })
  .map((parts): Parameter => ({ ...parts, span }));

const subscripts: fc.Arbitrary<readonly Subscript[] | undefined> = maybe(few<Subscript>(expr));
const equation = fc
  .record({ target: ident, prime: fc.boolean(), subscripts, value: expr, when: maybe(expr) })
  .map((p): Statement => ({ kind: 'equation', ...p, span }));
const port = (...roles: ('input' | 'output' | 'param' | 'state')[]): fc.Arbitrary<Statement> =>
  fc
    .record({
      role: fc.constantFrom(...roles),
      doc: maybe(doc),
      name: ident,
      type: maybe(type),
      init: maybe(expr),
      when: maybe(expr),
    })
    .map((p): Statement => ({ kind: 'port', ...p, span }));
const action = fc.record({ path: few(name, 1), args: few(argument) }).map(({ path, args }): Statement => {
  const [first = 'f', ...fields] = path;
  const start: Expr = { kind: 'name', name: first, prime: false, span };
  const callee = fields.reduce<Expr>((base, n) => ({ kind: 'field', base, name: asIdent(n), span }), start);
  const call: Call = { kind: 'call', callee, args, span };
  return { kind: 'action', call, span };
});

type Body = fc.Arbitrary<Statement[]>;

/** Statements that hold others of the same place. */
function nesting(statement: fc.Arbitrary<Statement>): fc.Arbitrary<Statement> {
  const body = few(statement, 0, 2);
  return fc.oneof(
    { weight: 6, arbitrary: statement },
    fc
      .record({ condition: expr, then: body, else: maybe(body) })
      .map((p): Statement => ({ kind: 'staticIf', ...p, span })),
    fc
      .record({ index: maybe(ident), over: expr, body })
      .map((p): Statement => ({ kind: 'repeat', ...p, span })),
  );
}

const blockOf = (...statements: fc.Arbitrary<Statement>[]): Body =>
  few(nesting(fc.oneof(...statements)), 0, 3);

const scan = fc
  .record({ index: ident, over: expr, reversed: fc.boolean(), body: blockOf(equation, port('state')) })
  .map((p): Statement => ({ kind: 'scan', ...p, span }));
const metric = fc
  .record({ name: ident, value: expr })
  .map((p): Statement => ({ kind: 'metric', ...p, span }));
const minimize = fc
  .record({ loss: expr, over: maybe(few(expr, 1)), with: expr, every: maybe(expr) })
  .map((p): Statement => ({ kind: 'minimize', ...p, span }));
const fit = fc
  .record({ args: few(argument), on: expr, body: blockOf(equation, minimize, metric, action) })
  .map((p): Statement => ({ kind: 'fit', ...p, span }));
const evaluate = fc
  .record({ args: few(argument), on: expr, body: maybe(blockOf(equation, metric, action)) })
  .map((p): Statement => ({ kind: 'evaluate', ...p, span }));
const ret = expr.map((value): Statement => ({ kind: 'return', value, span }));

const named = { doc: maybe(doc), name: ident, params: few(parameter), span: fc.constant(span) };
const declaration: fc.Arbitrary<Declaration> = fc.oneof(
  fc
    .record({ names: few(fc.record({ name: ident, alias: ident })), from: string })
    .map(({ names, from }): Declaration => ({
      kind: 'import',
      names,
      from: { kind: 'string', value: from, span },
      span,
    })),
  fc
    .record({ ...named, body: blockOf(equation, scan, port('input', 'output', 'param', 'state')) })
    .chain((p) => fc.constantFrom<Declaration>({ kind: 'model', ...p }, { kind: 'layer', ...p })),
  fc
    .record({ ...named, body: blockOf(equation, port('input', 'state')) })
    .map((p): Declaration => ({ kind: 'optimizer', ...p })),
  fc
    .record({ ...named, body: blockOf(equation, fit, evaluate, action) })
    .map((p): Declaration => ({ kind: 'task', ...p })),
  fc
    .record({ ...named, result: maybe(type), body: blockOf(equation, ret, scan) })
    .map((p): Declaration => ({ kind: 'fn', ...p, short: false })),
  fc
    .record({ ...named, result: maybe(type), value: ret })
    .map(({ value, ...p }): Declaration => ({ kind: 'fn', ...p, body: [value], short: true })),
);

export const anyExpr: fc.Arbitrary<Expr> = expr;

export const anySyntax: fc.Arbitrary<Syntax> = few(declaration, 0, 4).map((declarations) => ({
  file: span.file,
  declarations,
  comments: [],
  lineStarts: [0],
  span,
}));
