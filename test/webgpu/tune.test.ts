/** Shapes of kernels: all compute the same; the fastest is timed, kept, and taken again without timing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PlanCache } from '../../cli/cache.ts';
import type { Chosen } from '../../cli/devices.ts';
import { compileTuned } from '../../cli/tuning.ts';
import { defaultLimits } from '../../compiler/backend/wgsl/shader.ts';
import { invocationsOf, memoryOf, tilesOf } from '../../compiler/backend/wgsl/tile.ts';
import type { ContractKernel } from '../../compiler/kernel/kernel.ts';
import type { Plan } from '../../compiler/plan.ts';
import { type GpuDevice, timeShapes, withShapes } from '../../runtime/webgpu.ts';
import { compileExample, root } from '../support/examples.ts';
import { describeGpu } from '../support/swiftshader.ts';
import * as kernels from './kernels.ts';
import { expectSame, f32Tolerance, planFor, shaderErrors, softwareGpuDevice } from './run.ts';

vi.setConfig({ testTimeout: 120_000 });

const contraction = (test: { readonly kernel: unknown }): ContractKernel => test.kernel as ContractKernel;

describe('the tiles worth trying', () => {
  const cases = [
    kernels.dense(64, 64, 256),
    kernels.dense('batch', 500, 784),
    kernels.dense(6, 25, 30000),
    kernels.dense(1, 1, 4),
    kernels.batched('batch', 30, 30, 64),
  ];
  it('are few, distinct, fit a workgroup, and begin with the one that is taken unasked', () => {
    for (const test of cases) {
      const tiles = tilesOf(contraction(test), defaultLimits);
      expect(tiles.length).toBeLessThanOrEqual(4);
      expect(new Set(tiles.map((t) => JSON.stringify(t))).size).toBe(tiles.length);
      for (const t of tiles) {
        expect(invocationsOf(t)).toBeLessThanOrEqual(defaultLimits.workgroupSize);
        expect(memoryOf(t)).toBeLessThanOrEqual(defaultLimits.workgroupMemory);
        for (const n of [t.threadsM, t.threadsN, t.threadsK, t.depth]) expect(Math.log2(n) % 1).toBe(0);
      }
    }
    expect(tilesOf(contraction(cases[0]!), defaultLimits)).toHaveLength(4);
  });

  it('put the one with more workgroups first where the device would idle', () => {
    const [first, second] = tilesOf(contraction(kernels.dense(64, 64, 4096)), defaultLimits);
    const groups = (t = first!): number => (64 / (t.threadsM * t.perM)) * (64 / (t.threadsN * t.perN));
    expect(groups(second)).toBeGreaterThanOrEqual(groups());
  });
});

describeGpu('shapes of kernels', () => {
  let device: GpuDevice;
  beforeAll(async () => {
    device = await softwareGpuDevice();
  });
  afterAll(() => device.close());

  it('compute the same', async () => {
    const test = kernels.withSums(36, 40, 300);
    for (const tile of tilesOf(contraction(test), defaultLimits).slice(1))
      await expectSame(device, test, {}, f32Tolerance, { tile });
  });

  it('are timed on the device', async () => {
    const test = kernels.dense(6, 10, 40);
    const plan = planFor(test.kernel, [], test.sizes);
    const [d] = plan.dispatches;
    // Many times the work is never the fastest.
    const variants = [{ entry: d!.entry, workgroups: [d!.workgroups![0], 30, 1] as const }];
    const withVariants: Plan = { ...plan, dispatches: [{ ...d!, variants }, d!] };
    expect(await timeShapes(device, withVariants, {})).toEqual([0, 0]);
    const turned: Plan = {
      ...plan,
      dispatches: [
        { ...d!, workgroups: variants[0]!.workgroups, variants: [{ ...d!, workgroups: d!.workgroups! }] },
      ],
    };
    expect(await timeShapes(device, turned, {})).toEqual([1]);
  });
});

describe('a tuned program', () => {
  it('has the shapes that were chosen, all of which are valid', async () => {
    const { program } = compileExample('mnist', { target: 'webgpu', relaxed: false, variants: true });
    const plan = program.plans['train']!;
    const shapes = plan.dispatches.map((d) => d.variants?.length ?? 0);
    expect(Math.max(...shapes)).toBe(4);
    const chosen = withShapes(plan, shapes);
    chosen.dispatches.forEach((d, i) => {
      expect(d.variants).toBeUndefined();
      expect(d.entry).toBe(plan.dispatches[i]!.variants?.at(-1)?.entry ?? plan.dispatches[i]!.entry);
    });
    const codes = (p: Plan): string[] => (p.code.kind === 'wgsl' ? Object.values(p.code.shaders) : []);
    expect(codes(chosen).length).toBeLessThan(codes(plan).length);
    expect(codes(withShapes(plan, []))).toEqual(
      codes(compileExample('mnist', { target: 'webgpu', relaxed: false }).program.plans['train']!),
    );
    expect(await shaderErrors(codes(plan))).toEqual([]);
  });
});

describe('--tune', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nnetc-tune-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const said: string[] = [];
  const terminal = { cwd: root, env: {}, err: { write: (text: string) => said.push(text) } } as never;
  let timed = 0;
  const gpu = (about: string, hasClock = true): Chosen => ({
    target: 'webgpu',
    relaxed: false,
    wide: false,
    workgroups: 64,
    threads: 1,
    about,
    load: () => Promise.reject(new Error('not here')),
    close: () => undefined,
    timeShapes: hasClock
      ? (plan) => {
          timed++;
          return Promise.resolve(plan.dispatches.map((d) => d.variants?.length ?? 0));
        }
      : undefined,
  });
  const entries = async (chosen: Chosen, tune: boolean): Promise<string[]> => {
    const cache = PlanCache.open({ NNET_CACHE: folder }, 'test');
    const file = 'examples/mnist.nnet';
    const { program } = await compileTuned(
      terminal,
      { file, task: 'train' },
      chosen,
      { tune, set: {} },
      cache,
    );
    const { dispatches } = program.plans['train']!;
    expect(dispatches.every((d) => d.variants === undefined)).toBe(true);
    return dispatches.map((d) => d.entry);
  };

  it('times once, and later runs on the same GPU take what was found', async () => {
    const plain = await entries(gpu('one'), false);
    expect(timed).toBe(0);
    const tuned = await entries(gpu('one'), true);
    expect(tuned).not.toEqual(plain);
    expect(timed).toBe(2);
    expect(await entries(gpu('one'), true)).toEqual(tuned);
    expect(await entries(gpu('one'), false)).toEqual(tuned);
    expect(timed).toBe(2);
    expect(await entries(gpu('another'), false)).toEqual(plain);
  });

  it('says where there is no clock, and where there is nothing to tune', async () => {
    await entries(gpu('no clock', false), true);
    expect(said.join()).toMatch(/no clock cannot time kernels \(it lacks `timestamp-query`\)/);
    await expect(entries({ ...gpu('wasm'), target: 'wasm' }, true)).rejects.toThrow(/--tune is for webgpu/);
  });
});
