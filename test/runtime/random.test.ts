import { describe, expect, it } from 'vitest';
import { philox, range, shuffle, split, streams } from '../../runtime/random.ts';

const hex = (words: Uint32Array): string => [...words].map((w) => w.toString(16).padStart(8, '0')).join(' ');

describe('philox', () => {
  // Known answers of Random123 (kat_vectors, philox4x32 with 10 rounds).
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ])('gives the published words for %j', (counter, key, answer) => {
    const block = Uint32Array.from(counter);
    philox(block, key[0]!, key[1]!);
    expect(hex(block)).toBe(answer);
  });
});

describe('shuffle', () => {
  const shuffled = (n: number, seed: number, epoch: number): number[] => {
    const order = range(n);
    shuffle(order, seed, streams.shuffle, epoch);
    return [...order];
  };

  it('is a permutation that depends on seed and epoch only', () => {
    for (const n of [0, 1, 2, 3, 64, 1001]) {
      const order = shuffled(n, 7, 3);
      expect(order.toSorted((a, b) => a - b)).toEqual([...range(n)]);
      expect(shuffled(n, 7, 3)).toEqual(order);
    }
    expect(shuffled(100, 7, 3)).not.toEqual(shuffled(100, 7, 4));
    expect(shuffled(100, 7, 3)).not.toEqual(shuffled(100, 8, 3));
  });

  it('keeps its order for good: a checkpoint relies on it', () => {
    expect(shuffled(10, 1, 0)).toMatchInlineSnapshot(`
      [
        1,
        9,
        3,
        8,
        7,
        0,
        5,
        2,
        4,
        6,
      ]
    `);
  });

  it('puts every element everywhere about equally often', () => {
    const n = 8;
    const runs = 4000;
    const counts = Array.from({ length: n }, () => new Uint32Array(n));
    for (let epoch = 0; epoch < runs; epoch++) shuffled(n, 1, epoch).forEach((x, i) => counts[i]![x]!++);
    // Binomial: mean 500, standard deviation 21.
    for (const row of counts) for (const c of row) expect(Math.abs(c - runs / n)).toBeLessThan(5 * 21);
  });
});

describe('split', () => {
  it('parts the samples without loss, by fraction or by number', () => {
    for (const [count, fraction, valid] of [
      [1000, 0.1, 100],
      [1000, 300, 300],
      [10, 0.01, 1],
      [10, 0, 0],
      [1, 0.5, 0],
      [5, 99, 4],
      [0, 0.1, 0],
    ] as const) {
      const { train, valid: v } = split(count, fraction, 1);
      expect(v.length).toBe(valid);
      expect([...train, ...v].toSorted((a, b) => a - b)).toEqual([...range(count)]);
    }
  });

  it('follows the seed, and is not the end of the file', () => {
    expect([...split(100, 0.2, 1).valid]).toEqual([...split(100, 0.2, 1).valid]);
    expect([...split(100, 0.2, 1).valid]).not.toEqual([...split(100, 0.2, 2).valid]);
    expect([...split(100, 0.2, 1).valid]).not.toEqual([...range(20, 80)]);
  });
});
