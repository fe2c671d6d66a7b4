/** Small random damage to a text, repeatable by its seed. */

/** Numbers in [0, 1) (Mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const SNIPPETS = [
  ...'(){}[]\'"=+-*/%@^|.,:;<>!&#?\\\n\t §é\u0000',
  ...[
    '...',
    '->',
    '|>',
    '//',
    '/*',
    '///',
    '"',
    'if ',
    ' then ',
    ' else ',
    ' when ',
    ' in ',
    'sum(i) ',
    '0x',
    '1e',
    '1_',
  ],
  ...[
    'model ',
    'layer A(',
    'fn f(',
    'task t {',
    'import {',
    'state ',
    'input ',
    'fit(',
    ' on ',
    'scan t in x {',
    'x = ',
    "x' = ",
  ],
  ...[
    'not ',
    '-',
    'x[i] = ',
    ' from ',
    ' with ',
    'minimize ',
    'return ',
    'repeat 3 {',
    'evaluate on ',
    'metric m = ',
    '=>',
    '&&',
  ],
];

/** One to four random edits: characters and words deleted, inserted, swapped, doubled, lines moved. */
export function mutate(text: string, next: () => number): string {
  let out = text;
  const edits = 1 + Math.floor(next() * 4);
  for (let i = 0; i < edits; i++) out = edit(out, next);
  return out;
}

function edit(text: string, next: () => number): string {
  const at = Math.floor(next() * text.length);
  const word = /^(?:\w+|\s+|.)/su.exec(text.slice(at, at + 40))?.[0] ?? '';
  const after = at + word.length;
  switch (Math.floor(next() * 8)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + text.slice(after);
    case 2:
      return text.slice(0, after) + word + text.slice(after);
    case 3:
      return text.slice(0, at) + text.slice(after, after + 1) + word + text.slice(after + 1);
    case 4:
      return text.slice(0, at);
    case 5: {
      const length = Math.floor(next() * 60);
      const to = Math.floor(next() * text.length);
      return text.slice(0, to) + text.slice(at, at + length) + text.slice(to);
    }
    default: {
      const snippet = SNIPPETS[Math.floor(next() * SNIPPETS.length)] ?? '';
      return text.slice(0, at) + snippet + text.slice(at);
    }
  }
}
