// Time from process start to the first training step of `nnetc`: the first time a file is compiled, and when it was before.
//
//   node bench/start.mjs [--workload mlp,lenet,gpt] [--reps 3] [--threads N]
//
// Also the peak memory of training. Medians; `bench/peers.mjs` shows the same figures of other programs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { models } from './lib/data.mjs';
import { runProgram } from './lib/programs.mjs';
import { distFile, workloadFile } from './lib/session.mjs';
import { table } from './lib/table.mjs';
import { median } from './lib/timing.mjs';

const { values: options } = parseArgs({
  options: {
    workload: { type: 'string', default: models.join(',') },
    reps: { type: 'string', default: '3' },
    threads: { type: 'string', default: '1' },
  },
});

async function start(workload, cache) {
  const args = ['bench', workloadFile(workload), '--backend', 'wasm', '--threads', options.threads];
  const command = [process.execPath, distFile('bin/nnetc.js'), ...args, '--steps', '10', '--json'];
  const result = await runProgram(command, { NNET_CACHE: cache }, 60);
  if (result.error) throw new Error(`${workload}: ${result.error}`);
  return result;
}

const rows = [['', 'first start, ms', 'second start, ms', 'peak memory, MB']];
for (const workload of options.workload.split(',')) {
  const runs = { first: [], second: [], memory: [] };
  for (let rep = 0; rep < Number(options.reps); rep++) {
    const cache = mkdtempSync(join(tmpdir(), 'nnetc-start-'));
    try {
      const first = await start(workload, cache);
      const second = await start(workload, cache);
      runs.first.push(first.firstStep);
      runs.second.push(second.firstStep);
      runs.memory.push(first.peakMemory / 1e6);
    } finally {
      rmSync(cache, { recursive: true });
    }
  }
  rows.push([workload, ...Object.values(runs).map((values) => median(values).toFixed(0))]);
}
console.log(table(rows).join('\n'));
