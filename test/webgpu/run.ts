/** Kernels on SwiftShader against the evaluator of kernels. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { emitWgsl } from '../../compiler/backend/wgsl/index.ts';
import type { WgslOptions } from '../../compiler/backend/wgsl/index.ts';
import { sizeOf } from '../../compiler/ir/serialise.ts';
import type { DType } from '../../compiler/ir/ops.ts';
import type { Kernel } from '../../compiler/kernel/kernel.ts';
import type { Plan, Program } from '../../compiler/plan.ts';
import { evaluate } from '../../compiler/shape/poly.ts';
import type { Data } from '../../runtime/device.ts';
import { arrayOf } from '../../runtime/ports.ts';
import { GpuDevice, openWebgpu } from '../../runtime/webgpu.ts';
import type { BufferData } from '../support/kernel-eval.ts';
import { evaluateKernel } from '../support/kernel-eval.ts';
import type { Case } from '../support/kernel-build.ts';
import { dimsOf, poly } from '../support/kernel-build.ts';
import { nullGpu, softwareGpu } from '../support/swiftshader.ts';

/** SwiftShader, or whatever GPU the machine has where that does not run. */
export async function softwareGpuDevice(): Promise<GpuDevice> {
  const device = await openWebgpu({ gpu: await softwareGpu(), allowSoftware: true });
  if (!(device instanceof GpuDevice)) throw new Error(device.reason);
  // Sessions come and go in a test; the device stays until the test closes it.
  device.load({ format: 1, stores: [], tensors: [], plans: {} });
  return device;
}

/** Compiles shaders and gives Dawn's messages, without running anything. */
export async function shaderErrors(codes: readonly string[]): Promise<string[]> {
  const adapter = await (await nullGpu()).requestAdapter();
  const device = await adapter!.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups'] });
  const all: string[] = [];
  for (const code of codes) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    const compute = { module, entryPoint: 'main' };
    await device
      .createComputePipelineAsync({ layout: 'auto', compute })
      .catch((e: unknown) => all.push(String(e)));
    await device.popErrorScope();
    all.push(...messages.filter((m) => m.type === 'error').map((m) => `${m.lineNum}: ${m.message}`));
  }
  device.destroy();
  return all;
}

export const arrayFor = (dtype: DType, length: number): Data => new (arrayOf(dtype))(length);

/** A small generator, so that a failure repeats. */
export function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

function fill(data: Data, dtype: DType, next: () => number): Data {
  for (let i = 0; i < data.length; i++) {
    const x = next();
    data[i] =
      dtype === 'f32'
        ? x * 4 - 2
        : dtype === 'bool'
          ? Number(x < 0.5)
          : Math.floor(x * 20) - (dtype === 'i32' ? 10 : 0);
  }
  return data;
}

export const planFor = (
  kernel: Kernel,
  dims: readonly string[],
  sizes: Case['sizes'],
  options: WgslOptions = {},
): Plan => {
  const { code, entry, workgroups } = emitWgsl(kernel, dims, options);
  const [x, y, z] = workgroups;
  return {
    name: kernel.name,
    target: 'webgpu',
    dims,
    inputs: [],
    outputs: [],
    clocks: [],
    buffers: kernel.buffers.map((use, i) => ({
      name: `b${i}`,
      dtype: use.dtype,
      size: sizeOf(poly(sizes[i]!)),
      place: { kind: 'store', store: i },
    })),
    loops: [],
    dispatches: [
      {
        name: kernel.name,
        entry,
        buffers: kernel.buffers.map((_, i) => i),
        units: 1,
        workgroups: [sizeOf(x), sizeOf(y), sizeOf(z)],
        flops: 0,
      },
    ],
    code: { kind: 'wgsl', shaders: { [entry]: code } },
  };
};

/** Runs a case on the device and in the evaluator, from the same contents of its buffers; both results. */
export async function runBoth(
  device: GpuDevice,
  test: Case,
  dims: Readonly<Record<string, number>> = {},
  seed = 1,
  options: WgslOptions = {},
): Promise<{ readonly actual: readonly Data[]; readonly expected: readonly BufferData[] }> {
  const { kernel, sizes } = test;
  const next = random(seed);
  const initial = kernel.buffers.map((use, i) => {
    const given = test.data?.[i];
    const data = arrayFor(
      use.dtype,
      evaluate(poly(sizes[i]!), (name) => dims[name]!),
    );
    if (given) given.forEach((x, at) => (data[at] = x));
    else fill(data, use.dtype, next);
    return data;
  });
  const program: Program = {
    format: 1,
    stores: kernel.buffers.map((use, i) => ({ name: `b${i}`, dtype: use.dtype, size: initial[i]!.length })),
    tensors: kernel.buffers.map((use, i) => ({
      path: `b${i}`,
      role: 'param',
      dtype: use.dtype,
      shape: [initial[i]!.length],
      store: i,
      offset: 0,
    })),
    plans: { run: planFor(kernel, dimsOf([test]), sizes, options) },
  };
  const expected = kernel.buffers.map((use, i) =>
    use.dtype === 'f32' ? Float64Array.from(initial[i]!) : initial[i]!.slice(),
  );
  evaluateKernel(kernel, dims, expected);
  const session = device.load(program);
  try {
    await Promise.all(initial.map((data, i) => session.write(`b${i}`, data)));
    await session.run('run', dims, {});
    const actual = await Promise.all(initial.map((_, i) => session.read(`b${i}`)));
    return { actual, expected };
  } finally {
    session.close();
  }
}

export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** f32 sums of up to some thousand terms of size 1, and elementary functions of a few ulp. */
export const f32Tolerance: Tolerance = { absolute: 2e-5, relative: 2e-5 };

export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance = f32Tolerance,
  what = '',
): void {
  expect(actual.length, what).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const [x, y] = [actual[i]!, expected[i]!];
    const same = Object.is(x, y) || x === y || x === Math.fround(y) || (Number.isNaN(x) && Number.isNaN(y));
    if (same || Math.abs(x - y) <= tolerance.absolute + tolerance.relative * Math.abs(y)) continue;
    expect.fail(`${what}: element ${i} is ${x}, not ${y}`);
  }
}

/** The case gives on the device what it gives in the evaluator: integers exactly. */
export async function expectSame(
  device: GpuDevice,
  test: Case,
  dims: Readonly<Record<string, number>> = {},
  tolerance: Tolerance = f32Tolerance,
  options: WgslOptions = {},
): Promise<void> {
  const { actual, expected } = await runBoth(device, test, dims, 1, options);
  test.kernel.buffers.forEach((use, i) => {
    const what = `${test.kernel.name}, buffer ${i}, ${JSON.stringify(dims)}`;
    expectClose(
      actual[i]!,
      expected[i]!,
      use.dtype === 'f32' ? tolerance : { absolute: 0, relative: 0 },
      what,
    );
  });
}

/** A device for all tests of a file. */
export function fileDevice(): () => GpuDevice {
  let device: GpuDevice;
  beforeAll(async () => {
    device = await softwareGpuDevice();
  });
  afterAll(() => device.close());
  return () => device;
}

/** Tests that compare cases with the evaluator, at some dimensions each, on a device of the file. */
export function checks(options?: WgslOptions) {
  const device = fileDevice();
  return (name: string, test: Case, ...dims: readonly Readonly<Record<string, number>>[]): void =>
    it(name, async () => {
      for (const d of dims.length > 0 ? dims : [{}])
        await expectSame(device(), test, d, f32Tolerance, options);
    });
}
