/** Reading Chevrotain's concrete syntax tree. After an error any part of it may be missing. */
import type { CstNode, IToken } from 'chevrotain';
import { endOf } from './tokens.ts';

/** The parts of a node called `name`, in order. A name stands for rules or for tokens, never for both. */
export function nodes(node: CstNode | undefined, name: string): readonly CstNode[] {
  return (node?.children[name] ?? []) as readonly CstNode[];
}

export function child(node: CstNode | undefined, name: string): CstNode | undefined {
  return nodes(node, name)[0];
}

/** The tokens of a node called `name`, in order. */
export function tokensOf(node: CstNode | undefined, name: string): readonly IToken[] {
  return (node?.children[name] ?? []) as readonly IToken[];
}

export function token(node: CstNode | undefined, name: string): IToken | undefined {
  return tokensOf(node, name)[0];
}

/** Start and end (exclusive) of a node; `undefined` if nothing of it was there. */
export function extent(node: CstNode | undefined): { start: number; end: number } | undefined {
  const location = node?.location;
  if (location === undefined || Number.isNaN(location.startOffset)) return undefined;
  const last = location.endOffset ?? location.startOffset - 1;
  return { start: location.startOffset, end: Number.isNaN(last) ? location.startOffset : last + 1 };
}

export function tokenExtent(part: IToken): { start: number; end: number } {
  return { start: part.startOffset, end: endOf(part) };
}
