/** Applies precedence to a flat list of operands and operators (precedence climbing). */
import type { CstNode, IToken } from 'chevrotain';
import { token } from './cst.ts';
import { BINARY_LEVEL, isBinaryOp, LEVEL } from './precedence.ts';
import type { Reporter } from './problems.ts';
import type { BinaryOp, Expr, IndexBinder, Reducer } from './syntax.ts';
import { endOf, T } from './tokens.ts';

/** Trees may be this high, so that recursion over them is safe everywhere. */
export const MAX_HEIGHT = 256;

/** An expression with the extent of its text, parentheses included, and the height of its tree. */
export interface Part {
  readonly expr: Expr;
  readonly start: number;
  readonly end: number;
  readonly height: number;
}

export interface Operand {
  readonly prefixes: readonly CstNode[];
  readonly part: Part;
}

interface Host {
  readonly reporter: Reporter;
  readonly text: string;
  binders(prefix: CstNode): readonly IndexBinder[];
  height(expr: IndexBinder['range']): number;
}

/** One use for each flat list. */
export class Climber {
  readonly #host: Host;
  readonly #operands: readonly Operand[];
  readonly #operators: readonly IToken[];
  #at = 0;
  #prefix = 0;
  #chained = false;
  #tooDeep = false;

  constructor(host: Host, operands: readonly Operand[], operators: readonly IToken[]) {
    this.#host = host;
    this.#operands = operands;
    this.#operators = operators;
  }

  run(): Part {
    return this.#climb(LEVEL.open, 0);
  }

  #climb(least: number, depth: number): Part {
    let left = this.#prefixed(depth);
    for (;;) {
      const operator = this.#operators[this.#at];
      const op = operator && symbolOf(operator);
      if (operator === undefined || op === undefined || BINARY_LEVEL[op] < least) return left;
      this.#at++;
      this.#prefix = 0;
      const level = BINARY_LEVEL[op];
      const right = this.#climb(op === '^' ? level : level + 1, depth + 1);
      if (level === LEVEL.comparison) this.#checkChain(left, operator, right);
      const span = this.#span(left.start, right.end);
      const opSpan = this.#span(operator.startOffset, endOf(operator));
      left = this.#part(
        { kind: 'binary', op, opSpan, left: left.expr, right: right.expr, span },
        left,
        right,
      );
    }
  }

  #prefixed(depth: number): Part {
    const operand = this.#operands[this.#at];
    if (operand === undefined) return this.#invalid();
    const prefix = operand.prefixes[this.#prefix];
    if (prefix === undefined) return operand.part;
    this.#prefix++;
    const start = prefix.location?.startOffset ?? operand.part.start;
    if (depth > MAX_HEIGHT) {
      this.#prefix = operand.prefixes.length;
      return this.#deep(operand.part);
    }
    const reducer = token(prefix, T.Reducer.name);
    if (reducer) {
      const body = this.#climb(LEVEL.product, depth + 1);
      const span = this.#span(start, body.end);
      const indices = this.#host.binders(prefix);
      const height = Math.max(body.height, ...indices.map((index) => this.#host.height(index.range)));
      const expr: Expr = {
        kind: 'reduction',
        reducer: reducer.image as Reducer,
        indices,
        body: body.expr,
        span,
      };
      return this.#part(expr, { ...body, start, height });
    }
    const op = token(prefix, T.Not.name) ? 'not' : '-';
    const inner = this.#climb(op === 'not' ? LEVEL.comparison : LEVEL.power, depth + 1);
    const span = this.#span(start, inner.end);
    return this.#part({ kind: 'unary', op, operand: inner.expr, span }, { ...inner, start });
  }

  #part(expr: Expr, first: Part, last: Part = first): Part {
    const height = 1 + Math.max(first.height, last.height);
    const part = { expr, start: first.start, end: last.end, height };
    return height > MAX_HEIGHT ? this.#deep(part) : part;
  }

  #deep(part: Part): Part {
    if (!this.#tooDeep) {
      const { reporter } = this.#host;
      const label = reporter.here(part.start, part.end, 'too many operations in one expression');
      reporter.report('E0108', { limit: MAX_HEIGHT }, label);
    }
    this.#tooDeep = true;
    return { ...part, expr: { kind: 'invalid', span: this.#span(part.start, part.end) }, height: 1 };
  }

  /** An operator without its right side. */
  #invalid(): Part {
    const operator = this.#operators[this.#at - 1];
    const at = operator ? endOf(operator) : 0;
    return { expr: { kind: 'invalid', span: this.#span(at, at) }, start: at, end: at, height: 1 };
  }

  #span(start: number, end: number): ReturnType<Reporter['span']> {
    return this.#host.reporter.span(start, end);
  }

  /** `a < b < c` is told to be `a < b and b < c`, once for each list. */
  #checkChain({ expr: left, start }: Part, operator: IToken, right: Part): void {
    // In parentheses it is no chain: there the text begins before the expression does.
    if (left.kind !== 'binary' || BINARY_LEVEL[left.op] !== LEVEL.comparison || start < left.span.start)
      return;
    if (this.#chained) return;
    this.#chained = true;
    const { reporter, text } = this.#host;
    const shown = (start: number, end: number): string => text.slice(start, end).replace(/\s+/g, ' ');
    const first = shown(left.span.start, left.span.end);
    const middle = shown(left.right.span.start, left.right.span.end);
    const second = `${middle} ${operator.image} ${shown(right.start, right.end)}`;
    const help =
      first.length + second.length > 80
        ? 'join two comparisons with `and`'
        : `write \`${first} and ${second}\``;
    reporter.report(
      'E0110',
      { help },
      reporter.here(operator.startOffset, endOf(operator), 'the second comparison'),
    );
  }
}

function symbolOf(operator: IToken): BinaryOp | undefined {
  if (isBinaryOp(operator.image)) return operator.image;
  // A foreign spelling that was read as an operator keeps its own image.
  const name = operator.tokenType.LABEL?.replaceAll('`', '') ?? '';
  return isBinaryOp(name) ? name : undefined;
}
