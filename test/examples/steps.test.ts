/**
 * Each example takes a few steps on wasm on one batch of its own data, and its loss gets smaller; where two networks play
 * against each other the losses go up and down, and stay numbers. The fast mode (fused multiply-adds, Winograd's convolutions)
 * begins as the strict one.
 */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { compileTask, load } from '../../compiler/index.ts';
import { loadSource } from '../../runtime/data/source.ts';
import type { FitStep } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';
import { supportsRelaxedSimd } from '../../runtime/relaxed.ts';
import { must, openSession } from '../support/backends.ts';
import { root } from '../support/examples.ts';

const games = ['gan.nnet', 'wgan_gp.nnet'];
const examples = readdirSync(`${root}/examples`).filter((f) => f.endsWith('.nnet'));
/** The generator of `wgan_gp.nnet` moves in the fifth. */
const steps = 6;
const batch = 4;

/** Losses of a few steps on the first samples. */
async function train(file: string, relaxed: boolean): Promise<number[]> {
  const path = `examples/${file}`;
  const { program, info } = must(
    compileTask(load(path, fileHost(root)), 'train', { target: 'wasm', relaxed, predict: false }),
  );
  const source = loadSource({ ...info.data[0]!, file: path });
  const inputs: Record<string, Data> = {};
  for (const { name } of program.plans['train']!.inputs) {
    const column = source.columns.get(name)!;
    const size = column.shape.reduce((a, b) => a * b, 1) * batch;
    inputs[name] = Int32Array.from(column.values.subarray(0, size));
  }
  const { train, cycle } = info.steps.find((s): s is FitStep => s.kind === 'fit')!;
  const session = await openSession(program, 'wasm');
  try {
    await session.run('init', {}, {}, { seed: 1 });
    const losses: number[] = [];
    for (let step = 1; step <= steps; step++) {
      const plan = cycle?.[step % cycle.length] ?? train;
      const clocks = { seed: 1, step, epoch: 1, epochs: 1, steps_per_epoch: steps };
      await session.run(plan, { batch }, inputs, clocks);
      losses.push((await session.output(plan, 'loss'))[0]!);
    }
    return losses;
  } finally {
    session.close();
  }
}

it.each(examples)(
  '%s',
  async (file) => {
    const losses = await train(file, false);
    expect(losses.every(Number.isFinite), losses.join()).toBe(true);
    if (!games.includes(file)) expect(losses.at(-1)!, losses.join()).toBeLessThan(0.97 * losses[0]!);
    if (!supportsRelaxedSimd()) return;
    const fast = await train(file, true);
    // Later ones differ where rounding decides which way a relu goes.
    for (const step of [0, 1]) {
      const difference = Math.abs(fast[step]! - losses[step]!);
      expect(difference, `fast: ${fast.join()}; strict: ${losses.join()}`).toBeLessThan(
        1e-4 * Math.max(1, Math.abs(losses[step]!)),
      );
    }
  },
  60_000,
);
