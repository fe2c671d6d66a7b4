/** One training step is few dispatches, one submit, and creates nothing after the first. */
import { expect, it } from 'vitest';
import { openWebgpu } from '../../runtime/webgpu.ts';
import { compileExample, mnistBatch } from '../support/examples.ts';
import { describeGpu, softwareGpu } from '../support/swiftshader.ts';

const limits = { mnist: 8, lenet: 20 } as const;

describeGpu('a training step on WebGPU', () => {
  it.each(Object.entries(limits))(
    '%s: at most %i dispatches and one submit, nothing new',
    async (name, most) => {
      const { program } = compileExample(name, { target: 'webgpu', relaxed: false });
      const device = await openWebgpu({ gpu: await softwareGpu(), allowSoftware: true });
      if ('reason' in device) throw new Error(device.reason);
      const session = await device.load(program);
      try {
        await session.run('init', {}, {}, { seed: 1 });
        const step = (i: number): void | Promise<void> =>
          session.run('train', { batch: 8 }, mnistBatch(i, 8), { step: i + 1 });
        await step(0);
        await session.output('train', 'loss');
        const before = session.stats();
        for (let i = 1; i <= 3; i++) await step(i);
        const after = session.stats();
        await session.output('train', 'loss');
        expect(after.dispatches - before.dispatches).toBeLessThanOrEqual(3 * most);
        expect(after.dispatches - before.dispatches).toBe(
          3 * (program.plans['train']?.dispatches.length ?? 0),
        );
        expect(after.submits - before.submits).toBe(3);
        for (const made of ['buffersCreated', 'pipelinesCreated', 'bindGroupsCreated'] as const)
          expect(after[made] - before[made], made).toBe(0);
      } finally {
        session.close();
      }
    },
    120_000,
  );
});
