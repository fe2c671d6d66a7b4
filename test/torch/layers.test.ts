/**
 * Layers, activations and losses of the library and all their gradients against PyTorch's, on every backend. Each case
 * is a model whose outputs are the result and `grad(sum(y * cotangent), …)` of every input and parameter.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileModel, load } from '../../compiler/index.ts';
import type { Target } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';
import { decodeSafetensors, decodeTensor } from '../../runtime/safetensors.ts';
import { must, openSession, startFromZero, testHost } from '../support/backends.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectClose, tolerance } from '../support/tolerance.ts';

/** How a case is written: a layer (applied to `x`), or a function of the inputs. */
const cases: Readonly<Record<string, string>> = {
  conv: 'Conv2d(4, kernel: 3)',
  conv_stride: 'Conv2d(4, kernel: 3, stride: 2)',
  conv_padding: 'Conv2d(3, kernel: 5, padding: 2)',
  conv_stride_padding: 'Conv2d(5, kernel: 3, stride: 2, padding: 1)',
  conv_dilation: 'Conv2d(3, kernel: 3, dilation: 2)',
  conv_all: 'Conv2d(3, kernel: 3, stride: 3, padding: 2, dilation: 2)',
  conv_groups: 'Conv2d(6, kernel: 3, padding: 1, groups: 2)',
  conv_depthwise: 'Conv2d(3, kernel: 3, padding: 1, groups: 3)',
  conv_1x1: 'Conv2d(7, kernel: 1)',
  conv_oblong: 'Conv2d(3, kernel: (2, 5))',
  conv_same_even: 'Conv2d(3, kernel: 4, padding: "same")',
  max_pool: 'MaxPool2d()',
  max_pool_odd: 'MaxPool2d(2)',
  max_pool_overlap: 'MaxPool2d(3, stride: 2)',
  max_pool_padding: 'MaxPool2d(3, stride: 2, padding: 1)',
  avg_pool: 'AvgPool2d()',
  avg_pool_odd: 'AvgPool2d(2)',
  avg_pool_overlap: 'AvgPool2d(3, stride: 2)',
  avg_pool_padding: 'AvgPool2d(3, stride: 2, padding: 1)',
  dense: 'Dense(3)',
  dense_rank3: 'Dense(4)',
  relu: 'relu(x)',
  leaky_relu: 'leaky_relu(x)',
  sigmoid: 'sigmoid(x)',
  tanh: 'tanh(x)',
  gelu: 'gelu(x)',
  softmax: 'softmax(x)',
  log_softmax: 'log_softmax(x)',
  mse: 'mse(x, target)',
  cross_entropy: 'cross_entropy(x, label)',
  binary_cross_entropy: 'binary_cross_entropy(x, target)',
};

interface Fixture {
  readonly shape: readonly number[];
  readonly data: Data;
}

/** By case, then by name. */
const fixtures = readFixtures();

function readFixtures(): ReadonlyMap<string, ReadonlyMap<string, Fixture>> {
  const file = decodeSafetensors(
    'layers',
    readFileSync(new URL('../fixtures/layers.safetensors', import.meta.url)),
  );
  const all = new Map<string, Map<string, Fixture>>();
  for (const t of file.tensors.values()) {
    const [name, key] = t.name.split('/') as [string, string];
    // Targets are stored as integers; the losses that compare with them take them as numbers.
    const dtype = key === 'label' ? 'i32' : 'f32';
    const whole = t.type === 'I32' ? decodeTensor('layers', t, file.bytesOf(t), 'i32') : undefined;
    const data =
      dtype === 'i32'
        ? whole!
        : whole
          ? Float32Array.from(whole)
          : decodeTensor('layers', t, file.bytesOf(t), 'f32');
    const entries = all.get(name) ?? new Map<string, Fixture>();
    all.set(name, entries.set(key, { shape: t.shape, data }));
  }
  return all;
}

const parameters = ['weight', 'bias'];

/** The model of a case; the first dimension of what depends on the batch is open. */
function modelText(what: string, tensors: ReadonlyMap<string, Fixture>): string {
  const batch = tensors.get('x')!.shape[0];
  const type = (name: string, { shape }: Fixture): string => {
    const param = parameters.some((p) => name.endsWith(p));
    const dims = shape.map((d, i) => (i === 0 && !param && d === batch ? 'batch' : String(d)));
    return `${name === 'label' ? 'i32' : 'f32'}[${dims.join(', ')}]`;
  };
  const isLayer = /^[A-Z]/.test(what);
  const result = (name: string): boolean => name === 'y' || name.startsWith('grad_');
  const lines = [...tensors].flatMap(([name, f]) => {
    if (isLayer && parameters.includes(name)) return [];
    return [`  ${result(name) ? 'output' : 'input'} ${name}: ${type(name, f)}`];
  });
  const body = isLayer ? [`  layer = ${what}`, '  y = layer(x)'] : [`  y = ${what}`];
  const gradients = [...tensors.keys()]
    .filter((name) => name.startsWith('grad_'))
    .map((name) => {
      const wrt = name.slice('grad_'.length);
      return `  ${name} = grad(loss, ${isLayer && parameters.includes(wrt) ? `layer.${wrt}` : wrt})`;
    });
  return ['model Case() {', ...lines, '', ...body, '  loss = sum(y * cotangent)', ...gradients, '}', ''].join(
    '\n',
  );
}

async function compare(name: string, target: Target): Promise<void> {
  const tensors = fixtures.get(name)!;
  const model = load('case.nnet', testHost({ 'case.nnet': modelText(cases[name]!, tensors) }));
  const { program } = must(compileModel(model, 'Case', { target, relaxed: false }));
  const session = await openSession(program, target);
  try {
    await startFromZero(session, target);
    for (const { path } of program.tensors)
      await session.write(path, tensors.get(path.split('.').at(-1)!)!.data);
    const plan = program.plans['predict']!;
    const inputs = Object.fromEntries(plan.inputs.map((p) => [p.name, tensors.get(p.name)!.data]));
    await session.run('predict', { batch: tensors.get('x')!.shape[0]! }, inputs);
    for (const { name: output } of plan.outputs) {
      const got = await session.output('predict', output);
      expectClose(got, tensors.get(output)!.data, tolerance[target], `${name}: ${output}`);
    }
    expect(plan.outputs.length).toBe(1 + [...tensors.keys()].filter((k) => k.startsWith('grad_')).length);
  } finally {
    session.close();
  }
}

it('every recorded case is tested', () => {
  expect(Object.keys(cases).sort()).toEqual([...fixtures.keys()].sort());
});

const names = Object.keys(cases);

describe.each(['reference', 'wasm'] as const)('PyTorch agrees with %s on', (target) => {
  it.each(names)('%s', (name) => compare(name, target));
});
describeGpu('PyTorch agrees with webgpu on', () => {
  it.each(names)('%s', (name) => compare(name, 'webgpu'), 60_000);
});
