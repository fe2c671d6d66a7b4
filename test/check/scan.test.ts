/** `scan` as it is written, against loops written by hand, on the reference. */
import { describe, expect, it } from 'vitest';
import { compileModel, load } from '../../compiler/index.ts';
import { openReference } from '../../runtime/reference.ts';
import { must, testHost } from '../support/backends.ts';

/** Outputs of `model M` for inputs given as flat lists; `dims` of its open dimensions. */
async function run(
  text: string,
  dims: Readonly<Record<string, number>>,
  inputs: Readonly<Record<string, readonly number[]>>,
): Promise<Record<string, readonly number[]>> {
  const model = load('m.nnet', testHost({ 'm.nnet': text }));
  const { program } = must(compileModel(model, 'M', { target: 'reference', relaxed: false }));
  const session = openReference(program);
  await session.run('init', {}, {}, { seed: 1 });
  const given = Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, Float32Array.from(v)]));
  await session.run('predict', dims, given);
  const names = program.plans['predict']!.outputs.map((o) => o.name);
  return Object.fromEntries(
    await Promise.all(names.map(async (n) => [n, [...(await session.output('predict', n))]] as const)),
  );
}

const sums = (header: string, y = "y[:, t] = s'"): string => `
  model M() {
    input x: f32[batch, time]
    output y: f32[batch, time]
    output s: f32[batch]
    ${header} {
      state s: f32[batch] = zeros
      s' = s + x[:, t]
      ${y}
    }
  }`;
const x = [1, 2, 3, 10, 20, 30];
const two = { batch: 2, time: 3 };

describe('scan', () => {
  it('walks along a dimension; the last state can be read behind it', async () => {
    expect(await run(sums('scan t in time'), two, { x })).toEqual({ y: [1, 3, 6, 10, 30, 60], s: [6, 60] });
  });

  it('walks backwards', async () => {
    const found = await run(sums('scan t in time reversed'), two, { x });
    expect(found).toEqual({ y: [6, 5, 3, 60, 50, 30], s: [6, 60] });
  });

  it('sees the state before the step and the step itself', async () => {
    const found = await run(sums('scan t in time', 'y[:, t] = s * t'), two, { x });
    expect(found['y']).toEqual([0, 1, 6, 0, 10, 60]);
  });

  it('takes plain indices, in any order, and leaves whole dimensions out at the end', async () => {
    const text = `
      model M() {
        input x: f32[batch, time, 2]
        output y: f32[2, time, batch]
        output z: f32[time, batch, 2]
        scan t in time {
          state s: f32[batch, 2] = 1
          s'[b, i] = s[b, i] + x[b, t, i]
          y[i, t, b] = s'[b, i]
          z[t] = s
        }
      }`;
    const found = await run(text, { batch: 2, time: 2 }, { x: [1, 2, 3, 4, 5, 6, 7, 8] });
    expect(found['y']).toEqual([2, 6, 5, 13, 3, 7, 7, 15]);
    expect(found['z']).toEqual([1, 1, 1, 1, 2, 3, 6, 7]);
  });

  it('reads neighbours of the step where a condition allows it', async () => {
    const text = sums('scan t in time', 'y[b, t] = (if t > 0 then x[b, t - 1] else -1) + 0 * s[b]');
    expect((await run(text, two, { x }))['y']).toEqual([-1, 1, 2, -1, 10, 20]);
  });

  it('reads and masks what it carries at the step', async () => {
    const text = `
      model M() {
        input x: f32[batch, 3]
        output y: f32[batch, 3]
        output memory: f32[batch, 3]
        scan t in 3 {
          state memory: f32[batch, 3] = zeros
          memory'[b, i] = if i == t then x[b, t] else memory[b, i] * 2
          y[b, t] = memory'[b, 2 - t]
        }
      }`;
    const found = await run(text, { batch: 1 }, { x: [1, 2, 3] });
    expect(found['memory']).toEqual([4, 4, 3]);
    expect(found['y']).toEqual([0, 2, 4]);
  });

  it('stands in another, and knows its step', async () => {
    const text = `
      model M() {
        input x: f32[rows, columns]
        output y: f32[rows, columns]
        output total: f32[]
        scan i in rows {
          state total: f32[] = zeros
          scan j in columns {
            state inner: f32[] = total
            inner' = inner + x[i, j] * (i + 1)
            line[j] = inner' - total
          }
          total' = inner
          y[i] = line
        }
      }`;
    const found = await run(text, { rows: 2, columns: 3 }, { x: [1, 2, 3, 10, 20, 30] });
    expect(found['y']).toEqual([1, 3, 6, 20, 60, 120]);
    expect(found['total']).toEqual([126]);
  });

  it('stands in a function, after other equations, and starts from what they say', async () => {
    const text = `
      fn powers(x: f32[n], steps: int) -> f32[steps, n] {
        first = x * 0 + 1
        scan k in steps {
          state p: f32[n] = first
          p' = p * x
          y[k] = p
        }
        return y
      }
      model M() {
        input x: f32[n]
        output y: f32[4, n]
        y = powers(x, 4)
      }`;
    expect((await run(text, { n: 2 }, { x: [2, 3] }))['y']).toEqual([1, 1, 2, 3, 4, 9, 8, 27]);
  });

  it('holds layers, whose parameters are the same in every step', async () => {
    const text = `
      model M() {
        input x: f32[batch, time, 2]
        output y: f32[batch, time, 2]
        output weight: f32[2, 2]
        map = Dense(2, weight_init: ones)
        scan t in time {
          state h: f32[batch, 2] = zeros
          h' = map(x[:, t] + h)
          y[:, t] = h'
        }
        weight = grad(sum(y), map.weight)
      }`;
    const found = await run(text, { batch: 1, time: 2 }, { x: [1, 2, 3, 4] });
    expect(found['y']).toEqual([3, 3, 13, 13]);
    // Of y0 + y1 by w: y1 depends on y0 too.
    expect(found['weight']).toEqual([9, 9, 13, 13]);
  });
});
