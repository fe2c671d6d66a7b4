/**
 * A line of source as a terminal shows it: which display column every character takes. Tabs are expanded, wide
 * characters take two columns, and what could steer the terminal is made visible instead of being sent to it.
 */

export interface Cell {
  /** Offsets in the line, in UTF-16 code units; `end` is exclusive. */
  readonly offset: number;
  readonly end: number;
  /** Display column, from 0. */
  readonly column: number;
  /** Display columns taken: 0, 1, 2, or up to the next tab stop. */
  readonly width: number;
  /** What is printed. */
  readonly text: string;
}

export interface Line {
  readonly cells: readonly Cell[];
  /** Display columns of the whole line. */
  readonly width: number;
}

const TAB_STOP = 4;

/** Code points of East Asian width W or F (UAX #11), as ranges; emoji are told by their own property. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18d08],
  [0x1aff0, 0x1b2fb],
  [0x20000, 0x3fffd],
];

// Controls, the marks that reorder text (as in "Trojan Source", Boucher & Anderson 2021), and lone surrogates.
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\p{Cs}]/gu;

/** `text` with control characters shown as symbols (`␛`) and reordering marks as `�`. Keeps nothing unprintable. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (c) => {
    const code = c.codePointAt(0)!;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  });
}

/** Display columns of one grapheme cluster. */
function widthOf(cluster: string): number {
  const code = cluster.codePointAt(0)!;
  if (/^[\p{Mn}\p{Me}\u200b-\u200d\ufeff]+$/u.test(cluster)) return 0;
  const emoji = /^\p{Emoji_Presentation}|\ufe0f|^\p{Regional_Indicator}{2}/u.test(cluster);
  return emoji || WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}

/** Lays out a line (without its newline) in display columns. */
export function layoutLine(text: string): Line {
  const cells: Cell[] = [];
  let column = 0;
  for (const { segment, index } of new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)) {
    const tab = segment === '\t';
    const shown = tab ? ' '.repeat(TAB_STOP - (column % TAB_STOP)) : visible(segment);
    const width = tab ? shown.length : widthOf(shown);
    cells.push({ offset: index, end: index + segment.length, column, width, text: shown });
    column += width;
  }
  return { cells, width: column };
}

/** Display columns of a piece of text in one line. */
export function displayWidth(text: string): number {
  return layoutLine(text).width;
}

/** The display column at which the character that holds `offset` begins; the line's width beyond its end. */
export function columnOf(line: Line, offset: number): number {
  return line.cells.find((cell) => offset < cell.end)?.column ?? line.width;
}
