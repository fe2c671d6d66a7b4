import { expect, it } from 'vitest';
import { prefersWideTiles } from '../../cli/engine.ts';
import { requestPairing } from '../../runtime/relaxed.ts';

const major = Number.parseInt(process.versions.node, 10);

it('pairs of vectors are asked for where V8 has them', () => {
  expect(requestPairing()).toBe(major >= 24);
});

it('wide tiles are measured, and refused where vectors are not paired', () => {
  const preferred = prefersWideTiles(false);
  if (major < 24) expect(preferred).toBe(false);
  else expect(typeof preferred).toBe('boolean');
});
