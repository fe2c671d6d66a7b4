/**
 * "Did you mean …": which of the names that exist was probably meant by one that does not.
 */
import { editDistance } from '../../grammar/distance.ts';

/** `maxPool_2d`, `MaxPool2d` and `max_pool2d` are the same word spelled by different habits. */
function habitless(name: string): string {
  return name.replaceAll('_', '').toLowerCase();
}

/**
 * How far `candidate` is from what was written, or undefined when it is too far to be worth showing: a third of
 * the letters may differ. Another case or other underscores are nearer than any typing mistake.
 */
function farness(name: string, candidate: string): number | undefined {
  if (candidate === '' || candidate === name) return undefined;
  const [a, b] = [habitless(name), habitless(candidate)];
  if (a === b) return 0;
  const longest = Math.max(a.length, b.length);
  const distance = editDistance(a, b);
  // Between names of one or two letters every replacement is "near"; none of them is a hint.
  const allowed = longest <= 2 ? 0 : Math.max(1, Math.floor(longest / 3));
  if (distance <= allowed) return distance;
  // `entropy` for `cross_entropy`, `Conv` for `Conv2d`: a whole word is missing, not mistyped.
  if (a.length >= 4 && (b.startsWith(a) || b.endsWith(a))) return allowed + 1;
  return undefined;
}

/**
 * The candidates that `name` was probably meant to be, nearest first, at most `limit`. Equally near ones keep
 * the order in which they were given, so give the innermost scope first.
 */
export function suggestions(name: string, candidates: Iterable<string>, limit = 3): readonly string[] {
  const near: { readonly candidate: string; readonly distance: number }[] = [];
  for (const candidate of new Set(candidates)) {
    const distance = farness(name, candidate);
    if (distance !== undefined) near.push({ candidate, distance });
  }
  near.sort((p, q) => p.distance - q.distance);
  return near.slice(0, limit).map((n) => n.candidate);
}

/** The one candidate that `name` was most probably meant to be. */
export function suggest(name: string, candidates: Iterable<string>): string | undefined {
  return suggestions(name, candidates, 1)[0];
}

/** `did you mean \`relu\`?`, ``did you mean `Conv1d` or `Conv2d`?``, or undefined: a help line. */
export function didYouMean(name: string, candidates: Iterable<string>): string | undefined {
  const names = suggestions(name, candidates).map((n) => `\`${n}\``);
  if (names.length === 0) return undefined;
  const last = names.at(-1)!;
  return `did you mean ${names.length === 1 ? last : `${names.slice(0, -1).join(', ')} or ${last}`}?`;
}
