import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Computation } from '../../compiler/ir/graph.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { simplify } from '../../compiler/rewrite/simplify.ts';
import { evaluate } from '../support/evaluate.ts';
import type { RandomGraph } from '../support/random-graph.ts';
import { randomGraph } from '../support/random-graph.ts';

/** Rewriting may reorder sums: equal up to what float64 rounds. */
function expectSame(before: Computation, { dims, values }: RandomGraph): void {
  const { computation } = simplify(before);
  verify(computation, 'rewrite');
  const [expected, found] = [evaluate(before, dims, values), evaluate(computation, dims, values)];
  for (const [name, value] of expected) {
    const other = found.get(name) ?? new Float64Array();
    expect(other.length).toBe(value.length);
    value.forEach((v, i) => {
      const w = other[i] ?? NaN;
      if (!Object.is(v, w) && !(Math.abs(v - w) <= 1e-9 * (1 + Math.abs(v))))
        expect(w, `${name}[${i}]`).toBe(v);
    });
  }
}

describe('rewriting random graphs', () => {
  it('keeps their values', () => {
    fc.assert(
      fc.property(randomGraph({ smooth: false }), (random) => {
        expectSame(random.computation, random);
      }),
      { numRuns: 600, seed: 3 },
    );
  });

  it('keeps the values of their gradients', () => {
    fc.assert(
      fc.property(randomGraph({ length: 50 }), (random) => {
        const { graph, loss, floats } = random;
        const { gradients } = gradient(graph, loss, floats);
        const outputs = gradients.map((node, i) => ({ name: `${i}`, node }));
        expectSame({ name: 'gradient', graph, outputs, updates: [] }, random);
      }),
      { numRuns: 500, seed: 4 },
    );
  });
});
