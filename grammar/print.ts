/**
 * The formatter: a syntax tree back to text. Reading the text again gives the same tree, and printing
 * that gives the same text. Comments stay where they were, as far as lines remain; single blank lines
 * between statements are kept.
 */
import { group, hardline, indent, layout, line, separated } from './layout.ts';
import type { Doc } from './layout.ts';
import { Comments, ends, text } from './print-comments.ts';
import { ExpressionPrinter, quote } from './print-expression.ts';
import type {
  Declaration,
  Equation,
  Fn,
  Import,
  Minimize,
  Parameter,
  Port,
  Statement,
  StaticIf,
  Syntax,
} from './syntax.ts';

const WIDTH = 100;

/** The formatted text. What was recovered from errors (`invalid`) is printed as `___`: mend it first. */
export function print(syntax: Syntax): string {
  return layout(new Printer(syntax).file(), WIDTH);
}

/** Something printed, with the lines it takes in the source. */
interface Piece {
  readonly doc: Doc;
  readonly firstLine: number;
  readonly lastLine: number;
}

type Node = Declaration | Statement;

class Printer {
  readonly #syntax: Syntax;
  readonly #comments: Comments;
  readonly #expressions: ExpressionPrinter;

  constructor(syntax: Syntax) {
    this.#syntax = syntax;
    this.#comments = new Comments(syntax);
    this.#expressions = new ExpressionPrinter(this.#comments);
  }

  file(): Doc {
    const out: Doc[] = [];
    let previous: Node | undefined;
    let last: Piece | undefined;
    const { declarations } = this.#syntax;
    for (const [index, node] of declarations.entries()) {
      const pieces = this.#pieces(node, [node], declarations[index + 1]?.span.start ?? Infinity);
      const apart = previous !== undefined && !(previous.kind === 'import' && node.kind === 'import');
      for (const [i, piece] of pieces.entries()) {
        if (last) out.push(hardline, (i === 0 && apart) || isApart(last, piece) ? hardline : '');
        out.push(piece.doc);
        last = piece;
      }
      previous = node;
    }
    for (const piece of this.#commentPieces(Infinity)) {
      if (last) out.push(hardline, isApart(last, piece) ? hardline : '');
      out.push(piece.doc);
      last = piece;
    }
    return out;
  }

  /** A declaration or statement with the comments before and after it, up to `limit`. */
  #pieces(node: Node, nodes: readonly Node[], limit: number): readonly Piece[] {
    const before = this.#commentPieces(node.span.start);
    const end = Math.max(...nodes.map((n) => n.span.end));
    const aside = this.#comments.aside;
    const doc = this.#node(node, nodes);
    // Comments inside an expression that its layout has no place for: they move before the statement.
    this.#comments.setAside(end);
    const inside = this.#comments.takeAside(aside);
    const trailing = this.#comments.trailing(end, limit);
    const docLines = 'doc' in node && node.doc !== undefined ? node.doc.split('\n').length : 0;
    const piece: Piece = {
      doc: [doc, ends(trailing)],
      firstLine: this.#comments.lineOf(node.span.start) - docLines,
      lastLine: this.#comments.lineOf(Math.max(end - 1, 0)),
    };
    const hoisted = inside.map((comment) => ({
      doc: text(comment),
      firstLine: piece.firstLine,
      lastLine: piece.firstLine,
    }));
    return [...before, ...hoisted, piece];
  }

  #commentPieces(offset: number, inBlock = false): readonly Piece[] {
    const comments = inBlock ? this.#comments.beforeElse(offset) : this.#comments.before(offset);
    return comments.map((comment) => {
      const at = this.#comments.lineOf(comment.span.start);
      return { doc: text(comment), firstLine: at, lastLine: at };
    });
  }

  #node(node: Node, nodes: readonly Node[]): Doc {
    switch (node.kind) {
      case 'import':
        return this.#import(node);
      case 'model':
      case 'layer':
      case 'optimizer':
      case 'task': {
        const params = node.params.length === 0 ? '' : this.#params(node);
        return [
          docLines(node.doc),
          node.kind,
          ' ',
          node.name.name,
          params,
          ' ',
          this.#block(node.body, node.span.end),
        ];
      }
      case 'fn':
        return this.#fn(node);
      default:
        return this.#statement(node, nodes);
    }
  }

  // -------------------------------------------------------------- declarations

  #import(node: Import): Doc {
    const items = node.names.map(({ name, alias }) => ({
      span: { ...name.span, end: Math.max(name.span.end, alias.span.end) },
      shown: name.name === alias.name ? name.name : `${name.name} as ${alias.name}`,
    }));
    const names = this.#expressions.bracketed(
      '{',
      items,
      '}',
      node.span.start,
      node.from.span.start,
      (item) => item.shown,
      {
        space: ' ',
      },
    );
    return ['import ', names, ' from ', quote(node.from.value)];
  }

  #fn(node: Fn): Doc {
    const params = this.#params(node);
    const result: Doc = node.result ? [' -> ', this.#expressions.type(node.result)] : '';
    const head: Doc = [docLines(node.doc), 'fn ', node.name.name, params, result];
    const [only] = node.body;
    if (node.short && only?.kind === 'return') return [head, ' = ', this.#expressions.print(only.value)];
    return [head, ' ', this.#block(node.body, node.span.end)];
  }

  #params({ name, params, body, span }: Exclude<Declaration, Import>): Doc {
    const end = body[0]?.span.start ?? span.end;
    return this.#expressions.bracketed('(', params, ')', name.span.end, end, (param) => this.#param(param), {
      header: true,
    });
  }

  #param(param: Parameter): Doc {
    const type: Doc = param.type ? [': ', this.#expressions.type(param.type)] : '';
    const value: Doc = param.default ? [' = ', this.#expressions.print(param.default)] : '';
    return [docLines(param.doc), param.name.name, type, value];
  }

  // -------------------------------------------------------------- statements

  /** Statements in braces; `end` is where the closing brace ends, or with `more` where the branch after it begins. */
  #block(body: readonly Statement[], end: number, more = false): Doc {
    const out: Doc[] = [];
    let last: Piece | undefined;
    const add = (piece: Piece): void => {
      out.push(hardline, last && isApart(last, piece) ? hardline : '', piece.doc);
      last = piece;
    };
    const first = this.#comments.endingLine(body[0]?.span.start ?? end);
    const runs = joined(body, this.#comments);
    for (const [i, nodes] of runs.entries()) {
      const [node] = nodes;
      if (node) this.#pieces(node, nodes, runs[i + 1]?.[0]?.span.start ?? end).forEach(add);
    }
    this.#commentPieces(end, more).forEach(add);
    if (out.length === 0 && first.length === 0) return '{}';
    return ['{', ends(first), indent(...out), hardline, '}'];
  }

  #statement(node: Statement, nodes: readonly Node[]): Doc {
    const print = this.#expressions;
    switch (node.kind) {
      case 'port':
        return this.#port(node, nodes);
      case 'equation':
        return this.#equation(node);
      case 'return':
        return ['return ', print.print(node.value)];
      case 'scan': {
        const head: Doc = [
          'scan ',
          node.index.name,
          ' in ',
          print.print(node.over),
          node.reversed ? ' reversed ' : ' ',
        ];
        return [head, this.#block(node.body, node.span.end)];
      }
      case 'staticIf':
        return this.#staticIf(node);
      case 'repeat': {
        const index = node.index ? `${node.index.name} in ` : '';
        return ['repeat ', index, print.print(node.over), ' ', this.#block(node.body, node.span.end)];
      }
      case 'fit':
      case 'evaluate': {
        const args =
          node.args.length > 0 ? print.arguments(node.args, { ...node.span, end: node.on.span.start }) : '';
        const body = node.body ? [' ', this.#block(node.body, node.span.end)] : '';
        return [node.kind, args, ' on ', print.print(node.on), body];
      }
      case 'minimize':
        return this.#minimize(node);
      case 'metric':
        return ['metric ', node.name.name, ' = ', print.print(node.value)];
      case 'action':
        return print.print(node.call);
    }
  }

  #port(node: Port, nodes: readonly Node[]): Doc {
    const names = nodes.map((n) => (n.kind === 'port' ? n.name.name : '')).join(', ');
    const type: Doc = node.type ? [': ', this.#expressions.type(node.type)] : '';
    const init: Doc = node.init ? [' = ', this.#expressions.print(node.init)] : '';
    return group(docLines(node.doc), node.role, ' ', names, type, init, this.#when(node.when));
  }

  #equation(node: Equation): Doc {
    const subscripts = node.subscripts
      ? this.#expressions.subscripts(node.subscripts, {
          ...node.span,
          start: node.target.span.end,
          end: node.value.span.start,
        })
      : '';
    const target: Doc = [node.target.name, node.prime ? "'" : '', subscripts];
    return [target, ' = ', this.#expressions.print(node.value), this.#when(node.when)];
  }

  #when(when: Equation['when']): Doc {
    return when ? group(indent(line, 'when ', this.#expressions.print(when))) : '';
  }

  #staticIf(node: StaticIf): Doc {
    const condition = this.#expressions.print(node.condition);
    const [nested] = node.else ?? [];
    const otherwise = node.else && (nested?.span.start ?? node.span.end);
    const head: Doc = [
      'if ',
      condition,
      ' ',
      this.#block(node.then, otherwise ?? node.span.end, otherwise !== undefined),
    ];
    if (node.else === undefined) return head;
    if (nested?.kind === 'staticIf' && node.else.length === 1)
      return [head, ' else ', this.#staticIf(nested)];
    return [head, ' else ', this.#block(node.else, node.span.end)];
  }

  #minimize(node: Minimize): Doc {
    const print = this.#expressions;
    const over: Doc = node.over
      ? [
          line,
          'over ',
          separated(
            node.over.map((e) => print.print(e)),
            ', ',
          ),
        ]
      : '';
    const every: Doc = node.every ? [line, 'every ', print.print(node.every)] : '';
    return group(
      'minimize ',
      print.print(node.loss),
      indent(over, line, 'with ', print.print(node.with), every),
    );
  }
}

/** Was there a blank line between them? */
function isApart(before: Piece, after: Piece): boolean {
  return after.firstLine - before.lastLine > 1;
}

function docLines(doc: string | undefined): Doc {
  if (doc === undefined) return '';
  return doc.split('\n').flatMap((l) => [l === '' ? '///' : `/// ${l}`, hardline]);
}

/** Ports that were written in one statement, `input w, g`, are printed as one. */
function joined(body: readonly Statement[], comments: Comments): readonly (readonly Statement[])[] {
  const out: Statement[][] = [];
  for (const node of body) {
    const run = out.at(-1);
    const last = run?.at(-1);
    if (
      run &&
      last &&
      isBareInput(last) &&
      isBareInput(node) &&
      node.kind === 'port' &&
      node.doc === undefined
    ) {
      if (comments.lineOf(last.span.start) === comments.lineOf(node.span.start)) {
        run.push(node);
        continue;
      }
    }
    out.push([node]);
  }
  return out;
}

function isBareInput(node: Statement): boolean {
  if (node.kind !== 'port' || node.role !== 'input') return false;
  return node.type === undefined && node.init === undefined && node.when === undefined;
}
