// Runs the workloads on this build and beside it on whatever else is installed, in turn, and prints tables with ratios.
//
//   node bench/peers.mjs [--workload mlp,gpt] [--program torch,wasm2] [--reps 3] [--quick] [--timeout S] [--out FILE.json]
//                        [--peer "NAME=COMMAND"] [--harness FOLDER] [--list]
//
// Each cell is a process of its own; programs alternate within a workload, so that a machine that gets slower slows all.
// A program is any command that prints JSON lines as bench/ours.mjs does, the workload's name appended (or put in the
// place of {workload}). --peer adds one. --harness adds those of a folder of scripts peers/tfjs.mjs and peers/jaxjs.mjs.
// --program webgpu,tfjs-webgpu,jaxjs-webgpu compares on the machine's GPU, or the driver that VK_ICD_FILENAMES names.
// PEERLAB: a folder with the packages of JavaScript peers in node_modules; PYTHON: an interpreter that has torch.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mnistFolder, models, operators } from './lib/data.mjs';
import { python, runProgram } from './lib/programs.mjs';
import { table } from './lib/table.mjs';
import { median } from './lib/timing.mjs';

const list = { type: 'string', multiple: true, default: [] };
const { values: options } = parseArgs({
  options: {
    workload: { type: 'string', default: [...models, ...operators].join(',') },
    program: { type: 'string' },
    reps: { type: 'string', default: '1' },
    timeout: { type: 'string', default: '90' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string' },
    peer: list,
    harness: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const lab = process.env.PEERLAB ?? join(tmpdir(), 'peerlab');
const node = process.execPath;
const environment = { ...process.env, PEERLAB: lab, MNIST_DIR: mnistFolder() };
if (options.quick) Object.assign(environment, { BENCH_TRAIN_MS: 600, BENCH_INFER_MS: 200, BENCH_OP_MS: 300 });

// ---------------------------------------------------------------- programs

const installed = (name) => existsSync(join(lab, 'node_modules', name, 'package.json'));
const install = (...names) => `npm install --ignore-scripts --prefix ${lab} ${names.join(' ')}`;

/** What can be run, and for what cannot, how to get it. */
function programs() {
  const found = new Map();
  const missing = [];
  const add = (name, reason, program) =>
    reason ? missing.push(`${name}: ${reason}`) : found.set(name, program);
  const ours = [node, join(here, 'ours.mjs')];
  found.set('wasm', { command: [...ours, '--threads', '1'] });
  found.set('wasm2', { command: [...ours, '--threads', '2'] });
  found.set('webgpu', { command: [...ours, '--target', 'webgpu'] });

  const interpreter = python();
  const torch = [interpreter, join(here, 'peers', 'pytorch.py')];
  const noTorch = interpreter
    ? ''
    : 'needs PyTorch (Debian: apt-get install python3-torch libopenblas0-pthread: without OpenBLAS it is ten times slower), PYTHON names the interpreter';
  add('torch', noTorch, { command: torch, env: { OMP_WAIT_POLICY: 'PASSIVE' } });

  for (const kind of ['node', 'web']) {
    const name = `onnxruntime-${kind}`;
    const reason = noTorch || (installed(name) ? '' : install(name));
    add(name, reason, {
      command: [node, '--no-warnings', join(here, 'peers', 'onnxruntime.mjs'), kind],
      only: models,
      before: () => exportModels(torch),
    });
  }
  for (const [script, packages, args, env, name, only] of [
    ['tfjs', ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'], ['wasm'], {}, 'tfjs-wasm'],
    // Without a gradient of convolutions the package cannot train these; this supplies one.
    ['tfjs', ['@tensorflow/tfjs'], ['wasm'], { TFJS_WGRAD_FIX: '1' }, 'tfjs-wasm+convgrad', ['lenet', 'cnn']],
    ['jaxjs', ['@jax-js/jax'], ['wasm'], {}, 'jaxjs-wasm'],
    ['jaxjs', ['@jax-js/jax'], ['wasm'], { JAX_WORKERS: '1' }, 'jaxjs-wasm-threads'],
    [
      'tfjs',
      ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu', 'webgpu'],
      ['webgpu'],
      {},
      'tfjs-webgpu',
    ],
    ['jaxjs', ['@jax-js/jax', 'webgpu'], ['webgpu'], {}, 'jaxjs-webgpu'],
  ]) {
    const file = options.harness && join(options.harness, 'peers', `${script}.mjs`);
    const reason =
      !file || !existsSync(file)
        ? '--harness FOLDER names its script'
        : packages.every(installed)
          ? ''
          : install(...packages);
    add(name, reason, {
      command: [node, '--experimental-import-meta-resolve', '--no-warnings', file, ...args],
      env,
      only,
    });
  }
  for (const given of options.peer) {
    const [name, command] = given.split(/=(.*)/s);
    found.set(name, { command: ['sh', '-c', command] });
  }
  return { found, missing };
}

/** ONNX Runtime gets its models from PyTorch. */
function exportModels(torch) {
  const folder = join(lab, 'nnet-onnx');
  if (existsSync(join(folder, 'gpt.b64.onnx'))) return;
  const [command, ...args] = torch;
  execFileSync(command, [...args, '--export', folder], { stdio: 'ignore', env: environment });
}

async function run(program, workload) {
  const [command, ...args] = program.command;
  const replaced = args.map((a) => a.replaceAll('{workload}', workload));
  const isReplaced = args.some((a) => a.includes('{workload}'));
  const last = command === 'sh' ? [args[0], `${args[1]} ${workload}`] : [...args, workload];
  return await runProgram(
    [command, ...(isReplaced ? replaced : last)],
    { ...environment, ...program.env },
    Number(options.timeout),
  );
}

// ---------------------------------------------------------------- tables

/** Title, value of a result, and whether the best is shown beside the median. */
const measures = [
  ['Training step, ms: median (best)', (r) => r.trainMs, (r) => r.trainStat?.min],
  ['Inference of one sample, ms', (r) => r.inferMs1],
  ['Inference of 64 samples, ms', (r) => r.inferMs64],
  ['Operator, ms: median (best)', (r) => r.opMs, (r) => r.opStat?.min],
  ['First step after process start, ms', (r) => r.firstStepMs],
  ['Peak memory, MB', (r) => r.rssMb],
];

const digits = (x) => (x === undefined ? '' : x >= 100 ? x.toFixed(0) : x.toPrecision(3));

function tables(results, names, workloads) {
  const of = (name, workload) => results.filter((r) => r.program === name && r.workload === workload);
  const value = (name, workload, pick, join) => {
    const found = of(name, workload).flatMap((r) => pick(r) ?? []);
    return found.length > 0 ? join(found) : undefined;
  };
  const least = (xs) => Math.min(...xs);
  const lines = [];
  for (const [title, pick, best] of measures) {
    const columns = workloads.filter((w) => names.some((n) => value(n, w, pick, median) !== undefined));
    const rows = names.filter((n) => columns.some((w) => value(n, w, pick, median) !== undefined));
    if (rows.length === 0) continue;
    const cell = (n, w) =>
      [
        digits(value(n, w, pick, median)),
        best && value(n, w, best, least) !== undefined ? `(${digits(value(n, w, best, least))})` : '',
      ]
        .join(' ')
        .trim();
    lines.push(
      '',
      `### ${title}`,
      '',
      ...table([['', ...columns], ...rows.map((n) => [n, ...columns.map((w) => cell(n, w))])]),
    );
    const isOurs = (n) => /^(wasm|webgpu)/.test(n);
    const others = rows.filter((n) => !isOurs(n));
    for (const ours of rows.filter(isOurs))
      if (others.length > 0) {
        const ratio = (n, w) => value(n, w, best ?? pick, least) / value(ours, w, best ?? pick, least);
        const shown = (n, w) => (Number.isFinite(ratio(n, w)) ? `${digits(ratio(n, w))}x` : '');
        lines.push(
          '',
          `Best of each, divided by ${ours}:`,
          '',
          ...table([['', ...columns], ...others.map((n) => [n, ...columns.map((w) => shown(n, w))])]),
        );
      }
  }
  lines.push('', '### Agreement: loss of the first step, mean |output| of the first sample', '');
  const agreement = (n, w) => {
    const [r] = of(n, w);
    return [r?.loss0?.toFixed(4), r?.check?.toPrecision(5)].filter((x) => x !== undefined).join(', ');
  };
  lines.push(
    ...table([['', ...workloads], ...names.map((n) => [n, ...workloads.map((w) => agreement(n, w))])]),
  );
  return lines.join('\n');
}

/** Programs that do not compute what the first of them computes. Dropout draws differ, so cnn's loss is left out. */
function disagreements(results) {
  return ['loss0', 'check'].flatMap((key) =>
    results.flatMap((r) => {
      const expected = results.find((o) => o.workload === r.workload && o[key] !== undefined)?.[key];
      if (r[key] === undefined || (key === 'loss0' && r.workload === 'cnn')) return [];
      const isNear = Math.abs(r[key] - expected) <= 1e-3 * Math.abs(expected);
      return isNear ? [] : [`${r.program} ${r.workload}: ${key} ${r[key]}, not ${expected}`];
    }),
  );
}

// ---------------------------------------------------------------- main

const { found, missing } = programs();
for (const line of missing) console.log(`not run: ${line}`);
// A GPU's programs run where they are asked for.
const wanted = options.program?.split(',') ?? [...found.keys()].filter((n) => !n.endsWith('webgpu'));
const names = [...found.keys()].filter((n) => wanted.includes(n));
const workloads = options.workload.split(',');
console.log(`programs: ${names.join(' ')}\nworkloads: ${workloads.join(' ')}`);
if (!options.list) {
  console.log(`${cpus()[0]?.model} x${cpus().length}, Node ${process.version}`);
  const results = [];
  for (let rep = 1; rep <= Number(options.reps); rep++)
    for (const workload of workloads)
      for (const name of names) {
        const program = found.get(name);
        if (program.only && !program.only.includes(workload)) continue;
        program.before?.();
        const result = { program: name, rep, ...(await run(program, workload)), workload };
        results.push(result);
        if (options.out) writeFileSync(options.out, JSON.stringify(results, null, 1));
        const said = ['trainMs', 'inferMs1', 'inferMs64', 'opMs', 'firstStepMs', 'rssMb'].flatMap((k) =>
          result[k] === undefined ? [] : `${k} ${digits(result[k])}`,
        );
        console.log(`[${rep}] ${workload} ${name}: ${result.error ?? said.join(', ')}`);
      }
  console.log(tables(results, names, workloads));
  const wrong = disagreements(results);
  for (const line of wrong) console.log(`DISAGREES: ${line}`);
  if (wrong.length > 0) process.exitCode = 1;
}
