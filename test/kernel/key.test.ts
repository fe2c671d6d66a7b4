import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import { must, testHost } from '../support/backends.ts';

const deep = (layers: number): string => `
model Deep() {
  input  x: f32[batch, 16]
  output y: f32[batch, 16]
  h = x
  repeat ${layers} {
    fc = Dense(16)
    h = relu(fc(h))
  }
  y = h
}
task train() {
  net  = Deep()
  data = idx(x: "x", label: "label")
  fit(batch: 4) on data { minimize mse(net(x), x) with Adam(lr: 0.01) }
}
`;

function planOf(layers: number, target: Target) {
  const fields = { x: { dtype: 'f32', shape: [16] }, label: { dtype: 'i32', shape: [] } } as const;
  const host = { ...testHost({ 'deep.nnet': deep(layers) }), describeData: () => ({ fields, count: 8 }) };
  const compiled = must(compileTask(load('deep.nnet', host), 'train', { target, relaxed: false }));
  return compiled.program.plans['train']!;
}

describe('kernels that do the same to other buffers', () => {
  it('share a shader', () => {
    const [few, many] = [planOf(6, 'webgpu'), planOf(24, 'webgpu')];
    expect(many.dispatches.length).toBeGreaterThan(few.dispatches.length + 30);
    if (few.code.kind !== 'wgsl' || many.code.kind !== 'wgsl') throw new Error('no shaders');
    expect(Object.keys(many.code.shaders).length).toBe(Object.keys(few.code.shaders).length);
  });

  it('share their Wasm', () => {
    const [few, many] = [planOf(6, 'wasm'), planOf(24, 'wasm')];
    if (few.code.kind !== 'wasm' || many.code.kind !== 'wasm') throw new Error('no code');
    const added = many.dispatches.length - few.dispatches.length;
    expect((many.code.bytes.length - few.code.bytes.length) / added).toBeLessThan(180);
  });
});
