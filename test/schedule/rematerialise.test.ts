import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Computation } from '../../compiler/ir/graph.ts';
import { roomOf } from '../../compiler/memory.ts';
import { removeStops, simplify } from '../../compiler/rewrite/simplify.ts';
import { rematerialise, type Memory } from '../../compiler/schedule/rematerialise.ts';
import { schedule } from '../../compiler/schedule/schedule.ts';
import type { Scheduled } from '../../compiler/schedule/scheduled.ts';
import { type Target, wasmTarget, webgpuTarget } from '../../compiler/schedule/target.ts';
import { Ground, livesOf, scheduledOf } from '../../compiler/schedule/timeline.ts';
import { randomGraph, type RandomGraph } from '../support/random-graph.ts';
import { randomLoop } from '../support/random-loop.ts';
import { runSchedule } from '../support/run-schedule.ts';
import { trainingStep } from '../support/training-step.ts';

const runs = Number(process.env['NNET_RANDOM'] ?? 12);

const scheduled = (c: Computation, target: Target): Scheduled =>
  schedule(simplify(removeStops(c).computation).computation, target);

const memoryOf = (dims: Readonly<Record<string, number>>): Memory => ({
  dims,
  alignment: 8,
  roomOf: (_, elements) => roomOf(8 * elements, 8),
});

/** What is done with less memory is the same to the last bit, in an arena whose buffers share addresses. */
function compare(s: Scheduled, random: RandomGraph): number {
  const memory = memoryOf(random.dims);
  const wanted = runSchedule(s, random.dims, random.values);
  const { arena } = rematerialise(s, memory, Infinity).result;
  let again = 0;
  for (const limit of [arena, 0.8 * arena, 0]) {
    const outcome = rematerialise(s, memory, limit);
    expect(outcome.fits).toBe(outcome.result.arena <= limit);
    const found = runSchedule(outcome.result.scheduled, random.dims, random.values, true);
    expect(found.outputs).toEqual(wanted.outputs);
    for (const { leaf } of s.buffers)
      if (leaf && leaf.role !== 'input' && leaf.role !== 'clock')
        expect(found.kept.get(leaf.name), leaf.name).toEqual(wanted.kept.get(leaf.name));
    again += outcome.result.kernelsAgain;
  }
  return again;
}

describe.each([wasmTarget, { ...webgpuTarget, maxBuffers: 4 }])('with less memory, on $name', (target) => {
  it('a random training step does the same', () => {
    let again = 0;
    fc.assert(
      fc.property(randomGraph({ length: 100 }), (random) => {
        again += compare(scheduled(trainingStep(random), target), random);
      }),
      { numRuns: runs, seed: 11 },
    );
    expect(again).toBeGreaterThan(runs / 4);
  });

  it('and that of a loop', () => {
    let again = 0;
    fc.assert(
      fc.property(randomLoop(), (random) => {
        again += compare(scheduled(trainingStep(random), target), random);
      }),
      { numRuns: runs, seed: 12 },
    );
    expect(again).toBeGreaterThan(0);
  });

  it('lives are those that the schedule says', () => {
    fc.assert(
      fc.property(randomLoop(), (random) => {
        const s = scheduled(trainingStep(random), target);
        const ground = new Ground(s, memoryOf(random.dims));
        const { buffers, loops, kernels } = scheduledOf(ground, ground.start());
        const lives = (list: Scheduled['buffers']): unknown => list.map((b) => [b.name, b.first, b.last]);
        expect(lives(buffers)).toEqual(lives(s.buffers));
        expect(loops).toEqual(s.loops);
        expect(kernels).toEqual(s.kernels);
        expect(livesOf(ground, ground.start()).profile.length).toBe(ground.blocks.length);
      }),
      { numRuns: runs, seed: 13 },
    );
  });
});
