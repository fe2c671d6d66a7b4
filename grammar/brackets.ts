/** Which bracket closes which, before anything is repaired. */
import { T, startsDeclaration } from './tokens.ts';
import type { Tokens } from './words.ts';

interface Frame {
  /** Index of the `{`, or -1 outside of all. */
  readonly brace: number;
  readonly open: number[];
  round: number;
  square: number;
}

const frame = (brace: number): Frame => ({ brace, open: [], round: 0, square: 0 });

/**
 * For every opening bracket the index of its closing bracket, or -1. Round and square brackets never
 * reach across braces, and nothing reaches across a declaration in the first column, so that one
 * forgotten bracket does not disturb the rest of the file.
 */
export function matchBrackets(tokens: Tokens): Int32Array {
  const closeOf = new Int32Array(tokens.list.length).fill(-1);
  let frames: Frame[] = [frame(-1)];
  for (let i = 0; i < tokens.list.length; i++) {
    const token = tokens.at(i);
    const top = frames.at(-1);
    if (token === undefined || top === undefined) continue;
    switch (token.tokenType) {
      case T.LCurly:
        frames.push(frame(i));
        break;
      case T.RCurly:
        if (top.brace < 0) break;
        closeOf[top.brace] = i;
        frames.pop();
        break;
      case T.LParen:
      case T.LSquare:
        top.open.push(i);
        if (token.tokenType === T.LParen) top.round++;
        else top.square++;
        break;
      case T.RParen:
      case T.RSquare:
        close(top, i, token.tokenType === T.RParen, tokens, closeOf);
        break;
      default:
        if (startsDeclaration(token) && tokens.inFirstColumn(i)) frames = [frame(-1)];
    }
  }
  return closeOf;
}

function close(top: Frame, index: number, round: boolean, tokens: Tokens, closeOf: Int32Array): void {
  if ((round ? top.round : top.square) === 0) return;
  for (;;) {
    const open = top.open.pop();
    if (open === undefined) return;
    const isRound = tokens.type(open) === T.LParen;
    if (isRound) top.round--;
    else top.square--;
    if (isRound !== round) continue;
    closeOf[open] = index;
    return;
  }
}
