import { afterAll, beforeAll, expect, it } from 'vitest';
import { emitWgsl } from '../../compiler/backend/wgsl/index.ts';
import type { DType, ScalarOp } from '../../compiler/ir/ops.ts';
import { scalarOps } from '../../compiler/ir/ops.ts';
import type { Ex } from '../../compiler/kernel/kernel.ts';
import type { GpuDevice } from '../../runtime/webgpu.ts';
import type { Case, UseText } from '../support/kernel-build.ts';
import { cast, constant, load, map, op, rows, sized, store } from '../support/kernel-build.ts';
import { describeGpu } from '../support/swiftshader.ts';
import { expectSame, f32Tolerance, shaderErrors, softwareGpuDevice } from './run.ts';

const dtypes = ['f32', 'i32', 'u32', 'bool'] as const satisfies readonly DType[];

/** Operands that matter: zeros, signs, ends of ranges, halves. */
const values: { readonly [T in (typeof dtypes)[number]]: readonly number[] } = {
  f32: [0, 1, -1, 0.5, 1.5, 2.5, -0.5, -2.5, 0.3, -0.7, 3, 7.25, -13.5, 100, -40, 1e-3, 0.9, 6.1],
  i32: [0, 1, -1, 2, -2, 3, 7, -7, 31, 100, -100, 2147483647, -2147483648, 65536],
  u32: [0, 1, 2, 3, 7, 31, 100, 65535, 65536, 4294967295, 2147483648],
  bool: [0, 1],
};

/** Operands outside of which an operation means nothing (or, for tests, loses all its digits). */
const domains: { readonly [Op in ScalarOp]?: (...x: number[]) => boolean } = {
  log: (x) => x! > 0,
  sqrt: (x) => x! >= 0,
  exp: (x) => x! < 50,
  pow: (x, y) => x! > 0 || Number.isInteger(y!),
  mod: (x, y) => y !== 0 && (Math.abs((x! / y!) % 1) > 1e-3 || Number.isInteger(x! / y!)),
  div: (_, y) => y !== 0 || true,
  shl: (_, y) => y! >= 0 && y! < 32,
  shr: (_, y) => y! >= 0 && y! < 32,
};

/** All combinations of operands, one list an operand. */
function combinations(operands: readonly (typeof dtypes)[number][], fn: ScalarOp): number[][] {
  const lists = operands.reduce<number[][]>(
    (all, dtype) => all.flatMap((row) => values[dtype].map((v) => [...row, v])),
    [[]],
  );
  const float = operands[0] === 'f32';
  const inside = lists.filter((row) => {
    if (fn === 'mod' && !float) return true;
    if (fn === 'div' && float && row[1] === 0) return false;
    return domains[fn]?.(...row) ?? true;
  });
  return operands.map((_, i) => inside.map((row) => row[i]!));
}

/** `fn` of buffers 0, 1, … into the last. */
function mapOf(
  fn: ScalarOp,
  operands: readonly (typeof dtypes)[number][],
  make: (args: readonly Ex[]) => Ex,
): Case {
  const columns = combinations(operands, fn);
  const n = columns[0]!.length;
  const result = make(operands.map((dtype, i) => load(i, 'i', { dtype })));
  const texts: UseText[] = [...operands.map((t) => `r ${t}` as const), `w ${result.dtype}`];
  const name = [fn, ...operands, result.dtype].join('_');
  const kernel = rows(name, texts, { i: n }, map({}, store(operands.length, 'i', result)));
  return { ...sized(kernel, ...texts.map(() => n)), data: Object.fromEntries(columns.entries()) };
}

function allCases(): Case[] {
  const cases: Case[] = [];
  for (const fn of Object.keys(scalarOps) as ScalarOp[]) {
    const { arity, result } = scalarOps[fn];
    if (fn === 'cast') {
      for (const from of dtypes)
        for (const to of dtypes) cases.push(mapOf(fn, [from], ([a]) => cast(a!, to)));
      continue;
    }
    for (const t of dtypes) {
      const operands = fn === 'where' ? (['bool', t, t] as const) : Array.from({ length: arity }, () => t);
      if (result(operands)) cases.push(mapOf(fn, operands, (args) => op(fn, ...args)));
    }
  }
  return cases;
}

let device: GpuDevice;
beforeAll(async () => {
  device = await softwareGpuDevice();
});
afterAll(() => device.close());

describeGpu('scalar operations', () => {
  for (const test of allCases())
    it(test.kernel.name, () =>
      expectSame(
        device,
        test,
        {},
        test.kernel.name.startsWith('pow') ? { absolute: 1e-5, relative: 2e-4 } : f32Tolerance,
      ),
    );

  it('covers every operation and dtype', () => {
    const names = new Set(allCases().map((c) => c.kernel.name.split('_')[0]));
    expect([...names].sort()).toEqual(Object.keys(scalarOps).sort());
  });

  const constants: readonly (readonly [string, Ex])[] = [
    ['infinity', constant(Infinity)],
    ['minus infinity', constant(-Infinity)],
    ['NaN', constant(NaN)],
    ['minus zero', constant(-0)],
    ['the largest f32', constant(3.4028234663852886e38)],
    ['a third', constant(1 / 3)],
    ['the least i32', constant(-2147483648, 'i32')],
    ['the largest u32', constant(4294967295, 'u32')],
    ['an overflow of constants', op('add', constant(2147483647, 'i32'), constant(1, 'i32'))],
    ['an underflow of constants', op('sub', constant(0, 'u32'), constant(1, 'u32'))],
    ['an infinite product', op('mul', constant(1e30), constant(1e30))],
    ['a division by 0', op('div', constant(7, 'i32'), constant(0, 'i32'))],
    ['a shift of a constant', op('shl', constant(3, 'i32'), constant(31, 'i32'))],
    ['the negated least i32', op('neg', constant(-2147483648, 'i32'))],
  ];
  for (const [name, ex] of constants)
    it(`constants: ${name}`, async () => {
      const kernel = rows('constants', [`w ${ex.dtype}`], { i: 3 }, map({}, store(0, 'i', ex)));
      await expectSame(device, sized(kernel, 3));
    });

  it('does not lose small operands', async () => {
    const xs = [1e-8, -3e-5, 2e-3, 1e-20];
    for (const fn of ['tanh', 'erf', 'sin'] as const) {
      const kernel = rows(fn, ['r f32', 'w f32'], { i: 4 }, map({}, store(1, 'i', op(fn, load(0, 'i')))));
      await expectSame(
        device,
        { ...sized(kernel, 4, 4), data: { 0: xs } },
        {},
        { absolute: 0, relative: 1e-6 },
      );
    }
  });

  it('keeps NaN, and saturates', async () => {
    const xs = [NaN, Infinity, -Infinity, 1e30, -1e30, 88, 200, -200];
    for (const fn of ['tanh', 'erf'] as const) {
      const kernel = rows(fn, ['r f32', 'w f32'], { i: 8 }, map({}, store(1, 'i', op(fn, load(0, 'i')))));
      await expectSame(device, { ...sized(kernel, 8, 8), data: { 0: xs } });
    }
  });

  it('has sines of large operands', async () => {
    const xs = Array.from({ length: 100 }, (_, i) => Math.fround((i - 50) * 79.3));
    for (const fn of ['sin', 'cos'] as const) {
      const kernel = rows(fn, ['r f32', 'w f32'], { i: 100 }, map({}, store(1, 'i', op(fn, load(0, 'i')))));
      await expectSame(
        device,
        { ...sized(kernel, 100, 100), data: { 0: xs } },
        {},
        { absolute: 1e-6, relative: 0 },
      );
    }
  });

  it('compiles on the null backend, which is stricter', async () => {
    expect(await shaderErrors(allCases().map((c) => emitWgsl(c.kernel, []).code))).toEqual([]);
  });
});
