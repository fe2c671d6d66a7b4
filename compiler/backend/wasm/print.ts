/** A module as text in the manner of WebAssembly's folded text format, for `explain`. */
import type { Code, Func, Module } from './encoder.ts';

/** All functions, or the named one with those that only it has. */
export function printModule(module: Module, name?: string): string {
  return module.functions
    .filter((f) => name === undefined || f.name === name || f.name.startsWith(`${name}.`))
    .map(printFunction)
    .join('\n\n');
}

function printFunction(f: Func): string {
  const params = f.params.map((p) => ` (param $${p.name} ${p.type})`).join('');
  const result = f.result === 'void' ? '' : ` (result ${f.result})`;
  const body = f.body.map((code) => printCode(code, 1)).join('\n');
  return `(func $${f.name}${params}${result}\n${body})`;
}

const width = 100;

function printCode(code: Code, depth: number): string {
  const indent = '  '.repeat(depth);
  if (!code.blocks) {
    const flat = inline(code);
    if (indent.length + flat.length <= width) return indent + flat;
    return `${indent}(${code.text}\n${code.args.map((arg) => printCode(arg, depth + 1)).join('\n')})`;
  }
  const type = code.type === 'void' ? '' : ` (result ${code.type})`;
  const args = code.args.map((arg) => `\n${printCode(arg, depth + 1)}`).join('');
  const bodies = code.blocks.map((block) =>
    block.map((inner) => `\n${printCode(inner, depth + 1)}`).join(''),
  );
  return `${indent}(${code.text}${type}${args}${bodies.join(`\n${indent} else`)})`;
}

function inline(code: Code): string {
  if (code.blocks)
    return `(${code.text} ${code.args.map(inline).join(' ')} ${code.blocks.map((b) => b.map(inline).join(' ')).join(' else ')})`;
  return code.args.length === 0 ? `(${code.text})` : `(${code.text} ${code.args.map(inline).join(' ')})`;
}
