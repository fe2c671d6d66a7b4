/** Files, their imports and the names they declare. */
import { parse } from '../../grammar/index.ts';
import type { Problem } from '../../grammar/problem.ts';
import type { SourceFile, Span } from '../../grammar/span.ts';
import type { Import, Syntax } from '../../grammar/syntax.ts';
import { suggest } from '../diagnostics/suggest.ts';
import type { Host } from './host.ts';
import { type Library, valueOf } from './library.ts';
import { also, at } from './report.ts';
import type { Reporter } from './reporter.ts';
import type { Value } from './values.ts';
import { poison, Scope } from './values.ts';

export interface Module {
  readonly path: string;
  readonly syntax: Syntax;
  /** Declarations and imports; behind them the library, behind it the language's own functions. */
  readonly scope: Scope;
  /** The text could be read without a syntax error. */
  readonly whole: boolean;
}

export class Modules {
  readonly modules = new Map<string, Module>();
  readonly sources = new Map<string, SourceFile>();
  private readonly loading: string[] = [];
  private readonly host: Host;
  private readonly library: Library;
  private readonly reporter: Reporter;

  constructor(host: Host, library: Library, reporter: Reporter) {
    this.host = host;
    this.library = library;
    this.reporter = reporter;
    for (const [path, source] of library.sources) this.sources.set(path, source);
  }

  /** The file and all it imports; nothing when it cannot be read. */
  load(path: string): Module | undefined {
    const known = this.modules.get(path);
    if (known) return known;
    const text = this.host.read(path);
    if (text === undefined) return undefined;
    const source = { path, text };
    this.sources.set(path, source);
    const { syntax, problems } = parse(source);
    problems.forEach((p: Problem) => this.reporter.add(p));
    const module: Module = {
      path,
      syntax,
      scope: new Scope(this.library.scope),
      whole: problems.length === 0,
    };
    this.modules.set(path, module);
    this.loading.push(path);
    for (const d of syntax.declarations) if (d.kind === 'import') this.import(module, d);
    this.loading.pop();
    for (const d of syntax.declarations)
      if (d.kind !== 'import')
        this.declare(module, d.name.name, valueOf(d, module.scope), d.name.span, 'a declaration');
    return module;
  }

  private declare(module: Module, name: string, value: Value, span: Span, what: string): void {
    const before = module.scope.names.get(name);
    if (before?.span)
      this.reporter.report('E0202', { name }, [
        at(span, 'defined again here'),
        also(before.span, 'first defined here'),
      ]);
    else module.scope.define(name, value, span, what);
  }

  private import(module: Module, d: Import): void {
    const path = this.host.resolve(module.path, d.from.value);
    const cycle = this.loading.indexOf(path);
    if (cycle >= 0) {
      this.reporter.report('E0204', { chain: [...this.loading.slice(cycle), path] }, [
        at(d.from.span, 'imported here, while it is importing'),
      ]);
      return this.importNothing(module, d);
    }
    const from = this.load(path);
    if (!from) {
      this.reporter.report('E0203', { specifier: d.from.value, path }, [at(d.from.span, 'no such file')]);
      return this.importNothing(module, d);
    }
    const has = from.syntax.declarations.flatMap((x) => (x.kind === 'import' ? [] : [x.name.name]));
    for (const { name, alias } of d.names) {
      const found = has.includes(name.name) ? from.scope.names.get(name.name) : undefined;
      // A file that could not be parsed may have held the name.
      if (!found && from.whole)
        this.reporter.report(
          'E0205',
          { name: name.name, file: d.from.value, near: suggest(name.name, has) },
          [at(name.span, 'not declared there')],
        );
      this.declare(module, alias.name, found?.value ?? poison, alias.span, 'an import');
    }
  }

  /** What could not be imported is silent from here on. */
  private importNothing(module: Module, d: Import): void {
    for (const { alias } of d.names) this.declare(module, alias.name, poison, alias.span, 'an import');
  }
}
