/** Builds the scalar expressions of a cluster: inlines what is not significant, loads what is stored. */
import type { Node, Reduce, Scatter, View } from '../ir/graph.ts';
import { atIndices } from '../ir/indices.ts';
import type { Axis, Binding, BufferUse, Ex } from '../kernel/kernel.ts';
import type { DType } from '../ir/ops.ts';
import {
  add,
  type Condition,
  distinct,
  guardKey,
  isNonNegative,
  mapGuard,
  multiply,
  one,
  recombine,
  simplify,
  subtract,
  substitute,
  symbol,
  symbolsOf,
  zero,
  type Poly,
  type Ranges,
} from '../shape/poly.ts';
import { isUnit } from './reads.ts';

/** Row-major offset of an element, simplified with the ranges of the axes. */
export function offsetOf(shape: readonly Poly[], indices: readonly Poly[], ranges: Ranges): Poly {
  let offset = zero;
  shape.forEach((d, i) => (offset = add(multiply(offset, d), indices[i] ?? zero)));
  return recombine(simplify(offset, ranges));
}

export const constEx = (value: number, dtype: DType): Ex => ({ kind: 'const', dtype, value });

/** Buffers a kernel touches, numbered as it meets them. */
export class BufferUses {
  private readonly list: { buffer: number; dtype: DType; reads: boolean; writes: boolean }[] = [];

  use(buffer: number, dtype: DType, how: 'reads' | 'writes'): number {
    let at = this.list.findIndex((u) => u.buffer === buffer);
    if (at < 0) at = this.list.push({ buffer, dtype, reads: false, writes: false }) - 1;
    const use = this.list[at];
    if (use) use[how] = true;
    return at;
  }

  get uses(): BufferUse[] {
    return this.list.map((u) => ({
      buffer: u.buffer,
      dtype: u.dtype,
      mode: u.writes ? (u.reads ? 'update' : 'write') : 'read',
    }));
  }
}

export interface Environment {
  /** An expression for a value that the kernel holds itself (a reduction's result), when it stands at these indices. */
  readonly local: (node: Node, indices: readonly Poly[]) => Ex | undefined;
  readonly isSource: (node: Node) => boolean;
  readonly home: (node: Node) => number;
  readonly uses: BufferUses;
  readonly ranges: Ranges;
  /** Makes an axis for a contraction that is computed inside the expression. */
  readonly axis: (name: string, extent: Poly) => Axis;
}

type Guard = readonly Condition[];

/** One per kernel. Equal requests give the same object, so that backends compute it once. */
export class ExpressionBuilder {
  private readonly known = new Map<string, Ex>();
  private bindings = 0;
  private dots = 0;

  constructor(private readonly env: Environment) {}

  /** The definition of `node` at these indices, even where `node` is itself a source. */
  definition(node: Node, indices: readonly Poly[]): Ex {
    return this.expand(node, indices, [], []);
  }

  /** The value of `node` at these indices; loads are made only where `guard` holds. */
  value(node: Node, indices: readonly Poly[], guard: Guard = [], data: readonly Binding[] = []): Ex {
    const key = `${node.id} [${indices.map((p) => p.key).join(',')}] ${guardKey(guard)} ${data.map((d) => d.name).join(',')}`;
    const seen = this.known.get(key);
    if (seen) return seen;
    const made = this.make(node, indices, guard, data);
    this.known.set(key, made);
    return made;
  }

  private make(node: Node, indices: readonly Poly[], guard: Guard, data: readonly Binding[]): Ex {
    const local = this.env.local(node, indices);
    if (local) return local;
    if (this.isStored(node)) return this.load(node, indices, guard, data, 0);
    return this.expand(node, indices, guard, data);
  }

  /** Constants and indices are never read from memory, even where they are results themselves. */
  private isStored(node: Node): boolean {
    return node.op === 'leaf' || (this.env.isSource(node) && node.op !== 'const' && node.op !== 'index');
  }

  private load(
    node: Node,
    indices: readonly Poly[],
    guard: Guard,
    data: readonly Binding[],
    fill: number,
  ): Ex {
    const offset = offsetOf(node.shape, indices, this.env.ranges);
    const used = symbolsOf(offset);
    for (const c of guard) symbolsOf(c.value, used);
    return {
      kind: 'load',
      dtype: node.dtype,
      buffer: this.env.uses.use(this.env.home(node), node.dtype, 'reads'),
      offset,
      guard,
      fill,
      data: data.filter((d) => used.has(d.name)),
    };
  }

  private expand(node: Node, indices: readonly Poly[], guard: Guard, data: readonly Binding[]): Ex {
    switch (node.op) {
      case 'const':
        return constEx(node.value, node.dtype);
      case 'index': {
        const value = simplify(atIndices(node.value, indices), this.env.ranges);
        const used = symbolsOf(value);
        return { kind: 'index', dtype: 'i32', value, data: data.filter((d) => used.has(d.name)) };
      }
      case 'map':
        return {
          kind: 'op',
          fn: node.fn,
          dtype: node.dtype,
          args: node.inputs.map((x) => this.value(x, indices, guard, data)),
        };
      case 'stop':
        return this.value(node.inputs[0] as Node, indices, guard, data);
      case 'view':
        return this.view(node, indices, guard, data);
      case 'reduce':
        return this.dot(node, indices, guard, data);
      default:
        throw new Error(`a ${node.op} cannot be inlined`);
    }
  }

  /** A contraction that is computed where it is read (see `nested.ts`): `prepare` made it a sum over one product. */
  private dot(node: Reduce, indices: readonly Poly[], guard: Guard, data: readonly Binding[]): Ex {
    const [product] = node.inputs;
    const [x, y] = product?.inputs ?? [];
    if (product?.op !== 'map' || product.fn !== 'mul' || node.fn !== 'sum' || !x || !y)
      throw new Error('only a sum of products can be inlined');
    const number = this.dots++;
    const axes: Axis[] = [];
    const inner = product.shape.slice(node.shape.length).map((d, i) => {
      if (isUnit(d)) return zero;
      axes.push(this.env.axis(`d${number}_${i}`, d));
      return symbol(`d${number}_${i}`);
    });
    const at = [...indices, ...inner];
    const [a, b] = [this.value(x, at, guard, data), this.value(y, at, guard, data)];
    return { kind: 'dot', dtype: node.dtype, axes, a, b };
  }

  /** Where a scatter adds the element of its operand at these indices. */
  scatterIndex(
    node: Scatter,
    indices: readonly Poly[],
  ): { index: readonly Poly[]; guard: Guard; data: readonly Binding[] } {
    const { index, data } = this.place(node, indices, [], []);
    const guard = index
      .flatMap((e, i) => bounds(e, node.shape[i] ?? one))
      .filter((c) => !isNonNegative(c.value, this.env.ranges));
    return { index, guard: distinct(guard), data };
  }

  /** The index expressions of a view or scatter at these indices, with its data bound to fresh names. */
  private place(node: View | Scatter, indices: readonly Poly[], outer: Guard, outerData: readonly Binding[]) {
    const inputs = node.inputs.slice(1);
    const names = inputs.map(() => `@${this.bindings++}`);
    const data = inputs.map((d, i) => ({
      name: names[i] ?? '',
      value: this.value(d, indices, outer, outerData),
    }));
    const rename = (p: Poly): Poly =>
      substitute(p, (s) => (s.startsWith('@') ? symbol(names[Number(s.slice(1))] ?? s) : undefined));
    const at = (p: Poly): Poly => simplify(atIndices(rename(p), indices), this.env.ranges);
    return { index: node.index.map(at), at, data };
  }

  private view(node: View, indices: readonly Poly[], outer: Guard, outerData: readonly Binding[]): Ex {
    const [x] = node.inputs;
    if (!x) throw new Error('a view without an operand');
    const { index, at, data: bound } = this.place(node, indices, outer, outerData);
    const own = [...mapGuard(node.guard, at), ...dataBounds(node, index, x)].filter(
      (c) => c.kind === 'eq' || !isNonNegative(c.value, this.env.ranges),
    );
    const guard = distinct([...outer, ...own]);
    const data = [...outerData, ...bound];
    if (own.length === 0) return this.value(x, index, guard, data);
    const isLoad = this.isStored(x) && !this.env.local(x, index) && outer.length === 0;
    if (isLoad) return this.load(x, index, guard, data, node.fill);
    const inside = own
      .map((c) => this.condition(c, data))
      .reduce((p, q) => ({ kind: 'op', fn: 'and', dtype: 'bool', args: [p, q] }));
    return {
      kind: 'op',
      fn: 'where',
      dtype: node.dtype,
      args: [inside, this.value(x, index, guard, data), constEx(node.fill, node.dtype)],
    };
  }

  private condition(c: Condition, data: readonly Binding[]): Ex {
    const used = symbolsOf(c.value);
    const value: Ex = {
      kind: 'index',
      dtype: 'i32',
      value: c.value,
      data: data.filter((d) => used.has(d.name)),
    };
    const nothing = constEx(0, 'i32');
    return c.kind === 'eq'
      ? { kind: 'op', fn: 'eq', dtype: 'bool', args: [value, nothing] }
      : { kind: 'op', fn: 'le', dtype: 'bool', args: [nothing, value] };
  }
}

/** Conditions that keep indices taken from data inside their dimension. */
function dataBounds(node: View, index: readonly Poly[], x: Node): Condition[] {
  const byData = (p: Poly | undefined): boolean =>
    p !== undefined && [...symbolsOf(p)].some((s) => s.startsWith('@'));
  return index.flatMap((e, i) => (byData(node.index[i]) ? bounds(e, x.shape[i] ?? one) : []));
}

const bounds = (e: Poly, extent: Poly): Condition[] => [
  { kind: 'ge', value: e },
  { kind: 'ge', value: subtract(subtract(extent, one), e) },
];
