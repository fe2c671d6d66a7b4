import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Plan, Program } from '../../compiler/plan.ts';
import { footprint, type PlanUse } from '../../compiler/memory.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import type { WebgpuSession } from '../../runtime/webgpu.ts';
import { GpuDevice, openWebgpu } from '../../runtime/webgpu.ts';
import { describeGpu, nullGpu, softwareGpu, softwareGpuEnv } from '../support/swiftshader.ts';
import { batchOf, dispatch, Expected, hidden, kernels, program, shadersOf, step } from './program.ts';
import { expectClose, softwareGpuDevice } from './run.ts';

let device: GpuDevice;
beforeAll(async () => {
  device = await softwareGpuDevice();
});
afterAll(() => device.close());

async function open(of = program): Promise<{ session: WebgpuSession; expected: Expected }> {
  const session = device.load(of);
  await session.write('w', Float32Array.of(1, 2, 3));
  return { session, expected: new Expected([1, 2, 3]) };
}

describeGpu('a WebGPU session', () => {
  it('runs a plan: inputs, clocks, outputs, stores', async () => {
    const { session, expected } = await open();
    for (const [batch, seed] of [
      [4, 1],
      [1, 0],
      [2, -3],
    ] as const) {
      const x = batchOf(batch, 0.25);
      await session.run('step', { batch }, { x }, { seed });
      expected.run(x, seed);
      expectClose(await session.output('step', 'h'), expected.h);
      expectClose(await session.output('step', 'loss'), [expected.loss]);
      expectClose(await session.read('w'), expected.w);
    }
    session.close();
  });

  it('runs an empty batch', async () => {
    const { session } = await open();
    await session.run('step', { batch: 0 }, { x: new Float32Array(0) });
    expect(await session.output('step', 'h')).toEqual(new Float32Array(0));
    expect(await session.output('step', 'loss')).toEqual(Float32Array.of(0));
    expect(await session.read('w')).toEqual(Float32Array.of(1, 2, 3));
    session.close();
  });

  it('creates nothing after the first run, and submits once a run', async () => {
    const { session, expected } = await open();
    await session.reserve('step', { batch: 8 });
    const first = batchOf(8, 0.1);
    await session.run('step', { batch: 8 }, { x: first });
    expected.run(first, 0);
    await session.output('step', 'loss');
    const before = session.stats();
    let runs = 0;
    for (let i = 0; i < 20; i++)
      for (const batch of [8, 3, 1]) {
        const x = batchOf(batch, 0.01 * i);
        const wait = session.run('step', { batch }, { x }, { seed: i % 2 });
        if (wait) await wait;
        expected.run(x, i % 2);
        runs++;
      }
    const after = session.stats();
    expect(after.submits - before.submits).toBe(runs);
    expect(after.dispatches - before.dispatches).toBe(runs * step.dispatches.length);
    expectClose(await session.read('w'), expected.w);
    const { buffersCreated, pipelinesCreated, bindGroupsCreated } = session.stats();
    expect({ buffersCreated, pipelinesCreated, bindGroupsCreated }).toEqual({
      buffersCreated: before.buffersCreated,
      pipelinesCreated: before.pipelinesCreated,
      bindGroupsCreated: before.bindGroupsCreated,
    });
    session.close();
  });

  it('grows for larger dims, and keeps the order of what was asked', async () => {
    const { session, expected } = await open();
    const results: Promise<unknown>[] = [];
    for (const batch of [1, 5, 300, 2]) {
      const x = batchOf(batch, 1e-3);
      results.push(Promise.resolve(session.run('step', { batch }, { x }, { seed: 1 })));
      expected.run(x, 1);
      // The inputs are the caller's again.
      x.fill(NaN);
    }
    const w = session.read('w');
    await Promise.all(results);
    expectClose(await w, expected.w);
    session.close();
  });

  it('plans share an arena, and outputs outlive the next run of another plan', async () => {
    const both: Program = { ...program, plans: { step, again: { ...step, name: 'again' } } };
    const uses = (again: number): PlanUse[] =>
      [step, ...(again > 0 ? [step] : [])].map((plan, i) => ({ plan, dims: { batch: i === 0 ? 8 : again } }));
    const { session, expected } = await open(both);
    const run = async (name: string, batch: number): Promise<Float32Array> => {
      await session.run(name, { batch }, { x: batchOf(batch, 0.1) }, { seed: 2 });
      expected.run(batchOf(batch, 0.1), 2);
      return Float32Array.from(expected.h);
    };
    const first = await run('step', 8);
    expect(session.allocated()).toBe(footprint(both, uses(0), 'webgpu', 1).total);
    // A smaller plan takes no more than its outputs; a larger one moves the arena.
    for (const batch of [3, 40]) {
      const second = await run('again', batch);
      expectClose(await session.output('step', 'h'), first);
      expectClose(await session.output('again', 'h'), second);
      expect(session.allocated()).toBe(footprint(both, uses(batch), 'webgpu', 1).total);
    }
    expectClose(await session.read('w'), expected.w);
    expectClose([...(await run('step', 8))], [...expected.h]);
    expectClose(await session.output('step', 'h'), expected.h);
    session.close();
  });

  it('reads what was there when it was asked', async () => {
    const { session } = await open();
    await session.reserve('step', { batch: 2 });
    const x = batchOf(2);
    void session.run('step', { batch: 2 }, { x }, { seed: 1 });
    const h = session.output('step', 'h');
    const w = session.read('w');
    void session.run('step', { batch: 2 }, { x: batchOf(2, 5) }, { seed: 9 });
    await session.write('w', Float32Array.of(0, 0, 0));
    const expected = new Expected([1, 2, 3]);
    expected.run(x, 1);
    expectClose(await h, expected.h);
    expectClose(await w, expected.w);
    expect(await session.read('w')).toEqual(new Float32Array(3));
    session.close();
  });

  it('compiles kernels that are alike once', async () => {
    const again = { ...hidden, name: 'hidden_again', notes: ['the same'] };
    const twice: Plan = {
      ...step,
      dispatches: [...step.dispatches, dispatch(again, [0, 1, 2, 3])],
      code: { kind: 'wgsl', shaders: shadersOf([...kernels, again]) },
    };
    const other = await softwareGpuDevice();
    const session = other.load({ ...program, plans: { step: twice } });
    await session.reserve('step', { batch: 1 });
    expect(session.stats()).toMatchObject({ pipelinesCreated: 3, bindGroupsCreated: 4 });
    other.close();
  });

  it('stores tensors at their offsets, zeros at first', async () => {
    const { session } = await open();
    expect(await session.read('first')).toEqual(new Int32Array(10));
    await session.write('second', Int32Array.of(7, -8, 9));
    await session.write(
      'first',
      Int32Array.from({ length: 10 }, (_, i) => i),
    );
    const [first, second, w] = await Promise.all(['first', 'second', 'w'].map((path) => session.read(path)));
    expect(first).toEqual(Int32Array.from({ length: 10 }, (_, i) => i));
    expect(second).toEqual(Int32Array.of(7, -8, 9));
    expect(w).toEqual(Float32Array.of(1, 2, 3));
    session.close();
  });

  it('names mistakes', async () => {
    const { session } = await open();
    const x = batchOf(2);
    const code = async (work: () => unknown): Promise<string> => {
      try {
        await work();
      } catch (error) {
        if (error instanceof RuntimeError) return error.code;
        throw error;
      }
      return 'nothing';
    };
    expect(await code(() => session.run('stop', { batch: 2 }, { x }))).toBe('unknown-plan');
    expect(await code(() => session.run('step', {}, { x }))).toBe('missing-dimension');
    expect(await code(() => session.run('step', { batch: -1 }, { x }))).toBe('bad-dimension');
    expect(await code(() => session.run('step', { batch: 3 }, { x }))).toBe('input-length');
    expect(await code(() => session.run('step', { batch: 2 }, {}))).toBe('missing-input');
    expect(await code(() => session.output('step', 'loss'))).toBe('no-output-yet');
    expect(await code(() => session.output('step', 'los'))).toBe('unknown-output');
    expect(await code(() => session.read('v'))).toBe('unknown-tensor');
    expect(await code(() => session.write('w', new Float32Array(4)))).toBe('tensor-length');
    expect(await code(() => session.write('w', new Int32Array(3)))).toBe('tensor-type');
    expect(await code(() => session.reserve('step', { batch: 2 ** 30 }))).toBe('out-of-memory');
    // The session lives on.
    await session.run('step', { batch: 2 }, { x });
    session.close();
    expect(await code(() => session.run('step', { batch: 2 }, { x }))).toBe('closed');
    expect(await code(() => session.read('w'))).toBe('closed');
  });

  it('refuses what was compiled for another target', async () => {
    const code = { kind: 'wasm', bytes: new Uint8Array(0), scratchBytes: 0, relaxed: false } as const;
    const session = device.load({ ...program, plans: { step: { ...step, target: 'wasm', code } } });
    await expect(session.reserve('step', { batch: 1 })).rejects.toMatchObject({ code: 'wrong-target' });
    session.close();
  });

  it('reports a shader that does not compile, and goes on', async () => {
    const shaders = { hidden: 'fn main() { let x: f32 = 1u; }', loss: '', update: '' };
    const session = device.load({
      ...program,
      plans: { step: { ...step, code: { kind: 'wgsl', shaders } } },
    });
    await expect(session.reserve('step', { batch: 1 })).rejects.toThrow(
      /shader of `hidden` does not compile: .*1:/,
    );
    session.close();
    const { session: next } = await open();
    await next.run('step', { batch: 1 }, { x: batchOf(1) });
    next.close();
  });

  it('says that the device was lost', async () => {
    const other = await softwareGpuDevice();
    const session = other.load(program);
    await session.run('step', { batch: 1 }, { x: batchOf(1) });
    const pending = session.output('step', 'loss');
    other.device.destroy();
    await expect(pending).rejects.toMatchObject({ code: 'device-lost' });
    await expect(session.read('w')).rejects.toMatchObject({ code: 'device-lost' });
    expect(() => session.run('step', { batch: 1 }, { x: batchOf(1) })).toThrow(/lost/);
    other.close();
  });

  it('lets the process end, with work under way', async () => {
    const script = `
      import { createServer } from 'vite';
      const server = await createServer({ server: { middlewareMode: true }, appType: 'custom', logLevel: 'error' });
      const { openWebgpu } = await server.ssrLoadModule('/runtime/webgpu.ts');
      const device = await openWebgpu({ allowSoftware: true });
      const session = device.load(JSON.parse(process.env.PROGRAM));
      await session.run('step', { batch: 2 }, { x: new Float32Array(6) });
      const pending = session.output('step', 'loss').catch((e) => e.code);
      session.close();
      console.log(await pending, device.name);
      await server.close();`;
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const env = { ...process.env, ...(await softwareGpuEnv()), PROGRAM: JSON.stringify(program) };
    const args = ['--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, cwd: root, timeout: 25_000 });
    expect(stdout).toMatch(/^(closed|device-lost) webgpu/);
  });
});

describeGpu('finding a GPU', () => {
  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'takes a software adapter only when allowed',
    async () => {
      const found = await openWebgpu({ gpu: await softwareGpu() });
      expect(found).toEqual({ reason: expect.stringContaining('on the CPU') as string });
    },
  );

  it('says when there is no adapter', async () => {
    const none = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
    expect(await openWebgpu({ gpu: none })).toEqual({ reason: 'no WebGPU adapter was found' });
  });

  it('counts on the null backend too, which executes nothing', async () => {
    const nothing = await openWebgpu({ gpu: await nullGpu(), allowSoftware: true });
    if (!(nothing instanceof GpuDevice)) throw new Error(nothing.reason);
    const session = nothing.load(program);
    await session.run('step', { batch: 2 }, { x: batchOf(2) });
    expect(session.stats()).toMatchObject({
      dispatches: 3,
      submits: 1,
      pipelinesCreated: 3,
      bindGroupsCreated: 3,
    });
    session.close();
  });
});
