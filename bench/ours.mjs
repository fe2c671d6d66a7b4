// Measures one workload on the build in dist/: a training step, inference of 1 and 64 samples, time to the first step.
//
//   node bench/ours.mjs [--target wasm|webgpu] [--threads N] [--strict] [--kernels] WORKLOAD
//
// The last line of output is JSON: {workload, trainMs, inferMs1, inferMs64, rssMb, firstStepMs, trainStat, loss0, check}
// (`opMs` of an operator). `loss0` is the loss of the first step, `check` the mean |output| of the first sample; every
// program that computes the same has the same. --kernels prints the slowest kernels of the step and of inference instead,
// on one thread of wasm. BENCH_T0: milliseconds since the epoch when the process was started.
import { parseArgs } from 'node:util';
import * as inputs from './lib/data.mjs';
import * as sessions from './lib/session.mjs';
import { table } from './lib/table.mjs';
import { budgets, median, timeCalls, timeSteps } from './lib/timing.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: 'wasm' },
    threads: { type: 'string', default: '1' },
    strict: { type: 'boolean', default: false },
    kernels: { type: 'boolean', default: false },
  },
});
const [workload = ''] = positionals;
if (![...inputs.models, ...inputs.operators].includes(workload))
  throw new Error(`no workload ${workload}; there are ${[...inputs.models, ...inputs.operators].join(', ')}`);

const result = { workload };
function report(more) {
  Object.assign(result, more, { rssMb: Math.round(process.resourceUsage().maxRSS / 1024) });
  console.log(JSON.stringify(result));
}

const start = Number(process.env.BENCH_T0 ?? performance.timeOrigin);
const file = sessions.workloadFile(workload);
// What every program compared does alike is not counted.
const [source, weights, sharedMs] = timed(() => [inputs.data(workload), inputs.weights(workload)]);
const sinceStart = () => Math.round(Date.now() - start - sharedMs);
/** A session closes its device. */
const openDevice = () =>
  sessions.openDevice(values.target, { threads: Number(values.threads), strict: values.strict });

await measureTraining();
if (inputs.models.includes(workload)) await measureInference();

function timed(body) {
  const began = performance.now();
  const made = body();
  return [...made, performance.now() - began];
}

async function measureTraining() {
  const device = await openDevice();
  const isOperator = inputs.operators.includes(workload);
  // The host has scaled the images, as for every other program.
  const sets = 'image' in source.fields ? { scale: '1.0' } : {};
  const { program } = await sessions.compile('task', file, 'train', source, device, sets);
  const compiledMs = sinceStart();
  const session = await device.open(program);
  const openedMs = sinceStart();
  await sessions.fill(session, weights);
  const batch = inputs.trainBatch(workload);
  let steps = 0;
  const step = () => {
    const clocks = { seed: 1, step: steps + 1, epoch: 1, epochs: 1, steps_per_epoch: 100 };
    return session.run('train', { batch }, source.batch(steps++, batch), clocks);
  };
  const loss = async () => (await session.output('train', 'loss'))[0];
  await step();
  const loss0 = await loss();
  if (values.kernels)
    return await printKernels('training step', session, () => {
      const clocks = { seed: 1, step: steps + 1, epoch: 1, epochs: 1, steps_per_epoch: 100 };
      return ['train', { batch }, source.batch(steps++, batch), clocks];
    });
  report({ ...(!isOperator && { loss0 }), compiledMs, openedMs, firstStepMs: sinceStart() });
  const stat = await timeSteps(step, loss, isOperator ? budgets.op : budgets.train);
  if (isOperator) report({ opMs: stat.ms, opStat: stat, check: (await session.read('result'))[0] });
  else report({ trainMs: stat.ms, trainStat: stat, lossN: await loss(), steps });
  session.close();
  device.close();
}

async function measureInference() {
  const device = await openDevice();
  const name = await sessions.modelName(file, source);
  const { program, info } = await sessions.compile('model', file, name, source, device);
  const session = await device.open(program);
  await sessions.fill(session, weights);
  const infer = async (given, batch) => {
    await session.run(info.predict, { batch }, given);
    return await session.output(info.predict, 'logits');
  };
  if (values.kernels) {
    for (const batch of [1, 64]) {
      const given = inputs.inferenceInputs(source, workload, 0, batch);
      await session.run(info.predict, { batch }, given);
      await printKernels(`inference of ${batch}`, session, () => [info.predict, { batch }, given]);
    }
    return;
  }
  const first = await infer(inputs.inferenceInputs(source, workload, 0, 1), 1);
  report({ check: first.reduce((sum, x) => sum + Math.abs(x), 0) / first.length });
  for (const batch of [1, 64]) {
    const batches = Array.from({ length: 8 }, (_, i) => inputs.inferenceInputs(source, workload, i, batch));
    const ms = await timeCalls((i) => infer(batches[i % 8], batch), budgets.infer);
    report({ [`inferMs${batch}`]: ms });
  }
  session.close();
  device.close();
}

/** The slowest kernels of a plan that has run: median milliseconds, and the rate of its arithmetic. */
async function printKernels(title, session, next) {
  const [name, dims] = next();
  const plan = session.program.plans[name];
  const { evalSize } = await sessions.built('runtime/size.js');
  const times = plan.dispatches.map(() => []);
  const until = performance.now() + budgets.train;
  for (let i = 0; i < 20 || (i < 500 && performance.now() < until); i++)
    session.profile(...next()).forEach((ms, d) => times[d].push(ms));
  const rows = plan.dispatches.map((d, i) => {
    const ms = median(times[i].slice(times[i].length >> 2));
    const loops = plan.loops.filter((l) => l.begin <= i && i < l.end);
    const runs = loops.reduce((n, l) => n * evalSize(l.count, dims), 1);
    return { name: d.name, runs, ms, rate: (evalSize(d.flops, dims) * runs) / ms / 1e6 };
  });
  const total = rows.reduce((sum, r) => sum + r.ms, 0);
  const shown = rows.sort((a, b) => b.ms - a.ms).slice(0, 12);
  const cells = shown.map((r) => [r.name, String(r.runs), r.ms.toFixed(3), r.rate.toFixed(1)]);
  console.log(`\n${workload}, ${title}: ${total.toFixed(2)} ms in ${rows.length} kernels\n`);
  console.log(table([['kernel', 'runs', 'ms', 'GFLOP/s'], ...cells]).join('\n'));
}
