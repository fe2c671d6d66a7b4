import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  constant,
  divideExact,
  equal,
  evaluate,
  floorDivide,
  floorMod,
  format,
  isBetween,
  isNonNegative,
  linearIn,
  lowerBound,
  maximum,
  minimum,
  multiply,
  negate,
  scale,
  simplify,
  substitute,
  subtract,
  symbol,
  symbolsOf,
  upperBound,
} from '../../compiler/shape/poly.ts';

/** An expression built twice: as a polynomial and as a function. */
interface Both {
  readonly poly: Poly;
  readonly value: (of: (name: string) => number) => number;
}

/** Index variables, with their extents, and dimensions. */
const extents = { $0: constant(4), $1: symbol('n'), $2: constant(7) } as const;
const ranges = new Map<string, Poly>(Object.entries(extents));
const names = ['$0', '$1', '$2', 'n', 'm', '@0'] as const;

const leaf: fc.Arbitrary<Both> = fc.oneof(
  fc.integer({ min: -6, max: 9 }).map((k): Both => ({ poly: constant(k), value: () => k })),
  fc.constantFrom(...names).map((name): Both => ({ poly: symbol(name), value: (of) => of(name) })),
);

/** Positive divisors. */
const divisor: fc.Arbitrary<Both> = fc.oneof(
  fc.integer({ min: 1, max: 6 }).map((k): Both => ({ poly: constant(k), value: () => k })),
  fc.constantFrom('n', 'm').map((name): Both => ({ poly: symbol(name), value: (of) => of(name) })),
  fc
    .integer({ min: 1, max: 4 })
    .map((k): Both => ({ poly: scale(symbol('n'), k), value: (of) => k * of('n') })),
);

const expression: fc.Arbitrary<Both> = fc.letrec<{ e: Both }>((tie) => {
  const pair = fc.tuple(tie('e'), tie('e'));
  const divided = fc.tuple(tie('e'), divisor);
  const node =
    (f: (a: Poly, b: Poly) => Poly, g: (a: number, b: number) => number) =>
    ([a, b]: [Both, Both]): Both => ({
      poly: f(a.poly, b.poly),
      value: (of) => g(a.value(of), b.value(of)),
    });
  return {
    e: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      pair.map(node(add, (a, b) => a + b)),
      pair.map(node(subtract, (a, b) => a - b)),
      pair.map(node(multiply, (a, b) => a * b)),
      divided.map(node(floorDivide, (a, b) => Math.floor(a / b))),
      divided.map(node(floorMod, (a, b) => a - b * Math.floor(a / b))),
      divided.map(
        node(
          (a, b) => floorDivide(a, b, ranges),
          (a, b) => Math.floor(a / b),
        ),
      ),
      divided.map(
        node(
          (a, b) => floorMod(a, b, ranges),
          (a, b) => a - b * Math.floor(a / b),
        ),
      ),
      pair.map(node(minimum, Math.min)),
      pair.map(node(maximum, Math.max)),
    ),
  };
}).e;

/** Values of all symbols, the index variables in their ranges. */
const point: fc.Arbitrary<(name: string) => number> = fc
  .record({
    n: fc.integer({ min: 1, max: 6 }),
    m: fc.integer({ min: 1, max: 6 }),
    at: fc.integer({ min: -9, max: 9 }),
  })
  .chain(({ n, m, at }) =>
    fc
      .record({ $0: fc.nat({ max: 3 }), $1: fc.nat({ max: n - 1 }), $2: fc.nat({ max: 6 }) })
      .map((indices) => {
        const all: Readonly<Record<string, number>> = { ...indices, n, m, '@0': at };
        return (name: string) => all[name] ?? NaN;
      }),
  );

const points = fc.array(point, { minLength: 20, maxLength: 20 });
const runs = { numRuns: 2000, seed: 11 };

describe('polynomials', () => {
  it('mean what they were built from', () => {
    fc.assert(
      fc.property(expression, point, ({ poly, value }, of) => {
        expect(evaluate(poly, of)).toBe(value(of) + 0);
      }),
      runs,
    );
  });

  it('keep their value when simplified over ranges', () => {
    fc.assert(
      fc.property(expression, point, ({ poly, value }, of) => {
        expect(evaluate(simplify(poly, ranges), of)).toBe(value(of) + 0);
      }),
      runs,
    );
  });

  it('are canonical: sums and products in any order are the same', () => {
    fc.assert(
      fc.property(expression, expression, expression, ({ poly: a }, { poly: b }, { poly: c }) => {
        expect(add(a, b).key).toBe(add(b, a).key);
        expect(multiply(a, b).key).toBe(multiply(b, a).key);
        expect(add(add(a, b), c).key).toBe(add(a, add(b, c)).key);
        expect(equal(subtract(a, a), constant(0))).toBe(true);
        expect(negate(negate(a)).key).toBe(a.key);
      }),
      { numRuns: 500, seed: 12 },
    );
  });

  it('are proved non-negative only where they are', () => {
    let proved = 0;
    fc.assert(
      fc.property(expression, points, ({ poly, value }, ofs) => {
        if (!isNonNegative(poly, ranges)) return;
        proved++;
        for (const of of ofs) expect(value(of), format(poly)).toBeGreaterThanOrEqual(0);
      }),
      { ...runs, numRuns: 3000 },
    );
    expect(proved).toBeGreaterThan(250);
  });

  it('are proved non-negative wherever sums of variables and dimensions are', () => {
    const coefficients = fc.array(fc.integer({ min: -3, max: 9 }), { minLength: 5, maxLength: 5 });
    const ends = [1, 1_000_000];
    let proved = 0;
    fc.assert(
      fc.property(fc.integer({ min: -20, max: 40 }), coefficients, (base, factors) => {
        const p = add(base, ...factors.map((c, at) => scale(symbol(names[at]!), c)));
        const isOver = ends.every((n) =>
          ends.every((m) => {
            const of = (name: string): number => (name === 'n' ? n : name === 'm' ? m : 0);
            const least = (name: keyof typeof extents, c: number): number =>
              Math.min(0, c * (evaluate(extents[name], of) - 1));
            const [a = 0, b = 0, c = 0, d = 0, e = 0] = factors;
            return base + least('$0', a) + least('$1', b) + least('$2', c) + d * n + e * m >= 0;
          }),
        );
        expect(isNonNegative(p, ranges), format(p)).toBe(isOver);
        proved += Number(isOver);
      }),
      { ...runs, numRuns: 2000 },
    );
    expect(proved).toBeGreaterThan(250);
  });

  it('lie within their bounds', () => {
    fc.assert(
      fc.property(expression, points, ({ poly, value }, ofs) => {
        const [low, high] = [lowerBound(poly, ranges), upperBound(poly, ranges)];
        for (const of of ofs) {
          if (low) expect(value(of), format(poly)).toBeGreaterThanOrEqual(evaluate(low, of));
          if (high) expect(value(of), format(poly)).toBeLessThanOrEqual(evaluate(high, of));
        }
        for (const bound of [low, high])
          if (bound) expect([...symbolsOf(bound)].filter((s) => s.startsWith('$'))).toEqual([]);
      }),
      { ...runs, numRuns: 3000 },
    );
  });

  it('keep their value when symbols are replaced by equals', () => {
    fc.assert(
      fc.property(expression, point, ({ poly, value }, of) => {
        const shifted = substitute(poly, (name) => (name === '$0' ? add(symbol('k'), 2) : undefined));
        expect(evaluate(shifted, (name) => (name === 'k' ? of('$0') - 2 : of(name)))).toBe(value(of) + 0);
      }),
      runs,
    );
  });

  it('split by a variable they are linear in', () => {
    fc.assert(
      fc.property(expression, ({ poly }) => {
        const linear = linearIn(poly, '$1');
        if (!linear) return;
        expect(equal(add(multiply(linear.coefficient, symbol('$1')), linear.rest), poly)).toBe(true);
        expect(symbolsOf(linear.rest, symbolsOf(linear.coefficient)).has('$1')).toBe(false);
      }),
      runs,
    );
  });

  it('divide exactly only where nothing is left', () => {
    fc.assert(
      fc.property(expression, divisor, ({ poly: a }, { poly: d }) => {
        const q = divideExact(a, d);
        if (q) expect(multiply(q, d).key).toBe(a.key);
        expect(divideExact(multiply(a, d), d)?.key).toBe(a.key);
      }),
      { numRuns: 500, seed: 13 },
    );
  });
});

describe('what proofs must be found', () => {
  const [i, j, k] = [symbol('$0'), symbol('$1'), symbol('$2')];
  const [h, b, m] = [symbol('h'), symbol('b'), symbol('m')];
  const inside = (p: Poly, extent: Poly, of: readonly [Poly, ...Poly[]]): boolean =>
    isBetween(p, constant(0), extent, new Map(of.map((e, at) => [`$${at}`, e])));

  it('windows stay inside', () => {
    expect(inside(add(i, j), h, [add(subtract(h, m), 1), m])).toBe(true);
    expect(inside(add(scale(i, 2), j), constant(28), [constant(12), constant(5)])).toBe(true);
    const out = add(floorDivide(subtract(h, 3), 2), 1);
    expect(inside(add(scale(i, 2), j), h, [out, constant(3)])).toBe(true);
    expect(inside(add(scale(i, 2), j), h, [out, constant(4)])).toBe(false);
  });
  it('reshapes stay inside', () => {
    expect(inside(floorDivide(i, m), b, [multiply(b, m)])).toBe(true);
    expect(inside(floorMod(i, m), m, [multiply(b, m)])).toBe(true);
    expect(inside(add(multiply(i, m), j), multiply(b, m), [b, m])).toBe(true);
  });
  it('digits are put together and taken apart', () => {
    expect(add(scale(floorDivide(i, 4), 4), floorMod(i, 4)).key).toBe(i.key);
    const digits = add(
      scale(floorDivide(i, 20), 20),
      scale(floorMod(floorDivide(i, 4), 5), 4),
      floorMod(i, 4),
    );
    expect(digits.key).toBe(i.key);
    const r = new Map([
      ['$0', b],
      ['$1', constant(5)],
      ['$2', constant(4)],
    ]);
    const linear = add(scale(i, 20), scale(j, 4), k);
    expect(floorDivide(linear, 20, r).key).toBe(i.key);
    expect(floorMod(floorDivide(linear, 4, r), 5, r).key).toBe(j.key);
    expect(floorMod(linear, 4, r).key).toBe(k.key);
  });
  it('knows nothing of data', () => {
    expect(isNonNegative(symbol('@0'), new Map())).toBe(false);
    expect(inside(add(symbol('@0'), 0), constant(5), [constant(1)])).toBe(false);
  });
});
