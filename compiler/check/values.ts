/**
 * What names stand for while a file is evaluated: static values (numbers, strings, lists, functions, layers) and
 * tensors, which are nodes of the graph. Evaluating a body with these is what elaborates it and proves its shapes.
 */
import type {
  Argument,
  Expr,
  Fn,
  Layer,
  Model,
  Optimizer,
  Reduction,
  Task,
  TensorType,
} from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Vocabulary } from '../plan.ts';
import type { DType } from '../ir/ops.ts';
import type { Graph, Leaf, Node } from '../ir/graph.ts';
import type { Poly } from '../shape/poly.ts';
import type { Reporter } from './reporter.ts';
import { type Poison, poison } from './reporter.ts';

export type Value =
  | IntValue
  | FloatValue
  | BoolValue
  | StringValue
  | ListValue
  | TensorValue
  | FnValue
  | BuiltinValue
  | DeclarationValue
  | InstanceValue
  | OptimizerValue
  | RecordValue
  | DataValue
  | Poison;

/** A static integer, a dimension, or arithmetic on indices of an index equation: all one polynomial. */
export interface IntValue {
  readonly kind: 'int';
  readonly poly: Poly;
}
export interface FloatValue {
  readonly kind: 'float';
  readonly value: number;
}
export interface BoolValue {
  readonly kind: 'bool';
  readonly value: boolean;
}
export interface StringValue {
  readonly kind: 'string';
  readonly value: string;
}
/** A list or a tuple. */
export interface ListValue {
  readonly kind: 'list';
  readonly items: readonly Value[];
}

/**
 * A tensor, or inside index notation one tensor for every value of some indices: the leading dimensions of `node`
 * are the ranges of `iters` (in the order in which the indices were made), the rest is the tensor's own shape.
 */
export interface TensorValue {
  readonly kind: 'tensor';
  readonly node: Node;
  readonly iters: readonly Iter[];
}

/** An index of an index equation. Its `symbol` stands for it in polynomials. */
export interface Iter {
  readonly id: number;
  /** Tensors run along their indices in this order: that in which they are written. */
  readonly order: number;
  readonly name: string;
  readonly symbol: string;
  readonly span: Span;
  /** Number of values, once known; the index starts at 0. */
  extent: Poly | undefined;
  /** What the extent was inferred from. */
  because: { readonly span: Span; readonly text: string } | undefined;
}

export interface FnValue {
  readonly kind: 'fn';
  readonly decl: Fn;
  readonly home: Scope;
  /** Arguments that an earlier call gave already. */
  readonly given: readonly Given[];
}

/** A function written in TypeScript. */
export interface BuiltinValue {
  readonly kind: 'builtin';
  readonly name: string;
  readonly run: (ctx: Context, call: BuiltinCall) => Value;
  /** Named without a call: `step`, `training`. */
  readonly constant?: true;
}

export interface BuiltinCall {
  readonly name: string;
  readonly args: readonly Given[];
  readonly span: Span;
}

/** A layer, model, optimizer or task that was declared and not called. */
export interface DeclarationValue {
  readonly kind: 'declaration';
  readonly decl: Layer | Model | Optimizer | Task;
  readonly home: Scope;
}

export interface InstanceValue {
  readonly kind: 'instance';
  readonly instance: Instance;
}

/** An optimizer with its arguments. */
export interface OptimizerValue {
  readonly kind: 'optimizer';
  readonly decl: Optimizer;
  readonly home: Scope;
  readonly scope: Scope;
  readonly options: OptimizerOptions;
}

/** What every optimizer can be told besides its own arguments. */
export interface OptimizerOptions {
  /** Gradients are scaled so that their common Euclidean norm is at most this. */
  readonly clipNorm?: number;
  /** Every element of the gradients is limited to ± this. */
  readonly clipValue?: number;
  /** The mean of the gradients of so many steps makes one update. */
  readonly accumulate?: number;
  /** Decay of the exponential moving average of the weights. */
  readonly ema?: number;
  /** Multiplies the loss; the gradients are divided by it. `dynamic`: as large as keeps them finite. */
  readonly lossScale?: number | 'dynamic';
  /** Where a dynamic scale begins, and after how many updates in a row it doubles. */
  readonly scaleFrom?: number;
  readonly scaleEvery?: number;
  /** Patterns of paths whose `weight_decay` is 0. */
  readonly noDecay?: readonly string[];
}

/** Several outputs of one layer; stands for the first where a tensor is needed. */
export interface RecordValue {
  readonly kind: 'record';
  readonly of: string;
  readonly fields: ReadonlyMap<string, Value>;
}

/** The sums that a metric keeps from batch to batch. */
export interface Totals {
  readonly metric: string;
  readonly updates: { readonly leaf: Leaf; readonly value: Node }[];
}

export interface DataValue {
  readonly kind: 'data';
  readonly name: string;
  /** Of a text. */
  readonly vocabulary?: Vocabulary;
}

export { type Poison, poison };

/** An evaluated argument of a call. */
export interface Given {
  readonly name: Argument['name'];
  readonly value: Value;
  readonly span: Span;
}

/** What parameters and layers belong to: a layer, a model, or a task as a whole. */
export interface Owner {
  /** `conv1`, `block2.conv1`; empty for a task, and for a model alone in its task. */
  readonly path: string;
  /** Layers made inside, by the place that makes them, so that a second use finds the same ones. */
  readonly children: Map<string, Instance>;
  readonly childNames: Set<string>;
  /** The one model of a task: its paths have no name in front. */
  readonly unnamed?: string;
}

/** A layer or model with its static arguments and, once applied, its tensors. */
export interface Instance extends Owner {
  readonly decl: Layer | Model;
  readonly home: Scope;
  /** The static arguments. */
  readonly args: Scope;
  readonly span: Span;
  readonly tensors: Map<string, TensorEntry>;
}

/** A tensor that is kept between runs. */
export interface TensorEntry {
  readonly leaf: Leaf;
  readonly path: string;
  readonly role: 'param' | 'state' | 'slot' | 'metric';
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its first value, computed from the clock `seed`. */
  readonly initial: Node;
  readonly span: Span;
}

/** What one inference of index ranges found out, for the evaluation that follows it. */
export interface Memo {
  /** Bases of subscripts, evaluated once. */
  readonly bases: Map<Expr, Value>;
  /** Indices bound by each reduction. */
  readonly reductions: Map<Reduction, readonly Bound[]>;
  /** Subscripts whose upper bound holds because a range was inferred from them: `poly < size`. */
  readonly proved: Set<string>;
}

/** A name bound to one index (`i`) or to several (`...b`), in index notation. */
export interface Bound {
  readonly name: string;
  readonly spread: boolean;
  iters: readonly Iter[];
  /** The first value of an index with a stated range. */
  start?: Poly;
}

/** One name of a type: a dimension, or with `...` a list of them. */
export interface DimBinding {
  readonly dims: Poly | readonly Poly[];
  readonly span: Span;
}

/** Everything about where an expression is evaluated. */
export interface Context {
  readonly session: Session;
  readonly scope: Scope;
  readonly training: boolean;
  /** Where it was asked for mixed precision: products are then taken in f16. */
  readonly mixed?: Span | undefined;
  /** The metric whose value is being found: what `total` adds up over the batches of an evaluation. */
  readonly totals?: Totals | undefined;
  /** Who owns parameters and layers made here. */
  readonly owner: Owner;
  /** The chain of calls and repetitions that led here; makes call sites unique. */
  readonly site: string;
  /** Numbers of the enclosing repetitions, as a suffix of names: `.0`, `.1.0`. */
  readonly copy: string;
  /** The name that an equation gives to the layer made by its right side. */
  readonly naming: string | undefined;
  readonly memo: Memo | undefined;
  /** Polynomials known not to be negative: conditions of the enclosing `if`. */
  readonly assumed: readonly Poly[];
  /** Spans of the calls that led here, outermost first. */
  readonly calls: readonly Span[];
  /** Path of the tensor whose initial value is computed: its random numbers depend on nothing but it and the seed. */
  readonly initial: string | undefined;
  /** New values of states, by path, that this computation has found. */
  readonly updates: Map<string, { readonly leaf: Leaf; readonly value: Node }>;
  /** How many random tensors each owner has drawn, so that each has a stream of its own. */
  readonly draws: Map<string, number>;
}

/** Gradients of `loss` (f32, a scalar) as nodes of the same graph, and for which of `wrt` they are nothing but zero. */
export type Differentiate = (
  graph: Graph,
  loss: Node,
  wrt: readonly Node[],
) => {
  readonly gradients: readonly Node[];
  readonly problems: readonly {
    readonly kind: 'independent' | 'no-derivative';
    readonly wrt: Node;
    readonly node?: Node;
  }[];
};

/** The parts of the evaluator that need each other. */
export interface Evaluators {
  evaluate(ctx: Context, expr: Expr): Value;
  /** Calls a function, builtin or declaration, or applies a layer. `at`: the call's own place; unique for each text. */
  call(ctx: Context, callee: Value, args: readonly Given[], at: Span): Value;
}

/** What one elaboration shares. */
export interface Session {
  readonly graph: Graph;
  readonly reporter: Reporter;
  readonly run: Evaluators;
  readonly differentiate: Differentiate | undefined;
  /** Where the dimensions of a tensor were declared, for messages. */
  readonly declared: Map<Node, TensorType>;
  /** By path. */
  readonly tensors: Map<string, TensorEntry>;
  readonly iters: Map<string, Iter>;
  /** Scans by the symbol that stands for their step; `open` while the body is evaluated. */
  readonly loops: Map<string, { readonly extent: Poly; readonly open: boolean }>;
  /** Guards against text that would expand without end. */
  readonly fuel: { left: number };
  /** What evaluation has asked about where it happens; set back by whoever wants to know. */
  readonly asked: { training: boolean; random: boolean };
  /** Answers for `idx(…)` and the like, in a task. */
  readonly data: ((ctx: Context, call: BuiltinCall) => Value) | undefined;
  /** A declaration is checked for open sizes that no use has given: parameters need not have a size in numbers. */
  readonly abstract: boolean;
  /** Declarations that were applied. */
  readonly used: Set<unknown>;
  /** Counts one expansion; reports and gives false when there were too many. */
  spend(ctx: Context, span: Span): boolean;
}

export const int = (poly: Poly): IntValue => ({ kind: 'int', poly });
export const tensor = (node: Node, iters: readonly Iter[] = []): TensorValue => ({
  kind: 'tensor',
  node,
  iters,
});

/** The tensor's own dimensions, without those of the indices. */
export const restOf = (t: TensorValue): readonly Poly[] => t.node.shape.slice(t.iters.length);

// ---------------------------------------------------------------- names

/** What a name stands for and where it was given its meaning; `what` is for messages: `an input`, `the parameter`. */
export interface Binding {
  readonly value: Value;
  readonly span: Span | undefined;
  readonly what: string;
}

/**
 * Names visible at one place, and behind them those of the enclosing places. Dimension names stand beside the
 * names of one declaration: a value of the same name hides them.
 */
export class Scope {
  readonly names = new Map<string, Binding>();
  readonly dims: Map<string, DimBinding> | undefined;
  readonly parent: Scope | undefined;

  /** `dims`: this scope is that of a declaration, whose types may bind dimension names. */
  constructor(parent?: Scope, kind: 'plain' | 'dims' = 'plain') {
    this.parent = parent;
    this.dims = kind === 'dims' ? new Map<string, DimBinding>() : undefined;
  }

  define(name: string, value: Value, span: Span | undefined, what: string): void {
    this.names.set(name, { value, span, what });
  }

  /** The value is made when somebody first asks for it. */
  defineLazily(name: string, make: () => Value, span: Span, what: string): void {
    let made: Value | undefined;
    this.names.set(name, {
      get value() {
        return (made ??= make());
      },
      span,
      what,
    });
  }

  lookup(name: string): Binding | undefined {
    const found = this.names.get(name);
    if (found) return found;
    const dim = this.dims?.get(name);
    if (dim) return { value: valueOfDim(dim), span: dim.span, what: 'a dimension' };
    return this.parent?.lookup(name);
  }

  /** The table of dimension names of the enclosing declaration. */
  dimensions(): Map<string, DimBinding> {
    const found = this.dims ?? this.parent?.dimensions();
    if (!found) throw new Error('no declaration encloses this scope');
    return found;
  }

  /** All names in sight, innermost first. */
  *visible(): Generator<string> {
    yield* this.names.keys();
    if (this.dims) yield* this.dims.keys();
    if (this.parent) yield* this.parent.visible();
  }
}

function valueOfDim(dim: DimBinding): Value {
  return 'terms' in dim.dims ? int(dim.dims) : { kind: 'list', items: dim.dims.map((d) => int(d)) };
}
