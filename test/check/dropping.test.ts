/** Layers that draw random numbers in training, and are the identity outside of it. */
import { expect, it } from 'vitest';
import { compileTask, type Host, load } from '../../compiler/index.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { noise, run } from './support.ts';

const batch = 8;
const channels = 16;
const size = 6;
const x = Float32Array.from(noise(batch * channels * size), (v) => v + 3);

/** What a layer gives in the first steps of training. */
async function inTraining(layer: string, steps = 1): Promise<Float32Array[]> {
  const text = `layer Probe() { input x: f32[${batch}, c, n] output y: f32[] state seen: f32[${batch}, c, n] = zeros
    seen' = x y = sum(x) }
  task train() {
    data = idx(x: "x")
    net  = ${layer}
    last = Dense(1)
    seen = Probe()
    fit(batch: ${batch}) on data {
      found = net(x)
      all = seen(rows(found, ${batch}))
      minimize mean(last(found)) + 0 * all with Sgd(lr: 0.0)
    } }`;
  const rows = `fn rows(x: f32[b, c, n], count: int) -> f32[count, c, n] {
    y[k, j, i] = sum(m) (if m == k then x[m, j, i] else 0)
    return y }\n`;
  const host: Host = {
    ...testHost({ 'case.nnet': rows + text }),
    describeData: () => ({ fields: { x: { dtype: 'f32', shape: [channels, size] } }, count: batch }),
  };
  const { program } = must(
    compileTask(load('case.nnet', host), 'train', { target: 'reference', relaxed: false }),
  );
  const session = await openSession(program, 'reference');
  await session.run('init', {}, {}, { seed: 1 });
  const { path } = program.tensors.find((t) => t.path.endsWith('seen'))!;
  const found: Float32Array[] = [];
  for (let step = 1; step <= steps; step++) {
    await session.run(
      'train',
      { batch },
      { x },
      { seed: 1, step, epoch: 1, epochs: 1, steps_per_epoch: steps },
    );
    found.push((await session.read(path)) as Float32Array);
  }
  return found;
}

it('SpatialDropout drops channels as a whole', async () => {
  const [y, later] = await inTraining('SpatialDropout(0.25)', 2);
  let dropped = 0;
  for (let c = 0; c < batch * channels; c++) {
    const factors = [...y!.slice(c * size, (c + 1) * size)].map((v, i) => v / x[c * size + i]!);
    expect(Math.max(...factors) - Math.min(...factors)).toBeLessThan(1e-6);
    if (factors[0] === 0) dropped++;
    else expect(factors[0]).toBeCloseTo(4 / 3, 5);
  }
  expect(dropped / (batch * channels)).toBeGreaterThan(0.12);
  expect(dropped / (batch * channels)).toBeLessThan(0.38);
  expect([...later!]).not.toEqual([...y!]);
});

it('GaussianNoise adds a normal distribution', async () => {
  const [y] = await inTraining('GaussianNoise(0.5)');
  const added = [...y!].map((v, i) => v - x[i]!);
  const mean = added.reduce((a, b) => a + b) / added.length;
  expect(Math.abs(mean)).toBeLessThan(0.06);
  expect(Math.sqrt(added.reduce((s, v) => s + v * v, 0) / added.length)).toBeCloseTo(0.5, 1);
});

it.each(['SpatialDropout(0.5)', 'GaussianNoise(1.0)'])('%s does nothing outside of training', (layer) => {
  const text = `model M() { input x: f32[b, 2, 3] output y: f32[b, 2, 3]\n y = ${layer}(x) }`;
  expect(run(text, { x: noise(12) }, { b: 2 })['y']).toEqual(noise(12));
});
