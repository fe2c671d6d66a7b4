/**
 * Concrete syntax of declarations and statements to the syntax tree. Statements that were broken are
 * kept as far as they go (a port without a type, an equation with an `invalid` value), so that names
 * stay declared and one mistake does not cause others later.
 */
import type { CstNode } from 'chevrotain';
import { child, extent, nodes, token, tokensOf } from './cst.ts';
import type { Docs } from './docs.ts';
import { ExpressionLowering } from './lower-expression.ts';
import { MAX_NESTING } from './nesting.ts';
import { placeStatement } from './places.ts';
import type { Place } from './places.ts';
import type { Reporter } from './problems.ts';
import type { Span } from './span.ts';
import type { Declaration, Expr, Fn, Import, Parameter, Port, Statement, StaticIf } from './syntax.ts';
import { T } from './tokens.ts';

export class Lowering {
  readonly #reporter: Reporter;
  readonly #docs: Docs;
  readonly #expressions: ExpressionLowering;
  readonly #damaged: ReadonlySet<number>;

  constructor(text: string, reporter: Reporter, docs: Docs) {
    this.#reporter = reporter;
    this.#docs = docs;
    this.#damaged = reporter.damaged();
    this.#expressions = new ExpressionLowering(text, reporter);
  }

  declarations(file: CstNode): readonly Declaration[] {
    return nodes(file, 'declaration').flatMap((node) => {
      const container = child(node, 'container');
      if (container) return this.#container(container);
      const fn = child(node, 'fn');
      if (fn) return this.#fn(fn);
      const found = child(node, 'import');
      return found ? this.#import(found) : [];
    });
  }

  // -------------------------------------------------------------- declarations

  #import(node: CstNode): Import[] {
    const span = this.#span(node);
    const from = token(node, T.String.name);
    if (from === undefined) return [];
    const names = nodes(node, 'importName').map((part) => {
      const name = this.#expressions.ident(token(part, 'name'), span.start);
      const alias = token(part, 'alias');
      return { name, alias: alias ? this.#expressions.ident(alias, span.start) : name };
    });
    return [{ kind: 'import', names, from: this.#expressions.string(from), span }];
  }

  #container(node: CstNode): Declaration[] {
    const kind = token(node, 'kind')?.tokenType;
    const named = this.#named(node);
    if (named === undefined) return [];
    const block = child(node, 'block');
    switch (kind) {
      case T.Model:
        return [{ kind: 'model', ...named, body: this.#block(block, 'model') }];
      case T.Layer:
        return [{ kind: 'layer', ...named, body: this.#block(block, 'layer') }];
      case T.Optimizer:
        return [{ kind: 'optimizer', ...named, body: this.#block(block, 'optimizer') }];
      default:
        return [{ kind: 'task', ...named, body: this.#block(block, 'task') }];
    }
  }

  #fn(node: CstNode): Fn[] {
    const named = this.#named(node);
    if (named === undefined) return [];
    const result = this.#expressions.type(child(node, 'type'));
    const short = token(node, T.Equals.name) !== undefined;
    if (!short)
      return [{ kind: 'fn', ...named, result, short, body: this.#block(child(node, 'block'), 'fn') }];
    const value = this.#expressions.expression(child(node, 'expression'), named.span.end);
    return [{ kind: 'fn', ...named, result, short, body: [{ kind: 'return', value, span: value.span }] }];
  }

  #named(node: CstNode): Omit<Extract<Declaration, { kind: 'task' }>, 'kind' | 'body'> | undefined {
    const span = this.#span(node);
    const doc = this.#docs.take(span.start);
    const name = token(node, T.Identifier.name);
    if (name === undefined) return undefined;
    const list = child(child(node, 'parameters'), 'parameterList');
    const params = nodes(list, 'parameter').flatMap((part) => this.#parameter(part));
    return { doc, name: this.#expressions.ident(name, span.start), params, span };
  }

  #parameter(node: CstNode): Parameter[] {
    const span = this.#span(node);
    const doc = this.#docs.take(span.start);
    const name = token(node, T.Identifier.name);
    if (name === undefined) return [];
    const value = child(node, 'expression');
    return [
      {
        doc,
        name: this.#expressions.ident(name, span.start),
        type: this.#expressions.type(child(node, 'type')),
        default: value && this.#expressions.expression(value, span.end),
        span,
      },
    ];
  }

  // -------------------------------------------------------------- statements

  #block(node: CstNode | undefined, place: Place): readonly Statement[] {
    return nodes(node, 'statement').flatMap((statement) => this.#statement(statement, place));
  }

  #statement(node: CstNode, place: Place): readonly Statement[] {
    const [rule] = Object.keys(node.children);
    const part = rule === undefined ? undefined : child(node, rule);
    if (rule === undefined || part === undefined) return [];
    const lowered = this.#rule(rule, part, this.#span(part), place);
    return lowered.filter((statement) => placeStatement(statement, place, this.#reporter));
  }

  #rule(rule: string, part: CstNode, span: Span, place: Place): readonly Statement[] {
    switch (rule) {
      case 'port':
        return this.#port(part, span);
      case 'equation':
        return this.#equation(part, span);
      case 'bare':
        return this.#bare(part, span, place);
      case 'return':
        return [{ kind: 'return', value: this.#value(part, span), span }];
      case 'scan':
        return this.#scan(part, span, place);
      case 'staticIf':
        return this.#staticIf(part, span, place);
      case 'repeat':
        return this.#repeat(part, span, place);
      case 'fit':
        return this.#fit(part, span);
      case 'evaluate':
        return this.#evaluate(part, span);
      case 'minimize':
        return this.#minimize(part, span);
      default:
        return this.#metric(part, span);
    }
  }

  #value(node: CstNode, span: Span): Expr {
    return this.#expressions.expression(child(node, 'expression'), span.end);
  }

  #when(node: CstNode, span: Span): Expr | undefined {
    const when = child(node, 'when');
    return when && this.#expressions.expression(child(when, 'expression'), span.end);
  }

  #port(node: CstNode, span: Span): readonly Statement[] {
    // Not by its text: a misspelt keyword was given the type it is most like.
    const role = token(node, T.PortRole.name)?.tokenType.name.toLowerCase() as Port['role'];
    const doc = this.#docs.take(span.start);
    const names = tokensOf(node, T.Identifier.name);
    const type = this.#expressions.type(child(node, 'type'));
    const value = child(node, 'expression');
    const init = value && this.#expressions.expression(value, span.end);
    const when = this.#when(node, span);
    return names.map((name, i): Port => {
      const ident = this.#expressions.ident(name, span.start);
      const start = i === 0 ? span.start : ident.span.start;
      const end = i === names.length - 1 ? span.end : ident.span.end;
      const own = this.#reporter.span(start, end);
      return { kind: 'port', role, doc: i === 0 ? doc : undefined, name: ident, type, init, when, span: own };
    });
  }

  #equation(node: CstNode, span: Span): readonly Statement[] {
    const subscripts = child(node, 'subscripts');
    return [
      {
        kind: 'equation',
        target: this.#expressions.ident(token(node, T.Identifier.name), span.start),
        prime: token(node, T.Prime.name) !== undefined,
        subscripts: subscripts && this.#expressions.subscripts(subscripts),
        value: this.#value(node, span),
        when: this.#when(node, span),
        span,
      },
    ];
  }

  /** A call is an action; at the end of a function, somebody forgot `return`. */
  #bare(node: CstNode, span: Span, place: Place): readonly Statement[] {
    const value = this.#value(node, span);
    if (value.kind === 'call' && place !== 'fn') return [{ kind: 'action', call: value, span }];
    if (value.kind === 'invalid' || this.#damaged.has(this.#reporter.statementAt(span.start))) return [];
    const label = this.#reporter.here(span.start, span.end, 'only an expression');
    const inFn = place === 'fn';
    const help = inFn ? 'a function ends with `return`: write `return …`' : 'give it a name: `name = …`';
    this.#reporter.report('E0104', { what: 'an expression alone is no statement', help }, label);
    return inFn ? [{ kind: 'return', value, span }] : [];
  }

  #scan(node: CstNode, span: Span, place: Place): readonly Statement[] {
    const index = this.#expressions.ident(token(node, T.Identifier.name), span.start);
    const reversed = token(node, T.Reversed.name) !== undefined;
    const body = this.#block(child(node, 'block'), place === 'fn' ? 'scanInFn' : 'scan');
    return [{ kind: 'scan', index, over: this.#value(node, span), reversed, body, span }];
  }

  #staticIf(node: CstNode, span: Span, place: Place): readonly Statement[] {
    const conditions = nodes(node, 'expression');
    const blocks = nodes(node, 'block');
    if (conditions.length > MAX_NESTING) {
      const label = this.#reporter.here(span.start, span.start + 2, 'too many branches');
      this.#reporter.report('E0108', { limit: MAX_NESTING }, label);
      return [];
    }
    const otherwise = child(node, 'otherwise');
    let rest = otherwise && this.#block(otherwise, place);
    let result: StaticIf | undefined;
    for (let i = Math.max(0, conditions.length - 1); i >= 0; i--) {
      const condition = this.#expressions.expression(conditions[i], span.end);
      const start = i === 0 ? span.start : condition.span.start;
      const own = this.#reporter.span(start, span.end);
      result = { kind: 'staticIf', condition, then: this.#block(blocks[i], place), else: rest, span: own };
      rest = [result];
    }
    return result ? [result] : [];
  }

  #repeat(node: CstNode, span: Span, place: Place): readonly Statement[] {
    const index = token(node, T.Identifier.name);
    const body = this.#block(child(node, 'block'), place);
    const ident = index && this.#expressions.ident(index, span.start);
    return [{ kind: 'repeat', index: ident, over: this.#value(node, span), body, span }];
  }

  #fit(node: CstNode, span: Span): readonly Statement[] {
    const args = this.#expressions.arguments(child(node, 'arguments'));
    const body = this.#block(child(node, 'block'), 'fit');
    return [{ kind: 'fit', args, on: this.#value(node, span), body, span }];
  }

  #evaluate(node: CstNode, span: Span): readonly Statement[] {
    const args = this.#expressions.arguments(child(node, 'arguments'));
    const block = child(node, 'block');
    const body = block && this.#block(block, 'evaluate');
    return [{ kind: 'evaluate', args, on: this.#value(node, span), body, span }];
  }

  #minimize(node: CstNode, span: Span): readonly Statement[] {
    const over = nodes(node, 'over').map((part) => this.#expressions.expression(part, span.end));
    const every = child(node, 'every');
    return [
      {
        kind: 'minimize',
        loss: this.#expressions.expression(child(node, 'loss'), span.end),
        over: over.length > 0 ? over : undefined,
        with: this.#expressions.expression(child(node, 'with'), span.end),
        every: every && this.#expressions.expression(every, span.end),
        span,
      },
    ];
  }

  #metric(node: CstNode, span: Span): readonly Statement[] {
    const name = this.#expressions.ident(token(node, T.Identifier.name), span.end);
    return [{ kind: 'metric', name, value: this.#value(node, span), span }];
  }

  #span(node: CstNode): Span {
    const { start, end } = extent(node) ?? { start: 0, end: 0 };
    return this.#reporter.span(start, end);
  }
}
