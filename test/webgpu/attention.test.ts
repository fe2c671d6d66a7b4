/**
 * Attention whose scores are computed tile by tile: results and gradients on WebGPU (SwiftShader) and Wasm, against the
 * reference in float64, at lengths that are no multiples of a tile.
 */
import { expect, it, vi } from 'vitest';
import { compileModel, load } from '../../compiler/compile.ts';
import type { Program, Target } from '../../compiler/plan.ts';
import type { Dims } from '../../runtime/device.ts';
import { attentionCases, attentionModel, computationOf, valuesFor } from '../support/attention.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { evaluate } from '../support/evaluate.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';
import { shaderErrors } from './run.ts';

vi.setConfig({ testTimeout: 120_000 });

const lengths: readonly Dims[] = [
  { batch: 2, t: 37, s: 50 },
  { batch: 1, t: 3, s: 2 },
];

const programOf = (text: string, target: Target): Program =>
  must(compileModel(load('case.nnet', testHost({ 'case.nnet': text })), 'Case', { target, relaxed: false }))
    .program;

const shadersOf = (program: Program): string[] => {
  const code = program.plans['predict']?.code;
  return code?.kind === 'wgsl' ? Object.values(code.shaders) : [];
};

describeGpu('attention and its gradients', () => {
  it.each(Object.entries(attentionCases))('%s', async (_, given) => {
    const text = attentionModel(given);
    const computation = computationOf(text);
    for (const target of ['wasm', 'webgpu'] as const) {
      const session = await openSession(programOf(text, target), target);
      try {
        for (const dims of lengths) {
          const values = valuesFor(computation, dims);
          const wanted = evaluate(computation, dims, values);
          const inputs = Object.fromEntries(
            [...values].map(([name, x]) => [
              name,
              name === 'mask' ? Uint32Array.from(x) : Float32Array.from(x),
            ]),
          );
          await session.run('predict', dims, inputs);
          for (const { name } of computation.outputs) {
            const found = await session.output('predict', name);
            expectClose(found, wanted.get(name) ?? [], tolerance[target], `${name} on ${target}`);
          }
        }
      } finally {
        session.close();
      }
    }
    expect(computation.outputs).toHaveLength(4);
  });

  it.each(Object.entries(attentionCases))('%s: scores are made as tiles, not one by one', (_, given) => {
    const shaders = shadersOf(programOf(attentionModel(given), 'webgpu'));
    const nested = shaders.filter((text) => /dots_0/.test(text));
    expect(nested.length).toBeGreaterThanOrEqual(4);
    // What declares a sum of its own for an element loops over its products alone.
    for (const text of shaders) expect(text).not.toMatch(/var dot\d/);
  });

  it('causal: no tile is made of keys that come later', () => {
    const shaders = shadersOf(programOf(attentionModel(attentionCases['causal']!), 'webgpu'));
    const nested = shaders.filter((text) => /dots_0/.test(text));
    // Slices end with the workgroup's last query, or begin with its first key.
    for (const text of nested) expect(text).toMatch(/let \w+ = (min\(|.*max\(0i, -)/);
  });

  it('scores of f16 compile', async () => {
    const text = `model Case() {
      input q: f32[batch, t, 12]
      input k: f32[batch, s, 12]
      input v: f32[batch, s, 7]
      output y: f32[batch, t, 7]
      a = f16(q)
      b = f16(k)
      c = f16(v)
      score[n, i, j] = sum(d) a[n, i, d] * b[n, j, d]
      y[n, i, u] = f32(sum(j) exp(score[n, i, j]) * c[n, j, u])
    }`;
    const shaders = shadersOf(programOf(text, 'webgpu'));
    expect(shaders.some((s) => /dots_0/.test(s))).toBe(true);
    expect(await shaderErrors(shaders)).toEqual([]);
  });
});
