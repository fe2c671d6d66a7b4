import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { didYouMean, suggest, suggestions } from '../../compiler/diagnostics/suggest.ts';
import { editDistance } from '../../grammar/distance.ts';

describe('edit distance', () => {
  it('counts insertions, deletions, replacements and exchanges once', () => {
    expect(editDistance('', '')).toBe(0);
    expect(editDistance('', 'abc')).toBe(3);
    expect(editDistance('relu', 'rleu')).toBe(1);
    expect(editDistance('softmax', 'sofmax')).toBe(1);
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('ca', 'abc')).toBe(3);
  });

  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '😀'), maxLength: 8 });
  it('is symmetric, zero only for equal words, and bounded by the longer word', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const d = editDistance(a, b);
        expect(editDistance(b, a)).toBe(d);
        expect(d === 0).toBe(a === b);
        expect(d).toBeLessThanOrEqual(Math.max([...a].length, [...b].length));
        expect(d).toBeGreaterThanOrEqual(Math.abs([...a].length - [...b].length));
      }),
    );
  });
});

describe('suggestions', () => {
  const library = ['Dense', 'Conv2d', 'MaxPool2d', 'AvgPool2d', 'relu', 'gelu', 'softmax', 'cross_entropy'];

  it.each([
    ['Desne', 'Dense'],
    ['dense', 'Dense'],
    ['ReLU', 'relu'],
    ['max_pool_2d', 'MaxPool2d'],
    ['crossEntropy', 'cross_entropy'],
    ['entropy', 'cross_entropy'],
    ['Conv', 'Conv2d'],
    ['sofmax', 'softmax'],
  ])('%s was meant to be %s', (written, meant) => {
    expect(suggest(written, library)).toBe(meant);
  });

  it('says nothing rather than something far away', () => {
    expect(suggest('Transformer', library)).toBeUndefined();
    expect(suggest('x', ['y', 'h', 'w'])).toBeUndefined();
    expect(suggest('image', ['label'])).toBeUndefined();
    expect(didYouMean('Transformer', library)).toBeUndefined();
  });

  it('prefers another spelling of the same word, then the fewest mistakes, then the order given', () => {
    expect(suggestions('RELU', ['gelu', 'relu'])).toEqual(['relu', 'gelu']);
    expect(suggestions('hiden', ['hidden', 'hiding', 'hide'])[0]).toBe('hidden');
    expect(suggestions('Conv3d', ['Conv1d', 'Conv2d'])).toEqual(['Conv1d', 'Conv2d']);
    expect(suggestions('abcd', ['abce', 'abcf', 'abcg', 'abch'])).toHaveLength(3);
  });

  it('makes a sentence', () => {
    expect(didYouMean('sofmax', library)).toBe('did you mean `softmax`?');
    expect(didYouMean('Conv3d', ['Conv1d', 'Conv2d'])).toBe('did you mean `Conv1d` or `Conv2d`?');
    expect(didYouMean('abcd', ['abce', 'abcf', 'abcg'])).toBe('did you mean `abce`, `abcf` or `abcg`?');
  });
});
