import { expect, it } from 'vitest';
import { prefersWideTiles } from '../../cli/engine.ts';
import { requestPairing } from '../../runtime/relaxed.ts';

const major = Number.parseInt(process.versions.node, 10);

it('pairs of vectors are asked for where V8 has them', () => {
  expect(requestPairing()).toBe(major >= 24);
});

it('both tiles run, and one is preferred', () => {
  expect(typeof prefersWideTiles(false)).toBe('boolean');
});
