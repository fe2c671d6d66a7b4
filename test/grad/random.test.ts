import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gradient } from '../../compiler/grad/reverse.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { evaluateNodes } from '../support/evaluate.ts';
import { finiteDifferences, isClose, lossFunction } from '../support/finite-differences.ts';
import type { RandomGraph } from '../support/random-graph.ts';
import { randomGraph } from '../support/random-graph.ts';

/** Elements whose gradient differs from finite differences. */
function disagreements({ graph, loss, dims, values, floats }: RandomGraph): string[] {
  const { gradients } = gradient(graph, loss, floats);
  const outputs = gradients.map((node, i) => ({ name: `${i}`, node }));
  verify({ name: 'gradient', graph, outputs, updates: [] }, 'gradient');
  const found = evaluateNodes(graph, gradients, dims, values);
  const f = lossFunction(graph, loss, dims);
  if (!(Math.abs(f(values)) < 1e4)) return [];
  return floats.flatMap((leaf, k) =>
    finiteDifferences(f, values, leaf).flatMap((expected, i) => {
      const got = found[k]?.[i] ?? NaN;
      return expected === undefined || isClose(got, expected)
        ? []
        : [`d ${leaf.name}[${i}]: ${got}, not ${expected}`];
    }),
  );
}

describe('gradients of random graphs', () => {
  it('agree with finite differences', () => {
    fc.assert(
      fc.property(randomGraph(), (random) => {
        expect(disagreements(random)).toEqual([]);
      }),
      { numRuns: 400, seed: 1 },
    );
  });

  it('agree where values jump, too', () => {
    fc.assert(
      fc.property(randomGraph({ smooth: false, batch: [2] }), (random) => {
        expect(disagreements(random)).toEqual([]);
      }),
      { numRuns: 150, seed: 2 },
    );
  });
});
