/** States of layers that are applied more than once in a step: each application goes on where the last one left off. */
import { expect, it } from 'vitest';
import { compileTask, load } from '../../compiler/index.ts';
import { must, openSession, testHost } from '../support/backends.ts';

const text = `
layer Carry() {
  input  x: f32[b]
  output y: f32[b]
  param  w: f32[] = 0.5
  state  s: f32[] = 1
  y  = w * x + s
  s' = s + mean(y)
}
model Twice() {
  input  x: f32[b]
  output y: f32[]
  carry = Carry()
  y = mean(carry(x)) + 10 * mean(carry(3 * x))
}
task train {
  net  = Twice()
  data = idx(x: "x")
  fit(batch: 2) on data {
    minimize net(x) with Sgd(lr: 0.01)
    metric later = net.carry.s
  }
}`;

it.each(['reference', 'wasm'] as const)('on %s', async (target) => {
  const host = {
    ...testHost({ 'case.nnet': text }),
    describeData: () => ({ fields: { x: { dtype: 'f32' as const, shape: [] } }, count: 2 }),
  };
  const { program } = must(compileTask(load('case.nnet', host), 'train', { target, relaxed: false }));
  const session = await openSession(program, target);
  try {
    await session.run('init', {}, {}, { seed: 1 });
    let [w, s] = [0.5, 1];
    for (let step = 1; step <= 3; step++) {
      await session.run('train', { batch: 2 }, { x: Float32Array.of(1, 3) }, { step, epoch: 1, epochs: 1 });
      // The name of a state outside of its layer is its value before the step.
      expect((await session.output('train', 'later'))[0]).toBeCloseTo(s, 5);
      const first = w * 2 + s;
      const between = s + first;
      const second = w * 6 + between;
      expect((await session.output('train', 'loss'))[0]).toBeCloseTo(first + 10 * second, 4);
      s = between + second;
      // Through `between` it would be 2 + 10 * (6 + 2).
      w -= 0.01 * (2 + 10 * 6);
      expect((await session.read('carry.s'))[0]).toBeCloseTo(s, 4);
      expect((await session.read('carry.w'))[0]).toBeCloseTo(w, 5);
    }
  } finally {
    session.close();
  }
});
