import { describe, expect, it } from 'vitest';
import { Module } from '../../compiler/backend/wasm/encoder.ts';
import { f32x4, i32, v128 } from '../../compiler/backend/wasm/instr.ts';
import { hasRelaxedSimd, supportsRelaxedSimd, withRelaxedSimd } from '../../runtime/relaxed.ts';

/** `run()` stores 2 · 3 + 4 at 0. */
function multiplyAdd(): BufferSource {
  const module = new Module({ shared: false });
  const [two, three, four] = [2, 3, 4].map((x) => f32x4.splatConst(x));
  const f = module.func('run', [], 'void', true);
  f.body.push(v128.store(i32.const(0), f32x4.relaxedMadd(two!, three!, four!)));
  return module.encode() as BufferSource;
}

describe('relaxed SIMD', () => {
  it('stays with a module that was compiled with it, and leaves the engine as it was', () => {
    const bytes = multiplyAdd();
    const before = WebAssembly.validate(bytes);
    expect(hasRelaxedSimd()).toBe(true);
    const module = withRelaxedSimd(() => new WebAssembly.Module(bytes));
    expect(WebAssembly.validate(bytes)).toBe(before);
    const memory = new WebAssembly.Memory({ initial: 1 });
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    // Often enough for the engine to optimise it, which it does after the flag is off again.
    for (let i = 0; i < 100_000; i++) (exports['run'] as () => void)();
    expect([...new Float32Array(memory.buffer, 0, 4)]).toEqual([10, 10, 10, 10]);
  });

  it('is left as it was when what is run with it fails', () => {
    const before = WebAssembly.validate(multiplyAdd());
    expect(() =>
      withRelaxedSimd(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(WebAssembly.validate(multiplyAdd())).toBe(before);
  });

  it('is switched on for good for who asks whether it is there', () => {
    expect(supportsRelaxedSimd()).toBe(true);
    expect(WebAssembly.validate(multiplyAdd())).toBe(true);
  });
});
