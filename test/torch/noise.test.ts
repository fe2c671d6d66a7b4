/**
 * Layers that draw random numbers, in training: what they give follows their formula, their gradient has the same numbers
 * in it, and every backend draws the same ones. PyTorch has others, so it is the formula that is compared.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';
import { must, openSession, startFromZero, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';
import { uniform } from '../support/weights.ts';

const [rows, channels, places] = [20, 8, 5];
const size = rows * channels * places;
const layers = {
  dropped: 'Dropout(0.25)',
  spatial: 'SpatialDropout(0.4)',
  noisy: 'GaussianNoise(0.3)',
} as const;
type Name = keyof typeof layers;
const names = Object.keys(layers) as readonly Name[];

const shape = `f32[${rows}, ${channels}, ${places}]`;
const text = `
layer Kept() {
  input  x: ${shape}
  output y: ${shape}
  state  seen: ${shape} = zeros
  seen' = x
  y = x
}
model Net() {
  input  g: f32[batch, ${rows}, ${channels}, ${places}]
  output y: f32[]
${names.map((n) => `  param w_${n}: ${shape} = zeros`).join('\n')}
${names.map((n) => `  ${n} = Kept()`).join('\n')}
${names.map((n) => `  found_${n} = ${n}(w_${n} |> ${layers[n]})`).join('\n')}
  y = ${names.map((n) => `sum(found_${n} * g[0])`).join(' + ')}
}
task train() {
  net  = Net()
  data = idx(g: "g")
  fit(batch: 1) on data { minimize net(g) with Sgd(lr: 0.1, momentum: 0.9) }
}`;

interface Found {
  readonly y: readonly number[];
  readonly gradient: readonly number[];
}

const g = uniform(60, size);
const start: Readonly<Record<Name, Float32Array>> = {
  dropped: uniform(61, size).map((v) => v + 2),
  spatial: uniform(62, size).map((v) => v + 2),
  noisy: uniform(63, size),
};

/** Of the second step, whose numbers are not those of the first. */
async function train(target: Target): Promise<ReadonlyMap<string, Found>> {
  const host = {
    ...testHost({ 'case.nnet': text }),
    describeData: () => ({
      fields: { g: { dtype: 'f32' as const, shape: [rows, channels, places] } },
      count: 2,
    }),
  };
  const { program } = must(
    compileTask(load('case.nnet', host), 'train', { target, relaxed: false, predict: false }),
  );
  const session = await openSession(program, target);
  try {
    await startFromZero(session, target);
    const step = async (number: number, of: Data): Promise<void> => {
      for (const n of names) await session.write(`w_${n}`, start[n]);
      await session.run('train', { batch: 1 }, { g: of }, { seed: 7, step: number, epoch: 1, epochs: 1 });
    };
    const read = async (path: string): Promise<number[]> => [...(await session.read(path))];
    await step(1, new Float32Array(size));
    const first = await read('dropped.seen');
    await step(2, g);
    expect(await read('dropped.seen')).not.toEqual(first);
    const found = names.map(
      async (n) => [n, { y: await read(`${n}.seen`), gradient: await read(`w_${n}/velocity`) }] as const,
    );
    return new Map(await Promise.all(found));
  } finally {
    session.close();
  }
}

const factors = ({ y }: Found, name: Name): readonly number[] => y.map((v, i) => v / start[name][i]!);
const share = (v: readonly number[]): number => v.filter((f) => f === 0).length / v.length;

function compare(target: Target): void {
  let found: ReadonlyMap<string, Found>;
  beforeAll(async () => {
    found = await train(target);
  }, 120_000);

  it.each([
    ['dropped', 0.25],
    ['spatial', 0.4],
  ] as const)('%s', (name, rate) => {
    const scaled = factors(found.get(name)!, name);
    const kept = scaled.map((f) => (f === 0 ? 0 : 1 / (1 - rate)));
    expectClose(scaled, kept, tolerance[target], 'what is kept');
    expectClose(
      found.get(name)!.gradient,
      [...g].map((v, i) => v * kept[i]!),
      tolerance[target],
      'gradient',
    );
    // Four standard deviations of the share of so many draws.
    const draws = name === 'spatial' ? size / places : size;
    expect(Math.abs(share(kept) - rate)).toBeLessThan(4 * Math.sqrt((rate * (1 - rate)) / draws));
    if (name === 'spatial') expect(kept).toEqual(kept.map((_, i) => kept[i - (i % places)]!));
  });

  it('noisy', () => {
    const noise = found.get('noisy')!.y.map((v, i) => v - start.noisy[i]!);
    const mean = noise.reduce((a, b) => a + b, 0) / size;
    const deviation = Math.sqrt(noise.reduce((a, b) => a + (b - mean) ** 2, 0) / size);
    expect(Math.abs(mean)).toBeLessThan((4 * 0.3) / Math.sqrt(size));
    expect(Math.abs(deviation - 0.3)).toBeLessThan((4 * 0.3) / Math.sqrt(2 * size));
    expectClose(found.get('noisy')!.gradient, [...g], tolerance[target], 'gradient');
  });

  it('the same numbers as the reference', async () => {
    const expected = await train('reference');
    for (const n of names) expectClose(found.get(n)!.y, expected.get(n)!.y, tolerance[target], n);
  });
}

describe.each(['reference', 'wasm'] as const)('random layers on %s', (target) => compare(target));
describeGpu('random layers on webgpu', () => compare('webgpu'));
