/** Conditions on index expressions: guards of reads, and where something counts. All of a list must hold. */
import type { Poly } from './algebra.ts';

/** `value >= 0` or `value == 0`, over the same names as the index expressions that it goes with. */
export interface Condition {
  readonly kind: 'ge' | 'eq';
  readonly value: Poly;
}

/** The same conditions on other expressions. */
export const mapGuard = (guard: readonly Condition[], map: (p: Poly) => Poly): Condition[] =>
  guard.map(({ kind, value }) => ({ kind, value: map(value) }));

/** Equal for conditions that say the same. */
export const conditionKey = ({ kind, value }: Condition): string => `${kind} ${value.key}`;

/** Equal for lists that say the same in the same order. */
export const guardKey = (guard: readonly Condition[]): string => guard.map(conditionKey).join('&');

/** Those of the conditions that stand in both lists. */
export function common(a: readonly Condition[], b: readonly Condition[]): readonly Condition[] {
  const keys = new Set(a.length > 0 ? b.map(conditionKey) : []);
  return keys.size > 0 ? a.filter((c) => keys.has(conditionKey(c))) : [];
}

/** Each condition once. */
export const distinct = (conditions: readonly Condition[]): readonly Condition[] => [
  ...new Map(conditions.map((c) => [conditionKey(c), c])).values(),
];
