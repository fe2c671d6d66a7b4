// Measures one workload on the build in dist/: a training step, inference of 1 and 64 samples, time to the first step.
//
//   node bench/ours.mjs [--target wasm|webgpu] [--threads N] [--strict] WORKLOAD
//
// The last line of output is JSON: {workload, trainMs, inferMs1, inferMs64, rssMb, firstStepMs, trainStat, loss0, check}
// (`opMs` of an operator). `loss0` is the loss of the first step, `check` the mean |output| of the first sample; every
// program that computes the same has the same. BENCH_T0: milliseconds since the epoch when the process was started.
import { parseArgs } from 'node:util';
import * as inputs from './lib/data.mjs';
import * as sessions from './lib/session.mjs';
import { budgets, timeCalls, timeSteps } from './lib/timing.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: 'string', default: 'wasm' },
    threads: { type: 'string', default: '1' },
    strict: { type: 'boolean', default: false },
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
