/**
 * Laying out text in a given width: documents of text, possible line breaks and groups. A group is
 * put on one line if it fits, otherwise all of its own line breaks are taken (Wadler, "A prettier
 * printer", with groups broken consistently).
 */
export type Doc = string | readonly Doc[] | Line | Group | Indent | Choice | Suffix;

/** A line break, or `flat` where the group fits on a line; always a break if `flat` is `undefined`. */
interface Line {
  readonly kind: 'line';
  readonly flat: string | undefined;
}

interface Group {
  readonly kind: 'group';
  readonly doc: Doc;
  readonly broken: boolean;
}

interface Indent {
  readonly kind: 'indent';
  readonly doc: Doc;
}

/** One text where the group is broken, another where it is not. */
interface Choice {
  readonly kind: 'choice';
  readonly broken: string;
  readonly flat: string;
}

/** Text that is moved to the end of its line: a trailing comment. */
interface Suffix {
  readonly kind: 'suffix';
  readonly text: string;
}

export const line: Doc = { kind: 'line', flat: ' ' };
export const softline: Doc = { kind: 'line', flat: '' };
export const hardline: Doc = { kind: 'line', flat: undefined };

export function indent(...doc: readonly Doc[]): Doc {
  return { kind: 'indent', doc };
}

export function suffix(text: string): Doc {
  return { kind: 'suffix', text };
}

export function choice(broken: string, flat: string): Doc {
  return { kind: 'choice', broken, flat };
}

/** A group; it is broken in any case if it holds a line that is, or a comment that ends its line. */
export function group(...doc: readonly Doc[]): Doc {
  return { kind: 'group', doc, broken: mustBreak(doc) };
}

/** A group that is broken even if it would fit. */
export function brokenGroup(...doc: readonly Doc[]): Doc {
  return { kind: 'group', doc, broken: true };
}

export function separated(docs: readonly Doc[], separator: Doc): Doc {
  return docs.flatMap((doc, i) => (i === 0 ? [doc] : [separator, doc]));
}

function mustBreak(doc: Doc): boolean {
  if (typeof doc === 'string') return false;
  if (isList(doc)) return doc.some(mustBreak);
  switch (doc.kind) {
    case 'line':
      return doc.flat === undefined;
    case 'group':
      return doc.broken;
    case 'indent':
      return mustBreak(doc.doc);
    case 'choice':
      return false;
    case 'suffix':
      return true;
  }
}

function isList(doc: Doc): doc is readonly Doc[] {
  return Array.isArray(doc);
}

interface Item {
  readonly depth: number;
  readonly flat: boolean;
  readonly doc: Doc;
}

const STEP = '  ';

/** Prints `doc` in lines of at most `width` characters where that is possible. */
export function layout(doc: Doc, width: number): string {
  const lines: string[] = [];
  let current = '';
  let trailing = '';
  const stack: Item[] = [{ depth: 0, flat: false, doc }];
  const newline = (depth: number): void => {
    lines.push((current + trailing).trimEnd());
    trailing = '';
    current = STEP.repeat(depth);
  };
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { depth, flat, doc: next } = item;
    if (typeof next === 'string') current += next;
    else if (isList(next)) push(stack, next, depth, flat);
    else if (next.kind === 'indent') stack.push({ depth: depth + 1, flat, doc: next.doc });
    else if (next.kind === 'suffix') trailing += next.text;
    else if (next.kind === 'choice') current += flat ? next.flat : next.broken;
    else if (next.kind === 'group') {
      const inline = flat || (!next.broken && fits(width - current.length, next.doc, stack));
      stack.push({ depth, flat: inline, doc: next.doc });
    } else if (flat && next.flat !== undefined) current += next.flat;
    else newline(depth);
  }
  newline(0);
  const text = lines.join('\n').trimEnd();
  return text === '' ? '' : `${text}\n`;
}

function push(stack: Item[], docs: readonly Doc[], depth: number, flat: boolean): void {
  for (let i = docs.length - 1; i >= 0; i--) {
    const doc = docs[i];
    if (doc !== undefined) stack.push({ depth, flat, doc });
  }
}

/** Does `doc`, flat, and what follows it up to the next line break fit into `space` characters? */
function fits(space: number, doc: Doc, rest: readonly Item[]): boolean {
  let left = space;
  let next = rest.length - 1;
  const stack: Item[] = [{ depth: 0, flat: true, doc }];
  while (left >= 0) {
    const item = stack.pop() ?? rest[next--];
    if (item === undefined) return true;
    const { depth, flat, doc: current } = item;
    if (typeof current === 'string') left -= current.length;
    else if (isList(current)) push(stack, current, depth, flat);
    else if (current.kind === 'indent') stack.push({ depth, flat, doc: current.doc });
    else if (current.kind === 'group') stack.push({ depth, flat: flat && !current.broken, doc: current.doc });
    else if (current.kind === 'choice') left -= (flat ? current.flat : current.broken).length;
    else if (current.kind === 'line') {
      if (!flat || current.flat === undefined) return true;
      left -= current.flat.length;
    }
  }
  return false;
}
