/**
 * Resolves the names of every declaration before anything is evaluated, so that a mistake in a declaration that
 * nothing uses is found too, and says which statements may stand where.
 */
import type {
  Declaration,
  DimExpr,
  Equation,
  Expr,
  Fit,
  Evaluate,
  Import,
  Parameter,
  Port,
  Scan,
  Slice,
  Spread,
  Statement,
  Subscript,
  Task,
  TypeExpr,
} from '../../grammar/syntax.ts';
import type { Span } from '../../grammar/span.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { Module } from './modules.ts';
import { childrenOf } from './indices.ts';
import { at, also } from './report.ts';
import type { Reporter } from './reporter.ts';

type Named = Exclude<Declaration, Import>;
type Place = Named['kind'] | 'fit' | 'evaluate';

const places: Readonly<Record<Place, string>> = {
  model: 'a model',
  layer: 'a layer',
  fn: 'a function',
  optimizer: 'an optimizer',
  task: 'a task',
  fit: 'a `fit`',
  evaluate: 'an `evaluate`',
};

const everywhere: readonly Statement['kind'][] = ['equation', 'staticIf', 'repeat'];
const allowed: Readonly<Record<Place, readonly Statement['kind'][]>> = {
  model: [...everywhere, 'port', 'scan'],
  layer: [...everywhere, 'port', 'scan'],
  fn: [...everywhere, 'return', 'scan'],
  optimizer: [...everywhere, 'port'],
  task: ['equation', 'fit', 'evaluate', 'action'],
  fit: [...everywhere, 'minimize', 'metric', 'action'],
  evaluate: [...everywhere, 'minimize', 'metric'],
};

const statementNames: Readonly<Record<Statement['kind'], string>> = {
  port: 'a port',
  equation: 'an equation',
  return: '`return`',
  scan: '`scan`',
  staticIf: '`if { … }`',
  repeat: '`repeat`',
  fit: '`fit`',
  evaluate: '`evaluate`',
  minimize: '`minimize`',
  metric: '`metric`',
  action: 'a call by itself',
};

const typeNames = [
  'int',
  'float',
  'bool',
  'string',
  'fn',
  'layer',
  'schedule',
  'dtype',
  'f32',
  'f16',
  'i32',
  'u32',
];
const dtypes = ['f32', 'f16', 'i32', 'u32', 'bool'];

/** Reports names that mean nothing, are used too early, and statements out of place. */
export function resolveNames(module: Module, reporter: Reporter): void {
  for (const d of module.syntax.declarations)
    if (d.kind !== 'import') new Resolver(module, reporter, d).run();
}

/** Names of one place inside the declaration: those of the declaration and of the enclosing indices. */
interface Names {
  /** Given a meaning by what stands above. */
  readonly defined: Set<string>;
  /** Given a meaning anywhere in the body. */
  readonly all: ReadonlySet<string>;
  /** Whether other names may exist that the text does not show: fields of data that could not be told. */
  readonly open: boolean;
}

class Resolver {
  private readonly module: Module;
  private readonly reporter: Reporter;
  private readonly decl: Named;
  private readonly dims = new Set<string>();

  constructor(module: Module, reporter: Reporter, decl: Named) {
    this.module = module;
    this.reporter = reporter;
    this.decl = decl;
  }

  run(): void {
    const { decl } = this;
    for (const t of typesIn(decl)) this.type(t);
    const names: Names = {
      defined: new Set(),
      all: new Set([...decl.params.map((p) => p.name.name), ...definedIn(decl.body)]),
      open: false,
    };
    this.parameters(decl.params, names);
    this.body(decl.body, names, decl.kind);
  }

  private parameters(params: readonly Parameter[], names: Names): void {
    const seen = new Map<string, Span>();
    for (const p of params) {
      if (p.default) this.expr(p.default, names);
      const before = seen.get(p.name.name);
      if (before)
        this.reporter.report('E0202', { name: p.name.name }, [
          at(p.name.span, 'again here'),
          also(before, 'first here'),
        ]);
      seen.set(p.name.name, p.name.span);
      names.defined.add(p.name.name);
    }
  }

  // -------------------------------------------------------------- types

  private type(t: TypeExpr): void {
    switch (t.kind) {
      case 'tensor':
        if (!dtypes.includes(t.dtype.name))
          this.reporter.report('E0319', { name: t.dtype.name, near: suggest(t.dtype.name, dtypes) }, [
            at(t.dtype.span, 'not a dtype'),
          ]);
        for (const d of t.dims) for (const name of namesInDim(d)) this.dims.add(name);
        return;
      case 'named':
        if (!typeNames.includes(t.name.name))
          this.reporter.report('E0201', { name: t.name.name, near: suggest(t.name.name, typeNames) }, [
            at(t.name.span, 'not a type'),
          ]);
        return;
      case 'listOf':
        return this.type(t.element);
      case 'tupleOf':
        return t.elements.forEach((e) => this.type(e));
      case 'union':
        return t.options.forEach((e) => this.type(e));
      case 'literal':
        return;
    }
  }

  // -------------------------------------------------------------- statements

  private body(body: readonly Statement[], names: Names, place: Place): void {
    for (const s of body) {
      if (allowed[place].includes(s.kind)) this.statement(s, names, place);
      else this.misplaced(s, place);
    }
  }

  private misplaced(s: Statement, place: Place): void {
    const homes = (Object.keys(allowed) as Place[]).filter((p) => allowed[p].includes(s.kind));
    const what = s.kind === 'port' ? `\`${s.role}\`` : statementNames[s.kind];
    const help =
      s.kind === 'action' && place !== 'task'
        ? undefined
        : `it stands in ${homes.map((p) => places[p]).join(' or ')}`;
    this.reporter.report('E0207', { what, where: places[place], help }, [at(s.span, 'here')]);
  }

  private statement(s: Statement, names: Names, place: Place): void {
    switch (s.kind) {
      case 'port':
        return this.port(s, names);
      case 'equation':
        return this.equation(s, names);
      case 'return':
        return this.expr(s.value, names);
      case 'staticIf':
        this.expr(s.condition, names);
        this.body(s.then, names, place);
        return this.body(s.else ?? [], names, place);
      case 'repeat':
        this.expr(s.over, names);
        if (s.index) names.defined.add(s.index.name);
        return this.body(s.body, names, place);
      case 'scan':
        return this.scan(s, names, place);
      case 'fit':
      case 'evaluate':
        return this.fit(s, names);
      case 'minimize':
        this.expr(s.loss, names);
        s.over?.forEach((e) => this.expr(e, names));
        this.expr(s.with, names);
        return s.every && this.expr(s.every, names);
      case 'metric':
        return this.expr(s.value, names);
      case 'action':
        // Its callee is an action, not a function; `valid.loss` is not a value.
        return s.call.args.forEach((a) => (a.value.kind === 'field' ? undefined : this.expr(a.value, names)));
    }
  }

  /** States and results of each step can be used behind the scan, other names only inside. */
  private scan(s: Scan, names: Names, place: Place): void {
    this.expr(s.over, names);
    const inner: Names = { ...names, defined: new Set([...names.defined, s.index.name]) };
    for (const b of s.body) {
      if (b.kind === 'port' && b.role === 'state') this.port(b, inner);
      else this.body([b], inner, place);
    }
    for (const b of s.body) {
      if (b.kind === 'port') names.defined.add(b.name.name);
      const isStep = (x: Subscript): boolean => x.kind === 'name' && x.name === s.index.name;
      if (b.kind === 'equation' && !b.prime && b.subscripts?.some(isStep)) names.defined.add(b.target.name);
    }
  }

  private port(s: Port, names: Names): void {
    if (s.init) this.expr(s.init, names);
    if (s.when) this.expr(s.when, names);
    if (s.role !== 'output') names.defined.add(s.name.name);
  }

  private equation(s: Equation, names: Names): void {
    const indices = (s.subscripts ?? []).flatMap((x) =>
      x.kind === 'name' ? [x.name] : x.kind === 'spread' ? [x.name.name] : [],
    );
    this.expr(s.value, { ...names, defined: new Set([...names.defined, ...indices]) });
    if (s.when) this.expr(s.when, names);
    names.defined.add(s.prime ? `${s.target.name}'` : s.target.name);
  }

  private fit(s: Fit | Evaluate, names: Names): void {
    for (const a of s.args) this.expr(a.value, names);
    this.expr(s.on, names);
    const fields = fieldsOf(this.module, this.decl, s.on);
    const body = s.body ?? [];
    const inner: Names = {
      defined: new Set([...names.defined, ...(fields ?? [])]),
      all: new Set([...names.all, ...definedIn(body)]),
      open: fields === undefined,
    };
    this.body(body, inner, s.kind);
  }

  // -------------------------------------------------------------- expressions

  private expr(e: Expr | Spread | Slice, names: Names): void {
    if (e.kind === 'name') return this.name(e, names);
    if (e.kind === 'reduction') {
      for (const i of e.indices) if (i.range) this.expr(i.range, names);
      const bound = e.indices.map((i) => i.name.name);
      return this.expr(e.body, { ...names, defined: new Set([...names.defined, ...bound]) });
    }
    for (const child of childrenOf(e)) this.expr(child, names);
  }

  private name(e: Extract<Expr, { kind: 'name' }>, names: Names): void {
    const name = e.prime ? `${e.name}'` : e.name;
    if (names.defined.has(name) || this.dims.has(name) || this.module.scope.lookup(name)) return;
    if (names.all.has(name)) {
      this.reporter.report('E0206', { name }, [at(e.span, 'not defined yet')]);
    } else if (!names.open) {
      const near = suggest(name, [...names.defined, ...this.dims, ...this.module.scope.visible()]);
      this.reporter.report('E0201', { name, near }, [at(e.span, 'not defined')]);
    }
  }
}

/** Types of a declaration's parameters, result and ports. */
function typesIn(decl: Named): readonly TypeExpr[] {
  const types = [
    ...decl.params.map((p) => p.type),
    decl.kind === 'fn' ? decl.result : undefined,
    ...portTypes(decl.body),
  ];
  return types.filter((t) => t !== undefined);
}

function portTypes(body: readonly Statement[]): readonly (TypeExpr | undefined)[] {
  return body.flatMap((s) => {
    if (s.kind === 'port') return [s.type];
    if (s.kind === 'staticIf') return portTypes([...s.then, ...(s.else ?? [])]);
    return s.kind === 'repeat' || s.kind === 'scan' ? portTypes(s.body) : [];
  });
}

function namesInDim(d: DimExpr): readonly string[] {
  if (d.kind === 'spread') return [d.name.name];
  if (d.kind === 'name') return [d.name];
  return childrenOf(d).flatMap((c) => (c.kind === 'slice' ? [] : namesInDim(c)));
}

/** Names that the statements give a meaning, with their prime. */
function definedIn(body: readonly Statement[]): readonly string[] {
  return body.flatMap((s) => {
    switch (s.kind) {
      case 'port':
        return [s.name.name];
      case 'equation':
        return [s.prime ? `${s.target.name}'` : s.target.name];
      case 'staticIf':
        return definedIn([...s.then, ...(s.else ?? [])]);
      case 'repeat':
        return [...(s.index ? [s.index.name] : []), ...definedIn(s.body)];
      case 'scan':
        return [s.index.name, ...definedIn(s.body)];
      default:
        return [];
    }
  });
}

/** Names of the fields of a data source, which are those of its arguments; nothing when the text does not show them. */
function fieldsOf(module: Module, decl: Named, on: Expr): readonly string[] | undefined {
  const made =
    on.kind === 'name'
      ? (decl as Task).body.find((s) => s.kind === 'equation' && s.target.name === on.name)
      : undefined;
  const call = on.kind === 'call' ? on : made?.kind === 'equation' ? made.value : undefined;
  if (call?.kind !== 'call' || call.callee.kind !== 'name' || call.args.length === 0) return undefined;
  if (module.scope.lookup(call.callee.name)?.value.kind !== 'builtin') return undefined;
  if (call.callee.name === 'text') return ['token', 'next'];
  return call.args.flatMap((a) => (a.name ? [a.name.name] : []));
}
