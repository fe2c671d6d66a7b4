/** Expressions and types to documents, with no more parentheses than reading them back needs. */
import { brokenGroup, choice, group, hardline, indent, line, separated } from './layout.ts';
import type { Doc } from './layout.ts';
import { BINARY_LEVEL, LEVEL } from './precedence.ts';
import type { Comments } from './print-comments.ts';
import { isReducer } from './starts.ts';
import type {
  Argument, Binary, BinaryOp, Call, DimExpr, Expr, IndexBinder, Pipe, Reduction, Slice, Subscript, TypeExpr, Unary,
} from './syntax.ts'; // prettier-ignore
import type { Span } from './span.ts';

/** Products and powers in subscripts and dimensions are set tight: `x[i*stride + r]`. */
type Setting = 'spaced' | 'tight';

export class ExpressionPrinter {
  readonly #comments: Comments;

  constructor(comments: Comments) {
    this.#comments = comments;
  }

  /** `e` where anything may stand that binds at least as tightly as `level`. */
  print(e: Expr, level: number = LEVEL.open, setting: Setting = 'spaced'): Doc {
    const doc = this.#bare(e, setting);
    return levelOf(e) < level ? ['(', doc, ')'] : doc;
  }

  #bare(e: Expr, setting: Setting): Doc {
    switch (e.kind) {
      case 'number':
        return e.text;
      case 'bool':
        return String(e.value);
      case 'string':
        return quote(e.value);
      case 'name':
        return e.prime ? `${e.name}'` : e.name;
      case 'unary':
        return this.#unary(e, setting);
      case 'binary':
        return this.#binary(e, setting);
      case 'pipe':
        return this.#pipe(e);
      case 'conditional':
        return this.#conditional(e.condition, e.then, e.else);
      case 'call':
        return [this.#callee(e.callee), this.arguments(e.args, after(e.span, e.callee))];
      case 'index':
        return [this.print(e.base, LEVEL.postfix), this.subscripts(e.subscripts, after(e.span, e.base))];
      case 'field':
        return [this.print(e.base, LEVEL.postfix), '.', e.name.name];
      case 'reduction':
        return this.#reduction(e, setting);
      case 'list':
        return this.#bracketed('[', e.items, ']', e.span, (item) => this.print(item));
      case 'tuple':
        return this.#tuple(e.items, e.span);
      case 'from':
        return [this.print(e.value, LEVEL.pipe), ' from ', this.print(e.source, LEVEL.postfix)];
      case 'invalid':
        return '___';
    }
  }

  #unary(e: Unary, setting: Setting): Doc {
    if (e.op === 'not') return ['not ', this.print(e.operand, LEVEL.not, setting)];
    return ['-', this.print(e.operand, LEVEL.power, setting)];
  }

  /** A chain of operators of one level is one group, broken before its operators. */
  #binary(e: Binary, setting: Setting): Doc {
    const level = BINARY_LEVEL[e.op];
    if (e.op === '^') return this.#power(e, setting);
    const rest: Doc[] = [];
    let left: Expr = e;
    while (left.kind === 'binary' && BINARY_LEVEL[left.op] === level) {
      const right = this.print(left.right, level + 1, setting);
      const tight = setting === 'tight' && (left.op === '*' || left.op === '/');
      rest.unshift(tight ? [left.op, right] : [line, left.op, ' ', right]);
      left = left.left;
      if (level === LEVEL.comparison) break;
    }
    const first = this.print(left, level === LEVEL.comparison ? level + 1 : level, setting);
    return group(first, indent(...rest));
  }

  #power(e: Binary, setting: Setting): Doc {
    const negative = e.right.kind === 'unary' && e.right.op === '-';
    const right = negative ? this.#bare(e.right, setting) : this.print(e.right, LEVEL.power, setting);
    return [this.print(e.left, LEVEL.postfix, setting), '^', right];
  }

  /** A pipeline that was written in several lines stays so. */
  #pipe(e: Pipe): Doc {
    const stages: Expr[] = [];
    let first: Expr = e;
    for (; first.kind === 'pipe'; first = first.left) stages.unshift(first.right);
    const docs: Doc[] = [this.print(first, LEVEL.or)];
    let broken = false;
    let end = first.span.end;
    this.#comments.setAside(end);
    for (const stage of stages) {
      const { ending, own } = this.#comments.around(stage.span.start);
      broken ||= this.#comments.lineOf(end) < this.#comments.lineOf(stage.span.start);
      docs.push(ending, indent(line, own, '|> ', this.print(stage, LEVEL.postfix)));
      end = stage.span.end;
    }
    return broken ? brokenGroup(...docs) : group(...docs);
  }

  #conditional(condition: Expr, then: Expr, otherwise: Expr): Doc {
    const inner = (e: Expr): Doc => this.print(e, LEVEL.pipe);
    return group(
      ['if ', inner(condition)],
      indent(line, 'then ', inner(then), line, 'else ', this.print(otherwise)),
    );
  }

  /** `(sum(i))(x)` keeps its parentheses: without them it is a reduction. */
  #callee(e: Expr): Doc {
    const doc = this.print(e, LEVEL.postfix);
    return e.kind === 'call' && looksLikeReduction(e) ? ['(', doc, ')'] : doc;
  }

  #reduction(e: Reduction, setting: Setting): Doc {
    const binders = separated(
      e.indices.map((index) => this.#binder(index)),
      ', ',
    );
    const nested = e.body.kind === 'reduction';
    const body = nested ? this.#bare(e.body, setting) : this.print(e.body, LEVEL.product, setting);
    const plain = nested || startsPlainly(e.body) || levelOf(e.body) < LEVEL.product;
    return [e.reducer, '(', binders, ') ', plain ? body : ['(', body, ')']];
  }

  #binder({ name, spread, range }: IndexBinder): Doc {
    const shown = spread ? `...${name.name}` : name.name;
    return range === undefined ? shown : [shown, ' in ', this.#subscript(range)];
  }

  #tuple(items: readonly DimExpr[], span: Span): Doc {
    const [only] = items;
    if (only !== undefined && items.length === 1) {
      return only.kind === 'spread' ? `(...${only.name.name})` : ['(', this.print(only), ',)'];
    }
    return this.#bracketed('(', items, ')', span, (item) => this.#dimension(item, 'spaced'));
  }

  #dimension(item: DimExpr, setting: Setting): Doc {
    return item.kind === 'spread' ? `...${item.name.name}` : this.print(item, LEVEL.open, setting);
  }

  // -------------------------------------------------------------- lists

  arguments(args: readonly Argument[], span: Span): Doc {
    return this.#bracketed('(', args, ')', span, ({ name, value }) =>
      name === undefined ? this.print(value) : [name.name, ': ', this.print(value)],
    );
  }

  subscripts(subscripts: readonly Subscript[], span: Span): Doc {
    return this.#bracketed('[', subscripts, ']', span, (part) => this.#subscript(part));
  }

  #subscript(part: Subscript): Doc {
    if (part.kind === 'spread') return `...${part.name.name}`;
    return part.kind === 'slice' ? this.#slice(part) : this.print(part, LEVEL.open, 'tight');
  }

  #slice({ start, stop, step }: Slice): Doc {
    const parts = step === undefined ? [start, stop] : [start, stop, step];
    const airy = parts.some((part) => part !== undefined && levelOf(part) < LEVEL.negation);
    const docs = parts.map((part): Doc => (part === undefined ? '' : this.print(part, LEVEL.open, 'tight')));
    if (!airy) return separated(docs, ':');
    return docs.flatMap((doc, i) => [
      i === 0 ? '' : parts[i - 1] === undefined ? ':' : ' :',
      i > 0 && doc !== '' ? ' ' : '',
      doc,
    ]);
  }

  /** Items between brackets, with the comments among them; one a line if they do not fit. */
  #bracketed<T extends { readonly span: Span }>(
    open: string,
    items: readonly T[],
    close: string,
    span: Span,
    item: (value: T) => Doc,
  ): Doc {
    return this.bracketed(open, items, close, span.start, span.end, item);
  }

  /**
   * Like a call's arguments: `start` and `end` are those of the brackets, or in the header of a declaration
   * where its body begins; `space` stands inside the brackets on a line.
   */
  bracketed<T extends { readonly span: Span }>(
    open: string,
    items: readonly T[],
    close: string,
    start: number,
    end: number,
    item: (value: T) => Doc,
    { space = '', header = false } = {},
  ): Doc {
    this.#comments.setAside(start);
    const edge: Doc = { kind: 'line', flat: space };
    const inner: Doc[] = [];
    let trailing: Doc = [];
    for (const [i, value] of items.entries()) {
      const { ending, own } = this.#comments.around(value.span.start);
      if (i > 0) inner.push(',', ending, line);
      else trailing = ending;
      inner.push(own, item(value));
    }
    const { ending, own } = header ? this.#comments.beforeBrace(end) : this.#comments.around(end);
    if (items.length === 0 && isEmpty(ending) && isEmpty(own)) return [open, close];
    const comma = items.length > 0 ? choice(',', '') : '';
    const last: Doc = isEmpty(own) ? [] : [hardline, withoutLast(own)];
    return group(open, trailing, indent(edge, inner, comma, ending, last), edge, close);
  }

  // -------------------------------------------------------------- types

  type(type: TypeExpr): Doc {
    switch (type.kind) {
      case 'tensor':
        return [
          type.dtype.name,
          this.#bracketed('[', type.dims, ']', type.span, (dim) => this.#dimension(dim, 'tight')),
        ];
      case 'named':
        return type.name.name;
      case 'listOf':
        return ['[', this.type(type.element), ']'];
      case 'tupleOf': {
        const [only] = type.elements;
        if (only !== undefined && type.elements.length === 1) return ['(', this.type(only), ',)'];
        return this.#bracketed('(', type.elements, ')', type.span, (element) => this.type(element));
      }
      case 'union':
        return separated(
          type.options.map((option) =>
            option.kind === 'union' ? ['(', this.type(option), ')'] : this.type(option),
          ),
          ' | ',
        );
      case 'literal':
        return quote(type.value);
    }
  }
}

/** What of `span` comes after `part`. */
function after(span: Span, part: Expr): Span {
  return { ...span, start: part.span.end };
}

/** How tightly an expression binds. */
function levelOf(e: Expr): number {
  switch (e.kind) {
    case 'conditional':
    case 'from':
      return LEVEL.open;
    case 'pipe':
      return LEVEL.pipe;
    case 'binary':
      return BINARY_LEVEL[e.op satisfies BinaryOp];
    case 'unary':
      return e.op === 'not' ? LEVEL.not : LEVEL.negation;
    case 'reduction':
      return LEVEL.reduction;
    default:
      return LEVEL.postfix;
  }
}

/** Does the text of a product begin with a name, a number or a parenthesis, so that it reads as the body of a reduction? */
function startsPlainly(e: Expr): boolean {
  switch (e.kind) {
    case 'binary':
      return levelOf(e.left) < leftLevel(e) || startsPlainly(e.left);
    case 'call':
      return startsPlainly(e.callee);
    case 'index':
    case 'field':
      return levelOf(e.base) < LEVEL.postfix || startsPlainly(e.base);
    case 'unary':
    case 'list':
      return false;
    default:
      return true;
  }
}

function leftLevel(e: Binary): number {
  return e.op === '^' ? LEVEL.postfix : BINARY_LEVEL[e.op];
}

/** A call that would be read as the head of a reduction if an operand followed it. */
function looksLikeReduction(e: Call): boolean {
  const binders = e.args.every(
    (arg) => arg.name === undefined && arg.value.kind === 'name' && !arg.value.prime,
  );
  return e.callee.kind === 'name' && isReducer(e.callee.name) && e.args.length > 0 && binders;
}

/** `"text"` with its escapes. */
export function quote(value: string): string {
  const escaped = value.replace(/["\\\n\t]/g, (c) => (c === '\n' ? '\\n' : c === '\t' ? '\\t' : `\\${c}`));
  return `"${escaped}"`;
}

function isEmpty(doc: Doc): boolean {
  return Array.isArray(doc) && doc.length === 0;
}

/** Without the line break after the last comment. */
function withoutLast(doc: Doc): Doc {
  return Array.isArray(doc) ? doc.slice(0, -1) : doc;
}
