/** Whatever the text, the checker answers with problems that lie inside it; it never throws. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { check } from '../../compiler/check/index.ts';
import { helpOf, messageOf } from '../../compiler/diagnostics/index.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import { hostOf, library } from './support.ts';

const rounds = Number(process.env['NNET_MUTATIONS'] ?? 300);

const seeds = [
  ...readdirSync('examples')
    .filter((f) => f.endsWith('.nnet'))
    .map((f) => readFileSync(`examples/${f}`, 'utf8')),
  ...readdirSync('stdlib').map((f) => readFileSync(`stdlib/${f}`, 'utf8')),
  `model M(n: int = 3, sizes: [int] = [4, 5]) { input x: f32[b, 2 * d, 6] input i: i32[b] output y: f32[b, d] output z: f32[]
    a = Dense(4)
    h = x[:, :d] + x[:, d:]
    repeat s in sizes { h = h |> Dense(s, use_bias: n > 2) |> relu }
    k[p, q] = if q > 0 then h[p, q - 1, 0] else h[p, q, i[p] % 2]
    if n == 3 { y = k * 2 } else { y = k }
    z = mean(grad(sum(y ^ 2), y)) + (sum(p) a(h)[p, 0, 0]) / max(n, 2) }`,
];

/** Linear congruential generator of Numerical Recipes. */
function generator(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const pieces = (text: string): string[] =>
  text.match(/[A-Za-z_]\w*|\d+(\.\d+)?|\s+|"[^"]*"|\/\/.*|\|>|\.\.\.|[^\w\s]/g) ?? [];
const odd = [
  '0',
  '-1',
  '1e300',
  '9007199254740991',
  '""',
  'x',
  'f32',
  '[',
  ')',
  '...b',
  "'",
  '@',
  ':',
  'training',
  'step',
  'inf',
  'Dense',
  'sum',
  '{}',
  'if',
  'div 0',
  'int',
  'reshape',
];

function mutate(text: string, pick: (n: number) => number): string {
  const all = pieces(text);
  for (let n = 1 + pick(3); n > 0; n--) {
    const [i, j] = [pick(all.length), pick(all.length)];
    const kind = pick(5);
    if (kind === 0) all.splice(i, 1 + pick(3));
    else if (kind === 1) all[i] = all[j]!;
    else if (kind === 2) [all[i], all[j]] = [all[j]!, all[i]!];
    else if (kind === 3) all.splice(i, 0, odd[pick(odd.length)]!);
    else all[i] = odd[pick(odd.length)]!;
  }
  return all.join('');
}

it(`${rounds} random mutations give nothing but problems`, { timeout: 600_000 }, () => {
  const pick = generator(Number(process.env['NNET_SEED'] ?? 1));
  for (let n = 0; n < rounds; n++) {
    const text = mutate(seeds[pick(seeds.length)]!, pick);
    let found;
    try {
      found = check('main.nnet', hostOf({ 'main.nnet': text }), { library, differentiate: gradient });
    } catch (error) {
      throw new Error(`threw on round ${n}:\n${text}`, { cause: error });
    }
    for (const p of found.problems) {
      expect(p.labels.some((l) => l.primary)).toBe(true);
      const texts = [messageOf(p), helpOf(p) ?? '', ...p.labels.map((l) => l.text)].join('\n');
      // No generated name is ever cited.
      expect(texts, text).not.toMatch(/·|\$\d|@\d|\?[a-z]|undefined|\[object/);
      for (const { span } of p.labels) {
        const source = found.sources.get(span.file)?.text;
        expect(
          source !== undefined && span.start >= 0 && span.start <= span.end && span.end <= source.length,
          `${p.code}\n${text}`,
        ).toBe(true);
      }
    }
  }
});
