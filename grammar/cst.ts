/** Reading Chevrotain's concrete syntax tree. After an error any part of it may be missing. */
import type { CstNode, IToken } from 'chevrotain';
import { endOf } from './tokens.ts';

/** The parts of a node called `name`, in order. */
export function nodes(node: CstNode | undefined, name: string): readonly CstNode[] {
  return (node?.children[name] ?? []).filter((part): part is CstNode => 'children' in part);
}

export function child(node: CstNode | undefined, name: string, index = 0): CstNode | undefined {
  return nodes(node, name)[index];
}

/** The tokens of a node called `name`, in order. */
export function tokensOf(node: CstNode | undefined, name: string): readonly IToken[] {
  return (node?.children[name] ?? []).filter((part): part is IToken => 'image' in part);
}

export function token(node: CstNode | undefined, name: string, index = 0): IToken | undefined {
  return tokensOf(node, name)[index];
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
