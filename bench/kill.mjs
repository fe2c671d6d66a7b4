// Kills `nnetc run` with SIGKILL at random moments and resumes it, many times over: no checkpoint may be unreadable, and
// the final weights must be those of a run that was left alone, bit by bit.
//
//   node bench/kill.mjs [FILE] [--kills 50] [--seed 1] [-- options of nnetc run]
//
// Needs a build (npm run build). Exit code 1 when anything differs.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cut = process.argv.indexOf('--');
const extra = cut < 0 ? ['--epochs', '2'] : process.argv.slice(cut + 1);
const { values, positionals } = parseArgs({
  args: process.argv.slice(2, cut < 0 ? undefined : cut),
  allowPositionals: true,
  options: { kills: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' } },
});
const [file = join(root, 'examples', 'mnist.nnet')] = positionals;
const kills = Number(values.kills);
const work = mkdtempSync(join(tmpdir(), 'nnetc-kill-'));

/** Runs nnetc; kills it after `ms` if it is still there. Resolves to its code, or undefined when it was killed. */
function nnetc(args, ms) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [
      join(root, 'dist', 'cli', 'main.js'),
      'run',
      file,
      ...extra,
      ...args,
    ]);
    let err = '';
    child.stderr.on('data', (text) => (err += text));
    child.stdout.resume();
    const timer = ms === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), ms);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (signal === 'SIGKILL') resolve(undefined);
      else if (code === 0) resolve(0);
      else reject(new Error(`nnetc run ${args.join(' ')} ended with ${code ?? signal}:\n${err}`));
    });
  });
}

const hash = (folder) =>
  createHash('sha256')
    .update(readFileSync(join(folder, 'model.safetensors')))
    .digest('hex');

/** Deterministic, so that a failure can be had again: xorshift32. */
function random(seed) {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

const whole = join(work, 'whole');
const began = performance.now();
await nnetc(['--out', whole]);
const duration = performance.now() - began;
const wanted = hash(whole);
console.log(`left alone: ${(duration / 1000).toFixed(1)} s, ${wanted.slice(0, 16)}`);

const next = random(Number(values.seed));
let killed = 0;
let chains = 0;
let different = 0;
while (killed < kills) {
  const folder = join(work, `chain-${chains++}`);
  // Chains of kills in one folder, until one process comes to its end.
  for (let done = false; !done;) {
    const ms = killed < kills ? next() * duration * 0.9 : undefined;
    const resume = existsSync(folder) ? ['--resume'] : [];
    done = (await nnetc(['--out', folder, ...resume], ms)) === 0;
    if (!done) killed++;
  }
  const found = hash(folder);
  const left = readdirSync(folder).filter((name) => name.endsWith('.tmp'));
  if (found !== wanted) different++;
  console.log(
    `chain ${chains}: ${killed} kills so far, ${found === wanted ? 'identical' : `DIFFERENT ${found}`}${left.length > 0 ? `, left over: ${left.join(' ')}` : ''}`,
  );
}
rmSync(work, { recursive: true });
console.log(
  `${killed} kills in ${chains} chains: ${different === 0 ? 'all bit-identical' : `${different} differ`}`,
);
process.exitCode = different === 0 ? 0 : 1;
