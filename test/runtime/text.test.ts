/** Windows of a text: what their tokens are, and that overlapping ones are read right. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { StaticValue } from '../../compiler/plan.ts';
import { gatherSamples } from '../../runtime/data/column.ts';
import { describeSource, loadSource } from '../../runtime/data/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-text-'));
afterAll(() => rmSync(folder, { recursive: true }));

function call(text: string, args: Readonly<Record<string, StaticValue>>) {
  writeFileSync(join(folder, 'a.txt'), text);
  return { kind: 'text', args: { file: 'a.txt', ...args }, file: join(folder, 'main.nnet') };
}

function sample(source: ReturnType<typeof call>, field: string, at: number): number[] {
  const column = loadSource(source).columns.get(field)!;
  const into = new Int32Array(column.shape[0]!);
  gatherSamples(column, Uint32Array.of(at), 0, 1, into);
  return [...into];
}

it('tokens are numbers of characters, whole code points, in their order', () => {
  const source = call('b😀aé', { length: 3 });
  const { fields, count, vocabulary } = describeSource(source);
  expect(vocabulary).toEqual({ unit: 'char', size: 4, symbols: ['a', 'b', 'é', '😀'] });
  expect({ fields, count }).toEqual({
    fields: { token: { dtype: 'i32', shape: [3] }, next: { dtype: 'i32', shape: [3] } },
    count: 1,
  });
  expect(sample(source, 'token', 0)).toEqual([1, 3, 0]);
  expect(sample(source, 'next', 0)).toEqual([3, 0, 2]);
});

it.each([
  [4, 5, 2],
  [2, 5, 4],
  [1, 5, 7],
  [20, 16, 1],
])('windows every %i of length %i: %i of them, the last with the token after it', (stride, length, count) => {
  const text = 'abcdefghijklmnopq'.slice(0, stride === 1 ? 12 : stride === 4 ? 10 : stride === 2 ? 12 : 17);
  const source = call(text, { length, stride });
  expect(describeSource(source).count).toBe(count);
  for (let i = 0; i < count; i++) {
    const wanted = [...text.slice(i * stride, i * stride + length)].map((c) => c.charCodeAt(0) - 97);
    expect(sample(source, 'token', i)).toEqual(wanted);
    expect(sample(source, 'next', i)).toEqual(wanted.map((v) => v + 1));
  }
});

it('more than 256 characters are counted too', () => {
  const text = Array.from({ length: 700 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 37) % 600))).join(
    '',
  );
  const source = call(text, { length: 700 - 1 });
  expect(describeSource(source).vocabulary?.size).toBe(600);
  expect(sample(source, 'token', 0)).toEqual(Array.from({ length: 699 }, (_, i) => (i * 37) % 600));
});
