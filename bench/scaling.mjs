// Time of a training step against batch, width and depth, and time to compile against the number of layers.
//
//   node bench/scaling.mjs [--threads N] [--ms 1000] [--svg docs/scaling.svg] [--only TITLE]
//
// Prints tables, and a plot of them if --svg names a file. `growth` is the exponent between two rows: 1 is in proportion.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { data } from './lib/data.mjs';
import { plot } from './lib/plot.mjs';
import * as sessions from './lib/session.mjs';
import { table } from './lib/table.mjs';
import { timeSteps } from './lib/timing.mjs';

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    ms: { type: 'string', default: '1000' },
    svg: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
const device = await sessions.openDevice('wasm', { threads: Number(options.threads) });
const images = data('mlp');
const perceptron = sessions.workloadFile('scaling');

const doubling = (from, to) => (from > to ? [] : [from, ...doubling(2 * from, to)]);

/** Fastest block, in ms a step, and GFLOP/s of the arithmetic that the step needs. */
async function step({ width = 256, depth = 2, batch = 64 }) {
  const sets = { width: String(width), depth: String(depth), scale: '1.0' };
  const { program } = await sessions.compile('task', perceptron, 'train', images, device, sets);
  const session = await device.open(program);
  await session.run('init', {}, {}, { seed: 1 });
  let steps = 0;
  const once = () =>
    session.run('train', { batch }, images.batch(steps++, batch), {
      seed: 1,
      step: steps,
      epoch: 1,
      epochs: 1,
    });
  // The engine optimises a function of the generated code once it has run for a while: each kernel on its own.
  for (const until = performance.now() + 2000; steps < 40 && performance.now() < until;) await once();
  const { min } = await timeSteps(once, () => session.output('train', 'loss'), Number(options.ms));
  session.close();
  // Two products for the weights' gradient and the result in every layer, a third for the gradient that is handed on.
  const weights = [784 * width, ...Array.from({ length: depth - 1 }, () => width * width), width * 10];
  const flops = weights.reduce((sum, n, i) => sum + 2 * batch * n * (i === 0 ? 2 : 3), 0);
  return { ms: min, gflops: flops / min / 1e6 };
}

/** Fastest of some compilations, in ms. */
async function compileTime(file, source, sets) {
  let least = Infinity;
  const start = performance.now();
  for (let i = 0; i < 5 && (i < 2 || performance.now() - start < 3000); i++) {
    const began = performance.now();
    await sessions.compile('task', file, 'train', source, device, sets);
    least = Math.min(least, performance.now() - began);
  }
  return { ms: least };
}

const experiments = [
  {
    title: 'Training step against batch (784-256-256-10)',
    x: 'batch',
    values: doubling(1, 1024),
    measure: (batch) => step({ batch }),
  },
  {
    title: 'Training step against width (2 layers, batch 64)',
    x: 'width',
    values: doubling(32, 2048),
    measure: (width) => step({ width }),
  },
  {
    title: 'Training step against depth (width 256, batch 64)',
    x: 'depth',
    values: doubling(2, 64),
    measure: (depth) => step({ depth }),
  },
  {
    title: 'Compile time of a perceptron against depth',
    x: 'layers',
    values: doubling(2, 64),
    measure: (depth) => compileTime(perceptron, images, { depth: String(depth), scale: '1.0' }),
  },
  {
    title: 'Compile time of a GPT against blocks',
    x: 'blocks',
    values: doubling(1, 16),
    measure: (blocks) => compileTime(sessions.workloadFile('gpt'), data('gpt'), { blocks: String(blocks) }),
  },
];

const digits = (x) => (x === undefined ? '' : x >= 100 ? x.toFixed(0) : x.toPrecision(3));
const panels = [];
// The compiler is compiled itself while it runs: let that happen before it is timed.
for (let i = 0; i < 4; i++) await compileTime(perceptron, images, { depth: '8', scale: '1.0' });
for (const { title, x, values, measure } of experiments.filter((e) =>
  e.title.toLowerCase().includes(options.only),
)) {
  const points = [];
  const rows = [];
  for (const value of values) {
    const { ms, gflops } = await measure(value);
    const [lastX, lastMs] = points.at(-1) ?? [];
    const growth = lastX === undefined ? undefined : Math.log(ms / lastMs) / Math.log(value / lastX);
    points.push([value, ms]);
    rows.push([String(value), digits(ms), growth?.toFixed(2) ?? '', digits(gflops)]);
  }
  console.log(`\n${title}\n\n${table([[x, 'ms', 'growth', 'GFLOP/s'], ...rows]).join('\n')}`);
  panels.push({ title, x, y: 'ms', series: [{ name: x, points, proportional: true }] });
}
if (options.svg) writeFileSync(options.svg, plot(panels));
device.close();
