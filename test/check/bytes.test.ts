import { describe, expect, it } from 'vitest';
import { formatBytes, parseBytes } from '../../compiler/check/bytes.ts';

describe('amounts of memory', () => {
  it.each([
    ['512MB', 512e6],
    ['1.5GB', 1.5e9],
    ['256 MiB', 256 * 2 ** 20],
    ['1gib', 2 ** 30],
    ['64KB', 64000],
    ['7B', 7],
    [' 2 TB ', 2e12],
  ])('%s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each([
    '',
    '512',
    'MB',
    '-1MB',
    '0MB',
    '1e3MB',
    '.5GB',
    '5.GB',
    '1,5GB',
    '10 MB more',
    '10mbit',
    '1PB',
    'NaNMB',
    '99999999TB',
    '0.1B',
  ])('not %s', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });

  it('what is written is enough', () => {
    for (const bytes of [1, 999, 1000, 1001, 12_345_678, 999_999_999, 1e9 + 1, 2 ** 40])
      expect(parseBytes(formatBytes(bytes))).toBeGreaterThanOrEqual(bytes);
    expect(formatBytes(12_345_678)).toBe('12.4 MB');
  });
});
