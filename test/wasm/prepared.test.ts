/**
 * What a plan makes of parameters once, before its first run, and again when they have changed; and before a loop of what the
 * loop does not change.
 */
import { describe, expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import { footprint } from '../../compiler/memory.ts';
import type { Plan, Target } from '../../compiler/plan.ts';
import { openReference } from '../../runtime/reference.ts';
import { openWasm, supportsRelaxedSimd } from '../../runtime/wasm.ts';
import { must, testHost } from '../support/backends.ts';
import { expectClose } from '../support/tolerance.ts';
import { uniform } from '../support/weights.ts';

const text = `
layer Twice() {
  input x: f32[batch, n]
  output y: f32[batch, n]
  param w: f32[n, n] = glorot_uniform
  y[b, j] = sum(i) relu(x[b, i]) * (2 * w[i, j])
}
model Net() {
  input  image:  f32[batch, 12, 12]
  output logits: f32[batch, 7]
  h = reshape(image, (-1, 1, 12, 12)) |> Conv2d(13, 3, padding: 1) |> tanh |> Conv2d(14, 3) |> tanh |> MaxPool2d(2)
  rows = reshape(h, (-1, 14, 25)) |> Gru(19)
  wide = h |> Flatten() |> Dense(40) |> tanh |> Twice() |> Twice()
  logits = concat((wide, reshape(rows, (-1, 266))), axis: 1) |> Dense(7)
}
task train() {
  net  = Net()
  data = idx(image: "image", label: "label")
  fit(batch: 10) on data { minimize cross_entropy(net(image), label) with Sgd(lr: 0.5) }
}
`;
/** A loop in a loop: `w` changes in the outer one, `v` in neither. */
const nested = `
layer Nested() {
  input  x: f32[batch, time, 12]
  output y: f32[batch, 16]
  param a: f32[12, 16] = glorot_uniform
  param u: f32[16, 16] = glorot_uniform
  param v: f32[16, 16] = glorot_uniform
  inputs[b, t, j] = sum(i) x[b, t, i] * a[i, j]
  scan t in time {
    state h: f32[batch, 16] = zeros
    state w: f32[16, 16] = ones
    scan s in 3 {
      state g: f32[batch, 16] = zeros
      g'[b, j] = tanh(inputs[b, t, j] + h[b, j] + 0.1 * sum(i) g[b, i] * w[i, j] + 0.3 * sum(k) g[b, k] * v[k, j])
    }
    h' = g
    w'[i, j] = 0.5 * w[i, j] + u[i, j]
  }
  y = h
}
model Net() {
  input  image:  f32[batch, 12, 12]
  output logits: f32[batch, 7]
  logits = image |> Nested() |> Dense(7)
}
task train() {
  net  = Net()
  data = idx(image: "image", label: "label")
  fit(batch: 10) on data { minimize cross_entropy(net(image), label) with Sgd(lr: 0.5) }
}
`;
const fields = { image: { dtype: 'f32', shape: [12, 12] }, label: { dtype: 'i32', shape: [] } } as const;
const batches = [10, 1, 37];

const compiled = (net: string, target: Target, relaxed: boolean) => {
  const host = { ...testHost({ 'net.nnet': net }), describeData: () => ({ fields, count: 10 }) };
  return must(compileTask(load('net.nnet', host), 'train', { target, relaxed }));
};

/** Of every dispatch before a loop: in how many loops it stands, and in how many the kernel that it is for. */
const depths = ({ dispatches, loops }: Plan): (readonly [number, number])[] => {
  const around = (i: number): number => loops.filter((l) => l.begin <= i && i < l.end).length;
  return dispatches.flatMap((d, i) =>
    d.prepares === undefined
      ? []
      : [[around(i), around(dispatches.findIndex((k) => k.name === d.prepares))] as const],
  );
};

/** Outputs before and after every way in which parameters change. */
async function outputs(net: string, target: Target, threads: number, relaxed: boolean) {
  const { program, info } = compiled(net, target, relaxed);
  const session =
    target === 'wasm' ? await openWasm(program, { threads, shareFrom: 0 }) : openReference(program);
  const { predict } = info.models[0]!;
  const found: number[][] = [];
  const look = async (): Promise<void> => {
    for (const batch of batches) {
      await session.run(predict, { batch }, { image: uniform(batch, 144 * batch) });
      found.push(Array.from(await session.output(predict, 'logits')));
    }
  };
  try {
    await session.run('init', {}, {}, { seed: 3 });
    await look();
    const data = { image: uniform(1, 1440), label: Int32Array.from({ length: 10 }, (_, i) => i % 7) };
    const clocks = { seed: 3, epoch: 1, epochs: 1, steps_per_epoch: 2 };
    // The first run of a plan moves memory, and with it all that is prepared; the second does not.
    for (const step of [1, 2]) {
      await session.run('train', { batch: 10 }, data, { ...clocks, step });
      await look();
    }
    for (const t of program.tensors.filter((p) => p.role === 'param')) {
      const size = t.shape.reduce((a, b) => a * b, 1);
      await session.write(
        t.path,
        uniform(size, size).map((x) => x / 4),
      );
    }
    await look();
    const dims = { batch: Math.max(...batches) };
    const uses = [
      { plan: program.plans['init']!, dims: {} },
      { plan: program.plans[predict]!, dims },
      { plan: program.plans['train']!, dims: { batch: 10 } },
    ];
    if (target === 'wasm') {
      expect(session.allocated()).toBe(footprint(program, uses, 'wasm', threads).total);
      expect(program.plans[predict]!.code).toHaveProperty('prepared.entries.0');
      expect(program.plans['train']!.code).toHaveProperty('prepared.entries', []);
    }
    return found;
  } finally {
    session.close();
  }
}

describe.each([
  ['strict', false],
  ['relaxed', supportsRelaxedSimd()],
] as const)('%s', (_, relaxed) => {
  it.each([
    ['layers', text],
    ['a loop in a loop', nested],
  ])('follows the parameters of %s, on one thread and on two', async (__, net) => {
    const expected = await outputs(net, 'reference', 1, false);
    const alone = await outputs(net, 'wasm', 1, relaxed);
    alone.forEach((values, i) => expectClose(values, expected[i]!, 1e-4, `run ${i}`));
    expect(await outputs(net, 'wasm', 2, relaxed)).toEqual(alone);
  });
});

it('prepares before the outermost loop that does not change it', () => {
  const { plans } = compiled(nested, 'wasm', false).program;
  const inOrder = (plan: Plan): string[] => depths(plan).map(String).sort();
  // Forwards and backwards, `v` and what `w` was in that iteration of the outer loop.
  expect(inOrder(plans['train']!)).toEqual(['0,2', '0,2', '1,2', '1,2']);
  // `v` is prepared before the first run.
  expect(inOrder(plans['predict']!)).toEqual(['1,2']);
});
