/** Expressions as text in which every operation has its parentheses. */
import { parse } from '../../grammar/index.ts';
import type { Expr, IndexBinder, Statement, Subscript, TypeExpr } from '../../grammar/syntax.ts';

export function show(e: Subscript): string {
  switch (e.kind) {
    case 'number':
      return e.text;
    case 'bool':
      return String(e.value);
    case 'string':
      return JSON.stringify(e.value);
    case 'name':
      return e.prime ? `${e.name}'` : e.name;
    case 'unary':
      return `(${e.op} ${show(e.operand)})`;
    case 'binary':
      return `(${show(e.left)} ${e.op} ${show(e.right)})`;
    case 'pipe':
      return `(${show(e.left)} |> ${show(e.right)})`;
    case 'conditional':
      return `(if ${show(e.condition)} ${show(e.then)} ${show(e.else)})`;
    case 'call':
      return `${show(e.callee)}(${e.args.map((a) => (a.name ? `${a.name.name}: ` : '') + show(a.value)).join(', ')})`;
    case 'index':
      return `${show(e.base)}[${e.subscripts.map(show).join(', ')}]`;
    case 'field':
      return `${show(e.base)}.${e.name.name}`;
    case 'reduction':
      return `{${e.reducer} ${e.indices.map(binder).join(', ')}: ${show(e.body)}}`;
    case 'list':
      return `[${e.items.map(show).join(', ')}]`;
    case 'tuple':
      return `tuple(${e.items.map(show).join(', ')})`;
    case 'from':
      return `(${show(e.value)} from ${show(e.source)})`;
    case 'slice':
      return `<${[e.start, e.stop, e.step].map((part) => (part ? show(part) : '')).join(':')}>`;
    case 'spread':
      return `...${e.name.name}`;
    case 'invalid':
      return '?';
  }
}

function binder({ name, spread, range }: IndexBinder): string {
  return (spread ? '...' : '') + name.name + (range ? ` in ${show(range)}` : '');
}

export function showType(type: TypeExpr): string {
  switch (type.kind) {
    case 'tensor':
      return `${type.dtype.name}[${type.dims.map(show).join(', ')}]`;
    case 'named':
      return type.name.name;
    case 'listOf':
      return `[${showType(type.element)}]`;
    case 'tupleOf':
      return `tuple(${type.elements.map(showType).join(', ')})`;
    case 'union':
      return `(${type.options.map(showType).join(' | ')})`;
    case 'literal':
      return JSON.stringify(type.value);
  }
}

/** The expression `text`, or the codes of what is wrong with it. */
export function showExpr(text: string): string {
  const { syntax, problems } = parse({ path: 'test.nnet', text: `fn f() = ${text}` });
  if (problems.length > 0) return problems.map((p) => p.code).join(' ');
  const [fn] = syntax.declarations;
  const [body] = fn?.kind === 'fn' ? fn.body : [];
  return body?.kind === 'return' ? show(body.value) : 'nothing';
}

/** One line for each statement, nested ones indented. */
export function showBody(body: readonly Statement[], indent = ''): readonly string[] {
  return body.flatMap((s) => [indent + head(s), ...inner(s).flatMap((b) => showBody(b, `${indent}  `))]);
}

function inner(s: Statement): readonly (readonly Statement[])[] {
  if (s.kind === 'staticIf') return s.else ? [s.then, s.else] : [s.then];
  return 'body' in s && s.body ? [s.body] : [];
}

function head(s: Statement): string {
  const maybe = (word: string, e: Expr | undefined): string => (e ? ` ${word} ${show(e)}` : '');
  switch (s.kind) {
    case 'port':
      return `${s.role} ${s.name.name}${s.type ? `: ${showType(s.type)}` : ''}${maybe('=', s.init)}${maybe('when', s.when)}`;
    case 'equation': {
      const subscripts = s.subscripts ? `[${s.subscripts.map(show).join(', ')}]` : '';
      return `${s.target.name}${s.prime ? "'" : ''}${subscripts} = ${show(s.value)}${maybe('when', s.when)}`;
    }
    case 'return':
      return `return ${show(s.value)}`;
    case 'scan':
      return `scan ${s.index.name} in ${show(s.over)}${s.reversed ? ' reversed' : ''}`;
    case 'staticIf':
      return `if ${show(s.condition)}${s.else ? ' with else' : ''}`;
    case 'repeat':
      return `repeat ${s.index ? `${s.index.name} in ` : ''}${show(s.over)}`;
    case 'fit':
    case 'evaluate': {
      const args = s.args.map((a) => (a.name ? `${a.name.name}: ` : '') + show(a.value)).join(', ');
      return `${s.kind}(${args}) on ${show(s.on)}`;
    }
    case 'minimize':
      return `minimize ${show(s.loss)}${s.over ? ` over ${s.over.map(show).join(', ')}` : ''}${maybe('with', s.with)}${maybe('every', s.every)}`;
    case 'metric':
      return `metric ${s.name.name} = ${show(s.value)}`;
    case 'action':
      return show(s.call);
  }
}
