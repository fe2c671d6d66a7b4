import { describe, expect, it } from 'vitest';
import { Module } from '../../compiler/backend/wasm/encoder.ts';
import { f32, forLoop, i32, v128 } from '../../compiler/backend/wasm/instr.ts';
import type { MathName } from '../../compiler/backend/wasm/math.ts';
import { MathLibrary } from '../../compiler/backend/wasm/math.ts';
import { supportsRelaxedSimd } from '../../runtime/wasm.ts';

const count = 4096;

/** A module whose `run` maps the 4096 floats at 0 (and at 16384 for pow) to those at 32768. */
function instantiate(
  name: MathName | 'pow',
  relaxed: boolean,
): (xs: Float32Array, ys?: Float32Array) => Float32Array {
  const module = new Module({ shared: false });
  const math = new MathLibrary(module, relaxed);
  const f = module.func('run', [], 'void', true);
  const i = f.local('i32');
  const body =
    name === 'pow'
      ? f32.store(i.get, math.pow(f32.load(i.get), f32.load(i.get, 16384)), 32768)
      : v128.store(i.get, math.vector(name, v128.load(i.get)), 32768);
  f.body.push(...forLoop(i, i32.const(0), i32.const(4 * count), name === 'pow' ? 4 : 16, [body]));
  const bytes = module.encode() as BufferSource;
  expect(WebAssembly.validate(bytes)).toBe(true);
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return (xs, ys) => {
    new Float32Array(memory.buffer).set(xs);
    if (ys) new Float32Array(memory.buffer).set(ys, 4096);
    (exports['run'] as () => void)();
    return new Float32Array(memory.buffer.slice(32768, 32768 + 4 * xs.length));
  };
}

/** Distance in units in the last place of the float nearest to `exact`. */
function ulps(found: number, exact: number): number {
  const rounded = Math.fround(exact);
  if (Object.is(found, rounded) || (found === rounded && found === 0)) return 0;
  if (Number.isNaN(found) || Number.isNaN(rounded) || !Number.isFinite(rounded) || !Number.isFinite(found))
    return Infinity;
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(exact) || 1e-45)));
  return Math.abs(found - exact) / 2 ** (exponent - 23);
}

const erf = (x: number): number => {
  // Maclaurin series up to 3, then the continued fraction of erfc; both far below 1e-12.
  if (Math.abs(x) < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 120; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 80; k >= 1; k--) fraction = k / 2 / (Math.abs(x) + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (Math.abs(x) + fraction)));
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const spread = (low: number, high: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
const exponential = (low: number, high: number): Float32Array =>
  Float32Array.from(spread(low, high), (e, i) => (i % 2 === 0 ? 1 : -1) * 2 ** e);

const cases: readonly [MathName, (x: number) => number, Float32Array, number][] = [
  ['exp', Math.exp, spread(-87, 88.7), 1.5],
  ['exp', Math.exp, spread(-1, 1), 1.5],
  ['exp', Math.exp, spread(-104, -87), 1],
  ['exp', Math.exp, spread(-400, -104), 0],
  ['log', Math.log, Float32Array.from(exponential(-126, 127), Math.abs), 1.5],
  ['log', Math.log, spread(0.5, 2), 2],
  ['log', Math.log, Float32Array.from(exponential(-148, -126), Math.abs), 1.5],
  ['tanh', Math.tanh, spread(-9.5, 9.5), 2],
  ['tanh', Math.tanh, exponential(-40, 3), 2],
  ['sigmoid', sigmoid, spread(-87, 20), 2],
  ['sigmoid', sigmoid, spread(-103, -87), 2],
  ['sigmoid', sigmoid, exponential(-40, 6), 2],
  ['erf', erf, spread(-4.5, 4.5), 2],
  ['erf', erf, exponential(-40, 2), 2],
  ['sin', Math.sin, spread(-10, 10), 2],
  ['cos', Math.cos, spread(-10, 10), 2],
  ['sin', Math.sin, spread(-1e5, 1e5), 2],
  ['cos', Math.cos, spread(-1e5, 1e5), 2],
];
const modes = [false, ...(supportsRelaxedSimd() ? [true] : [])];

describe.each(modes)('math functions, relaxed = %s', (relaxed) => {
  it.each(cases)('%s is accurate', (name, exact, xs, limit) => {
    const found = instantiate(name, relaxed)(xs);
    let worst = 0;
    let at = 0;
    xs.forEach((x, i) => {
      const error = ulps(found[i]!, exact(x));
      if (error > worst) [worst, at] = [error, x];
    });
    expect(worst, `${name}(${at})`).toBeLessThanOrEqual(limit);
  });

  const ends = [0, -0, Infinity, -Infinity, NaN, 1e-45, -1e-45, 3.4028234e38, -3.4028234e38, 1, -1, 0.5];
  it.each<[MathName, (x: number) => number]>([
    ['exp', Math.exp],
    ['log', Math.log],
    ['tanh', Math.tanh],
    ['sigmoid', sigmoid],
    ['erf', (x) => (Number.isNaN(x) ? NaN : Math.abs(x) > 6 ? Math.sign(x) : erf(x))],
  ])('%s is right at the ends', (name, exact) => {
    const xs = Float32Array.from(ends);
    const found = instantiate(name, relaxed)(xs);
    xs.forEach((x, i) =>
      expect(ulps(found[i]!, exact(x)), `${name}(${x}) = ${found[i]}`).toBeLessThanOrEqual(2),
    );
  });

  it.each<[MathName]>([['sin'], ['cos']])('%s of what is not finite is NaN', (name) => {
    expect([...instantiate(name, relaxed)(Float32Array.from([Infinity, -Infinity, NaN, 0]))]).toEqual([
      NaN,
      NaN,
      NaN,
      name === 'sin' ? 0 : 1,
    ]);
  });

  it('pow agrees with Math.pow, special cases included', () => {
    const values = [...ends, 2, -2, 3, -3, 0.999, 0.9, 1.5, 10, 1e4, -0.5, 33, 1e10];
    const pairs = values.flatMap((x) =>
      values.map((y): [number, number] => [Math.fround(x), Math.fround(y)]),
    );
    const found = instantiate('pow', relaxed)(
      Float32Array.from(pairs, ([x]) => x),
      Float32Array.from(pairs, ([, y]) => y),
    );
    pairs.forEach(([x, y], i) =>
      expect(ulps(found[i]!, x ** y), `${x} ** ${y} = ${found[i]}`).toBeLessThanOrEqual(1),
    );
  });
});
