/**
 * `precision: "mixed"` and loss scaling. The reference, which emulates f16, follows the formula in NumPy's float16
 * (test/fixtures/mixed.py) exactly; the kernels for GPUs are compiled on Dawn's null device.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { FitStep, Target } from '../../compiler/plan.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { shaderErrors } from '../webgpu/run.ts';

vi.setConfig({ testTimeout: 60_000 });

interface Run {
  readonly losses: readonly number[];
  readonly taken: readonly boolean[];
  readonly scales: readonly number[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
}
interface Fixture {
  readonly x: readonly number[];
  readonly label: readonly number[];
  readonly start: Run['weights'];
  readonly plain: Run;
  readonly static: Run;
  readonly dynamic: Run;
}
const fixture = JSON.parse(
  readFileSync(new URL('../fixtures/mixed.json', import.meta.url), 'utf8'),
) as Fixture;

const text = (fit: string, optimizer: string): string => `
model Net() {
  input  x: f32[batch, 6]
  output logits: f32[batch, 3]
  logits = x |> Dense(5) |> tanh |> Dense(3)
}
task train {
  net  = Net()
  data = idx(x: "x", label: "label")
  fit(epochs: 1, batch: 8${fit}) on data {
    minimize cross_entropy(net(x), label) with Sgd(lr: 0.5${optimizer})
  }
}`;

function compile(source: string, target: Target, shape: readonly number[] = [6]) {
  const host = {
    ...testHost({ 'case.nnet': source }),
    describeData: () => ({
      fields: { x: { dtype: 'f32' as const, shape }, label: { dtype: 'i32' as const, shape: [] } },
      count: 8,
    }),
  };
  return compileTask(load('case.nnet', host), 'train', { target, relaxed: false, predict: false });
}

/** Losses, scales and weights of so many steps on one batch. */
async function train(source: string, target: Target, steps: number): Promise<Omit<Run, 'taken'>> {
  const { program, info } = must(compile(source, target));
  const fit = info.steps.find((s): s is FitStep => s.kind === 'fit')!;
  const session = await openSession(program, target);
  const losses: number[] = [];
  const scales: number[] = [];
  const scaled = program.tensors.some((t) => t.path === 'scaling/loss/scale');
  try {
    await session.run('init', {}, {}, { seed: 1 });
    for (const [path, values] of Object.entries(fixture.start))
      await session.write(path, Float32Array.from(values));
    const inputs = { x: Float32Array.from(fixture.x), label: Int32Array.from(fixture.label) };
    for (let step = 1; step <= steps; step++) {
      await session.run(fit.train, { batch: 8 }, inputs, { step, epoch: 1, epochs: 1, steps_per_epoch: 1 });
      losses.push((await session.output(fit.train, 'loss'))[0]!);
      if (scaled) scales.push((await session.read('scaling/loss/scale'))[0]!);
    }
    const paths = Object.keys(fixture.start);
    const weights = await Promise.all(paths.map(async (p) => [p, [...(await session.read(p))]] as const));
    return { losses, scales, weights: Object.fromEntries(weights) };
  } finally {
    session.close();
  }
}

function expectSame(found: Omit<Run, 'taken'>, wanted: Run, close = 6): void {
  found.losses.forEach((l, i) => expect(l).toBeCloseTo(wanted.losses[i]!, close));
  for (const [path, values] of Object.entries(wanted.weights))
    found.weights[path]!.forEach((w, i) => expect(w).toBeCloseTo(values[i]!, close));
}

describe('mixed precision on the reference', () => {
  const steps = fixture.dynamic.losses.length;

  it('rounds what the formula rounds', async () => {
    const found = await train(text(', precision: "mixed"', ', loss_scale: 1'), 'reference', steps);
    expectSame(found, fixture.plain);
    // In f32 it would be another run.
    const wide = await train(text('', ''), 'reference', steps);
    expect(Math.abs(wide.losses.at(-1)! - fixture.plain.losses.at(-1)!)).toBeGreaterThan(1e-5);
  });

  it('keeps more of the gradients with a scale', async () => {
    expectSame(
      await train(text(', precision: "mixed"', ', loss_scale: 1024'), 'reference', steps),
      fixture.static,
    );
  });

  it('skips steps that overflow and halves the scale, doubles it after two good ones', async () => {
    const options = ', loss_scale: "dynamic", scale_from: 524288, scale_every: 2';
    const found = await train(text(', precision: "mixed"', options), 'reference', steps);
    expect(fixture.dynamic.taken.filter((t) => !t).length).toBeGreaterThan(3);
    expect(found.scales).toEqual(fixture.dynamic.scales);
    expectSame(found, fixture.dynamic);
  });

  it('scales dynamically by itself, from 65536', async () => {
    const found = await train(text(', precision: "mixed"', ''), 'reference', 1);
    expect(found.scales).toHaveLength(1);
    expect([65536, 32768]).toContain(found.scales[0]);
  });
});

describe.each(['reference', 'wasm'] as const)('a dynamic scale in f32 on %s', (target) => {
  const options = ', loss_scale: "dynamic", scale_from: 1024, scale_every: 3';

  it('changes nothing but the steps in which a gradient overflows', async () => {
    const plain = await train(text('', ''), target, 6);
    const scaled = await train(text('', options), target, 6);
    expectSame(scaled, { ...plain, taken: [] }, 5);
    expect(scaled.scales).toEqual([1024, 1024, 2048, 2048, 2048, 4096]);
  });

  it('does not count skipped steps as updates of the optimizer', async () => {
    // The reference emulates the range of f16, not that of f32: there it is f16 that overflows.
    const [fit, times] = target === 'reference' ? [', precision: "mixed"', 1] : ['', 1e26];
    const far = (options: string): string =>
      text(fit, options)
        .replace('cross_entropy(net(x), label)', `(cross_entropy(net(x), label) * ${times})`)
        .replace('Sgd(lr: 0.5', 'Adam(lr: 0.01');
    const found = await train(far(', loss_scale: "dynamic", scale_from: 35184372088832'), target, 40);
    const last = found.scales.at(-1)!;
    const skipped = 45 - Math.log2(last);
    expect(skipped).toBeGreaterThan(2);
    const wanted = await train(far(`, loss_scale: ${last}`), target, 40 - skipped);
    for (const [path, values] of Object.entries(wanted.weights))
      found.weights[path]!.forEach((w, i) => expect(w).toBeCloseTo(values[i]!, 5));
  });
});

describe('what is refused', () => {
  it('mixed precision on wasm, at the option', () => {
    const source = text(', precision: "mixed"', '');
    const { problems } = compile(source, 'wasm');
    expect(problems.map((p) => p.code)).toEqual(['E0325']);
    const { span } = problems[0]!.labels[0]!;
    expect(source.slice(span.start, span.end)).toBe('"mixed"');
  });

  it('another word', () => {
    expect(compile(text(', precision: "half"', ''), 'reference').problems.map((p) => p.code)).toEqual([
      'E0505',
    ]);
    expect(compile(text('', ', loss_scale: "auto"'), 'reference').problems.map((p) => p.code)).toEqual([
      'E0505',
    ]);
  });
});

describeGpu('mixed precision in WGSL', () => {
  const layers = [
    ['x |> Dense(16) |> relu |> Dense(3)', [6]],
    ['reshape(x, (batch, 1, 8, 8)) |> Conv2d(4, kernel: 3) |> relu |> Flatten() |> Dense(3)', [64]],
    ['Lstm(8)(reshape(x, (batch, 4, 6)))[:, -1] |> Dense(3)', [24]],
    [
      'mean(reshape(x, (batch, 4, 8)) |> TransformerEncoderBlock(hidden: 16, heads: 2), axis: 1) |> Dense(3)',
      [32],
    ],
  ] as const;
  it.each(layers)('a training step of %s compiles, its products read f16', async (body, shape) => {
    const source = text(', precision: "mixed"', ', clip_norm: 1.0, momentum: 0.9')
      .replace('x |> Dense(5) |> tanh |> Dense(3)', body)
      .replace('f32[batch, 6]', `f32[batch, ${shape[0]}]`);
    const { program } = must(compile(source, 'webgpu', shape));
    const shaders = Object.values(program.plans).flatMap(({ code }) =>
      code.kind === 'wgsl' ? Object.values(code.shaders) : [],
    );
    expect(await shaderErrors(shaders)).toEqual([]);
    const products = shaders.filter((s) => s.includes('acc0_0'));
    expect(products.length).toBeGreaterThan(2);
    // What a loop keeps for the gradient of its weights is kept in f32.
    const both = products.filter((s) => /b0: array<(vec4<)?f16>[^]*b1: array<(vec4<)?f16>/.test(s));
    expect(both.length).toBeGreaterThanOrEqual(body.includes('Lstm') ? 3 : products.length);
  });
});
