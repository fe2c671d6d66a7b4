/** Values and types in words, for messages. */
import type { TypeExpr } from '../../grammar/syntax.ts';
import { show, showAll } from './tensor.ts';
import type { Value } from './values.ts';
import { restOf } from './values.ts';

/** `the number 3`, `f32[batch, 10]`, `the layer Dense`. */
export function describe(v: Value): string {
  switch (v.kind) {
    case 'int':
      return v.poly.terms.some((t) => t.factors.length > 0)
        ? `the dimension ${show(v.poly)}`
        : `the whole number ${show(v.poly)}`;
    case 'float':
      return `the number ${v.value}`;
    case 'bool':
      return String(v.value);
    case 'string':
      return `the string ${JSON.stringify(v.value)}`;
    case 'list':
      return `a list of ${v.items.length}`;
    case 'tensor':
      return `${v.node.dtype}[${showAll(restOf(v)).join(', ')}]`;
    case 'fn':
      return `the function \`${v.decl.name.name}\``;
    case 'builtin':
      return `the function \`${v.name}\``;
    case 'declaration':
      return `the ${v.decl.kind} \`${v.decl.name.name}\``;
    case 'instance':
      return `the ${v.instance.decl.kind} \`${v.instance.decl.name.name}\``;
    case 'optimizer':
      return `the optimizer \`${v.decl.name.name}\``;
    case 'record':
      return `the outputs of \`${v.of}\``;
    case 'data':
      return `the data source \`${v.name}\``;
    case 'poison':
      return 'something wrong';
  }
}

/** A type as it is written, for messages. */
export function describeType(t: TypeExpr): string {
  switch (t.kind) {
    case 'tensor':
      return `a ${t.dtype.name} tensor`;
    case 'named':
      return names[t.name.name] ?? `\`${t.name.name}\``;
    case 'listOf':
      return `a list (${describeType(t.element)} each)`;
    case 'tupleOf':
      return `${t.elements.length} values (${t.elements.map(describeType).join(', ')})`;
    case 'union':
      return t.options.map(describeType).join(' or ');
    case 'literal':
      return `"${t.value}"`;
  }
}

const names: Readonly<Record<string, string>> = {
  int: 'a whole number',
  float: 'a number',
  bool: 'true or false',
  string: 'a string',
  fn: 'a function',
  layer: 'a layer',
  schedule: 'a number or a function of the step',
  dtype: 'a dtype',
};
