import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Computation } from '../../compiler/ir/graph.ts';
import { removeStops, simplify } from '../../compiler/rewrite/simplify.ts';
import { schedule } from '../../compiler/schedule/schedule.ts';
import { type Target, wasmTarget, webgpuTarget } from '../../compiler/schedule/target.ts';
import { evaluate } from '../support/evaluate.ts';
import { randomGraph, type RandomGraph } from '../support/random-graph.ts';
import { randomLoop } from '../support/random-loop.ts';
import { runSchedule } from '../support/run-schedule.ts';
import { trainingStep } from '../support/training-step.ts';

const runs = Number(process.env['NNET_RANDOM'] ?? 60);

function close(found: Float64Array | undefined, wanted: Float64Array, what: string): void {
  expect(found?.length, what).toBe(wanted.length);
  wanted.forEach((w, i) => {
    const f = found?.[i] ?? NaN;
    if (Number.isNaN(w) && Number.isNaN(f)) return;
    if (w === f || Math.abs(w - f) <= 1e-9 * (1 + Math.abs(w))) return;
    expect.fail(`${what}[${i}]: ${f} is not ${w}`);
  });
}

function compare(computation: Computation, random: RandomGraph, target: Target): void {
  const wanted = evaluate(computation, random.dims, random.values);
  const found = runSchedule(
    schedule(simplify(removeStops(computation).computation).computation, target),
    random.dims,
    random.values,
  );
  for (const o of computation.outputs)
    close(found.outputs.get(o.name), wanted.get(o.name) as Float64Array, `output ${o.name}`);
  for (const { leaf, value } of computation.updates)
    close(
      value === leaf ? random.values.get(leaf.name) : found.kept.get(leaf.name),
      wanted.get(leaf.name) as Float64Array,
      `update ${leaf.name}`,
    );
}

/** Splits nearly every contraction. */
const splitting: Target = {
  ...webgpuTarget,
  split: { workgroups: 12, tile: 2, leastSteps: 2, leastPart: 1, mostParts: 3, slice: 1 },
};

describe.each([
  { rule: 'Wasm', ...wasmTarget },
  { rule: 'WebGPU with few buffers', ...webgpuTarget, maxBuffers: 4 },
  { rule: 'WebGPU, split over k', ...splitting },
])('a random graph, scheduled for $rule', (target) => {
  it('means what it meant', () => {
    fc.assert(
      fc.property(randomGraph({ length: 160 }), (random) => compare(random.computation, random, target)),
      { numRuns: runs, seed: 1 },
    );
  });

  it('and its training step too', () => {
    fc.assert(
      fc.property(randomGraph({ length: 100 }), (random) => compare(trainingStep(random), random, target)),
      { numRuns: runs, seed: 2 },
    );
  });

  it('with loops', () => {
    fc.assert(
      fc.property(randomLoop(), (random) => compare(random.computation, random, target)),
      { numRuns: runs, seed: 3 },
    );
  });

  it('and the training step of a loop', () => {
    fc.assert(
      fc.property(randomLoop(), (random) => compare(trainingStep(random), random, target)),
      { numRuns: runs, seed: 4 },
    );
  });
});
