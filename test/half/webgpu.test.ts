/** f16 in WGSL: every kernel compiles on Dawn's null device, which has f16; sums are in f32; devices without it refuse. */
import { expect, it, vi } from 'vitest';
import { assemble } from '../../compiler/assemble.ts';
import { compileModel, load, optimise } from '../../compiler/compile.ts';
import { Graph } from '../../compiler/ir/graph.ts';
import type { DType, ScalarOp } from '../../compiler/ir/ops.ts';
import { scalarOps } from '../../compiler/ir/ops.ts';
import type { Program } from '../../compiler/plan.ts';
import { constant } from '../../compiler/shape/poly.ts';
import { codeOf } from '../../runtime/problems.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { memoryHost } from '../support/check.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { shaderErrors, softwareGpuDevice } from '../webgpu/run.ts';

vi.setConfig({ testTimeout: 60_000 });

const shadersOf = (program: Program): string[] =>
  Object.values(program.plans).flatMap(({ code }) =>
    code.kind === 'wgsl' ? Object.values(code.shaders) : [],
  );

const compiled = (text: string): Program => {
  const host = memoryHost(new Map([['main.nnet', text]]));
  const { result, problems } = compileModel(load('main.nnet', host), 'Net', {
    target: 'webgpu',
    relaxed: false,
  });
  if (!result) throw new Error(JSON.stringify(problems));
  return result.program;
};

describeGpu('f16 kernels', () => {
  it('every scalar operation compiles', async () => {
    const graph = new Graph();
    const leaf = (name: string, dtype: DType) => graph.leaf('input', name, dtype, [constant(5)]);
    const [a, b] = [leaf('a', 'f16'), leaf('b', 'f16')];
    const outputs = (Object.keys(scalarOps) as ScalarOp[]).flatMap((fn) => {
      if (fn === 'cast')
        return (['f32', 'i32', 'u32', 'bool'] as const).map((t) => graph.map('cast', [a], t));
      const operands = fn === 'where' ? [leaf('c', 'bool'), a, b] : [a, b].slice(0, scalarOps[fn].arity);
      return scalarOps[fn].result(operands.map((x) => x.dtype)) ? [graph.map(fn, operands)] : [];
    });
    const from = (['f32', 'i32', 'u32', 'bool'] as const).map((t) =>
      graph.map('cast', [leaf(`from_${t}`, t)], 'f16'),
    );
    const values = [0.1, -65504, Infinity, NaN, -0, 6e-8].map((v) =>
      graph.map('add', [a, graph.full(v, 'f16', a.shape)]),
    );
    const all = [...outputs, ...from, ...values];
    for (const [i, node] of all.entries()) {
      const c = { name: 'run', graph, outputs: [{ name: `o${i}`, node }], updates: [] };
      const program = assemble(optimise({ run: c }), [], { target: 'webgpu', relaxed: false });
      expect(await shaderErrors(shadersOf(program)), JSON.stringify(node.op)).toEqual([]);
      for (const text of shadersOf(program)) expect(text).toMatch(/^enable f16;\n/);
    }
    expect(all.length).toBeGreaterThan(30);
  });

  const net = `model Net {
    input x: f32[batch, 30]
    input rows: i32[batch]
    output y: f32[batch, 10]
    output most: f16[batch]
    output picked: f16[batch, 10]
    output slope: f16[30, 10]
    output carried: f16[batch]
    param weight: f16[30, 10] = glorot_uniform
    h = tanh(f16(x))
    z = h @ weight
    most = max(z, axis: 1)
    y = f32(z) |> softmax
    picked[b, o] = weight[rows[b], o]
    slope = grad(sum(f32(z)) + sum(f32(picked)), weight)
    scan t in 30 {
      state total: f16[batch] = zeros
      total' = total * 0.5 + h[:, t]
    }
    carried = total
  }`;

  it('products, extrema, rows chosen by data, their gradients and loops compile', async () => {
    const shaders = shadersOf(compiled(net));
    expect(await shaderErrors(shaders)).toEqual([]);
    const products = shaders.filter((text) => text.includes('acc0_0'));
    expect(products.length).toBeGreaterThan(0);
    for (const text of products) {
      // The operands are f16 in memory and in the tiles, the sums f32.
      expect(text).toMatch(/b0: array<f16>/);
      expect(text).toMatch(/var acc0_0: f32 = /);
      expect(text).toMatch(/var<workgroup> w_a: array<f16, /);
      expect(text).toMatch(/let x0 = f32\(w_a\[/);
    }
  });

  const mixed = `model Net {
    input x: f32[batch, 30]
    output y: f32[batch, 30]
    y = f32(f16(x))
  }`;

  it.each([net, mixed])('a GPU without f16 refuses the program before anything runs', async (text) => {
    const device = await softwareGpuDevice();
    try {
      expect(device.device.features.has('shader-f16')).toBe(false);
      const attempt = async (): Promise<void> =>
        await device.load(compiled(text)).reserve('predict', { batch: 2 });
      const refused = await attempt().catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(RuntimeError);
      expect(codeOf(refused as RuntimeError)).toBe('E0908');
      expect((refused as RuntimeError).message).toContain('f16');
    } finally {
      device.close();
    }
  });
});
