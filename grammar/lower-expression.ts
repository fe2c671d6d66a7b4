/** Concrete syntax of expressions and types to the syntax tree. What is missing becomes `invalid`. */
import type { CstNode, IToken } from 'chevrotain';
import { child, extent, nodes, token, tokenExtent, tokensOf } from './cst.ts';
import { numberValue, stringValue } from './lexical.ts';
import { Climber, MAX_HEIGHT } from './operators.ts';
import type { Part } from './operators.ts';
import type { Reporter } from './problems.ts';
import type { Span } from './span.ts';
import type {
  Argument, DimExpr, Expr, Ident, IndexBinder, Invalid, Slice, Spread, StringLiteral, Subscript, TypeExpr,
} from './syntax.ts'; // prettier-ignore
import { T } from './tokens.ts';

export class ExpressionLowering {
  readonly text: string;
  readonly reporter: Reporter;
  readonly #heights = new WeakMap<Expr, number>();

  constructor(text: string, reporter: Reporter) {
    this.text = text;
    this.reporter = reporter;
  }

  /** The expression of `node`; `invalid` at the offset `at` if there is none. */
  expression(node: CstNode | undefined, at: number): Expr {
    return this.#expression(node, at).expr;
  }

  ident(part: IToken | undefined, at: number): Ident {
    return { name: part?.image ?? '', span: part ? this.#spanOf(part) : this.reporter.span(at, at) };
  }

  string(part: IToken): StringLiteral {
    return { kind: 'string', value: stringValue(part.image), span: this.#spanOf(part) };
  }

  arguments(node: CstNode | undefined): readonly Argument[] {
    return nodes(node, 'argument').map((argument) => {
      const { start, end } = extent(argument) ?? { start: 0, end: 0 };
      const name = token(argument, T.Identifier.name);
      return {
        name: name && this.ident(name, start),
        value: this.expression(child(argument, 'expression'), end),
        span: this.reporter.span(start, end),
      };
    });
  }

  subscripts(node: CstNode | undefined): readonly Subscript[] {
    return nodes(node, 'subscript').map((part) => this.#subscript(part));
  }

  /** The indices that the head of a reduction binds. */
  binders(prefix: CstNode): readonly IndexBinder[] {
    return nodes(prefix, 'binder').map((binder) => {
      const { start, end } = extent(binder) ?? { start: 0, end: 0 };
      const range = child(binder, 'subscript');
      return {
        name: this.ident(token(binder, T.Identifier.name), end),
        spread: token(binder, T.Ellipsis.name) !== undefined,
        range: range && withoutSpread(this.#subscript(range)),
        span: this.reporter.span(start, end),
      };
    });
  }

  /** Height of the tree of something this lowering made. */
  height(expr: Subscript | undefined): number {
    if (expr === undefined || expr.kind === 'spread') return 1;
    if (expr.kind !== 'slice') return this.#heights.get(expr) ?? 1;
    return Math.max(this.height(expr.start), this.height(expr.stop), this.height(expr.step));
  }

  // -------------------------------------------------------------- types

  type(node: CstNode | undefined): TypeExpr | undefined {
    const options = nodes(node, 'simpleType').map((option) => this.#simpleType(option));
    const present = options.filter((option) => option !== undefined);
    const [first] = present;
    if (present.length < 2 || node === undefined) return first;
    return { kind: 'union', options: present, span: this.#extentSpan(node, 0) };
  }

  #simpleType(node: CstNode): TypeExpr | undefined {
    const span = this.#extentSpan(node, 0);
    const text = token(node, T.String.name);
    if (text) return { kind: 'literal', value: stringValue(text.image), span };
    const tuple = child(node, 'tupleType');
    if (tuple) return this.#tupleType(tuple, span);
    const name = token(node, T.Identifier.name);
    if (name) {
      const dimensions = child(node, 'dimensions');
      const ident = this.ident(name, span.start);
      if (dimensions === undefined) return { kind: 'named', name: ident, span };
      const dims = nodes(dimensions, 'item').map((item) => this.#item(item));
      return { kind: 'tensor', dtype: ident, dims, span };
    }
    const element = this.type(child(node, 'type'));
    return element && { kind: 'listOf', element, span };
  }

  #tupleType(node: CstNode, span: Span): TypeExpr | undefined {
    const elements = nodes(node, 'type').map((part) => this.type(part));
    const present = elements.filter((element) => element !== undefined);
    const [only] = present;
    if (present.length === 1 && tokensOf(node, T.Comma.name).length === 0) return only;
    return { kind: 'tupleOf', elements: present, span };
  }

  // -------------------------------------------------------------- expressions

  #expression(node: CstNode | undefined, at: number): Part {
    const found = extent(node);
    if (node === undefined || found === undefined) return this.#invalid(at, at);
    if (token(node, T.If.name)) return this.#conditional(node);
    const operands = nodes(node, 'operand').map((operand) => {
      const end = extent(operand)?.end ?? found.start;
      return { prefixes: nodes(operand, 'prefix'), part: this.#postfix(child(operand, 'postfix'), end) };
    });
    if (operands.length === 0) return this.#invalid(found.start, found.end);
    let left = new Climber(this, operands, tokensOf(node, T.BinaryOp.name)).run();
    this.#heights.set(left.expr, left.height);
    for (const stage of nodes(node, 'stage')) {
      const right = this.#postfix(stage, found.end);
      const span = this.reporter.span(left.start, right.end);
      left = this.#part(
        { kind: 'pipe', left: left.expr, right: right.expr, span },
        [left.height, right.height],
        span,
      );
    }
    const source = child(node, 'source');
    if (token(node, T.From.name) === undefined) return left;
    const from = this.#postfix(source, found.end);
    const span = this.reporter.span(left.start, from.end);
    return this.#part(
      { kind: 'from', value: left.expr, source: from.expr, span },
      [left.height, from.height],
      span,
    );
  }

  #conditional(node: CstNode): Part {
    const span = this.#extentSpan(node, 0);
    const condition = this.#expression(child(node, 'condition'), span.end);
    const then = this.#expression(child(node, 'then'), span.end);
    const otherwise = this.#expression(child(node, 'else'), span.end);
    const expr: Expr = {
      kind: 'conditional',
      condition: condition.expr,
      then: then.expr,
      else: otherwise.expr,
      span,
    };
    return this.#part(expr, [condition.height, then.height, otherwise.height], span);
  }

  #postfix(node: CstNode | undefined, at: number): Part {
    let base = this.#primary(child(node, 'primary'), at);
    for (const suffix of nodes(node, 'suffix')) {
      const end = extent(suffix)?.end ?? base.end;
      const span = this.reporter.span(base.start, end);
      const args = child(suffix, 'arguments');
      const subscripts = child(suffix, 'subscripts');
      if (args) {
        const call: Expr = { kind: 'call', callee: base.expr, args: this.arguments(args), span };
        base = this.#part(call, [base.height, ...call.args.map((arg) => this.height(arg.value))], span);
      } else if (subscripts) {
        const index: Expr = { kind: 'index', base: base.expr, subscripts: this.subscripts(subscripts), span };
        base = this.#part(index, [base.height, ...index.subscripts.map((part) => this.height(part))], span);
      } else {
        const name = this.ident(token(suffix, T.Identifier.name), end);
        base = this.#part({ kind: 'field', base: base.expr, name, span }, [base.height], span);
      }
    }
    return base;
  }

  #primary(node: CstNode | undefined, at: number): Part {
    const found = extent(node);
    if (node === undefined || found === undefined) return this.#invalid(at, at);
    const span = this.reporter.span(found.start, found.end);
    const group = child(node, 'group');
    if (group) return this.#group(group, span);
    const list = child(node, 'list');
    if (list === undefined) return this.#part(this.#atom(node, span), [], span);
    const items = nodes(list, 'item').map((item) => this.#listItem(item));
    return this.#part({ kind: 'list', items, span }, this.#heightsOf(items), span);
  }

  #atom(node: CstNode, span: Span): Expr {
    const name = token(node, T.Identifier.name);
    if (name) return { kind: 'name', name: name.image, prime: token(node, T.Prime.name) !== undefined, span };
    const number = token(node, T.Number.name);
    if (number) {
      const value = numberValue(number.image);
      return value ? { kind: 'number', ...value, text: number.image, span } : { kind: 'invalid', span };
    }
    const text = token(node, T.String.name);
    if (text) return this.string(text);
    if (token(node, T.True.name)) return { kind: 'bool', value: true, span };
    if (token(node, T.False.name)) return { kind: 'bool', value: false, span };
    return { kind: 'invalid', span };
  }

  /** Parentheses around one expression only group; with a comma, a spread or nothing in them they are a tuple. */
  #group(node: CstNode, span: Span): Part {
    const [first, ...rest] = nodes(node, 'item');
    const inner = child(first, 'expression');
    if (inner && rest.length === 0 && tokensOf(node, T.Comma.name).length === 0) {
      const part = this.#expression(inner, span.end);
      return { ...part, start: span.start, end: span.end };
    }
    const items = nodes(node, 'item').map((item) => this.#item(item));
    return this.#part({ kind: 'tuple', items, span }, this.#heightsOf(items), span);
  }

  #item(node: CstNode): DimExpr {
    const spread = child(node, 'spread');
    return spread ? this.#spread(spread) : this.expression(child(node, 'expression'), extent(node)?.end ?? 0);
  }

  #listItem(node: CstNode): Expr {
    const item = this.#item(node);
    if (item.kind !== 'spread') return item;
    const label = this.reporter.here(item.span.start, item.span.end, 'not in a list');
    const help = 'dimensions are listed in parentheses: `(...b, n)`';
    this.reporter.report('E0112', { what: `\`...${item.name.name}\``, where: 'in a list', help }, label);
    return { kind: 'invalid', span: item.span };
  }

  #spread(node: CstNode): Spread {
    const span = this.#extentSpan(node, 0);
    return { kind: 'spread', name: this.ident(token(node, T.Identifier.name), span.end), span };
  }

  #subscript(node: CstNode): Subscript {
    const span = this.#extentSpan(node, 0);
    const spread = child(node, 'spread');
    if (spread) return this.#spread(spread);
    const start = child(node, 'start');
    const slice = child(node, 'slice');
    if (slice === undefined) return this.expression(start, span.end);
    const part = (name: 'stop' | 'step'): Expr | undefined => {
      const found = child(slice, name);
      return found && this.expression(found, span.end);
    };
    const first = start && this.expression(start, span.start);
    return { kind: 'slice', start: first, stop: part('stop'), step: part('step'), span } satisfies Slice;
  }

  // -------------------------------------------------------------- parts

  #heightsOf(items: readonly DimExpr[]): readonly number[] {
    return items.map((item) => this.height(item));
  }

  /** `heights` are those of the parts of `expr`. */
  #part(expr: Expr, heights: readonly number[], span: Span): Part {
    const height = 1 + heights.reduce((most, h) => Math.max(most, h), 0);
    this.#heights.set(expr, height);
    if (height <= MAX_HEIGHT) return { expr, start: span.start, end: span.end, height };
    const label = this.reporter.here(span.start, span.end, 'too many operations in one expression');
    this.reporter.report('E0108', { limit: MAX_HEIGHT }, label);
    return this.#invalid(span.start, span.end);
  }

  #invalid(start: number, end: number): Part {
    const expr: Invalid = { kind: 'invalid', span: this.reporter.span(start, end) };
    return { expr, start, end, height: 1 };
  }

  #spanOf(part: IToken): Span {
    const { start, end } = tokenExtent(part);
    return this.reporter.span(start, end);
  }

  #extentSpan(node: CstNode, at: number): Span {
    const { start, end } = extent(node) ?? { start: at, end: at };
    return this.reporter.span(start, end);
  }
}

function withoutSpread(range: Subscript): Expr | Slice | undefined {
  return range.kind === 'spread' ? undefined : range;
}
