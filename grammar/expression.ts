/** Expressions of the syntax tree (`syntax.ts`), and what they share with types: names and spreads. */
import type { Span } from './span.ts';

export interface Ident {
  readonly name: string;
  readonly span: Span;
}

/** `...b`, in types, in subscripts and in tuples of dimensions. */
export interface Spread {
  readonly kind: 'spread';
  readonly name: Ident;
  readonly span: Span;
}

export type Expr =
  | NumberLiteral
  | BoolLiteral
  | StringLiteral
  | Name
  | Unary
  | Binary
  | Pipe
  | Conditional
  | Call
  | Index
  | Field
  | Reduction
  | List
  | Tuple
  | From
  | Invalid;

/** `12`, `1_000`, `1e-3`. `integer` says how it was written: `1.0` is not one. */
export interface NumberLiteral {
  readonly kind: 'number';
  readonly value: number;
  readonly integer: boolean;
  readonly text: string;
  readonly span: Span;
}

export interface BoolLiteral {
  readonly kind: 'bool';
  readonly value: boolean;
  readonly span: Span;
}

/** `"text"`; escapes `\"`, `\\`, `\n`, `\t`. */
export interface StringLiteral {
  readonly kind: 'string';
  readonly value: string;
  readonly span: Span;
}

/** `x`, or `x'` for the next value of a state. */
export interface Name {
  readonly kind: 'name';
  readonly name: string;
  readonly prime: boolean;
  readonly span: Span;
}

export interface Unary {
  readonly kind: 'unary';
  readonly op: '-' | 'not';
  readonly operand: Expr;
  readonly span: Span;
}

/** `@` is the matrix product, `div` floor division, `%` its remainder, `^` the power (right associative). */
export type BinaryOp =
  '+' | '-' | '*' | '/' | 'div' | '%' | '^' | '@' | '==' | '!=' | '<' | '<=' | '>' | '>=' | 'and' | 'or';

export interface Binary {
  readonly kind: 'binary';
  readonly op: BinaryOp;
  readonly opSpan: Span;
  readonly left: Expr;
  readonly right: Expr;
  readonly span: Span;
}

/** `x |> f`: `f` applied to `x`; of a call of a function, `x |> f(a)` is `f(x, a)`. */
export interface Pipe {
  readonly kind: 'pipe';
  readonly left: Expr;
  readonly right: Expr;
  readonly span: Span;
}

/** `if c then a else b` */
export interface Conditional {
  readonly kind: 'conditional';
  readonly condition: Expr;
  readonly then: Expr;
  readonly else: Expr;
  readonly span: Span;
}

/** `f(a, name: b)` */
export interface Call {
  readonly kind: 'call';
  readonly callee: Expr;
  readonly args: readonly Argument[];
  readonly span: Span;
}

export interface Argument {
  readonly name: Ident | undefined;
  readonly value: Expr;
  readonly span: Span;
}

/** `x[...b, i*stride + r]`, `net(image)[:, class]` */
export interface Index {
  readonly kind: 'index';
  readonly base: Expr;
  readonly subscripts: readonly Subscript[];
  readonly span: Span;
}

export type Subscript = Spread | Slice | Expr;

/** `:`, `1:`, `:-1`, `a:b`, `a:b:step` */
export interface Slice {
  readonly kind: 'slice';
  readonly start: Expr | undefined;
  readonly stop: Expr | undefined;
  readonly step: Expr | undefined;
  readonly span: Span;
}

/** `valid.loss`, `enc.weight` */
export interface Field {
  readonly kind: 'field';
  readonly base: Expr;
  readonly name: Ident;
  readonly span: Span;
}

export type Reducer = 'sum' | 'mean' | 'prod' | 'max' | 'min' | 'argmax' | 'argmin' | 'any' | 'all';

/**
 * `sum(i, j in 0:n) body`: the indices are bound in the body and summed (…) away. The body extends over
 * `* / // % @ ^` and unary operators, and ends before `+ -` and everything weaker, as Σ does.
 */
export interface Reduction {
  readonly kind: 'reduction';
  readonly reducer: Reducer;
  readonly indices: readonly IndexBinder[];
  readonly body: Expr;
  readonly span: Span;
}

/** `i`, `...r`, or with a stated range `i in n` (0 … n-1) or `i in a:b`. */
export interface IndexBinder {
  readonly name: Ident;
  readonly spread: boolean;
  readonly range: Expr | Slice | undefined;
  readonly span: Span;
}

/** `[64, 32]` */
export interface List {
  readonly kind: 'list';
  readonly items: readonly Expr[];
  readonly span: Span;
}

/** `(3, 3)`; one element needs a trailing comma. Spreads stand for the dimensions they bound: `(...b, n)`. */
export interface Tuple {
  readonly kind: 'tuple';
  readonly items: readonly (Expr | Spread)[];
  readonly span: Span;
}

/** `LeNet() from "runs/lenet/best.safetensors"` */
export interface From {
  readonly kind: 'from';
  readonly value: Expr;
  readonly source: Expr;
  readonly span: Span;
}

/** Stands where the parser recovered from an error; its diagnostic was reported already. */
export interface Invalid {
  readonly kind: 'invalid';
  readonly span: Span;
}
