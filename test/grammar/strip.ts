/** Syntax trees without their places, for comparison. */
const PLACES = new Set(['span', 'opSpan', 'lineStarts', 'comments', 'file']);

export function strip(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strip);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !PLACES.has(key));
  return Object.fromEntries(kept.map(([key, part]) => [key, strip(part)]));
}
