// Shows that the tests notice a wrong gradient: for every row of the table and every operand, the sign of that one
// partial is flipped, and the finite-difference cases must fail. Prints one line a row; exit 1 if one goes unnoticed.
import { spawnSync } from 'node:child_process';

const run = spawnSync(
  'npx',
  ['vitest', 'run', 'test/grad/cases.test.ts', '-t', 'a flipped sign', '--reporter=verbose'],
  {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
  },
);
const rows = run.stdout.split('\n').filter((line) => line.includes('a flipped sign:'));
const seen = new Set();
for (const line of rows) {
  const row = line.replace(/.*a flipped sign: /, '').replace(/ \d+m?s$/, '');
  if (seen.has(row)) continue;
  seen.add(row);
  console.log(`${line.includes('✓') ? 'noticed  ' : 'UNNOTICED'}  ${row}`);
}
process.exit(run.status === 0 && seen.size > 0 ? 0 : 1);
