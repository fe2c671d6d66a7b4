/** Which contractions are known to have products that count nothing. */
import { expect, it } from 'vitest';
import { schedule } from '../../compiler/schedule/schedule.ts';
import { wasmTarget } from '../../compiler/schedule/target.ts';
import { attentionModel, computationOf } from '../support/attention.ts';
import { conditionKey } from '../../compiler/shape/poly.ts';

/** The conditions of every contraction, in their order. */
const liveOf = (text: string): string[] =>
  schedule(computationOf(text), wasmTarget).kernels.flatMap(({ kernel }) =>
    kernel.kind === 'contract' ? [(kernel.live ?? []).map((c) => conditionKey(c)).join(' and ')] : [],
  );

const attention = (args: string, inputs = ''): string[] =>
  liveOf(attentionModel({ args, inputs, size: 8, width: 8 }));

it('all six products of causal attention and its gradients have them', () => {
  const found = attention(', causal: true');
  expect(found).toHaveLength(6);
  for (const conditions of found) expect(conditions).toMatch(/^ge /);
  const mask = 'input mask: bool[batch, 1, 1, s]';
  expect(attention(', causal: true, mask: mask', mask).filter((c) => c !== '')).toHaveLength(6);
});

it('those of other attention, and of padding, have none', () => {
  expect(new Set(attention(''))).toEqual(new Set(['']));
  const padded = `model Case() {
    input x: f32[batch, 3, 8, 8]
    output y: f32[batch, 4, 8, 8]
    c = Conv2d(4, kernel: 3, padding: 1)
    y = c(x)
  }`;
  expect(liveOf(padded)).toEqual(['']);
});
