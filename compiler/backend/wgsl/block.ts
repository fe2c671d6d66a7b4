/** WGSL text under construction: nested blocks in which values are named once, as far out as they can be. */

/** Hands out names that are unique in a shader. */
export class Names {
  readonly #taken = new Set<string>();

  /** `hint` made into an identifier behind `prefix` (so that no name can be a WGSL word), numbered when taken. */
  fresh(prefix: string, hint = ''): string {
    const word = hint.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '');
    const base = word === '' ? prefix : `${prefix}_${word}`;
    let name = word === '' ? `${base}0` : base;
    for (let i = 1; this.#taken.has(name); i++) name = word === '' ? `${base}${i}` : `${base}_${i}`;
    this.#taken.add(name);
    return name;
  }
}

/** A block of statements. An inner block's text joins the outer's when it is closed, so values may still be put before it. */
export class Block {
  readonly lines: string[] = [];
  readonly parent: Block | undefined;
  readonly depth: number;
  readonly names: Names;
  readonly #named = new Map<string, string>();

  constructor(names: Names, parent?: Block) {
    this.names = names;
    this.parent = parent;
    this.depth = parent ? parent.depth + 1 : 0;
  }

  /** `other` is this block or one around it. */
  isWithin(other: Block): boolean {
    return this === other || (this.parent?.isWithin(other) ?? false);
  }

  add(...lines: readonly string[]): void {
    this.lines.push(...lines);
  }

  /** The name of the value that `code` computes here; the same code gives the same name. */
  name(code: string, prefix = 'v', hint = ''): string {
    const known = this.find(code);
    if (known !== undefined) return known;
    const name = this.names.fresh(prefix, hint);
    this.add(`let ${name} = ${stripParentheses(code)};`);
    this.#named.set(code, name);
    return name;
  }

  /** The name that `code` was given here or further out. */
  find(code: string): string | undefined {
    return this.#named.get(code) ?? this.parent?.find(code);
  }

  /** Makes `name` stand for `code` from here on. */
  remember(code: string, name: string): void {
    this.#named.set(code, name);
  }

  open(): Block {
    return new Block(this.names, this);
  }

  /** Puts `inner` here behind `head` (`for (…)`, `if (…)`, or nothing for a bare block). */
  close(inner: Block, head: string): void {
    this.add(head === '' ? '{' : `${head} {`, ...inner.lines.map((line) => `  ${line}`), '}');
  }
}

/** The inside of `code` when one pair of parentheses encloses it all. */
export function stripParentheses(code: string): string {
  if (!code.startsWith('(') || !code.endsWith(')')) return code;
  let depth = 0;
  for (let i = 0; i < code.length - 1; i++) {
    if (code[i] === '(') depth++;
    else if (code[i] === ')') depth--;
    if (depth === 0) return code;
  }
  return code.slice(1, -1);
}

/** On operands that are not negative: unsigned division is cheaper, and shader compilers guard it less. */
export function unsigned(op: '/' | '%', x: string, y: string): string {
  const divisor = /^\d+i$/.test(y) ? `${y.slice(0, -1)}u` : `u32(${stripParentheses(y)})`;
  return `i32(u32(${stripParentheses(x)}) ${op} ${divisor})`;
}
