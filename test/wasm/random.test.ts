/** Random graphs through schedule, emitter and session, against the float64 reference. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../compiler/assemble.ts';
import { gradient } from '../../compiler/grad/reverse.ts';
import type { Computation, Leaf } from '../../compiler/ir/graph.ts';
import { topological } from '../../compiler/ir/walk.ts';
import { removeStops, simplify } from '../../compiler/rewrite/simplify.ts';
import type { Data } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm.ts';
import { evaluate } from '../support/evaluate.ts';
import type { RandomGraph } from '../support/random-graph.ts';
import { randomGraph } from '../support/random-graph.ts';
import { modes } from './harness.ts';

const runs = Number(process.env['NNET_RANDOM'] ?? 60);

/** Sums over cancelling terms lose digits: errors count against the largest value of the tensor. */
function close(found: Data, wanted: Float64Array, what: string): void {
  expect(found.length, what).toBe(wanted.length);
  const scale = wanted.reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 1);
  wanted.forEach((w, i) => {
    const f = found[i]!;
    // What leaves the range of f32 may become infinite, and NaN from there on.
    if (Object.is(f, Math.fround(w)) || Math.abs(w - f) <= 2e-4 * scale || !(scale < 1e30)) return;
    expect.fail(`${what}[${i}]: ${f} is not ${w}`);
  });
}

async function compare(computation: Computation, random: RandomGraph): Promise<void> {
  const wanted = evaluate(computation, random.dims, random.values);
  const simple = simplify(removeStops(computation).computation).computation;
  for (const relaxed of modes) {
    const session = await openWasm(assemble({ run: simple }, [], { target: 'wasm', relaxed }));
    const plan = session.program.plans['run']!;
    const dims = Object.fromEntries(plan.dims.map((d) => [d, random.dims[d]!]));
    const inputs = Object.fromEntries(
      plan.inputs.map((p) => [
        p.name,
        (p.dtype === 'f32' ? Float32Array : Int32Array).from(random.values.get(p.name)!),
      ]),
    );
    await session.run('run', dims, inputs);
    for (const o of computation.outputs)
      close(await session.output('run', o.name), wanted.get(o.name)!, `${o.name} (relaxed = ${relaxed})`);
    session.close();
  }
}

/** The same graph with the gradient of its loss by every float leaf as outputs. */
function withGradients(random: RandomGraph): Computation {
  const { graph, computation, loss } = random;
  const floats = topological([loss]).filter((n): n is Leaf => n.op === 'leaf' && n.dtype === 'f32');
  const constant = gradient(graph, loss, floats).problems.map((p) => p.wrt);
  const leaves = floats.filter((f) => !constant.includes(f));
  const { gradients } = gradient(graph, loss, leaves);
  return {
    ...computation,
    outputs: [
      ...computation.outputs,
      ...gradients.map((node, i) => ({ name: `d ${leaves[i]!.name}`, node })),
    ],
  };
}

describe('random graphs on wasm', () => {
  it('mean what the reference says', async () => {
    await fc.assert(
      fc.asyncProperty(randomGraph({ length: 160, batch: [0, 1, 3, 7] }), (random) =>
        compare(random.computation, random),
      ),
      { numRuns: runs, seed: 3 },
    );
  }, 120_000);

  it('and so do their gradients', async () => {
    await fc.assert(
      fc.asyncProperty(randomGraph({ length: 100, batch: [0, 1, 3, 7] }), (random) =>
        compare(withGradients(random), random),
      ),
      { numRuns: runs, seed: 4 },
    );
  }, 120_000);
});
