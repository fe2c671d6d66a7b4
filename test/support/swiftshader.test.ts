import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeGpu, nullGpu, softwareDevice, softwareGpu, softwareGpuEnv } from './swiftshader.ts';

interface Flags {
  readonly GPUBufferUsage: Readonly<Record<'STORAGE' | 'COPY_SRC' | 'COPY_DST' | 'MAP_READ', number>>;
  readonly GPUMapMode: Readonly<Record<'READ', number>>;
}

const squares = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&x)) { x[id.x] = x[id.x] * x[id.x] + 0.5; }
}`;

/** Runs `wgsl`'s `main` in place over `input`, one invocation an element. */
async function runInPlace(
  device: GPUDevice,
  wgsl: string,
  input: Float32Array<ArrayBuffer>,
): Promise<Float32Array> {
  // `webgpu` is an optional dependency: imported only where there is a device to use it with.
  const { GPUBufferUsage, GPUMapMode } = (await import('webgpu')).globals as unknown as Flags;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const size = input.byteLength;
  const buffer = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  const result = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  device.queue.writeBuffer(buffer, 0, input);
  const module = device.createShaderModule({ code: wgsl });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const layout = pipeline.getBindGroupLayout(0);
  pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] }));
  pass.dispatchWorkgroups(Math.ceil(input.length / 64));
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, result, 0, size);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  return new Float32Array(result.getMappedRange().slice(0));
}

describeGpu('SwiftShader', () => {
  it('executes a compute shader', async () => {
    const device = await softwareDevice();
    const input = Float32Array.from({ length: 1001 }, (_, i) => i - 500);
    const result = await runInPlace(device, squares, input);
    expect(result).toEqual(input.map((x) => x * x + 0.5));
  });

  it.runIf(process.platform === 'linux' && process.arch === 'x64')('is not a real GPU', async () => {
    const adapter = await (await softwareGpu()).requestAdapter();
    expect(adapter?.info.architecture).toBe('swiftshader');
  });

  it('is found by a child process', async () => {
    const program = `
      import { create } from 'webgpu';
      const gpu = create([]);
      const adapter = await gpu.requestAdapter();
      console.log(adapter ? adapter.info.architecture : 'none');`;
    const args = ['--input-type=module', '--eval', program];
    const env = { ...process.env, VK_ICD_FILENAMES: '', VK_DRIVER_FILES: '', ...(await softwareGpuEnv()) };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    expect(stdout.trim()).not.toBe('none');
  });
});

describeGpu("Dawn's null backend", () => {
  it('compiles with f16 and subgroups, and cites the line of a mistake', async () => {
    const adapter = await (await nullGpu()).requestAdapter();
    expect([...adapter!.features]).toEqual(expect.arrayContaining(['shader-f16', 'subgroups']));
    const device = await adapter!.requestDevice();
    const messagesOf = async (code: string) => {
      device.pushErrorScope('validation');
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      await device.popErrorScope();
      return messages.filter(({ type }) => type === 'error');
    };
    expect(await messagesOf(squares)).toEqual([]);
    const [mistake] = await messagesOf(squares.replace('+ 0.5', '+ 1u'));
    expect(mistake).toMatchObject({ lineNum: 6 });
    expect(mistake?.message).toContain('no matching overload');
    device.destroy();
  });
});
