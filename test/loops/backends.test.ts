/** Random loops with their gradients through schedule, emitter and session, against the float64 reference. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../compiler/assemble.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Computation } from '../../compiler/ir/graph.ts';
import { removeStops, simplify } from '../../compiler/rewrite/simplify.ts';
import type { Program } from '../../compiler/plan.ts';
import type { Data, Session } from '../../runtime/device.ts';
import { openReference } from '../../runtime/reference.ts';
import { openWasm } from '../../runtime/wasm.ts';
import { openSession } from '../support/backends.ts';
import { evaluate } from '../support/evaluate.ts';
import type { RandomGraph } from '../support/random-graph.ts';
import { randomLoop } from '../support/random-loop.ts';
import { describeGpu } from '../support/swiftshader.ts';

const runs = Number(process.env['NNET_RANDOM'] ?? 40);

function close(found: Data, wanted: Float64Array, what: string): void {
  expect(found.length, what).toBe(wanted.length);
  const scale = wanted.reduce((m, x) => Math.max(m, Math.abs(x)), 1);
  wanted.forEach((w, i) => {
    const f = found[i]!;
    if (Math.abs(w - f) <= 2e-4 * scale || !(scale < 1e20)) return;
    expect.fail(`${what}[${i}]: ${f} is not ${w}`);
  });
}

function withGradients({ graph, computation, loss, floats }: RandomGraph): Computation {
  const { gradients } = gradient(graph, loss, floats);
  const more = gradients.map((node, i) => ({ name: `d ${floats[i]!.name}`, node }));
  return { ...computation, outputs: [...computation.outputs, ...more] };
}

async function compare(
  random: RandomGraph,
  target: 'wasm' | 'webgpu' | 'reference',
  open: (program: Program) => Promise<Session>,
): Promise<void> {
  const computation = withGradients(random);
  const wanted = evaluate(computation, random.dims, random.values);
  const simple = simplify(removeStops(computation).computation).computation;
  const session = await open(assemble({ run: simple }, [], { target, relaxed: false }));
  const plan = session.program.plans['run']!;
  const inputs = Object.fromEntries(
    plan.inputs.map((p) => [p.name, Float32Array.from(random.values.get(p.name)!)]),
  );
  const dims = Object.fromEntries(plan.dims.map((d) => [d, random.dims[d]!]));
  // Twice: nothing of the first run may show in the second.
  for (let run = 0; run < 2; run++) await session.run('run', dims, inputs);
  for (const o of computation.outputs)
    close(await session.output('run', o.name), wanted.get(o.name)!, o.name);
  session.close();
}

const small = randomLoop({ batch: [1, 3, 7, 0], times: [3, 1, 4] });
/** Large enough for tiles of contractions, with tails. */
const large = randomLoop({ batch: [9, 17], times: [5], widths: [13, 8] });

describe('random loops', () => {
  it('mean on the device reference what they mean', async () => {
    await fc.assert(
      fc.asyncProperty(small, (random) => compare(random, 'reference', async (p) => openReference(p))),
      { numRuns: 10, seed: 1 },
    );
  }, 120_000);

  it('mean the same on wasm', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(small, large), (random) => compare(random, 'wasm', (p) => openWasm(p))),
      { numRuns: runs, seed: 2 },
    );
  }, 120_000);

  it('mean the same on wasm with two threads', async () => {
    await fc.assert(
      fc.asyncProperty(large, (random) =>
        compare(random, 'wasm', (p) => openWasm(p, { threads: 2, shareFrom: 0 })),
      ),
      { numRuns: 4, seed: 3 },
    );
  }, 120_000);
});

describeGpu('random loops on webgpu', () => {
  it('mean the same', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(small, large), (random) =>
        compare(random, 'webgpu', (p) => openSession(p, 'webgpu')),
      ),
      { numRuns: Math.ceil(runs / 4), seed: 4 },
    );
  }, 240_000);
});
