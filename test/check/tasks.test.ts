/** Tasks: training steps by hand, paths, several models, states, and what a task tells the runtime. */
import { describe, expect, it } from 'vitest';
import type { DataFields, TaskGraphs } from '../../compiler/check/index.ts';
import { elaborateTask } from '../../compiler/check/index.ts';
import { verify } from '../../compiler/ir/verify.ts';
import { evaluate } from '../support/evaluate.ts';
import { modelOf, noise, shown } from './support.ts';

const data: DataFields = {
  fields: { x: { dtype: 'f32', shape: [2] }, t: { dtype: 'f32', shape: [] } },
  count: 100,
};

function task(text: string, name = 'train'): TaskGraphs {
  const { graphs, problems } = elaborateTask(modelOf(text, {}, data), name);
  if (!graphs) throw new Error(shown(problems).join('\n'));
  for (const c of Object.values(graphs.computations)) verify(c, 'elaborate');
  return graphs;
}

const codes = (text: string, name = 'train'): string[] =>
  elaborateTask(modelOf(text, {}, data), name).problems.map((p) => p.code);

/** Runs a computation on all tensors, batch fields and clocks; gives new values of tensors, and outputs. */
function step(
  g: TaskGraphs,
  name: string,
  tensors: ReadonlyMap<string, Float64Array>,
  fields: Record<string, readonly number[]>,
  clocks: Record<string, number> = {},
): Map<string, Float64Array> {
  const values = new Map(tensors);
  for (const [k, v] of Object.entries(fields)) values.set(k, Float64Array.from(v));
  for (const [k, v] of Object.entries({
    seed: 1,
    step: 1,
    epoch: 1,
    epochs: 1,
    steps_per_epoch: 1,
    ...clocks,
  }))
    values.set(k, Float64Array.of(v));
  return evaluate(g.computations[name]!, { batch: fields['t']?.length ?? 1 }, values);
}

const filled = (shape: readonly number[], value: number): Float64Array =>
  new Float64Array(shape.reduce((p, n) => p * n, 1)).fill(value);

const linear = `model Linear() { input x: f32[batch, 2] output y: f32[batch]
  param w: f32[2] = zeros
  y[b] = sum(i) x[b, i] * w[i] }`;

const trainer = (optimizer: string): string => `${linear}
task train { net = Linear()
  points = idx(x: "x", t: "t")
  fit(epochs: 1, batch: 2) on points { minimize mse(net(x), t) with ${optimizer} } }`;

/** The optimizer's own formulas, in plain numbers: gives the weights after each step. */
type Rule = (w: number, g: number, s: Record<string, number>, step: number) => number;
const rules: readonly [string, Rule][] = [
  ['Sgd(lr: 0.1)', (w, g) => w - 0.1 * g],
  ['Sgd(lr: 0.1, weight_decay: 0.2)', (w, g) => w - 0.1 * (g + 0.2 * w)],
  ['Sgd(lr: 0.1, momentum: 0.9)', (w, g, s) => ((s['v'] = 0.9 * (s['v'] ?? 0) + g), w - 0.1 * s['v'])],
  [
    'Sgd(lr: 0.1, momentum: 0.9, nesterov: true)',
    (w, g, s) => ((s['v'] = 0.9 * (s['v'] ?? 0) + g), w - 0.1 * (g + 0.9 * s['v'])),
  ],
  [
    'RmsProp(lr: 0.1)',
    (w, g, s) => ((s['q'] = 0.99 * (s['q'] ?? 0) + 0.01 * g * g), w - (0.1 * g) / (Math.sqrt(s['q']) + 1e-8)),
  ],
  [
    'RmsProp(lr: 0.1, momentum: 0.5)',
    (w, g, s) => (
      (s['q'] = 0.99 * (s['q'] ?? 0) + 0.01 * g * g),
      (s['v'] = 0.5 * (s['v'] ?? 0) + g / (Math.sqrt(s['q']) + 1e-8)),
      w - 0.1 * s['v']
    ),
  ],
  [
    'Adagrad(lr: 0.1, lr_decay: 0.5)',
    (w, g, s, t) => (
      (s['q'] = (s['q'] ?? 0) + g * g),
      w - ((0.1 / (1 + (t - 1) * 0.5)) * g) / (Math.sqrt(s['q']) + 1e-10)
    ),
  ],
  ['Adam(lr: 0.1)', (w, g, s, t) => adam(w, g, s, t)],
  ['Adam(lr: 0.1, weight_decay: 0.3)', (w, g, s, t) => adam(w, g + 0.3 * w, s, t)],
  ['AdamW(lr: 0.1, weight_decay: 0.3)', (w, g, s, t) => adam(w, g, s, t) - 0.1 * 0.3 * w],
];

function adam(w: number, g: number, s: Record<string, number>, t: number): number {
  s['m'] = 0.9 * (s['m'] ?? 0) + 0.1 * g;
  s['v'] = 0.999 * (s['v'] ?? 0) + 0.001 * g * g;
  return w - (0.1 * (s['m'] / (1 - 0.9 ** t))) / (Math.sqrt(s['v'] / (1 - 0.999 ** t)) + 1e-8);
}

describe('optimizers, three steps against their formulas', () => {
  it.each(rules)('%s', (optimizer, rule) => {
    const g = task(trainer(optimizer));
    const [x, t] = [noise(4), [0.5, -1]];
    let tensors = new Map([...step(g, 'init', new Map(), {})]);
    const w = [0, 0];
    const states = [{}, {}];
    for (let n = 1; n <= 3; n++) {
      const slopes = [0, 1].map((i) =>
        [0, 1].reduce((s, b) => s + (x[2 * b]! * w[0]! + x[2 * b + 1]! * w[1]! - t[b]!) * x[2 * b + i]!, 0),
      );
      slopes.forEach((slope, i) => (w[i] = rule(w[i]!, slope, states[i]!, n)));
      tensors = new Map([...tensors, ...step(g, 'train', tensors, { x, t }, { step: n })]);
      tensors.get('w')!.forEach((v, i) => expect(v).toBeCloseTo(w[i]!, 6));
    }
  });

  it('take schedules: expressions of the step, and functions', () => {
    const g = task(trainer('Sgd(lr: 0.1 / step)'));
    const fn = task(`fn slower(step: i32[]) -> f32[] = 0.1 / step\n${trainer('Sgd(lr: slower)')}`);
    const tensors = new Map([
      ['w', Float64Array.of(0, 0)],
      ['metrics/loss', Float64Array.of(0)],
      ['metrics/count', Float64Array.of(0)],
    ]);
    const run = (graphs: TaskGraphs, n: number): number =>
      step(graphs, 'train', tensors, { x: [1, 0], t: [1] }, { step: n }).get('w')![0]!;
    expect(run(g, 1)).toBeCloseTo(0.2, 12);
    expect(run(g, 4)).toBeCloseTo(0.05, 12);
    expect(run(fn, 4)).toBeCloseTo(0.05, 12);
  });

  it('have slots by path', () => {
    expect(task(trainer('Adam()')).tensors.map((t) => `${t.role} ${t.path} [${t.shape.join()}]`)).toEqual([
      'param w [2]',
      'slot w/m [2]',
      'slot w/v [2]',
      'metric metrics/loss []',
      'metric metrics/count []',
    ]);
    expect(task(trainer('Sgd()')).tensors.some((t) => t.role === 'slot')).toBe(false);
  });
});

describe('metrics', () => {
  const text = trainer('Sgd(lr: 0.1)').replace(
    'with Sgd(lr: 0.1) }',
    'with Sgd(lr: 0.1)\n metric error = mean(abs(net(x) - t)) }',
  );
  it('are sums over examples; evaluation changes nothing else', () => {
    const g = task(text);
    const tensors = new Map([
      ['w', Float64Array.of(1, 2)],
      ['metrics/loss', Float64Array.of(10)],
      ['metrics/error', Float64Array.of(20)],
      ['metrics/count', Float64Array.of(30)],
    ]);
    const after = step(g, 'evaluate', tensors, { x: [1, 1, 2, 0], t: [1, 1] });
    expect([...after.keys()].sort()).toEqual(['metrics/count', 'metrics/error', 'metrics/loss']);
    expect([...after.values()].map((v) => v[0])).toEqual([10 + 2 * 2.5, 20 + 2 * 1.5, 32]);
    const trained = step(g, 'train', tensors, { x: [1, 1, 2, 0], t: [1, 1] });
    expect(trained.get('metrics/loss')).toEqual(Float64Array.of(15));
    expect(trained.get('loss')).toEqual(Float64Array.of(2.5));
  });
});

describe('several models', () => {
  const text = `${linear}
task train { a = Linear()
  b = Linear()
  points = idx(x: "x", t: "t")
  fit() on points {
    first = mse(a(x), t)
    second = mse(b(x), a(x))
    minimize first over a with Sgd(lr: 0.1)
    minimize second over b with Adam(lr: 0.1) }
  save(b, "b.safetensors") }`;

  it('have paths with their names, and losses with theirs', () => {
    const g = task(text);
    expect(g.tensors.filter((t) => t.role !== 'metric').map((t) => t.path)).toEqual([
      'a.w',
      'b.w',
      'b.w/m',
      'b.w/v',
    ]);
    expect(g.models.map((m) => [m.name, m.prefix, m.predict])).toEqual([
      ['a', 'a.', 'predict_a'],
      ['b', 'b.', 'predict_b'],
    ]);
    expect(g.steps.at(0)).toMatchObject({ kind: 'fit', metrics: ['loss', 'second'] });
    expect(g.steps.at(1)).toEqual({ kind: 'save', model: 'b', path: 'b.safetensors' });
    // Of the second loss, only b learns, though it is computed from a too.
    const values = new Map(g.tensors.map((t) => [t.path, filled(t.shape, t.path === 'a.w' ? 1 : 0)]));
    const after = step(g, 'train', values, { x: [1, 0], t: [1] });
    expect([...after.get('a.w')!]).toEqual([1, 1]);
    expect(after.get('b.w')![0]).toBeCloseTo(0.1, 6);
  });

  it('say when two statements train one parameter', () => {
    expect(codes(text.replace(' over b', ''))).toEqual(['E0513']);
  });
});

describe('weights', () => {
  it('are shared by all uses of one layer, and made once', () => {
    const g = task(`model Twice() { input x: f32[batch, 2] output y: f32[batch]
      fc = Dense(2)
      h = x |> fc |> relu |> fc |> Dense(1)
      y = h[:, 0] }
      task train { net = Twice()
        points = idx(x: "x", t: "t")
        fit() on points { minimize mse(net(x), t) + mse(net(2 * x), t) with Sgd() } }`);
    expect(g.tensors.filter((t) => t.role === 'param').map((t) => t.path)).toEqual([
      'fc.weight',
      'fc.bias',
      'dense1.weight',
      'dense1.bias',
    ]);
  });

  it('of nested layers have nested paths', () => {
    const g = task(`layer Block(n: int) { input x: f32[b, n] output y: f32[b, n]
      inner = Dense(n)
      y = x + (x |> inner |> relu |> Dense(n)) }
      model Net() { input x: f32[batch, 2] output y: f32[batch]
      h = x |> Block(2) |> Block(2) |> Dense(1)
      y = h[:, 0] }
      task train { net = Net() from "w.safetensors"
        points = idx(x: "x", t: "t")
        fit() on points { minimize mse(net(x), t) with Sgd() } }`);
    expect(g.tensors.filter((t) => t.path.endsWith('weight')).map((t) => t.path)).toEqual([
      'block1.inner.weight',
      'block1.dense1.weight',
      'block2.inner.weight',
      'block2.dense1.weight',
      'dense1.weight',
    ]);
    expect(g.models[0]?.from).toBe('w.safetensors');
  });
});

describe('states', () => {
  const text = `model Norm() { input x: f32[batch, 2] output y: f32[batch]
    param w: f32[2] = ones
    state seen: f32[2] = zeros
    mu[i] = mean(b) x[b, i]
    used = if training then mu else seen
    seen' = 0.5 * seen + 0.5 * mu when training
    y[b] = sum(i) (x[b, i] - used[i]) * w[i] }
  task train { net = Norm()
    points = idx(x: "x", t: "t")
    fit() on points { minimize mse(net(x), t) with Sgd(lr: 0.0) } }`;
  it('change in training only', () => {
    const g = task(text);
    const tensors = new Map(g.tensors.map((t) => [t.path, filled(t.shape, t.path === 'w' ? 1 : 0)]));
    const trained = step(g, 'train', tensors, { x: [1, 2, 3, 4], t: [0, 0] });
    expect([...trained.get('seen')!]).toEqual([1, 1.5]);
    const measured = step(g, 'evaluate', tensors, { x: [1, 2, 3, 4], t: [0, 0] });
    expect(measured.has('seen')).toBe(false);
    expect(measured.get('metrics/loss')![0]).toBe(9 + 49);
    expect(trained.get('loss')![0]).toBe(4);
  });
});

describe('dropout', () => {
  const text = `model Net() { input x: f32[batch, 2] output y: f32[batch, 1000]
    param w: f32[1000] = ones
    h[b, i] = x[b, 0] * w[i]
    y = h |> Dropout(0.25) }
  task train { net = Net()
    points = idx(x: "x", t: "t")
    fit() on points { y = net(x)
      minimize mean(y) with Sgd(lr: 0.0)
      metric zeros = mean(y == 0)
      metric most = max(y) } }`;
  it('drops that part, scales the rest, anew at every step', () => {
    const g = task(text);
    const tensors = step(g, 'init', new Map(), {});
    const at = (n: number): Map<string, Float64Array> =>
      step(g, 'train', tensors, { x: [1, 0], t: [0] }, { step: n });
    const first = at(1);
    expect(first.get('zeros')![0]).toBeGreaterThan(0.2);
    expect(first.get('zeros')![0]).toBeLessThan(0.3);
    expect(first.get('most')![0]).toBeCloseTo(1 / 0.75, 10);
    expect(at(1).get('loss')).toEqual(first.get('loss'));
    expect(at(2).get('loss')).not.toEqual(first.get('loss'));
    expect(step(g, 'evaluate', tensors, { x: [1, 0], t: [0] }).get('metrics/loss')![0]).toBe(1);
  });
});

describe('options', () => {
  it('early stopping knows which way is better', () => {
    const stop = (line: string): unknown => {
      const [s] = task(
        trainer('Sgd()')
          .replace('batch: 2', 'batch: 2, valid: 0.1')
          .replace('with Sgd() }', `with Sgd()\n metric score = mean(t)\n ${line} }`),
      ).steps;
      return s?.kind === 'fit' ? s.earlyStopping : undefined;
    };
    expect(stop('early_stopping(valid.loss)')).toEqual({
      monitor: 'valid.loss',
      patience: 3,
      minDelta: 0,
      mode: 'min',
    });
    expect(stop('early_stopping(valid.score, patience: 5, min_delta: 0.01)')).toEqual({
      monitor: 'valid.score',
      patience: 5,
      minDelta: 0.01,
      mode: 'max',
    });
    expect(stop('early_stopping(train.score, mode: "min")')).toMatchObject({
      monitor: 'train.score',
      mode: 'min',
    });
    expect(
      codes(trainer('Sgd()').replace('with Sgd() }', 'with Sgd()\n early_stopping(valid.loss) }')),
    ).toEqual(['E0505']);
  });

  it('evaluate has a body of its own, or that of the fit before it', () => {
    const own = task(
      `${trainer('Sgd()').slice(0, -1)}\n evaluate(batch: 7) on points { metric off = mean(net(x) - t) }\n evaluate on points }`,
    );
    expect(own.steps.slice(1)).toEqual([
      { kind: 'evaluate', data: 'points', batch: 7, evaluate: 'evaluate2', metrics: ['off'] },
      { kind: 'evaluate', data: 'points', batch: 2, evaluate: 'evaluate', metrics: ['loss'] },
    ]);
  });

  it.each([
    ['fit(epochs: 0) on points', 'E0505'],
    ['fit(batch: 1.5) on points', 'E0505'],
    ['fit(valid: 1) on points', 'E0505'],
    ['fit(shuffle: 3) on points', 'E0505'],
    ['fit(rate: 3) on points', 'E0404'],
    ['fit() on net', 'E0511'],
  ])('%s', (head, code) => {
    expect(codes(trainer('Sgd()').replace('fit(epochs: 1, batch: 2) on points', head))).toContain(code);
  });

  it('settings come from outside, and are checked', () => {
    const text = trainer('Sgd(lr: rate)').replace(
      'task train {',
      'task train(rate: float = 0.1, verbose: bool = false) {',
    );
    const model = modelOf(text, {}, data);
    expect(shown(elaborateTask(model, 'train', { rate: '0.5', verbose: 'true' }).problems)).toEqual([]);
    expect(elaborateTask(model, 'train', { rat: 1 }).problems.map((p) => p.code)).toEqual(['E0512']);
    expect(elaborateTask(model, 'train', { rate: 'fast' }).problems.map((p) => p.code)).toEqual(['E0402']);
    expect(elaborateTask(model, 'trian').problems.map((p) => p.code)).toEqual(['E0212']);
  });
});

describe('imports', () => {
  it('bring layers, functions and models of other files, under other names too', () => {
    const files = {
      'parts/net.nnet': `import { Half as Smaller } from "../layers.nnet"\n${linear.replace('y[b] = sum(i) x[b, i] * w[i]', 'h = x |> Smaller()\n y[b] = sum(i) h[b, i] * w[i]')}`,
      'layers.nnet': 'layer Half() { input x: f32[...b] output y: f32[...b] y = x / 2 }',
    };
    const text = `import { Linear } from "./parts/net.nnet"\n${trainer('Sgd()').slice(linear.length)}`;
    const { graphs, problems } = elaborateTask(modelOf(text, files, data), 'train');
    expect(shown(problems)).toEqual([]);
    expect(graphs!.tensors.map((t) => t.path)).toContain('w');
  });
});
