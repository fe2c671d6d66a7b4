/**
 * The syntax tree of a `.nnet` file: readonly discriminated unions on `kind`, a span on everything.
 * It says what was written, nothing about what it means. `print(syntax)` gives the formatted text back.
 */
import type { Argument, Call, Expr, Ident, Spread, StringLiteral, Subscript } from './expression.ts';
import type { Span } from './span.ts';

export type * from './expression.ts';

export interface Syntax {
  readonly file: string;
  readonly declarations: readonly Declaration[];
  /** Comments in file order, for the printer; documentation comments are on their declarations. */
  readonly comments: readonly Comment[];
  /** Offsets at which lines begin, so that the printer can keep blank lines; `[0]` for a made-up tree. */
  readonly lineStarts: readonly number[];
  readonly span: Span;
}

/** `// text`, kept for the formatter. `text` excludes the two slashes. */
export interface Comment {
  readonly text: string;
  /** Nothing but blanks stands before it on its line. */
  readonly ownLine: boolean;
  /** The token before it, as written: tells on which side of a brace a comment stands. */
  readonly after: string;
  readonly span: Span;
}

// ---------------------------------------------------------------- declarations

export type Declaration = Import | Model | Layer | Fn | Optimizer | Task;

/** `import { A, B as C } from "./file.nnet"` */
export interface Import {
  readonly kind: 'import';
  readonly names: readonly { readonly name: Ident; readonly alias: Ident }[];
  readonly from: StringLiteral;
  readonly span: Span;
}

interface Named {
  /** Text of the `///` lines before the declaration, joined with `\n`, without the slashes. */
  readonly doc: string | undefined;
  readonly name: Ident;
  readonly span: Span;
}

/** `model Name(params) { body }`: a network with a door to the outside. */
export interface Model extends Named {
  readonly kind: 'model';
  readonly params: readonly Parameter[];
  readonly body: readonly Statement[];
}

/** `layer Name(params) { body }` */
export interface Layer extends Named {
  readonly kind: 'layer';
  readonly params: readonly Parameter[];
  readonly body: readonly Statement[];
}

/**
 * `fn name(params) -> type { body … return e }` or `fn name(params) -> type = e`.
 * A parameter with a tensor type takes a tensor, any other is static.
 */
export interface Fn extends Named {
  readonly kind: 'fn';
  readonly params: readonly Parameter[];
  readonly result: TypeExpr | undefined;
  /** With the `= e` form: one `return` statement. */
  readonly body: readonly Statement[];
  readonly short: boolean;
}

/** `optimizer Name(params) { input w, g … }` */
export interface Optimizer extends Named {
  readonly kind: 'optimizer';
  readonly params: readonly Parameter[];
  readonly body: readonly Statement[];
}

/** `task name(params) { body }`; the parameters are what `--set name=value` sets. */
export interface Task extends Named {
  readonly kind: 'task';
  readonly params: readonly Parameter[];
  readonly body: readonly Statement[];
}

/** `hidden: int = 500`, `beta1 = 0.9`, `x: f32[...b, n]` */
export interface Parameter {
  readonly doc: string | undefined;
  readonly name: Ident;
  readonly type: TypeExpr | undefined;
  readonly default: Expr | undefined;
  readonly span: Span;
}

// ---------------------------------------------------------------- types

export type TypeExpr = TensorType | NamedType | ListType | TupleType | UnionType | LiteralType;

/** `f32[...b, n, 2*d]`; a scalar tensor is `f32[]`. */
export interface TensorType {
  readonly kind: 'tensor';
  readonly dtype: Ident;
  readonly dims: readonly DimExpr[];
  readonly span: Span;
}

/** `...b` (any number of dimensions, bound together) or a dimension expression. */
export type DimExpr = Spread | Expr;

/** `int`, `float`, `bool`, `string`, `fn`, `layer`, `schedule`, `dtype`, or a bare tensor dtype. */
export interface NamedType {
  readonly kind: 'named';
  readonly name: Ident;
  readonly span: Span;
}

/** `int[]` is written `[int]`. */
export interface ListType {
  readonly kind: 'listOf';
  readonly element: TypeExpr;
  readonly span: Span;
}

/** `(int, int)` */
export interface TupleType {
  readonly kind: 'tupleOf';
  readonly elements: readonly TypeExpr[];
  readonly span: Span;
}

/** `int | (int, int) | "same"` */
export interface UnionType {
  readonly kind: 'union';
  readonly options: readonly TypeExpr[];
  readonly span: Span;
}

/** A string as a type: `"same" | "valid"`. */
export interface LiteralType {
  readonly kind: 'literal';
  readonly value: string;
  readonly span: Span;
}

// ---------------------------------------------------------------- statements

export type Statement =
  Port | Equation | Return | Scan | StaticIf | Repeat | Fit | Evaluate | Minimize | Metric | Action;

/**
 * `input x: f32[batch, n]`, `output y: …`, `param w: … = init`, `state s: … = init when cond`.
 * In an optimizer `input w, g` gives ports without types (one `Port` per name).
 */
export interface Port {
  readonly kind: 'port';
  readonly role: 'input' | 'output' | 'param' | 'state';
  readonly doc: string | undefined;
  readonly name: Ident;
  readonly type: TypeExpr | undefined;
  readonly init: Expr | undefined;
  readonly when: Expr | undefined;
  readonly span: Span;
}

/**
 * `y = e`, `y' = e`, `y[...b, o] = e`, `y[:, t] = e`, each optionally `when cond`.
 * With subscripts that are plain names (and spreads) the equation is in index notation.
 */
export interface Equation {
  readonly kind: 'equation';
  readonly target: Ident;
  /** `y' = …`: the next value of the state `y`. */
  readonly prime: boolean;
  readonly subscripts: readonly Subscript[] | undefined;
  readonly value: Expr;
  readonly when: Expr | undefined;
  readonly span: Span;
}

/** `return e` */
export interface Return {
  readonly kind: 'return';
  readonly value: Expr;
  readonly span: Span;
}

/** `scan t in time { … }`, `scan t in time reversed { … }` */
export interface Scan {
  readonly kind: 'scan';
  readonly index: Ident;
  readonly over: Expr;
  readonly reversed: boolean;
  readonly body: readonly Statement[];
  readonly span: Span;
}

/** `if cond { … } else { … }`, decided while compiling; `else if` nests. */
export interface StaticIf {
  readonly kind: 'staticIf';
  readonly condition: Expr;
  readonly then: readonly Statement[];
  readonly else: readonly Statement[] | undefined;
  readonly span: Span;
}

/** `repeat 12 { … }`, `repeat i in 12 { … }`, `repeat size in [64, 32] { … }`: unrolled while compiling. */
export interface Repeat {
  readonly kind: 'repeat';
  readonly index: Ident | undefined;
  readonly over: Expr;
  readonly body: readonly Statement[];
  readonly span: Span;
}

/** `fit(epochs: 10, batch: 64) on data { … }` */
export interface Fit {
  readonly kind: 'fit';
  readonly args: readonly Argument[];
  readonly on: Expr;
  readonly body: readonly Statement[];
  readonly span: Span;
}

/** `evaluate on test` (with the body of the `fit` before it) or `evaluate(batch: 256) on test { … }` */
export interface Evaluate {
  readonly kind: 'evaluate';
  readonly args: readonly Argument[];
  readonly on: Expr;
  readonly body: readonly Statement[] | undefined;
  readonly span: Span;
}

/** `minimize loss over net.head with Adam(lr: 1e-3) every 2` */
export interface Minimize {
  readonly kind: 'minimize';
  readonly loss: Expr;
  /** Models, layers or parameters that are trained; all of the task's when left out. */
  readonly over: readonly Expr[] | undefined;
  readonly with: Expr;
  readonly every: Expr | undefined;
  readonly span: Span;
}

/** `metric accuracy = e` */
export interface Metric {
  readonly kind: 'metric';
  readonly name: Ident;
  readonly value: Expr;
  readonly span: Span;
}

/** A bare call in a task: `early_stopping(valid.loss, patience: 3)`, `save(net, "net.safetensors")`. */
export interface Action {
  readonly kind: 'action';
  readonly call: Call;
  readonly span: Span;
}
