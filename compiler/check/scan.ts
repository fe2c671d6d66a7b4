/**
 * `scan t in time { … }`: the body is evaluated once, with `t` a symbol and every state a leaf, and closed into a scan of
 * the graph (`ir/loop.ts`), which takes out of the loop what does not depend on the states.
 */
import type { Equation, Expr, Port, Scan, Spread, Subscript } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { type Leaf, type Node } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
import { flipped } from '../ir/lift.ts';
import { closeLoop } from '../ir/loop.ts';
import { isNonNegative, one, subtract, symbol, symbolsOf, type Poly } from '../shape/poly.ts';
import { toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { dtypeOf, shapeOf, tensorType } from './dims.ts';
import { indexed } from './equations.ts';
import { also, at, fail } from './report.ts';
import { initialNode } from './storage.ts';
import { permuted, show, showAll } from './tensor.ts';
import type { Context, TensorValue, Value } from './values.ts';
import { int, poison, restOf, Scope, tensor } from './values.ts';

/** What the statements of a body are run with, and where a scan's results go. */
export interface ScanHost {
  /** Runs the body; gives the next values of its states. */
  run(ctx: Context, hooks: ScanHooks): ReadonlyMap<string, { readonly value: Value; readonly span: Span }>;
  /** Defines a result of the scan in the scope around it; `value`: where the text says what it is. */
  define(name: string, result: Value, span: Span, value: Span): void;
}

export interface ScanHooks {
  readonly store: (ctx: Context, port: Port) => Value;
  /** Takes the equation for a result of each step; false when it is another one. */
  readonly each: (ctx: Context, e: Equation) => boolean;
}

interface State {
  readonly name: string;
  readonly leaf: Leaf;
  readonly init: Node;
  readonly span: Span;
}

/** `y[:, t] = …`: the value in each step and where the steps stand among its dimensions. */
interface StepResult {
  readonly name: string;
  readonly value: Value;
  readonly place: number;
  readonly equation: Equation;
}

export function runScan(ctx: Context, s: Scan, host: ScanHost): void {
  const extent = extentOf(ctx, s);
  const run = extent && new ScanRun(ctx, s, extent);
  const done = run?.run(host) ?? false;
  if (done) return;
  for (const [name, span] of namesOf(s))
    if (!ctx.scope.names.has(name)) host.define(name, poison, span, span);
}

/** What a scan defines: its states and what it says step by step. */
function namesOf(s: Scan): Map<string, Span> {
  const names = new Map<string, Span>();
  for (const x of s.body) {
    if (x.kind === 'port') names.set(x.name.name, x.name.span);
    if (x.kind === 'equation' && !x.prime && x.subscripts?.some((i) => isIndex(i, s)))
      names.set(x.target.name, x.target.span);
  }
  return names;
}

const isIndex = (x: Subscript, s: Scan): boolean => x.kind === 'name' && !x.prime && x.name === s.index.name;

function extentOf(ctx: Context, s: Scan): Poly | undefined {
  const over = ctx.session.run.evaluate(ctx, s.over);
  if (over.kind === 'poison') return undefined;
  if (over.kind === 'int' && isNonNegative(subtract(over.poly, one), new Map())) return over.poly;
  const expected = 'a dimension or a positive whole number';
  const found = over.kind === 'int' ? show(over.poly) : describe(over);
  const fields = { what: 'what a scan walks along', expected, found, help: undefined };
  fail(ctx, 'E0402', fields, at(s.over.span, found));
  return undefined;
}

class ScanRun {
  private readonly states: State[] = [];
  private readonly results: StepResult[] = [];
  private readonly symbol: string;
  private readonly since: number;
  private failed = false;

  constructor(
    private readonly outer: Context,
    private readonly s: Scan,
    private readonly extent: Poly,
  ) {
    const { loops, graph } = outer.session;
    this.symbol = `$${s.index.name}·${loops.size}`;
    loops.set(this.symbol, { extent, open: true });
    this.since = graph.mark;
  }

  run(host: ScanHost): boolean {
    const { outer, s, symbol: name } = this;
    const scope = new Scope(outer.scope);
    scope.define(s.index.name, int(symbol(name)), s.index.span, 'the index of a scan');
    const ctx: Context = { ...outer, scope, memo: undefined, naming: undefined, updates: new Map() };
    const next = host.run(ctx, { store: (c, p) => this.state(c, p), each: (c, e) => this.each(c, e) });
    outer.session.loops.set(name, { extent: this.extent, open: false });
    const carries = this.states.map((state) => ({
      ...state,
      next: this.nextOf(ctx, state, next.get(state.name)),
    }));
    for (const [name, { span }] of next)
      if (!this.states.some((x) => x.name === name))
        this.unsupported(ctx, 'the next value of a state that stands outside of the scan', span);
    for (const [path] of ctx.updates)
      this.unsupported(ctx, `a layer with a state (\`${path}\`) in a scan`, s.index.span);
    const each = this.results.map((r) => ({
      ...r,
      node: this.tensorOf(ctx, r.value, r.equation.value.span),
    }));
    if (this.failed || carries.some((c) => !c.next) || each.some((e) => !e.node)) return false;
    const whole = carries.map((c) => ({ ...c, next: c.next as Node }));
    const steps = each.map((e) => ({ ...e, node: e.node as Node }));
    if (!this.sizesStay(ctx, [...whole.map((c) => c.next), ...steps.map((e) => e.node)])) return false;
    this.close(host, whole, steps);
    return true;
  }

  private close(
    host: ScanHost,
    carries: readonly (State & { readonly next: Node })[],
    steps: readonly (StepResult & { readonly node: Node })[],
  ): void {
    const { extent, s } = this;
    const { graph } = this.outer.session;
    const last = subtract(extent, one);
    const loop = closeLoop(
      graph,
      {
        extent,
        carries,
        index: { symbol: this.symbol, at: (i) => (s.reversed ? subtract(last, i) : i) },
        since: this.since,
      },
      steps.map((e) => e.node),
    );
    for (const c of carries) host.define(c.name, tensor(loop.final(c.leaf)), c.span, c.span);
    for (const e of steps) {
      const ordered = s.reversed ? flipped(graph, loop.each(e.node)) : loop.each(e.node);
      const axes = e.node.shape.map((_, i) => i + 1);
      const node = permuted(graph, ordered, [...axes.slice(0, e.place), 0, ...axes.slice(e.place)]);
      host.define(e.name, tensor(node), e.equation.target.span, e.equation.value.span);
    }
  }

  // -------------------------------------------------------------- states

  private state(ctx: Context, p: Port): Value {
    const name = p.name.name;
    const { scope, session } = this.outer;
    const before = scope.names.get(name);
    if (before && this.outer.copy === '') {
      fail(
        ctx,
        'E0202',
        { name },
        at(p.name.span, 'defined again here'),
        ...(before.span ? [also(before.span, 'first defined here')] : []),
      );
      return this.fail();
    }
    const type = tensorType(p.type);
    if (p.when || !type) {
      const help = 'give it a type: `state h: f32[batch, hidden] = zeros`';
      this.unsupported(
        ctx,
        p.when ? '`when` at a state of a scan' : 'a state without a type',
        p.name.span,
        help,
      );
      return poison;
    }
    const dtype = dtypeOf(ctx, type.dtype);
    const shape = shapeOf(ctx, type, name);
    if (!dtype || !shape) return this.fail();
    if (!p.init) {
      const missing = { callee: `state ${name}`, missing: ['an initial value'] };
      fail(ctx, 'E0403', missing, at(p.name.span, 'where does it start? `= zeros`'));
      return this.fail();
    }
    // The first value knows nothing of the steps.
    const path = ctx.owner.path === '' ? name : `${ctx.owner.path}.${name}`;
    const init = initialNode(this.outer, p.init, path, dtype, shape, p.name.span);
    if (!init) return this.fail();
    const leaf = session.graph.unbound(dtype, shape);
    session.declared.set(leaf, type);
    this.states.push({ name, leaf, init, span: p.name.span });
    return tensor(leaf);
  }

  private nextOf(
    ctx: Context,
    state: State,
    found: { readonly value: Value; readonly span: Span } | undefined,
  ): Node | undefined {
    if (found) return this.tensorOf(ctx, found.value, found.span);
    if (!this.failed) fail(ctx, 'E0213', { name: state.name }, at(state.span, 'stays as it is'));
    return undefined;
  }

  // -------------------------------------------------------------- results of each step

  private each(ctx: Context, e: Equation): boolean {
    const { s } = this;
    const subscripts = e.subscripts ?? [];
    const at = subscripts.findIndex((x) => isIndex(x, s));
    if (at < 0 || e.prime) return false;
    const rest = subscripts.filter((_, i) => i !== at);
    const { name } = e.target;
    const again = this.results.find((r) => r.name === name);
    if (again) this.twice(ctx, e, again);
    else if (rest.some((x) => isIndex(x, s)) || !isPlain(rest)) this.misplaced(ctx, e);
    else {
      const value = this.valueOf(ctx, e, rest);
      const place = this.placeOf(subscripts, at, value);
      if (place === undefined) this.misplaced(ctx, e);
      else this.results.push({ name, value, place, equation: e });
    }
    return true;
  }

  private twice(ctx: Context, e: Equation, before: StepResult): void {
    const labels = [
      at(e.target.span, 'defined again here'),
      also(before.equation.target.span, 'first defined here'),
    ];
    fail(ctx, 'E0202', { name: e.target.name }, ...labels);
    this.failed = true;
  }

  private misplaced(ctx: Context, e: Equation): void {
    const [first, last] = [e.subscripts?.[0], e.subscripts?.at(-1)];
    const span = first && last ? { ...first.span, end: last.span.end } : e.target.span;
    fail(ctx, 'E0322', { name: e.target.name, index: this.s.index.name }, at(span, 'not one whole step'));
    this.failed = true;
  }

  /** The step's own value, of the dimensions besides that of the scan. */
  private valueOf(ctx: Context, e: Equation, rest: readonly Subscript[]): Value {
    if (!rest.every((x) => x.kind === 'slice')) return indexed(ctx, { ...e, subscripts: rest }, undefined);
    const value = ctx.session.run.evaluate({ ...ctx, naming: e.target.name }, e.value);
    const t = toTensor(ctx, value);
    // As on the right side, dimensions that are left out at the end are whole.
    if (!t || restOf(t).length >= rest.length) return t ?? value;
    const dims = showAll(restOf(t));
    fail(
      ctx,
      'E0324',
      { name: e.target.name, index: this.s.index.name, wanted: rest.length, dims },
      at(e.value.span, `[${dims.join(', ')}]`),
    );
    return this.fail();
  }

  private placeOf(subscripts: readonly Subscript[], at: number, value: Value): number | undefined {
    const isSpread = (x: Subscript): boolean => x.kind === 'spread';
    if (!subscripts.slice(0, at).some(isSpread)) return at;
    if (subscripts.slice(at + 1).some(isSpread)) return undefined;
    return value.kind === 'tensor' ? restOf(value).length - (subscripts.length - 1 - at) : at;
  }

  // -------------------------------------------------------------- proofs and mistakes

  private fail(): Value {
    this.failed = true;
    return poison;
  }

  private unsupported(ctx: Context, what: string, span: Span, help?: string): void {
    fail(ctx, 'E0412', { what, help }, at(span, 'here'));
    this.failed = true;
  }

  private tensorOf(ctx: Context, value: Value, span: Span): Node | undefined {
    const t: TensorValue | undefined = value.kind === 'poison' ? undefined : toTensor(ctx, value);
    if (!t) {
      if (value.kind !== 'poison') {
        const fields = {
          what: 'a result of a scan',
          expected: 'a tensor',
          found: describe(value),
          help: undefined,
        };
        fail(ctx, 'E0402', fields, at(span, describe(value)));
      }
      return undefined;
    }
    if (t.iters.length === 0) return t.node;
    const help = 'apply it to the whole tensor, with the index as a dimension';
    this.unsupported(ctx, 'a scan for every value of an index', span, help);
    return undefined;
  }

  /** No size in the body may depend on the step. */
  private sizesStay(ctx: Context, roots: readonly Node[]): boolean {
    const { graph } = ctx.session;
    const names = (p: Poly): boolean => symbolsOf(p).has(this.symbol);
    const wrong = topological(roots).find((n) => n.id >= this.since && n.shape.some(names));
    if (!wrong) return true;
    const [origin] = graph.originsOf(wrong);
    const size = show(wrong.shape.find(names) as Poly);
    const span = origin ?? this.s.index.span;
    const own =
      span.file === this.s.span.file && span.start >= this.s.span.start && span.end <= this.s.span.end;
    const place = own ? span : this.s.index.span;
    fail(ctx, 'E0323', { size, index: this.s.index.name }, at(place, `of size ${size}`));
    return false;
  }
}

/** Whole dimensions, or plain indices, but not both. */
function isPlain(rest: readonly Subscript[]): boolean {
  const isWhole = (x: Subscript): boolean => x.kind === 'slice' && !x.start && !x.stop && !x.step;
  const isName = (x: Expr | Spread | Subscript): boolean =>
    x.kind === 'spread' || (x.kind === 'name' && !x.prime);
  return rest.every(isWhole) || rest.every(isName);
}
