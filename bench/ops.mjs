// Operators beside what the machine can do: matrix products and convolutions as fractions of the peak, element-wise work
// and row kernels in bytes a second, beside PyTorch's where it is installed.
//
//   node bench/ops.mjs [--ms 1000] [--only TITLE]
//
// The peak is measured first: multiply-adds in registers on one thread of Wasm.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { data } from './lib/data.mjs';
import { python, runProgram } from './lib/programs.mjs';
import * as sessions from './lib/session.mjs';
import { table } from './lib/table.mjs';
import { timeSteps } from './lib/timing.mjs';

const { values: options } = parseArgs({
  options: { ms: { type: 'string', default: '1000' }, only: { type: 'string', default: '' } },
});
const budget = Number(options.ms);
const source = data('matmul');

/** Opens an operator's training step, calls `body(session, step)`, closes it. */
async function withOperator(workload, threads, sets, body) {
  const device = await sessions.openDevice('wasm', { threads });
  const file = sessions.workloadFile(workload);
  const { program } = await sessions.compile('task', file, 'train', source, device, sets);
  const session = await device.open(program);
  await session.run('init', {}, {}, { seed: 1 });
  let steps = 0;
  const given = () => [
    'train',
    { batch: 1 },
    source.batch(0, 1),
    { seed: 1, step: ++steps, epoch: 1, epochs: 1 },
  ];
  const result = await body(session, given);
  session.close();
  return result;
}

/** Best time of a step in ms. */
const stepTime = (workload, threads, sets = {}) =>
  withOperator(workload, threads, sets, async (session, given) => {
    const stat = await timeSteps(
      () => session.run(...given()),
      () => session.output('train', 'loss'),
      budget,
    );
    return stat.min;
  });

/** Best time in ms of the kernels that write each state of the operator, by the state's name, on one thread. */
const kernelTimes = (workload) =>
  withOperator(workload, 1, {}, async (session, given) => {
    const plan = session.program.plans.train;
    const best = plan.dispatches.map(() => Infinity);
    await session.run(...given());
    for (const until = performance.now() + budget; performance.now() < until;)
      session.profile(...given()).forEach((ms, i) => (best[i] = Math.min(best[i], ms)));
    const times = new Map();
    plan.dispatches.forEach((d, i) => {
      // Operands come first among a kernel's buffers, what it writes last.
      const { place, name } = plan.buffers[d.buffers.at(-1)];
      const written = place.kind === 'store' ? session.program.stores[place.store].name : name;
      times.set(written, (times.get(written) ?? 0) + best[i]);
    });
    return times;
  });

const percent = (x) => `${(100 * x).toFixed(0)} %`;
const digits = (x) => (x >= 100 ? x.toFixed(0) : x.toPrecision(3));

async function products(peak) {
  const rows = [['product', 'threads', 'ms', 'GFLOP/s', 'of peak', 'to one thread']];
  for (const n of [512, 1024]) {
    let one;
    for (const threads of [1, 2]) {
      const ms = await stepTime('matmul', threads, { n: String(n) });
      one ??= ms;
      const rate = (2 * n ** 3) / ms / 1e6;
      rows.push([
        `${n}³`,
        String(threads),
        digits(ms),
        digits(rate),
        percent((rate * 1e9) / peak / threads),
        `${digits(one / ms)}x`,
      ]);
    }
  }
  return rows;
}

/** 64 images of 32 channels, 14 by 14, to 64 channels with windows of 3 by 3. */
async function convolutions(peak) {
  const flops = 2 * 64 * 64 * 12 * 12 * 32 * 9;
  const product = (2 * 512 ** 3) / (await stepTime('matmul', 1, { n: '512' }));
  const times = await kernelTimes('convolution');
  const rows = [['convolution', 'ms', 'GFLOP/s', 'of peak', 'of the 512³ product']];
  for (const state of ['forward', 'dx', 'dweight']) {
    const ms = times.get(state);
    if (ms === undefined) throw new Error(`no kernel writes ${state}, but ${[...times.keys()].join(', ')}`);
    rows.push([
      state,
      digits(ms),
      digits(flops / ms / 1e6),
      percent(((flops / ms) * 1000) / peak),
      percent(flops / ms / product),
    ]);
  }
  return rows;
}

/** Bytes that have to be moved: operands and result. */
const rowOperators = [
  ['elementwise', 3 * 4096 * 1024 * 4],
  ['softmax', 2 * 4096 * 1024 * 4],
  ['layernorm', 2 * 4096 * 1024 * 4],
];

async function bandwidths() {
  const interpreter = python();
  const rows = [['4096 rows of 1024', 'threads', 'ms', 'GB/s', 'PyTorch ms', 'PyTorch/ours']];
  for (const [workload, bytes] of rowOperators)
    for (const threads of [1, 2]) {
      const ms = await stepTime(workload, threads);
      const torch = interpreter ? await torchTime(interpreter, workload, threads) : undefined;
      rows.push([
        workload,
        String(threads),
        digits(ms),
        digits(bytes / ms / 1e6),
        torch === undefined ? '' : digits(torch),
        torch === undefined ? '' : `${digits(torch / ms)}x`,
      ]);
    }
  return rows;
}

async function torchTime(interpreter, workload, threads) {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'peers', 'pytorch.py');
  const env = { TORCH_THREADS: String(threads), OMP_WAIT_POLICY: 'PASSIVE', BENCH_OP_MS: String(budget) };
  const { opStat } = await runProgram([interpreter, script, workload], env, 90);
  return opStat?.min;
}

const { measurePeaks } = await sessions.built('cli/peaks.js');
const device = await sessions.openDevice('wasm');
const peak = measurePeaks(device.relaxed).flops;
console.log(`Node ${process.version}, peak of one thread ${digits(peak / 1e9)} GFLOP/s`);
for (const [title, measure] of Object.entries({ products, convolutions, bandwidths }))
  if (title.includes(options.only)) console.log(`\n${table(await measure(peak)).join('\n')}`);
