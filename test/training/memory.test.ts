/** Training within a budget of memory: less of it, the same results to the last bit, and as much as was predicted. */
import { describe, expect, it } from 'vitest';
import type { Assembled } from '../../compiler/assemble.ts';
import type { CompileOptions } from '../../compiler/compile.ts';
import { assembleTask, compileTask, load } from '../../compiler/compile.ts';
import { footprint } from '../../compiler/memory.ts';
import type { Program } from '../../compiler/plan.ts';
import type { Data, Session } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm.ts';
import { must, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { softwareGpuDevice } from '../webgpu/run.ts';

const depth = 10;
const layers = Array.from({ length: depth }, (_, i) => i);

/** Ten layers of the same width: activations are what they cost. */
const mlp = `
model Net() {
  input  x: f32[batch, 64]
  output y: f32[batch, 8]
  h0 = x
${layers.map((i) => `  h${i + 1} = h${i} |> Dense(96) |> tanh |> Dropout(0.1)`).join('\n')}
  y = h${depth} |> Dense(8)
}
`;

/** Nine convolutions with normalisation: statistics are updated once, however often values are computed. */
const cnn = `
model Net() {
  input  x: f32[batch, 64]
  output y: f32[batch, 8]
  h0 = reshape(x, (batch, 1, 8, 8)) |> Conv2d(6, kernel: 3, padding: "same")
${layers
  .slice(0, 8)
  .map((i) => `  h${i + 1} = h${i} |> Conv2d(6, kernel: 3, padding: "same") |> BatchNorm() |> relu`)
  .join('\n')}
  y = h8 |> Flatten() |> Dense(8)
}
`;

const task = (memory = ''): string => `
task train() {
  net  = Net()
  data = idx(x: "x", label: "y")
  fit(batch: 192${memory}) on data {
    minimize cross_entropy(net(x), label) with Adam(lr: 0.01)
  }
}
`;

const batch = 192;

const known = new Map<string, Assembled>();

/** Each kind is compiled once. */
function compiled(model: string, options: Partial<CompileOptions> = {}, memory?: string): Assembled {
  const key = JSON.stringify([model, options, memory]);
  const made = known.get(key) ?? compile(model, options, memory);
  known.set(key, made);
  return made;
}

function compile(model: string, options: Partial<CompileOptions>, memory: string | undefined): Assembled {
  const host = {
    ...testHost({ 'net.nnet': model + task(memory) }),
    describeData: () => ({
      fields: { x: { dtype: 'f32', shape: [64] }, label: { dtype: 'i32', shape: [] } } as const,
      count: 1920,
    }),
  };
  return must(
    assembleTask(load('net.nnet', host), 'train', {
      target: 'wasm',
      relaxed: false,
      predict: false,
      ...options,
    }),
  ).assembled;
}

const inputs = (step: number): Record<string, Data> => ({
  x: Float32Array.from({ length: batch * 64 }, (_, i) => Math.sin(i * 0.37 + step)),
  label: Int32Array.from({ length: batch }, (_, i) => (i * 5 + step) % 8),
});

/** Losses of some steps, and every tensor that is kept, at the end. */
async function train(session: Session): ReturnType<typeof steps> {
  await session.run('init', {}, {}, { seed: 3 });
  return await steps(session, 4);
}

async function steps(
  session: Session,
  count: number,
): Promise<{ losses: number[]; kept: Map<string, Data> }> {
  const losses: number[] = [];
  for (let step = 1; step <= count; step++) {
    await session.run('train', { batch }, inputs(step), { seed: 3, step, epoch: 1, epochs: 1 });
    losses.push((await session.output('train', 'loss'))[0]!);
  }
  const kept = new Map<string, Data>();
  for (const { path } of session.program.tensors) kept.set(path, await session.read(path));
  session.close();
  return { losses, kept };
}

const predicted = (program: Program, target: 'wasm' | 'webgpu', threads = 1) =>
  footprint(
    program,
    ['init', 'train'].map((name) => ({ plan: program.plans[name]!, dims: { batch } })),
    target,
    threads,
  );

/** The smallest budget that the plans keep to, found by asking for less and less. */
function tight(model: string, target: 'wasm' | 'webgpu', part: number): number {
  const { kept, outputs, scratch, transient } = predicted(compiled(model, { target }).program, target);
  return Math.ceil(kept + outputs + scratch + part * transient) + (target === 'wasm' ? 65536 : 1024);
}

describe.each([
  ['a perceptron of 10 layers', mlp],
  ['a network of 9 convolutions', cnn],
])('%s', (_, model) => {
  it('trains in half the memory, to the last bit as before', async () => {
    const whole = compiled(model).program;
    const memory = tight(model, 'wasm', 0.45);
    const { program, made } = compiled(model, { memory });
    const [before, after] = [predicted(whole, 'wasm'), predicted(program, 'wasm')];
    expect(after.transient).toBeLessThanOrEqual(before.transient / 2);
    expect(after.total).toBeLessThanOrEqual(memory);
    expect(made['train']!.again!.kernelsAgain).toBeGreaterThan(3);

    const wanted = await train(await openWasm(whole));
    const session = await openWasm(program);
    const found = await train(session);
    expect(found).toEqual(wanted);
    expect(new Set(wanted.losses).size).toBe(4);
  });

  it('takes what was predicted, on any number of threads', async () => {
    for (const threads of [1, 2]) {
      // On one thread what the test above compiled.
      const memory = tight(model, 'wasm', 0.45);
      const { program } = compiled(model, threads === 1 ? { memory } : { memory: memory + 1e6, threads });
      const session = await openWasm(program, { threads });
      await session.run('init', {}, {}, { seed: 3 });
      await session.run('train', { batch }, inputs(1), { step: 1 });
      expect(session.allocated()).toBe(predicted(program, 'wasm', threads).total);
      session.close();
    }
  });
});

/** Layers that are all alike, as every kernel is compiled. */
const small = `
model Net() {
  input  x: f32[batch, 16]
  output y: f32[batch, 16]
  h0 = x
${layers.map((i) => `  h${i + 1} = h${i} |> Dense(16) |> tanh`).join('\n')}
  y = h${depth}
}
task train() {
  net  = Net()
  data = idx(x: "x")
  fit(batch: 64) on data { minimize mean(net(x) ^ 2) with Sgd(lr: 0.5) }
}
`;

describeGpu('on a GPU', () => {
  it('the results are the same to the last bit, and memory as predicted', async () => {
    const options = { target: 'webgpu', relaxed: false, predict: false } as const;
    const host = {
      ...testHost({ 'net.nnet': small }),
      describeData: () => ({ fields: { x: { dtype: 'f32', shape: [16] } } as const, count: 640 }),
    };
    const assembled = (memory: number) =>
      must(assembleTask(load('net.nnet', host), 'train', { ...options, memory })).assembled;
    const dims = { batch: 64 };
    const taken = (program: Program) =>
      footprint(program, [{ plan: program.plans['train']!, dims }], 'webgpu', 1);
    const whole = assembled(1e9).program;
    const before = taken(whole);
    const memory = Math.ceil(before.total - 0.5 * before.transient);
    const { program, made } = assembled(memory);
    expect(made['train']!.again!.kernelsAgain).toBeGreaterThan(2);

    const device = await softwareGpuDevice();
    const run = async (of: Program): Promise<{ losses: number[]; weights: Data[] }> => {
      const session = device.load(of);
      const params = of.tensors.filter((t) => t.role === 'param');
      const weight = (_: unknown, i: number): number => Math.sin(i * 1.7) / 2;
      for (const { path, shape } of params) {
        const length = shape.reduce((a, b) => a * b, 1);
        await session.write(path, Float32Array.from({ length }, weight));
      }
      const losses: number[] = [];
      for (let step = 1; step <= 2; step++) {
        const x = Float32Array.from({ length: 64 * 16 }, (_, i) => Math.sin(i * 0.37 + step));
        await session.run('train', dims, { x }, { step });
        losses.push((await session.output('train', 'loss'))[0]!);
      }
      expect(session.allocated()).toBe(taken(of).total);
      const weights: Data[] = [];
      for (const { path } of params) weights.push(await session.read(path));
      session.close();
      return { losses, weights };
    };
    const wanted = await run(whole);
    expect(taken(program).total).toBeLessThanOrEqual(memory);
    expect(await run(program)).toEqual(wanted);
    expect(wanted.losses[0]).not.toBe(wanted.losses[1]);
    device.close();
  });
});

it('a fit says how much memory it may take', () => {
  const budget = tight(mlp, 'wasm', 0.7);
  const { made } = compiled(mlp, {}, `, memory: "${budget}B"`);
  expect(made['train']!.again!.kernelsAgain).toBeGreaterThan(0);
  expect(made['init']!.again).toBeUndefined();
  // The smaller of two budgets counts, and a larger batch needs more.
  const less = compiled(mlp, { memory: tight(mlp, 'wasm', 0.3) }, `, memory: "${budget}B"`);
  expect(less.made['train']!.again!.flopsAgain).toBeGreaterThan(made['train']!.again!.flopsAgain);
});

it('the least that the message tells of is enough', () => {
  const host = (memory: string) => ({
    ...testHost({ 'net.nnet': mlp + task(memory) }),
    describeData: () => ({
      fields: { x: { dtype: 'f32', shape: [64] }, label: { dtype: 'i32', shape: [] } } as const,
      count: 1920,
    }),
  });
  const limited = (memory: string, batchSize?: number) =>
    compileTask(load('net.nnet', host(`, memory: "${memory}"`)), 'train', {
      target: 'wasm',
      relaxed: false,
      ...(batchSize !== undefined && { batch: batchSize }),
    });
  const refused = limited('1KB');
  expect(refused.result).toBeUndefined();
  expect(refused.problems.map((p) => p.code)).toEqual(['E0516']);
  const { least } = refused.problems[0]!.fields as { least: string };
  expect(limited(least).problems).toEqual([]);
  expect(limited(least, 4 * batch).problems.map((p) => p.code)).toEqual(['E0516']);
});
