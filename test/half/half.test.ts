/** f16: numbers, the language, the emulation on `reference`, files, and who refuses it. WGSL is in `webgpu.test.ts`. */
import { describe, expect, it } from 'vitest';
import { compileModel, load } from '../../compiler/compile.ts';
import { roundToHalf } from '../../compiler/plan.ts';
import type { Target } from '../../compiler/plan.ts';
import { halfBits, halfToNumber } from '../../runtime/half.ts';
import { openReference } from '../../runtime/reference.ts';
import { decodeSafetensors, decodeTensor, encodeSafetensors } from '../../runtime/safetensors.ts';
import { packed, sizeInBytes, unpacked } from '../../runtime/webgpu/stores.ts';
import { memoryHost } from '../support/check.ts';

const compiled = (text: string, target: Target = 'reference') => {
  const host = memoryHost(new Map([['main.nnet', text]]));
  return compileModel(load('main.nnet', host), 'Net', { target, relaxed: false });
};

/** The outputs of `Net` for `x`, on the reference. */
async function run(text: string, x: readonly number[], batch: number): Promise<Record<string, number[]>> {
  const { result, problems } = compiled(text);
  if (!result) throw new Error(JSON.stringify(problems));
  const session = openReference(result.program);
  await session.run('init', {}, {}, { seed: 1 });
  await session.run('predict', { batch }, { x: Float32Array.from(x) });
  const outputs = result.program.plans['predict']!.outputs;
  const values = await Promise.all(outputs.map((o) => session.output('predict', o.name)));
  return Object.fromEntries(outputs.map((o, i) => [o.name, [...values[i]!]]));
}

describe('binary16', () => {
  it('has all of its 65536 values, each its own nearest', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = halfToNumber(bits);
      if (Number.isNaN(value)) continue;
      expect(Object.is(roundToHalf(value), value)).toBe(true);
      expect(halfBits(value)).toBe(bits);
    }
    expect(halfBits(NaN) & 0x7c00).toBe(0x7c00);
  });

  it('takes the even neighbour half way, and the nearer one otherwise', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [halfToNumber(bits), halfToNumber(bits + 1)];
      const middle = (low + high) / 2;
      expect(roundToHalf(middle)).toBe(bits % 2 === 0 ? low : high);
      expect(roundToHalf(-middle)).toBe(bits % 2 === 0 ? -low : -high);
      expect(roundToHalf(low * 0.501 + high * 0.499)).toBe(low);
      expect(roundToHalf(low * 0.499 + high * 0.501)).toBe(high);
    }
    expect([65519.9, 65520, -1e9].map(roundToHalf)).toEqual([65504, Infinity, -Infinity]);
  });
});

describe('the language', () => {
  it('meets: f16 with numbers of the text stays, with f32 becomes f32, with i32 stays', async () => {
    const text = `model Net {
      input x: f32[batch]
      output a: f16[batch]
      output b: f32[batch]
      output c: f16[batch]
      output d: f16[batch]
      output e: f16[batch]
      h = f16(x)
      a = h * 0.1 + 1.0
      b = h * x
      c = h + i32(x)
      d = h / 3
      e = h ^ 0.5
    }`;
    const { a, b, c, d, e } = await run(text, [0.3, 2049, 7], 3);
    const half = [0.3, 2049, 7].map(roundToHalf);
    expect(a).toEqual(half.map((h) => roundToHalf(roundToHalf(h * roundToHalf(0.1)) + 1)));
    expect(b).toEqual([0.3, 2049, 7].map((x, i) => Math.fround(Math.fround(x) * half[i]!)));
    expect(c).toEqual(half.map((h, i) => roundToHalf(h + [0, 2049, 7][i]!)));
    expect(d).toEqual(half.map((h) => roundToHalf(h / 3)));
    expect(e).toEqual(half.map((h) => roundToHalf(Math.sqrt(h))));
  });

  it('adds up in f32: products and partial sums are not rounded', async () => {
    const text = `model Net {
      input x: f32[batch, 4096]
      output total: f16[batch]
      output squares: f16[batch]
      output average: f16[batch]
      output product: f16[batch]
      h = f16(x)
      total = sum(h, axis: 1)
      squares[b] = sum(i) h[b, i] * h[b, i]
      average = mean(h, axis: 1)
      product = h @ h[0]
    }`;
    const x = Array.from({ length: 4096 }, (_, i) => 0.01 + (i % 7) * 1e-3);
    const half = x.map(roundToHalf);
    const sum = half.reduce((s, v) => s + v, 0);
    const squares = half.reduce((s, v) => s + v * v, 0);
    const { total, squares: found, average, product } = await run(text, x, 1);
    expect(total).toEqual([roundToHalf(sum)]);
    expect(found).toEqual([roundToHalf(squares)]);
    expect(product).toEqual([roundToHalf(squares)]);
    expect(average).toEqual([roundToHalf(sum / 4096)]);
    // Added in f16 it would stand still once a term is below half a step.
    const naive = half.reduce((s, v) => roundToHalf(s + v), 0);
    expect(Math.abs(naive - sum)).toBeGreaterThan(1);
  });

  it('is differentiated, and overflows and underflows as f16 does', async () => {
    const text = `model Net {
      input x: f32[batch]
      output slope: f32[batch]
      output tiny: f32[batch]
      output large: f16[batch]
      slope = grad(sum(f32(f16(x) * f16(x))), x)
      tiny = grad(sum(f32(f16(x)) * 1e-9), x)
      large = f16(x) * 30000
    }`;
    const { slope, tiny, large } = await run(text, [0.3, -3], 2);
    expect(slope).toEqual([0.3, -3].map((x) => 2 * roundToHalf(x)));
    // The gradient of a conversion is a conversion: 1e-9 is nothing in f16. This is why losses are scaled.
    expect(tiny).toEqual([0, 0]);
    expect(large).toEqual([roundToHalf(30000 * roundToHalf(0.3)), -Infinity]);
  });

  it('is stored in f16: a parameter holds the rounded initial value', async () => {
    const text = `model Net {
      input x: f32[batch]
      output y: f32[batch]
      param scale: f16[3] = 0.1
      y[b] = x[b] * (sum(i) f32(scale[i]))
    }`;
    const { y } = await run(text, [1], 1);
    expect(y).toEqual([Math.fround(3 * roundToHalf(0.1))]);
    expect(compiled(text).result!.program.tensors).toMatchObject([{ path: 'scale', dtype: 'f16' }]);
  });

  it('is refused by wasm, at the place that asks for it', () => {
    const text = 'model Net {\n  input x: f32[n]\n  output y: f32[n]\n  y = f32(f16(x) + 1)\n}\n';
    const { result, problems } = compiled(text, 'wasm');
    expect(result).toBeUndefined();
    const [problem] = problems;
    expect(problem).toMatchObject({ code: 'E0325', fields: { dtype: 'f16', target: 'wasm' } });
    expect(text.slice(problem!.labels[0]!.span.start)).toMatch(/^f16\(x\)/);
    expect(compiled(text, 'webgpu').result).toBeDefined();
  });
});

describe('on a GPU', () => {
  it('two values take a word, and the last word is filled up', () => {
    const data = Float32Array.of(1, -0.1, 65504);
    const words = packed('f16', data);
    expect([words.BYTES_PER_ELEMENT, words.length, sizeInBytes('f16', 3)]).toEqual([2, 4, 8]);
    expect([...words.slice(0, 3)]).toEqual([...data].map(halfBits));
    const bytes = Uint16Array.from(words).buffer;
    expect([...unpacked('f16', bytes, 3)]).toEqual([...data].map(roundToHalf));
    expect(packed('f32', data)).toBe(data);
    expect([sizeInBytes('f16', 0), sizeInBytes('f16', 4), sizeInBytes('bool', 3)]).toEqual([0, 8, 12]);
  });
});

describe('files', () => {
  it('hold two bytes for each value, and give them back', () => {
    const data = Float32Array.of(1, -0.1, 65504, 1e-7, 0, Infinity, 3);
    const bytes = Buffer.concat([...encodeSafetensors([{ name: 'w', dtype: 'f16', shape: [7], data }])]);
    const file = decodeSafetensors('w.safetensors', bytes);
    const stored = file.tensors.get('w')!;
    expect([stored.type, stored.end - stored.begin]).toEqual(['F16', 14]);
    for (const dtype of ['f16', 'f32'] as const)
      expect([...decodeTensor('w', stored, file.bytesOf(stored), dtype)]).toEqual([...data].map(roundToHalf));
  });
});
