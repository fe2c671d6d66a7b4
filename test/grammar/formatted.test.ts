/** The programs that people are shown are in the form that `nnetc fmt` gives them. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse, print } from '../../grammar/index.ts';

const folders = ['examples', 'bench/workloads'];
const files = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.nnet'))
    .map((name) => `${folder}/${name}`),
);

it.each(files)('%s', (path) => {
  const text = readFileSync(path, 'utf8');
  expect(print(parse({ path, text }).syntax)).toBe(text);
});
