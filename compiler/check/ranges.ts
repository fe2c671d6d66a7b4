/**
 * Index notation: how far every index runs. Before an index equation is evaluated its text is walked once, and each
 * subscript says something about the indices in it: `x[i]` that `i` runs over the whole dimension,
 * `x[i*stride + r]` how far `i` can go when `r` is known. Stated ranges come first, then whole dimensions, then the rest.
 */
import type {
  Expr,
  Ident,
  Index,
  IndexBinder,
  Reduction,
  Slice,
  Spread,
  Subscript,
} from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import type { Poly } from '../shape/poly.ts';
import {
  add,
  asConstant,
  asSymbol,
  constant,
  equal,
  floorDivide,
  isNonNegative,
  linearIn,
  negate,
  one,
  subtract,
} from '../shape/poly.ts';
import { describe } from './describe.ts';
import { define, extreme, indexBinding, mentionsIndex, childrenOf, newIter, scopeOf } from './indices.ts';
import { also, at, fail } from './report.ts';
import { itersIn, show } from './tensor.ts';
import type { Bound, Context, Iter, Memo, Value } from './values.ts';
import { restOf, Scope } from './values.ts';

/** A subscript as a constraint on the indices in it: `0 <= poly < size`. */
interface Constraint {
  readonly poly: Poly;
  readonly size: Poly;
  readonly span: Span;
  readonly text: string;
}

interface Access {
  readonly expr: Index;
  readonly scope: Scope;
  readonly base: Value;
}

/** `order` when the index was written before others that exist already. */
class Inference {
  readonly memo: Memo = { bases: new Map(), reductions: new Map(), proved: new Set() };
  private readonly accesses: Access[] = [];
  private readonly bounds: { bound: Bound; scope: Scope; name: Ident; known: boolean; order: number }[] = [];
  private readonly constraints: Constraint[] = [];
  private failed = false;
  private readonly ctx: Context;

  constructor(ctx: Context) {
    this.ctx = ctx;
  }

  /** Introduces an index (or a list of them, of unknown length as yet) in `scope`. */
  bind(scope: Scope, name: Ident, spread: boolean): Bound {
    const bound: Bound = { name: name.name, spread, iters: spread ? [] : [newIter(this.ctx, name)] };
    // A spread's indices are made when their number is known; they stand where the spread is written.
    const order = this.ctx.session.iters.size - 1 + (this.bounds.length + 1) / 1024;
    this.bounds.push({ bound, scope, name, known: !spread, order });
    define(scope, bound);
    return bound;
  }

  walk(e: Expr | Spread | Slice, scope: Scope): void {
    if (e.kind === 'reduction') return this.walkReduction(e, scope);
    if (e.kind === 'index') return this.walkIndex(e, scope);
    if (e.kind === 'conditional' && !mentionsIndex(scope, e.condition)) {
      const condition = this.ctx.session.run.evaluate({ ...this.ctx, scope, memo: undefined }, e.condition);
      if (condition.kind === 'bool') return this.walk(condition.value ? e.then : e.else, scope);
    }
    for (const child of childrenOf(e)) this.walk(child, scope);
  }

  private walkReduction(r: Reduction, outer: Scope): void {
    const scope = new Scope(outer);
    const bounds = r.indices.map((binder) => {
      const bound = this.bind(scope, binder.name, binder.spread);
      if (binder.range) this.state(binder, bound, outer, scope);
      return bound;
    });
    this.memo.reductions.set(r, bounds);
    this.walk(r.body, scope);
  }

  /** `i in n`, `i in a:b` */
  private state(binder: IndexBinder, bound: Bound, outer: Scope, scope: Scope): void {
    const { range } = binder;
    const [iter] = bound.iters;
    if (!range || !iter) return;
    const read = (e: Expr): Poly | undefined => {
      const v = this.ctx.session.run.evaluate({ ...this.ctx, scope: outer, memo: undefined }, e);
      if (v.kind === 'int' && itersIn(this.ctx.session, v.poly).length === 0) return v.poly;
      if (v.kind !== 'poison')
        fail(
          this.ctx,
          'E0402',
          {
            what: `the range of \`${iter.name}\``,
            expected: 'a whole number that is known while compiling',
            found: describe(v),
            help: undefined,
          },
          at(e.span, describe(v)),
        );
      this.failed = true;
      return undefined;
    };
    const [start, stop] =
      range.kind === 'slice'
        ? [range.start ? read(range.start) : constant(0), range.stop && read(range.stop)]
        : [constant(0), read(range)];
    if (!start || !stop) {
      this.failed = true;
      return;
    }
    this.setExtent(iter, subtract(stop, start), range.span, show(subtract(stop, start)));
    bound.start = start;
    define(scope, bound);
  }

  private walkIndex(e: Index, scope: Scope): void {
    for (const s of e.subscripts) {
      if (s.kind === 'spread' && scope.lookup(s.name.name)?.what !== indexBinding) {
        fail(this.ctx, 'E0320', { name: s.name.name }, at(s.span, 'bound by nothing'));
        this.failed = true;
      }
      this.walk(s, scope);
    }
    if (mentionsIndex(scope, e.base)) return this.walk(e.base, scope);
    const base = this.ctx.session.run.evaluate({ ...this.ctx, scope, memo: undefined }, e.base);
    this.memo.bases.set(e.base, base);
    this.accesses.push({ expr: e, scope, base });
  }

  /** A whole shape runs under these subscripts: that of an output's declared type. */
  constrainShape(subscripts: readonly Subscript[], scope: Scope, shape: readonly Poly[], span: Span): void {
    this.resolveSpreads(subscripts, scope, shape.length);
    this.constrainSubscripts(subscripts, scope, shape, span);
  }

  solve(): boolean {
    for (const a of this.accesses) {
      if (a.base.kind === 'tensor') this.resolveSpreads(a.expr.subscripts, a.scope, restOf(a.base).length);
    }
    for (const a of this.accesses) {
      if (a.base.kind === 'tensor')
        this.constrainSubscripts(a.expr.subscripts, a.scope, restOf(a.base), undefined);
    }
    this.solvePlain();
    this.solveAffine();
    for (const { bound, name, known } of this.bounds) {
      const open = !known || bound.iters.some((i) => !i.extent);
      if (!open) continue;
      const silent = this.failed || this.accesses.some((a) => a.base.kind === 'poison');
      if (!silent)
        fail(
          this.ctx,
          'E0307',
          { index: `${bound.spread ? '...' : ''}${name.name}` },
          at(name.span, 'its range is not known'),
        );
      this.failed = true;
    }
    return !this.failed;
  }

  /** `...b` stands for as many indices as the tensor has dimensions left. */
  private resolveSpreads(subscripts: readonly Subscript[], scope: Scope, rank: number): void {
    const open = subscripts.flatMap((s) => (s.kind === 'spread' ? (this.openSpread(s, scope) ?? []) : []));
    const [entry] = open;
    if (!entry || open.length > 1) return;
    let taken = 0;
    for (const s of subscripts) {
      if (s.kind !== 'spread') taken++;
      else if (this.openSpread(s, scope) !== entry) taken += lengthOf(scope, s);
    }
    const count = Math.max(0, rank - taken);
    entry.bound.iters = Array.from({ length: count }, (_, i) =>
      newIter(this.ctx, entry.name, entry.order + (i + 1) / 2 ** 20),
    );
    entry.known = true;
    define(entry.scope, entry.bound);
  }

  private openSpread(s: Spread, scope: Scope): Inference['bounds'][number] | undefined {
    const binding = scope.lookup(s.name.name);
    return this.bounds.find((b) => !b.known && b.scope.names.get(b.bound.name) === binding);
  }

  private constrainSubscripts(
    subscripts: readonly Subscript[],
    scope: Scope,
    shape: readonly Poly[],
    declared: Span | undefined,
  ): void {
    let dim = 0;
    for (const s of subscripts) {
      if (s.kind === 'spread') {
        const value = scope.lookup(s.name.name);
        if (value?.what !== indexBinding || value.value.kind !== 'list') return;
        for (const v of value.value.items) {
          const size = shape[dim++];
          if (size && v.kind === 'int')
            this.constraints.push({
              poly: v.poly,
              size,
              span: declared ?? s.span,
              text: `...${s.name.name}`,
            });
        }
      } else {
        const size = shape[dim++];
        const p = s.kind === 'slice' || !size ? undefined : this.polyOf(s, scope);
        if (p && size) this.constraints.push({ poly: p, size, span: declared ?? s.span, text: show(p) });
      }
    }
  }

  /** The subscript as a polynomial; nothing when it is computed from data. */
  private polyOf(e: Expr, scope: Scope): Poly | undefined {
    if (!mentionsIndex(scope, e) || !isArithmetic(e, scope)) return undefined;
    const v = this.ctx.session.run.evaluate({ ...this.ctx, scope, memo: undefined }, e);
    return v.kind === 'int' ? v.poly : undefined;
  }

  private setExtent(iter: Iter, extent: Poly, span: Span, text: string): void {
    const n = asConstant(extent);
    if (n !== undefined && n < 1) {
      fail(
        this.ctx,
        'E0310',
        { index: iter.name, size: String(n) },
        at(span, `room for ${n}`),
        also(iter.span, `\`${iter.name}\` is this index`),
      );
      this.failed = true;
    }
    iter.extent = extent;
    iter.because = { span, text };
  }

  private solvePlain(): void {
    for (const c of this.constraints) {
      const name = asSymbol(c.poly);
      const iter = name === undefined ? undefined : this.ctx.session.iters.get(name);
      if (!iter || this.bounds.some((b) => b.bound.start && b.bound.iters[0] === iter)) continue;
      if (!iter.extent) this.setExtent(iter, c.size, c.span, show(c.size));
      else if (!equal(iter.extent, c.size)) {
        const before = iter.because;
        // An index of an enclosing equation has its range from there; whether it fits is proved when it is used.
        if (!before || !this.owns(iter)) continue;
        fail(
          this.ctx,
          'E0308',
          { index: iter.name, left: show(c.size), right: before.text },
          at(c.span, `${iter.name} runs over ${show(c.size)} here`),
          also(before.span, `and over ${before.text} here`),
        );
        this.failed = true;
      }
    }
  }

  private owns(iter: Iter): boolean {
    return this.bounds.some((b) => b.bound.iters.includes(iter));
  }

  private solveAffine(): void {
    for (let progress = true; progress;) {
      progress = false;
      for (const c of this.constraints) {
        const open = itersIn(this.ctx.session, c.poly).filter((i) => !i.extent);
        const [iter] = open;
        if (!iter || open.length > 1) continue;
        const extent = this.extentFrom(c, iter);
        if (!extent) continue;
        this.setExtent(iter, extent, c.span, show(extent));
        this.memo.proved.add(`${c.poly.key} < ${c.size.key}`);
        progress = true;
      }
    }
  }

  /** How many values of `iter`, from 0 on, keep the subscript inside its dimension. */
  private extentFrom(c: Constraint, iter: Iter): Poly | undefined {
    const linear = linearIn(c.poly, iter.symbol);
    if (!linear) return undefined;
    const known = itersIn(this.ctx.session, linear.coefficient);
    const { coefficient } = linear;
    if (known.length > 0 || coefficient.terms.length === 0) return undefined;
    if (isNonNegative(subtract(coefficient, one), new Map())) {
      const most = extreme(this.ctx, linear.rest, 'most');
      return most && floorDivide(add(subtract(subtract(c.size, one), most), coefficient), coefficient);
    }
    if (isNonNegative(subtract(negate(coefficient), one), new Map())) {
      const least = extreme(this.ctx, linear.rest, 'least');
      return least && add(floorDivide(least, negate(coefficient)), one);
    }
    return undefined;
  }
}

function lengthOf(scope: Scope, s: Spread): number {
  const value = scope.lookup(s.name.name)?.value;
  return value?.kind === 'list' ? value.items.length : 0;
}

/** Arithmetic on indices and static integers only, so that evaluating it makes no tensor and reports nothing. */
function isArithmetic(e: Expr, scope: Scope): boolean {
  switch (e.kind) {
    case 'number':
      return e.integer;
    case 'name':
      return !e.prime && scope.lookup(e.name)?.value.kind === 'int';
    case 'unary':
      return e.op === '-' && isArithmetic(e.operand, scope);
    case 'binary':
      return (
        ['+', '-', '*', 'div', '%'].includes(e.op) &&
        isArithmetic(e.left, scope) &&
        isArithmetic(e.right, scope)
      );
    case 'index':
      return e.base.kind === 'name' && scope.lookup(e.base.name)?.value.kind === 'list';
    default:
      return false;
  }
}

export interface Left {
  /** Where to evaluate the right side. */
  readonly ctx: Context;
  /** The indices of the left side, in its order. */
  readonly iters: readonly Iter[];
}

/** Ranges for `y[subscripts] = value`. `declared`: the shape the result must have, where it is known. */
export function inferEquation(
  ctx: Context,
  subscripts: readonly (Spread | Extract<Expr, { kind: 'name' }>)[],
  value: Expr,
  declared: { readonly shape: readonly Poly[]; readonly span: Span } | undefined,
): Left | undefined {
  const inference = new Inference(ctx);
  const scope = new Scope(ctx.scope);
  const bounds = subscripts.map((s) =>
    inference.bind(scope, s.kind === 'spread' ? s.name : { name: s.name, span: s.span }, s.kind === 'spread'),
  );
  if (declared) inference.constrainShape(subscripts, scope, declared.shape, declared.span);
  inference.walk(value, scope);
  if (!inference.solve()) return undefined;
  const iters = bounds.flatMap((b) => b.iters);
  return { ctx: { ...ctx, scope: scopeOf(ctx.scope, bounds), memo: inference.memo }, iters };
}

/** Ranges for a reduction outside of an index equation, and of everything inside it. */
export function inferReduction(ctx: Context, r: Reduction): Context | undefined {
  const inference = new Inference(ctx);
  inference.walk(r, new Scope(ctx.scope));
  return inference.solve() ? { ...ctx, memo: inference.memo } : undefined;
}
