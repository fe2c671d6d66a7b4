/** Guesses what a misspelt word was meant to be. */
import { editDistance } from './distance.ts';

/** The candidate nearest to `word`, if it is near enough to be what was meant. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  const allowed = word.length <= 3 ? 1 : 2;
  let best: string | undefined;
  let least = allowed + 1;
  for (const candidate of candidates) {
    if (candidate === word) continue;
    const d = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (d < least) [best, least] = [candidate, d];
  }
  return best;
}
