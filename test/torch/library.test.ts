/**
 * The library's layers, losses and functions and all their gradients against PyTorch's (what it lacks: against the formula
 * in float64), on every backend. A case is a model whose outputs are the result and `grad(sum(y * cotangent), …)` of every
 * input and parameter; a case `…_training` is a step of a task, where layers behave as in training and states move on.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileModel, compileTask, type Host, load } from '../../compiler/index.ts';
import type { Program, Target } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';
import { decodeSafetensors, decodeTensor } from '../../runtime/safetensors.ts';
import { must, openSession, startFromZero, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';
import { cases } from './library-cases.ts';

interface Fixture {
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32' | 'bool';
  readonly data: Data;
}
type Fixtures = ReadonlyMap<string, Fixture>;

/** By case, then by `in/…`, `param/…`, `given/…`, `state/…`, `next/…`, `y`, `cotangent`, `grad/…`. */
const fixtures = readFixtures();

function readFixtures(): ReadonlyMap<string, Fixtures> {
  const file = decodeSafetensors(
    'library',
    readFileSync(new URL('../fixtures/library.safetensors', import.meta.url)),
  );
  const all = new Map<string, Map<string, Fixture>>();
  for (const t of file.tensors.values()) {
    const [name, key] = t.name.split(':') as [string, string];
    const kept = t.type === 'I32' ? 'i32' : 'f32';
    const data = decodeTensor('library', t, file.bytesOf(t), kept);
    const dtype = /mask$/.test(key) ? 'bool' : kept;
    const entry = { shape: t.shape, dtype, data: dtype === 'bool' ? Uint32Array.from(data) : data } as const;
    all.set(name, (all.get(name) ?? new Map<string, Fixture>()).set(key, entry));
  }
  return all;
}

/** Names behind a prefix: `in/x` is the name `x`. */
const under = (tensors: Fixtures, prefix: string): string[] =>
  [...tensors.keys()].flatMap((k) => (k.startsWith(`${prefix}/`) ? [k.slice(prefix.length + 1)] : []));

const batchOf = (tensors: Fixtures): number => {
  const [first] = [
    ...under(tensors, 'in').map((k) => `in/${k}`),
    ...under(tensors, 'given').map((k) => `given/${k}`),
  ];
  return tensors.get(first!)!.shape[0]!;
};

/** A port's type, its first dimension open when that is the batch. Weights of classes are no batch. */
function typeOf(name: string, { dtype, shape }: Fixture, batch: number | undefined): string {
  const dims = shape.map((d, i) => (i === 0 && d === batch && name !== 'weights' ? 'batch' : String(d)));
  return `${dtype}[${dims.join(', ')}]`;
}

interface Written {
  /** `input x: f32[batch, 3]`, … */
  readonly inputs: readonly string[];
  /** Equations that make `y` and `loss`. */
  readonly body: readonly string[];
  /** What is compared, by the name of its output or probe: the fixture's key and the expression. */
  readonly found: readonly { readonly key: string; readonly text: string }[];
}

function write(what: string, tensors: Fixtures, batch: number | undefined): Written {
  const [ins, given] = [under(tensors, 'in'), under(tensors, 'given')];
  const input = (key: string, name: string): string =>
    `input ${name}: ${typeOf(name, tensors.get(key)!, batch)}`;
  const inputs = [
    ...ins.map((n) => input(`in/${n}`, n)),
    ...given.map((n) => input(`given/${n}`, n)),
    input('cotangent', 'cotangent'),
  ];
  const before = what.split('; ');
  const last = before.pop()!;
  const isLayer = /^[A-Z]/.test(last);
  const args = [...ins, ...given.map((n) => `${n}: ${n}`)].join(', ');
  const y = [...before, ...(isLayer ? [`net = ${last}`, `y = net(${args})`] : [`y = ${last}`])];
  const wrt = [
    ...ins.map((n) => [`grad/in/${n}`, n]),
    ...under(tensors, 'param').map((n) => [
      `grad/param/${n}`,
      n.includes('.') && before.length > 0 ? n : `net.${n}`,
    ]),
  ] as const;
  return {
    inputs,
    body: [...y, 'loss = sum(y * cotangent)'],
    found: [{ key: 'y', text: 'y' }, ...wrt.map(([key, x]) => ({ key: key!, text: `grad(loss, ${x!})` }))],
  };
}

/** Inputs of a plan by name. */
const inputsOf = (tensors: Fixtures, names: readonly string[]): Record<string, Data> =>
  Object.fromEntries(
    names.map((n) => [n, (tensors.get(`in/${n}`) ?? tensors.get(`given/${n}`) ?? tensors.get(n))!.data]),
  );

// ---------------------------------------------------------------- as a model

function modelText(what: string, tensors: Fixtures): string {
  const batch = batchOf(tensors);
  const { inputs, body, found } = write(what, tensors, batch);
  const outputs = found.map(
    ({ key }, i) =>
      `output found${i}: ${typeOf('', tensors.get(key)!, key.includes('param') ? undefined : batch)}`,
  );
  const equations = found.map(({ text }, i) => `found${i} = ${text}`);
  return ['model Case() {', ...inputs, ...outputs, ...body, ...equations, '}', ''].join('\n');
}

async function compareModel(name: string, target: Target): Promise<void> {
  const tensors = fixtures.get(name)!;
  const what = cases[name]!;
  const model = load('case.nnet', testHost({ 'case.nnet': modelText(what, tensors) }));
  const { program } = must(compileModel(model, 'Case', { target, relaxed: false }));
  const session = await openSession(program, target);
  try {
    await start(session, program, tensors);
    const plan = program.plans['predict']!;
    const inputs = inputsOf(
      tensors,
      plan.inputs.map((p) => p.name),
    );
    await session.run('predict', { batch: batchOf(tensors) }, inputs);
    const { found } = write(what, tensors, undefined);
    for (const [i, { key }] of found.entries()) {
      const got = await session.output('predict', `found${i}`);
      expectNear(got, tensors.get(key)!.data, allowed(name, target), `${name}: ${key}`);
    }
  } finally {
    session.close();
  }
}

/** Initial values, then those of the fixture. Paths of parameters are those of PyTorch's tensors. */
async function start(
  session: Awaited<ReturnType<typeof openSession>>,
  program: Program,
  tensors: Fixtures,
): Promise<void> {
  await startFromZero(session, program.plans['init']!.target);
  const paths = program.tensors.filter((t) => t.role === 'param').map((t) => t.path.replace(/^net\./, ''));
  expect(paths.sort()).toEqual(under(tensors, 'param').sort());
  for (const { path } of program.tensors) {
    const local = path.replace(/^net\./, '');
    const value = tensors.get(`param/${local}`) ?? tensors.get(`state/${local}`);
    if (value) await session.write(path, value.data);
  }
}

// ---------------------------------------------------------------- as a step of training

/** Keeps a tensor of `count` rows where the test can read it. */
const probe = `layer Probe(count: int) {
  input x: f32[b, ...r]
  output y: f32[]
  state seen: f32[count, ...r] = zeros
  seen'[k, ...i] = sum(n) (if n == k then x[n, ...i] else 0)
  y = sum(x)
}
`;

function taskText(what: string, tensors: Fixtures): string {
  const { inputs, body, found } = write(what, tensors, undefined);
  const names = inputs.map((i) => /^input (\w+)/.exec(i)![1]!);
  const [net, ...steps] = body;
  const lines = [
    'task train() {',
    net!,
    `data = idx(${names.map((n) => `${n}: "${n}"`).join(', ')})`,
    `fit(batch: ${batchOf(tensors)}) on data {`,
    ...steps,
    ...found.map(
      ({ key, text }, i) =>
        `found${i} = Probe(${tensors.get(key)!.shape[0]!})\nseen${i} = found${i}(${text})`,
    ),
    'minimize loss with Sgd(lr: 0.0)',
    '}}',
  ];
  return probe + lines.join('\n');
}

async function compareTraining(name: string, target: Target): Promise<void> {
  const tensors = fixtures.get(name)!;
  const text = taskText(cases[name]!, tensors);
  const names = [...under(tensors, 'in'), 'cotangent'];
  const fields = names.map((n) => {
    const { dtype, shape } = tensors.get(`in/${n}`) ?? tensors.get(n)!;
    return [n, { dtype: dtype === 'i32' ? 'i32' : 'f32', shape: shape.slice(1) }] as const;
  });
  const host: Host = {
    ...testHost({ 'case.nnet': text }),
    describeData: () => ({ fields: Object.fromEntries(fields), count: batchOf(tensors) }),
  };
  const { program } = must(compileTask(load('case.nnet', host), 'train', { target, relaxed: false }));
  const session = await openSession(program, target);
  try {
    await startTraining(session, program, tensors);
    const clocks = { seed: 1, step: 1, epoch: 1, epochs: 1, steps_per_epoch: 1 };
    await session.run('train', { batch: batchOf(tensors) }, inputsOf(tensors, names), clocks);
    for (const [i, { key }] of write(cases[name]!, tensors, undefined).found.entries()) {
      const got = await session.read(`found${i}.seen`);
      expectNear(got, tensors.get(key)!.data, allowed(name, target), `${name}: ${key}`);
    }
    for (const key of under(tensors, 'next')) {
      const { path } = program.tensors.find((t) => t.path.endsWith(key))!;
      const got = await session.read(path);
      expectNear(got, tensors.get(`next/${key}`)!.data, allowed(name, target), `${name}: ${key}`);
    }
  } finally {
    session.close();
  }
}

const startTraining = start;

// ---------------------------------------------------------------- all of them

/** As expectClose; where nothing but rounding is expected (softmax does not see a bias of its keys), rounding is found. */
function expectNear(found: Data, expected: Data, relative: number, what: string): void {
  const nothing = expected.every((v) => Math.abs(v) < 1e-12);
  if (nothing) expect(Math.max(...found.map(Math.abs)), what).toBeLessThanOrEqual(relative);
  else expectClose(found, expected, relative, what);
}

/** Where rounding of float32 in the middle of a computation grows, and the reason. */
const wider: Readonly<Record<string, number>> = {};

const allowed = (name: string, target: Target): number =>
  tolerance[target] * (target === 'reference' ? 1 : (wider[name] ?? 1));

const compare = (name: string, target: Target): Promise<void> =>
  (name.includes('training') ? compareTraining : compareModel)(name, target);

it('every recorded case is tested', () => {
  expect(Object.keys(cases).sort()).toEqual([...fixtures.keys()].sort());
});

const names = Object.keys(cases);

describe.each(['reference', 'wasm'] as const)('PyTorch agrees with %s on', (target) => {
  it.each(names)('%s', (name) => compare(name, target));
});
describeGpu('PyTorch agrees with webgpu on', () => {
  it.each(names)('%s', (name) => compare(name, 'webgpu'), 300_000);
});
