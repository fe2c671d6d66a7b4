/**
 * Each example takes a few steps on wasm on one batch of its own data, and its loss gets smaller; where two networks play
 * against each other the losses go up and down, and stay numbers.
 */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { compileTask, load } from '../../compiler/index.ts';
import { loadSource } from '../../runtime/data/source.ts';
import type { FitStep } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';
import { must, openSession } from '../support/backends.ts';
import { root } from '../support/examples.ts';

const games = ['gan.nnet', 'wgan_gp.nnet'];
const examples = readdirSync(`${root}/examples`).filter((f) => f.endsWith('.nnet'));
/** The generator of `wgan_gp.nnet` moves in the fifth. */
const steps = 6;
const batch = 4;

it.each(examples)(
  '%s',
  async (file) => {
    const path = `examples/${file}`;
    const { program, info } = must(
      compileTask(load(path, fileHost(root)), 'train', { target: 'wasm', relaxed: false, predict: false }),
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
        await session.run(plan, { batch }, inputs, {
          seed: 1,
          step,
          epoch: 1,
          epochs: 1,
          steps_per_epoch: steps,
        });
        losses.push((await session.output(plan, 'loss'))[0]!);
      }
      expect(losses.every(Number.isFinite), losses.join()).toBe(true);
      if (!games.includes(file)) expect(losses.at(-1)!, losses.join()).toBeLessThan(0.97 * losses[0]!);
    } finally {
      session.close();
    }
  },
  60_000,
);
