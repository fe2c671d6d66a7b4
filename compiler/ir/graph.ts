/**
 * The tensor IR: an immutable, hash-consed graph of few primitives. A node is created once per compilation
 * for each meaning, so identity of nodes is equality. Where a node came from is kept beside it (`originsOf`).
 */
import type { Condition, Poly } from '../shape/poly.ts';
import { add, equal, guardKey, one } from '../shape/poly.ts';
import { indexAt, simplifyGuard, simplifyOver } from './indices.ts';
import type { DType, ReduceOp, ScalarOp } from './ops.ts';
import { isCostlyOp, scalarOps } from './ops.ts';
import { roundToHalf } from '../plan.ts';

/** Place in the user's text; structurally the grammar's Span. */
export interface Origin {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

interface Base {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly Poly[];
  readonly inputs: readonly Node[];
}

/**
 * A tensor that stands in memory before the computation begins. `input`: given by the host for each run;
 * `param`, `state`, `slot` (optimizer state), `metric` (running sums): kept between runs;
 * `clock`: scalars the runtime provides: `step`, `epoch`, `seed`, `steps_per_epoch`, `epochs`.
 * `bound`: only in the body of a scan, where each iteration gives it a value.
 */
export type LeafRole = 'input' | 'param' | 'state' | 'slot' | 'metric' | 'clock' | 'bound';

export interface Leaf extends Base {
  readonly op: 'leaf';
  readonly role: LeafRole;
  /** Unique within the role: a port's name, or a path (`conv1.weight`, `conv1.weight/m`). */
  readonly name: string;
}

/** A scalar (shape `[]`); broadcast it with a view. Bool is 0 or 1. */
export interface Const extends Base {
  readonly op: 'const';
  readonly value: number;
}

/** i32 tensor whose element at result index `$0, $1, …` is `value`. */
export interface IndexNode extends Base {
  readonly op: 'index';
  readonly value: Poly;
}

/** `fn` applied element by element; all operands have the node's shape. */
export interface MapNode extends Base {
  readonly op: 'map';
  readonly fn: ScalarOp;
}

/**
 * result[$0, $1, …] = if guard then x[index…] else fill. `index` has one expression per dimension of `x` (the
 * first input) over the result's indices `$0…`, dimensions, and `@0, @1, …`: the values, at the same result index, of
 * the further inputs (i32, of the result's shape). Inside the guard every index without `@` is in bounds;
 * where an `@` index leaves its dimension the fill is read.
 */
export interface View extends Base {
  readonly op: 'view';
  readonly index: readonly Poly[];
  readonly guard: readonly Condition[];
  readonly fill: number;
}

/** Reduces the last `count` dimensions of its input. */
export interface Reduce extends Base {
  readonly op: 'reduce';
  readonly fn: ReduceOp;
  readonly count: number;
}

/**
 * The adjoint of a view by data: result (zero at first) [index…] += x[$0, …] for every index of `x` (the first
 * input), in the order of `x`. `index` is as in View, over the indices of `x`; out of bounds adds nothing.
 */
export interface Scatter extends Base {
  readonly op: 'scatter';
  readonly index: readonly Poly[];
}

/** The identity; the gradient stops here. */
export interface Stop extends Base {
  readonly op: 'stop';
}

/**
 * `extent` iterations of a body, each of which computes the next values of the carries. The body is closed: its only
 * leaves are the bound ones listed here. `inputs` are the first values of the carries, then one tensor for each slice
 * (`[extent, …]`, of which iteration i sees the part at i), then the captures, which are the same in every iteration. So a
 * body never names the iteration; walking backwards is a view of what goes in and what comes out. The node itself has no
 * value: its results are its `part`s.
 */
export interface Scan extends Base {
  readonly op: 'scan';
  readonly extent: Poly;
  readonly carries: readonly Leaf[];
  readonly slices: readonly Leaf[];
  readonly captures: readonly Leaf[];
  /** Of each carry. */
  readonly next: readonly Node[];
}

/**
 * A result of a scan. `final`: the value of a carry after the last iteration; `history`: `[extent + 1, …]`, its values
 * before iteration 0, 1, … and after the last; `each`: `[extent, …]`, what a node of the body came to in each iteration.
 */
export type ScanResult =
  | { readonly kind: 'final' | 'history'; readonly carry: number }
  | { readonly kind: 'each'; readonly value: Node };

export interface Part extends Base {
  readonly op: 'part';
  readonly result: ScanResult;
}

export type Node = Leaf | Const | IndexNode | MapNode | View | Reduce | Scatter | Stop | Scan | Part;

export type OpKind = Node['op'];

/** One thing to compute: what becomes one plan. */
export interface Computation {
  readonly name: string;
  readonly graph: Graph;
  /** Values handed to the host. */
  readonly outputs: readonly { readonly name: string; readonly node: Node }[];
  /** New values of leaves that are kept between runs, all taking effect together at the end. */
  readonly updates: readonly { readonly leaf: Leaf; readonly value: Node }[];
}

type Unnumbered<N extends Node = Node> = N extends Node ? Omit<N, 'id'> : never;

/** Makes and interns nodes. A violated precondition is a bug of the caller and throws. */
export class Graph {
  private readonly interned = new Map<string, Node>();
  private readonly origins = new Map<Node, readonly Origin[]>();
  private readonly shapeKeys = new WeakMap<readonly Poly[], string>();
  private current: readonly Origin[] = [];
  private nextId = 0;

  /** Nodes made inside `body` come from these places. */
  from<T>(origins: readonly Origin[], body: () => T): T {
    const before = this.current;
    this.current = origins.length > 0 ? origins : before;
    try {
      return body();
    } finally {
      this.current = before;
    }
  }

  originsOf(node: Node): readonly Origin[] {
    return this.origins.get(node) ?? [];
  }

  leaf(role: LeafRole, name: string, dtype: DType, shape: readonly Poly[]): Leaf {
    return this.intern(`leaf ${role} ${name}`, { op: 'leaf', role, name, dtype, shape, inputs: [] }) as Leaf;
  }

  constant(value: number, dtype: DType): Const {
    const v = dtype === 'bool' ? Number(value !== 0) : dtype === 'f16' ? roundToHalf(value) : value;
    const key = `const ${dtype} ${keyOfNumber(v)}`;
    return this.intern(key, { op: 'const', value: v, dtype, shape: [], inputs: [] }) as Const;
  }

  /** A constant of the given shape. */
  full(value: number, dtype: DType, shape: readonly Poly[]): Node {
    return this.broadcast(this.constant(value, dtype), shape, []);
  }

  index(value: Poly, shape: readonly Poly[]): Node {
    const simple = simplifyOver(value, shape);
    return this.intern(`index ${simple.key}`, {
      op: 'index',
      value: simple,
      dtype: 'i32',
      shape,
      inputs: [],
    });
  }

  /** `dtype` only for `cast`. */
  map(fn: ScalarOp, inputs: readonly Node[], dtype?: DType): Node {
    const row = scalarOps[fn];
    const [first] = inputs;
    if (!first || inputs.length !== row.arity)
      throw new Error(`${fn} takes ${row.arity} operands, not ${inputs.length}`);
    for (const x of inputs)
      if (!sameShape(x.shape, first.shape)) throw new Error(`${fn}: operands differ in shape`);
    const result = fn === 'cast' ? dtype : row.result(inputs.map((x) => x.dtype));
    if (!result) throw new Error(`${fn} does not exist for ${inputs.map((x) => x.dtype).join(', ')}`);
    if (fn === 'cast' && first.dtype === result) return first;
    return this.intern(`map ${fn}`, { op: 'map', fn, dtype: result, shape: first.shape, inputs });
  }

  /** The element-wise operation on floats, if it has been made. */
  existing(fn: ScalarOp, inputs: readonly Node[]): Node | undefined {
    const [first] = inputs;
    return first && this.interned.get(this.keyOf(`map ${fn}`, first.dtype, first.shape, inputs));
  }

  /**
   * See View. Brought into one form: expressions simplified over the result's ranges, conditions that always hold left
   * out. An identity view is its operand, a view whose guard never holds is its fill.
   */
  view(
    x: Node,
    shape: readonly Poly[],
    index: readonly Poly[],
    options: {
      readonly guard?: readonly Condition[];
      readonly fill?: number;
      readonly data?: readonly Node[];
    } = {},
  ): Node {
    if (index.length !== x.shape.length)
      throw new Error(`view: ${index.length} indices for rank ${x.shape.length}`);
    const { data = [] } = options;
    const simple = index.map((e) => simplifyOver(e, shape));
    const guard = simplifyGuard(options.guard ?? [], shape);
    // NaN and -0 differ from 0 only if somebody may read the fill.
    const given = options.fill ?? 0;
    const wanted = x.dtype === 'f16' ? roundToHalf(given) : given;
    const fill = guard?.length === 0 && data.length === 0 ? 0 : wanted;
    if (!guard) return this.full(fill, x.dtype, shape);
    const identity =
      guard.length === 0 &&
      data.length === 0 &&
      sameShape(shape, x.shape) &&
      simple.every((e, i) => equal(e, indexAt(i, x.shape)));
    if (identity) return x;
    const inputs = [x, ...data];
    const key = `view ${simple.map((e) => e.key).join(',')} if ${guardKey(guard)} else ${keyOfNumber(fill)}`;
    return this.intern(key, { op: 'view', index: simple, guard, fill, dtype: x.dtype, shape, inputs });
  }

  /** Dimension i of `x` becomes dimension `axes[i]` of the result; the others repeat it. */
  broadcast(x: Node, shape: readonly Poly[], axes: readonly number[]): Node {
    return this.view(
      x,
      shape,
      axes.map((a) => indexAt(a, shape)),
    );
  }

  /** Sums and products of f16 are computed in f32, their factors too, and rounded once. */
  reduce(fn: ReduceOp, x: Node, count: number): Node {
    if (count === 0) return x;
    if (x.dtype === 'f16' && (fn === 'sum' || fn === 'prod'))
      return this.map('cast', [this.reduce(fn, this.widened(x), count)], 'f16');
    const shape = x.shape.slice(0, x.shape.length - count);
    return this.intern(`reduce ${fn} ${count}`, {
      op: 'reduce',
      fn,
      count,
      dtype: x.dtype,
      shape,
      inputs: [x],
    });
  }

  /**
   * An f16 tensor in f32. Products of two f16 are exact in f32, so they are taken there; a conversion stands below the
   * views, where it is read by all that they repeat.
   */
  widened(x: Node): Node {
    if (x.dtype !== 'f16') return x;
    const [first, ...data] = x.inputs;
    if (x.op === 'map' && x.fn === 'mul')
      return this.map(
        'mul',
        x.inputs.map((f) => this.widened(f)),
      );
    if (x.op === 'view' && first)
      return this.view(this.widened(first), x.shape, x.index, { guard: x.guard, fill: x.fill, data });
    return this.map('cast', [x], 'f32');
  }

  scatter(x: Node, data: readonly Node[], index: readonly Poly[], shape: readonly Poly[]): Node {
    if (x.dtype === 'f16')
      return this.map('cast', [this.scatter(this.widened(x), data, index, shape)], 'f16');
    if (index.length !== shape.length)
      throw new Error(`scatter: ${index.length} indices for rank ${shape.length}`);
    const key = `scatter ${index.map((e) => e.key).join(',')}`;
    return this.intern(key, { op: 'scatter', index, dtype: x.dtype, shape, inputs: [x, ...data] });
  }

  stop(x: Node): Node {
    return this.intern('stop', { op: 'stop', dtype: x.dtype, shape: x.shape, inputs: [x] });
  }

  /** See Scan. Bound leaves are named by their place, so that equal loops are one node. */
  scan(
    extent: Poly,
    body: Pick<Scan, 'carries' | 'slices' | 'captures' | 'next'>,
    inputs: readonly Node[],
  ): Scan {
    const { carries, slices, captures, next } = body;
    const counts = [carries, slices, captures].map((l) => l.length).join(' ');
    const key = `scan ${extent.key} ${counts} next ${next.map((n) => n.id).join(' ')} of`;
    const fields = { op: 'scan', extent, carries, slices, captures, next } as const;
    return this.intern(key, { ...fields, dtype: 'f32', shape: [], inputs }) as Scan;
  }

  part(scan: Scan, result: ScanResult): Node {
    const { extent } = scan;
    const of = result.kind === 'each' ? result.value : scan.carries[result.carry];
    if (!of) throw new Error('a scan has no such carry');
    const lead = { each: [extent], history: [add(extent, one)], final: [] }[result.kind];
    const shape = [...lead, ...of.shape];
    const key = `part ${result.kind} ${result.kind === 'each' ? result.value.id : result.carry}`;
    return this.intern(key, { op: 'part', result, dtype: of.dtype, shape, inputs: [scan] });
  }

  /** A leaf for the body of a scan that is being made, unlike any other. */
  unbound(dtype: DType, shape: readonly Poly[]): Leaf {
    return this.leaf('bound', `open ${this.nextId}`, dtype, shape);
  }

  /** Every node made from now on has a number of at least this. */
  get mark(): number {
    return this.nextId;
  }

  /** The same operation on other inputs (of the same dtypes; shapes may only differ where the op allows). */
  withInputs(node: Node, inputs: readonly Node[]): Node {
    if (inputs.every((x, i) => x === node.inputs[i])) return node;
    const [x, ...data] = inputs;
    if (!x) return node;
    return this.from(this.originsOf(node), () => {
      switch (node.op) {
        case 'map':
          return this.map(node.fn, inputs, node.dtype);
        case 'view':
          return this.view(x, node.shape, node.index, { guard: node.guard, fill: node.fill, data });
        case 'reduce':
          return this.reduce(node.fn, x, node.count);
        case 'scatter':
          return this.scatter(x, data, node.index, node.shape);
        case 'stop':
          return this.stop(x);
        case 'scan':
          return this.scan(node.extent, node, inputs);
        case 'part':
          return x.op === 'scan' ? this.part(x, node.result) : node;
        default:
          return node;
      }
    });
  }

  private keyOfShape(shape: readonly Poly[]): string {
    const known = this.shapeKeys.get(shape);
    if (known !== undefined) return known;
    const key = shape.map((d) => d.key).join(',');
    this.shapeKeys.set(shape, key);
    return key;
  }

  private keyOf(key: string, dtype: DType, shape: readonly Poly[], inputs: readonly Node[]): string {
    return `${key} ${dtype}[${this.keyOfShape(shape)}] ${inputs.map((x) => x.id).join(' ')}`;
  }

  private intern(key: string, node: Unnumbered): Node {
    const full = this.keyOf(key, node.dtype, node.shape, node.inputs);
    const found = this.interned.get(full);
    if (found) return found;
    const made = { ...node, id: this.nextId++ } as Node;
    this.interned.set(full, made);
    this.origins.set(made, this.current);
    return made;
  }
}

/** An element-wise function that takes as long as many operations. */
export const isCostly = (node: Node): boolean => node.op === 'map' && isCostlyOp(node.fn);

export const sameShape = (a: readonly Poly[], b: readonly Poly[]): boolean =>
  a === b || (a.length === b.length && a.every((d, i) => equal(d, b[i] ?? one)));

const keyOfNumber = (v: number): string => (Object.is(v, -0) ? '-0' : String(v));
