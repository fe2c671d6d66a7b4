/** Runs the statements of a declaration: ports, equations, `if` and `repeat`. */
import type { Equation, Port, Repeat, Scan, Statement, TypeExpr } from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { Leaf } from '../ir/graph.ts';
import { asConstant, constant } from '../shape/poly.ts';
import { spreadDefault, tensorArgument } from './arguments.ts';
import { toTensor } from './arithmetic.ts';
import { describe } from './describe.ts';
import { tensorType } from './dims.ts';
import { also, at, fail, withinRange } from './report.ts';
import { indexed } from './equations.ts';
import { nextValue } from './next.ts';
import { runScan } from './scan.ts';
import { keep } from './storage.ts';
import type { Context, Given, Instance, Value } from './values.ts';
import { int, poison, tensor } from './values.ts';

/** A declaration that is being applied. */
export interface Body {
  readonly kind: 'fn' | 'layer' | 'model' | 'optimizer' | 'fit';
  readonly name: string;
  readonly body: readonly Statement[];
  /** Values of the `input` ports. */
  readonly given: ReadonlyMap<string, Given>;
  /** The type of what a function gives: an equation for the name that it returns knows its shape from there. */
  readonly result?: TypeExpr | undefined;
  readonly instance?: Instance;
  /** Makes what `param` and `state` declare; a layer's own tensors when left out. */
  readonly store?: (ctx: Context, port: Port) => Value;
  /** Statements that only this kind of body may have. */
  readonly other?: (ctx: Context, statement: Statement) => boolean;
  /** In a scan: takes the equations for results of each step. */
  readonly each?: (ctx: Context, e: Equation) => boolean;
}

export interface Result {
  readonly returned: { readonly value: Value; readonly span: Span } | undefined;
  readonly outputs: ReadonlyMap<string, Value>;
  /** Values of primed names. */
  readonly next: ReadonlyMap<string, { readonly value: Value; readonly span: Span }>;
}

/** At most this many copies of a `repeat`. */
const repeatLimit = 4096;

export function runBody(ctx: Context, body: Body): Result {
  const run = new Run(body);
  run.statements(ctx, body.body);
  return { returned: run.returned, outputs: run.collect(ctx), next: run.next };
}

class Run {
  readonly next = new Map<string, { value: Value; span: Span }>();
  returned: { value: Value; span: Span } | undefined;
  /** An input was not what it should be: what depends on it would only repeat that. */
  private aborted = false;
  private readonly outputs = new Map<string, Port>();
  /** The layer's own states, whatever value they have by now. */
  private readonly states = new Map<string, Leaf>();
  private readonly body: Body;

  constructor(body: Body) {
    this.body = body;
  }

  statements(ctx: Context, list: readonly Statement[]): void {
    for (const s of list) {
      if (this.returned || this.aborted) return;
      withinRange(
        ctx,
        s.span,
        () => this.statement(ctx, s),
        () => {
          this.aborted = true;
        },
      );
    }
  }

  private statement(ctx: Context, s: Statement): void {
    switch (s.kind) {
      case 'port':
        return this.port(ctx, s);
      case 'equation':
        return this.equation(ctx, s);
      case 'return':
        this.returned = { value: ctx.session.run.evaluate(ctx, s.value), span: s.value.span };
        return;
      case 'staticIf':
        return this.staticIf(ctx, s);
      case 'repeat':
        return this.repeat(ctx, s);
      case 'scan':
        return this.scan(ctx, s);
      default:
        this.body.other?.(ctx, s);
    }
  }

  // -------------------------------------------------------------- ports

  private port(ctx: Context, p: Port): void {
    const name = p.name.name;
    if (p.role === 'output') {
      this.outputs.set(name, p);
      return;
    }
    if (this.clashes(ctx, name, p.name.span)) return;
    const value = p.role === 'input' ? this.input(ctx, p) : this.stored(ctx, p);
    ctx.scope.define(
      name,
      value,
      p.name.span,
      p.role === 'input' ? 'an input' : p.role === 'state' ? 'a state' : 'a parameter',
    );
  }

  /**
   * A layer's state begins where the layer's last application in this step left it; as between steps, it is a number
   * that no gradient goes through.
   */
  private stored(ctx: Context, p: Port): Value {
    if (this.body.store) return this.body.store(ctx, p);
    if (!this.body.instance) return poison;
    const value = keep(ctx, this.body.instance, p);
    if (p.role !== 'state' || value.kind !== 'tensor' || value.node.op !== 'leaf') return value;
    this.states.set(p.name.name, value.node);
    const now = ctx.updates.get(value.node.name);
    return now ? tensor(ctx.session.graph.stop(now.value)) : value;
  }

  private input(ctx: Context, p: Port): Value {
    const type = tensorType(p.type);
    const given = this.body.given.get(p.name.name) ?? this.defaultInput(ctx, p);
    if (!given) return poison;
    if (!type) return given.value;
    const what = `the input \`${p.name.name}\` of \`${this.body.name}\``;
    const value = tensorArgument(ctx, given.value, type, { what, name: p.name.name, span: given.span });
    this.aborted = value.kind === 'poison';
    return value;
  }

  /** `input memory: f32[b, s, n] = x`, `input mask: bool[t, s] = true`: what stands in for an input that is left out. */
  private defaultInput(ctx: Context, p: Port): Given | undefined {
    if (!p.init) return undefined;
    const value = spreadDefault(ctx, ctx.session.run.evaluate(ctx, p.init), p.type, p.name.name);
    return { name: p.name, value, span: p.init.span };
  }

  private clashes(ctx: Context, name: string, span: Span): boolean {
    const before = ctx.scope.names.get(name);
    // Copies of a `repeat` declare one each.
    if (!before || (ctx.copy !== '' && before.span === span)) return false;
    fail(
      ctx,
      'E0202',
      { name },
      at(span, 'defined again here'),
      ...(before.span ? [also(before.span, 'first defined here')] : []),
    );
    return true;
  }

  /** The outputs' values, each proved to have its declared type. */
  collect(ctx: Context): ReadonlyMap<string, Value> {
    const values = new Map<string, Value>();
    if (this.aborted) return values;
    for (const [name, port] of this.outputs) {
      const binding = ctx.scope.names.get(name);
      if (!binding) {
        const problem = { name, of: this.body.name };
        values.set(name, fail(ctx, 'E0209', problem, at(port.name.span, 'no equation defines it')));
      } else values.set(name, binding.value);
    }
    return values;
  }

  // -------------------------------------------------------------- equations

  private equation(ctx: Context, e: Equation): void {
    if (e.when) {
      const condition = ctx.session.run.evaluate(ctx, e.when);
      if (condition.kind === 'bool') {
        if (!condition.value) return;
      } else if (condition.kind !== 'poison') {
        const found = toTensor(ctx, condition);
        if (!e.prime || found?.node.dtype !== 'bool') {
          fail(
            ctx,
            'E0401',
            {
              what: 'this condition',
              help: e.prime ? undefined : '`if … then … else …` chooses between tensors',
            },
            at(e.when.span, describe(condition)),
          );
        }
      }
    }
    if (e.prime) return this.primed(ctx, e);
    if (this.body.each?.(ctx, e)) return;
    const { name, span } = e.target;
    const port = this.outputs.get(name);
    if (this.taken(ctx, e)) return;
    const value = this.valueOf(ctx, e, port);
    const checked = port ? this.checkedOutput(ctx, port, value, e) : value;
    ctx.scope.define(name, checked, span, 'an equation');
  }

  private taken(ctx: Context, e: Equation): boolean {
    const { name, span } = e.target;
    const before = ctx.scope.names.get(name);
    if (!before) return false;
    if (before.what === 'an equation') {
      // Copies of a `repeat` hand a value on under one name.
      if (ctx.copy !== '') return false;
      fail(
        ctx,
        'E0202',
        { name },
        at(span, 'defined again here'),
        ...(before.span ? [also(before.span, 'first defined here')] : []),
      );
    } else {
      fail(
        ctx,
        'E0210',
        { name, role: before.what },
        at(span, 'defined here'),
        ...(before.span ? [also(before.span, `${before.what}, declared here`)] : []),
      );
    }
    return true;
  }

  private valueOf(ctx: Context, e: Equation, port: Port | undefined): Value {
    if (!e.subscripts) return ctx.session.run.evaluate({ ...ctx, naming: e.target.name }, e.value);
    return indexed(ctx, e, port ?? this.returnedPort(e));
  }

  /** The type that the function's result has, when the equation defines what is returned. */
  private returnedPort(e: Equation): Pick<Port, 'name' | 'type'> | undefined {
    const last = this.body.body.at(-1);
    const returns =
      last?.kind === 'return' && last.value.kind === 'name' && last.value.name === e.target.name;
    return returns && !e.prime ? { name: e.target, type: this.body.result } : undefined;
  }

  private checkedOutput(ctx: Context, port: Port, value: Value, e: Equation): Value {
    const type = tensorType(port.type);
    const equations = this.body.body.filter(
      (x) => x.kind === 'equation' && x.target.name === e.target.name && !x.prime,
    );
    // Of two equations for one output nobody knows which is meant.
    if (!type || value.kind === 'poison' || equations.length > 1) return value;
    return this.typedOutput(ctx, port, value, e.value.span);
  }

  private typedOutput(ctx: Context, port: Port, value: Value, span: Span): Value {
    const type = tensorType(port.type);
    if (!type || value.kind === 'poison') return value;
    const { name } = port.name;
    return tensorArgument(ctx, value, type, { result: true, what: `the output \`${name}\``, name, span });
  }

  /** `m' = …`: the next value of a state, of its shape and dtype. */
  private primed(ctx: Context, e: Equation): void {
    const { name, span } = e.target;
    const binding = ctx.scope.lookup(name);
    const stateful =
      binding?.what === 'a state' || (this.body.kind === 'optimizer' && binding?.what === 'an input');
    if (!stateful) {
      const states = [...ctx.scope.names].flatMap(([n, b]) => (b.what === 'a state' ? [n] : []));
      if (binding?.value.kind !== 'poison')
        fail(ctx, 'E0211', { name, near: suggest(name, states) }, at(span, 'not a state'));
      return;
    }
    const written = `${name}'`;
    if (ctx.scope.names.has(written) && ctx.copy === '') {
      fail(
        ctx,
        'E0202',
        { name: written },
        at(span, 'defined again here'),
        also(ctx.scope.names.get(written)!.span!, 'first defined here'),
      );
      return;
    }
    const value = e.subscripts ? indexed(ctx, e, undefined) : ctx.session.run.evaluate(ctx, e.value);
    const checked = nextValue(ctx, binding.value, value, e);
    ctx.scope.define(written, checked, span, 'an equation');
    this.next.set(name, { value: checked, span: e.span });
    const leaf = this.states.get(name);
    if (leaf && checked.kind === 'tensor') ctx.updates.set(leaf.name, { leaf, value: checked.node });
  }

  // -------------------------------------------------------------- control

  private staticIf(ctx: Context, s: Extract<Statement, { kind: 'staticIf' }>): void {
    const condition = ctx.session.run.evaluate(ctx, s.condition);
    if (condition.kind === 'bool') return this.statements(ctx, condition.value ? s.then : (s.else ?? []));
    if (condition.kind !== 'poison') {
      const help = '`if … then … else …` chooses between tensors, element by element';
      fail(
        ctx,
        'E0401',
        { what: 'the condition of `if { … }`', help },
        at(s.condition.span, describe(condition)),
      );
    }
    for (const name of assigned([...s.then, ...(s.else ?? [])]))
      if (!ctx.scope.names.has(name)) ctx.scope.define(name, poison, s.span, 'an equation');
  }

  private repeat(ctx: Context, s: Repeat): void {
    const over = ctx.session.run.evaluate(ctx, s.over);
    const values = this.copies(ctx, over, s);
    if (!values) {
      for (const name of assigned(s.body))
        if (!ctx.scope.names.has(name)) ctx.scope.define(name, poison, s.span, 'an equation');
      return;
    }
    values.forEach((value, i) => {
      if (!ctx.session.spend(ctx, s.span)) return;
      const copy = `${ctx.copy}.${i}`;
      if (s.index) ctx.scope.define(s.index.name, value, s.index.span, 'an equation');
      this.statements({ ...ctx, copy, site: `${ctx.site}#${s.span.start}.${i}` }, s.body);
    });
  }

  private scan(ctx: Context, s: Scan): void {
    runScan(ctx, s, {
      run: (inner, hooks) => {
        const run = new Run({ ...this.body, body: s.body, ...hooks });
        run.statements(inner, s.body);
        this.aborted ||= run.aborted;
        return run.next;
      },
      define: (name, value, span, text) => {
        const port = this.outputs.get(name);
        const checked = port ? this.typedOutput(ctx, port, value, text) : value;
        ctx.scope.define(name, checked, span, 'an equation');
      },
    });
  }

  private copies(ctx: Context, over: Value, s: Repeat): readonly Value[] | undefined {
    if (over.kind === 'poison') return undefined;
    if (over.kind === 'list') return over.items;
    const n = over.kind === 'int' ? asConstant(over.poly) : undefined;
    if (n === undefined) {
      fail(
        ctx,
        'E0401',
        { what: 'the number of repetitions', help: undefined },
        at(s.over.span, describe(over)),
      );
      return undefined;
    }
    if (n < 0 || n > repeatLimit) {
      fail(ctx, 'E0411', { times: n, limit: repeatLimit }, at(s.over.span, `${n} times`));
      return undefined;
    }
    return Array.from({ length: n }, (_, i) => int(constant(i)));
  }
}

/** Names that statements define, so that what follows a mistake is silent about them. */
function assigned(body: readonly Statement[]): readonly string[] {
  return body.flatMap((s) => {
    if (s.kind === 'equation') return [s.target.name];
    if (s.kind === 'staticIf') return assigned([...s.then, ...(s.else ?? [])]);
    return s.kind === 'repeat' ? assigned(s.body) : [];
  });
}
