/** Axes that were merged: every index expression says the same of them, asked or not. */
import { expect, it } from 'vitest';
import { mergeAxes } from '../../compiler/backend/wasm/transform.ts';
import { add, evaluate, multiply, type Poly, scale, subtract, symbol } from '../../compiler/shape/poly.ts';
import { axis } from './harness.ts';

const [a, b, c, d, n] = ['a', 'b', 'c', 'd', 'n'].map(symbol) as [Poly, Poly, Poly, Poly, Poly];
const sizes = { a: 2, u: 1, b: 3, c: 4, d: 5 };
const axes = [axis('a', 2), axis('u', 1), axis('b', 3), axis('c', 'n'), axis('d', 5)];

/** Checks that `map(p)` is, at the merged indices, what `p` is at those that these are made of. */
function checkMap(merged: ReturnType<typeof mergeAxes>, p: Poly): void {
  const kept = merged.axes.map((x) => x.name);
  const mapped = merged.map(p);
  const at: Record<string, number> = {};
  const visit = ([name, ...rest]: (keyof typeof sizes)[]): void => {
    if (name === undefined) {
      const joined: Record<string, number> = {};
      let index = 0;
      for (const x of axes) {
        index = index * sizes[x.name as keyof typeof sizes] + at[x.name]!;
        if (kept.includes(x.name)) [joined[x.name], index] = [index, 0];
      }
      const value = (of: Poly, where: Record<string, number>): number =>
        evaluate(of, (s) => (s === 'n' ? sizes.c : (where[s] ?? NaN)));
      return expect(value(mapped, joined)).toBe(value(p, at));
    }
    for (let i = 0; i < sizes[name]; i++) {
      at[name] = i;
      visit(rest);
    }
  };
  visit(Object.keys(sizes) as (keyof typeof sizes)[]);
}

it('axes are joined where nothing that is asked tells them apart, and taken apart where the rest does', () => {
  const whole = add(multiply(a, 15, n), multiply(b, 5, n), scale(c, 5), d);
  const conditions = [a, b, c, d, subtract(c, a), add(scale(b, 3), subtract(d, c))];
  const one = mergeAxes(axes, [whole]);
  expect(one.axes.map((x) => x.name)).toEqual(['d']);
  const two = mergeAxes(axes, [whole, b]);
  expect(two.axes.map((x) => x.name)).toEqual(['a', 'b', 'd']);
  for (const p of [whole, ...conditions]) for (const merged of [one, two]) checkMap(merged, p);
});
