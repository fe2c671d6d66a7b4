/** Each example takes a few steps on wasm on one batch of its own data, and its loss gets smaller. */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import { compileTask, load } from '../../compiler/index.ts';
import { loadSource } from '../../runtime/data/source.ts';
import type { Data } from '../../runtime/device.ts';
import { must, openSession } from '../support/backends.ts';
import { root } from '../support/examples.ts';

/** In a game of two the losses go up and down. */
const games = ['gan.nnet', 'wgan_gp.nnet'];
const examples = readdirSync(`${root}/examples`).filter((f) => f.endsWith('.nnet') && !games.includes(f));
const steps = 5;
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
    const session = await openSession(program, 'wasm');
    try {
      await session.run('init', {}, {}, { seed: 1 });
      const losses: number[] = [];
      for (let step = 1; step <= steps; step++) {
        await session.run('train', { batch }, inputs, {
          seed: 1,
          step,
          epoch: 1,
          epochs: 1,
          steps_per_epoch: steps,
        });
        losses.push((await session.output('train', 'loss'))[0]!);
      }
      expect(losses.every(Number.isFinite), losses.join()).toBe(true);
      expect(losses.at(-1)!, losses.join()).toBeLessThan(0.97 * losses[0]!);
    } finally {
      session.close();
    }
  },
  60_000,
);
