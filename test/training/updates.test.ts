/**
 * What a `fit` does with gradients besides the optimizer: clipping, accumulation, update frequency, averages of weights,
 * patterns. A linear model whose gradients are its data, step by step against plain numbers, on every backend.
 */
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import type { FitStep, Program, Target } from '../../compiler/plan.ts';
import type { Session } from '../../runtime/device.ts';
import { must, openSession, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose } from '../support/tolerance.ts';

const size = 5;

/** Two models whose losses have the gradients `g` and `h`. */
const text = (body: string): string => `
model Linear() {
  input  x: f32[batch, ${size}]
  output y: f32[]
  param  weight: f32[${size}] = zeros
  param  bias: f32[] = zeros
  y = sum(x * weight) + sum(x) * bias
}
task train {
  first  = Linear()
  second = Linear()
  data = idx(g: "g", h: "h")
  fit(epochs: 1, batch: 1) on data {
    a = first(g)
    b = second(h)
    ${body}
  }
}`;

interface Compiled {
  readonly program: Program;
  readonly fit: FitStep;
}

function compiled(body: string, target: Target): Compiled {
  const field = { dtype: 'f32' as const, shape: [size] };
  const host = {
    ...testHost({ 'case.nnet': text(body) }),
    describeData: () => ({ fields: { g: field, h: field }, count: 8 }),
  };
  const options = { target, relaxed: false, predict: false };
  const { program, info } = must(compileTask(load('case.nnet', host), 'train', options));
  return { program, fit: info.steps.find((s): s is FitStep => s.kind === 'fit')! };
}

const gradient = (step: number, of: number): number[] =>
  Array.from(
    { length: size },
    (_, i) => Math.sin(step * 3.7 + i * 1.3 + of * 2.1) * (step % 3 === 0 ? 3 : 1),
  );

const fill = (v: number): number[] => Array.from({ length: size }, () => v);
const sum = (v: readonly number[]): number => v.reduce((x, y) => x + y, 0);

/** Takes `count` steps; after each `look` reads what it likes. */
async function train(
  { program, fit }: Compiled,
  target: Target,
  count: number,
  look: (session: Session, step: number) => Promise<void>,
): Promise<void> {
  const session = await openSession(program, target);
  try {
    await session.run('init', {}, {}, { seed: 1 });
    for (const path of ['first.weight', 'second.weight'])
      await session.write(path, Float32Array.from(fill(1)));
    if (fit.begin) await session.run(fit.begin, {}, {}, {});
    for (let step = 1; step <= count; step++) {
      const plan = fit.cycle?.[step % fit.cycle.length] ?? fit.train;
      const data = { g: gradient(step, 0), h: gradient(step, 1) };
      const inputs = Object.fromEntries(
        program.plans[plan]!.inputs.map(({ name }) => [name, Float32Array.from(data[name as 'g' | 'h'])]),
      );
      await session.run(plan, { batch: 1 }, inputs, { step, epoch: 1, epochs: 1, steps_per_epoch: 8 });
      await look(session, step);
    }
  } finally {
    session.close();
  }
}

/** Weights [size] and bias of both models after each step, in plain numbers. */
class Plain {
  readonly weights: [number[], number[]] = [fill(1), fill(1)];
  readonly biases: [number, number] = [0, 0];
  of(k: 0 | 1): number[] {
    return [...this.weights[k], this.biases[k]];
  }
  /** `w -= lr * g`, of weight and bias together. */
  move(k: 0 | 1, lr: number, g: readonly number[]): void {
    this.weights[k] = this.weights[k].map((w, i) => w - lr * g[i]!);
    this.biases[k] -= lr * g[size]!;
  }
}

/** The gradient of weight and bias. */
const full = (step: number, k: 0 | 1): number[] => {
  const g = gradient(step, k);
  return [...g, sum(g)];
};

const held = async (session: Session, name: string, suffix = ''): Promise<number[]> => [
  ...(await session.read(`${name}.weight${suffix}`)),
  ...(await session.read(`${name}.bias${suffix}`)),
];

const near = 3e-6;

const suite = (target: Target): void => {
  it('clips by the common norm of all gradients', async () => {
    const plain = new Plain();
    await train(
      compiled('minimize a with Sgd(lr: 0.1, clip_norm: 1.5)', target),
      target,
      4,
      async (s, step) => {
        const g = full(step, 0);
        const norm = Math.hypot(...g);
        const factor = Math.min(1, 1.5 / (norm + 1e-6));
        plain.move(0, 0.1 * factor, g);
        expectClose(await held(s, 'first'), plain.of(0), near, `step ${step}`);
      },
    );
  });

  it('clips each element', async () => {
    const plain = new Plain();
    const body = 'minimize a with Sgd(lr: 0.1, clip_value: 0.5)';
    await train(compiled(body, target), target, 4, async (s, step) => {
      const g = full(step, 0).map((v) => Math.max(-0.5, Math.min(0.5, v)));
      plain.move(0, 0.1, g);
      expectClose(await held(s, 'first'), plain.of(0), near, `step ${step}`);
    });
  });

  it('accumulates: three steps make one update by their mean', async () => {
    const plain = new Plain();
    const c = compiled('minimize a with Adam(lr: 0.1, accumulate: 3)', target);
    expect(c.fit.cycle).toEqual(['train', 'train2', 'train2']);
    let total = full(1, 0).map(() => 0);
    const [m, v] = [total.slice(), total.slice()];
    await train(c, target, 7, async (s, step) => {
      total = total.map((t, i) => t + full(step, 0)[i]!);
      if (step % 3 === 0) {
        const t = step / 3;
        const move = total.map((sum, i) => {
          const g = sum / 3;
          m[i] = 0.9 * m[i]! + 0.1 * g;
          v[i] = 0.999 * v[i]! + 0.001 * g * g;
          return m[i]! / (1 - 0.9 ** t) / (Math.sqrt(v[i]! / (1 - 0.999 ** t)) + 1e-8);
        });
        plain.move(0, 0.1, move);
        total = total.map(() => 0);
      }
      expectClose(await held(s, 'first'), plain.of(0), near, `step ${step}`);
    });
  });

  it('trains one model in every step and the other in every second', async () => {
    const plain = new Plain();
    const body = 'minimize a with Sgd(lr: 0.1)\n minimize b with Sgd(lr: 0.2, momentum: 0.5) every 2';
    const c = compiled(body, target);
    expect(c.fit.metrics).toEqual(['loss', 'b']);
    let velocity = full(1, 1).map(() => 0);
    await train(c, target, 5, async (s, step) => {
      plain.move(0, 0.1, full(step, 0));
      if (step % 2 === 0) {
        velocity = velocity.map((x, i) => 0.5 * x + full(step, 1)[i]!);
        plain.move(1, 0.2, velocity);
      }
      expectClose(await held(s, 'first'), plain.of(0), near, `first, step ${step}`);
      expectClose(await held(s, 'second'), plain.of(1), near, `second, step ${step}`);
    });
  });

  it('averages weights, and exchanges them with their averages', async () => {
    const plain = new Plain();
    const c = compiled('minimize a with Sgd(lr: 0.1, ema: 0.8)', target);
    let mean = plain.of(0);
    await train(c, target, 3, async (s, step) => {
      plain.move(0, 0.1, full(step, 0));
      mean = mean.map((x, i) => 0.8 * x + 0.2 * plain.of(0)[i]!);
      expectClose(await held(s, 'first', '/average'), mean, near, `average, step ${step}`);
      await s.run(c.fit.average!, {}, {}, {});
      expectClose(await held(s, 'first'), mean, near, `exchanged, step ${step}`);
      expectClose(await held(s, 'first', '/average'), plain.of(0), near, `put aside, step ${step}`);
      await s.run(c.fit.average!, {}, {}, {});
      expectClose(await held(s, 'first'), plain.of(0), near, `back, step ${step}`);
    });
  });

  it('takes the weights named by patterns, and leaves the others as they are', async () => {
    const plain = new Plain();
    const body = 'minimize a + b with Sgd(lr: 0.1) over "*.weight", "!second"';
    await train(
      compiled(body.replace(/ with (.*) over (.*)/, ' over $2 with $1'), target),
      target,
      2,
      async (s, step) => {
        plain.move(0, 0.1, [...gradient(step, 0), 0]);
        expectClose(await held(s, 'first'), plain.of(0), near, `first, step ${step}`);
        expectClose(await held(s, 'second'), plain.of(1), near, `second, step ${step}`);
      },
    );
  });

  it('leaves parameters out of the weight decay', async () => {
    const plain = new Plain();
    const body = 'minimize a with Sgd(lr: 0.1, weight_decay: 0.5, no_decay: "*.bias")';
    await train(compiled(body, target), target, 3, async (s, step) => {
      const g = full(step, 0);
      plain.move(0, 0.1, [...g.slice(0, size).map((v, i) => v + 0.5 * plain.weights[0][i]!), g[size]!]);
      expectClose(await held(s, 'first'), plain.of(0), near, `step ${step}`);
    });
  });

  it('trains two parts by one loss with an optimizer for each, and scales the loss', async () => {
    const plain = new Plain();
    const body = `loss = a + b
    minimize loss over first with Sgd(lr: 0.1, loss_scale: 1024)
    minimize loss over second with Sgd(lr: 0.3)`;
    const c = compiled(body, target);
    expect(c.fit.metrics).toEqual(['loss']);
    await train(c, target, 2, async (s, step) => {
      plain.move(0, 0.1, full(step, 0));
      plain.move(1, 0.3, full(step, 1));
      expectClose(await held(s, 'first'), plain.of(0), near, `first, step ${step}`);
      expectClose(await held(s, 'second'), plain.of(1), near, `second, step ${step}`);
    });
  });
};

describe.each(['reference', 'wasm'] as const)('on %s a fit', suite);
describeGpu('on webgpu a fit', () => suite('webgpu'));
