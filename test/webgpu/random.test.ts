import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { emitWgsl } from '../../compiler/backend/wgsl/index.ts';
import type { ReduceOp } from '../../compiler/ir/ops.ts';
import type { Axis, Ex, RowsKernel, Stage } from '../../compiler/kernel/kernel.ts';
import type { Condition, Poly } from '../../compiler/shape/poly.ts';
import {
  add,
  constant as int,
  evaluate,
  floorDivide,
  floorMod,
  maximum,
  minimum,
  multiply,
  subtract,
  symbol,
} from '../../compiler/shape/poly.ts';
import type { GpuDevice } from '../../runtime/webgpu.ts';
import type { Case } from '../support/kernel-build.ts';
import {
  cast,
  constant,
  dimsOf,
  indexOf,
  load,
  local,
  op,
  reduction,
  store,
  uses,
} from '../support/kernel-build.ts';
import { describeGpu } from '../support/swiftshader.ts';
import * as kernels from './kernels.ts';
import { f32Tolerance, expectSame, shaderErrors, softwareGpuDevice } from './run.ts';

const DIMS = { n: 3, m: 70 };
const valueOf = (p: Poly): number => evaluate(p, (name) => DIMS[name as keyof typeof DIMS]);

/** Extents of axes: small, 1, symbolic. */
const extent: fc.Arbitrary<Poly> = fc.oneof(
  fc.integer({ min: 1, max: 9 }).map((n) => int(n)),
  fc.constantFrom(symbol('n'), symbol('m'), int(1), int(65), add(symbol('n'), 2)),
);

function axesOf(prefix: string, max: number): fc.Arbitrary<Axis[]> {
  return fc
    .array(extent, { maxLength: max })
    .map((extents) => extents.map((e, i) => ({ name: `${prefix}${i}`, extent: e })))
    .filter((axes) => axes.reduce((n, a) => n * valueOf(a.extent), 1) <= 5000);
}

/** Index expressions that may be negative and may leave any range. */
function indexIn(axes: readonly Axis[]): fc.Arbitrary<Poly> {
  const leaf = fc.oneof(
    fc.integer({ min: -5, max: 20 }).map((n) => int(n)),
    fc.constantFrom(
      symbol('n'),
      symbol('m'),
      ...axes.map((a) => symbol(a.name)),
      ...axes.map((a) => symbol(a.name)),
    ),
  );
  const { index } = fc.letrec<{ index: Poly }>((tie) => ({
    index: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.tuple(tie('index'), tie('index')).map(([a, b]) => add(a, b)),
      fc.tuple(tie('index'), fc.integer({ min: -3, max: 4 })).map(([a, k]) => multiply(a, k)),
      fc.tuple(tie('index'), fc.integer({ min: 1, max: 9 })).map(([a, k]) => floorDivide(a, k)),
      fc.tuple(tie('index'), fc.integer({ min: 1, max: 9 })).map(([a, k]) => floorMod(a, k)),
      fc.tuple(tie('index'), fc.constantFrom('n', 'm')).map(([a, d]) => floorMod(a, symbol(d))),
      fc.tuple(tie('index'), fc.constantFrom('n', 'm')).map(([a, d]) => floorDivide(a, symbol(d))),
      fc.tuple(tie('index'), tie('index')).map(([a, b]) => minimum(a, b)),
      fc.tuple(tie('index'), tie('index')).map(([a, b]) => maximum(a, b)),
    ),
  }));
  return index;
}

const SIZE = 97;

/** Sums of thousands of terms of both signs; a wrong index shows in the first digit. */
const sums = { absolute: 2e-3, relative: 1e-4 };

/** Loads of buffer 0 that stay inside it: by a remainder, or by a guard. */
function loadIn(axes: readonly Axis[]): fc.Arbitrary<Ex> {
  const other = fc.array(
    fc.tuple(fc.constantFrom('ge', 'eq'), indexIn(axes)).map(([kind, value]): Condition => ({ kind, value })),
    { maxLength: 2 },
  );
  return fc
    .tuple(indexIn(axes), other, fc.boolean(), fc.constantFrom(0, -1, 7.5))
    .map(([i, more, guarded, fill]) => {
      if (!guarded) return load(0, floorMod(i, SIZE), { guard: more, fill });
      const inside: Condition[] = [
        { kind: 'ge', value: i },
        { kind: 'ge', value: subtract(SIZE - 1, i) },
      ];
      return load(0, i, { guard: [...inside, ...more], fill });
    });
}

/** f32 expressions that keep their size, over loads, indices, locals and each other. */
function valueIn(axes: readonly Axis[], locals: readonly string[]): fc.Arbitrary<Ex> {
  const { value } = fc.letrec<{ value: Ex }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      loadIn(axes),
      fc.constantFrom(
        constant(0.5),
        constant(-2),
        ...locals.map((name) => op('min', local(name), constant(10))),
      ),
      indexIn(axes).map((i) => cast(indexOf(floorMod(i, 11)), 'f32')),
      fc.tuple(tie('value'), tie('value')).map(([a, b]) => op('add', a, b)),
      fc.tuple(tie('value'), tie('value')).map(([a, b]) => op('sub', a, b)),
      fc.tuple(tie('value'), tie('value')).map(([a, b]) => op('max', a, b)),
      tie('value').map((a) => op('mul', op('tanh', a), op('tanh', a))),
      // One object used twice. What is compared is exact everywhere.
      fc
        .tuple(tie('value'), loadIn(axes))
        .map(([a, x]) => op('where', op('lt', x, constant(0.25)), op('neg', a), a)),
      fc.tuple(tie('value'), loadIn(axes)).map(([a, id]) => op('add', a, gathered(id))),
    ),
  }));
  return value;
}

/** Buffer 0 at an index that is itself loaded. */
function gathered(id: Ex): Ex {
  const data = [{ name: '@0', value: cast(op('mul', id, constant(8)), 'i32') }];
  const guard: Condition[] = [
    { kind: 'ge', value: symbol('@0') },
    { kind: 'ge', value: subtract(SIZE - 1, symbol('@0')) },
  ];
  return load(0, '@0', { data, guard, fill: 0.125 });
}

const reduceOps: readonly ReduceOp[] = ['sum', 'max', 'min'];

/** Row kernels: stages that reduce and stages that store, each into a buffer of its own. */
const rowsCase: fc.Arbitrary<Case> = axesOf('g', 3).chain((grid) => {
  const inner = fc.array(axesOf('x', 2), { minLength: 1, maxLength: 3 });
  return inner.chain((all) => {
    const renamed = all.map((axes, s) => axes.map((a) => ({ ...a, name: `s${s}_${a.name}` })));
    const stages = renamed.map((axes, s) => {
      const locals = Array.from({ length: s }, (_, i) => `local${i}`);
      return fc
        .tuple(fc.constantFrom(...reduceOps), valueIn([...grid, ...axes], []), fc.boolean())
        .map(([fn, v, also]) => ({ axes, locals, fn, v, also }));
    });
    return fc.tuple(...stages).chain((parts) =>
      fc
        .tuple(
          ...parts.map((_, s) =>
            valueIn(
              grid,
              parts.slice(0, s + 1).map((__, i) => `local${i}`),
            ),
          ),
        )
        .map((results) => rowsOf(grid, parts, results)),
    );
  });
});

interface Part {
  readonly axes: readonly Axis[];
  readonly fn: ReduceOp;
  readonly v: Ex;
  /** Stores the values too. */
  readonly also: boolean;
}

const flat = (axes: readonly Axis[]): Poly =>
  axes.reduce<Poly>((sum, a) => add(multiply(sum, a.extent), symbol(a.name)), int(0));
const count = (axes: readonly Axis[]): Poly => axes.reduce<Poly>((n, a) => multiply(n, a.extent), int(1));

function rowsOf(grid: readonly Axis[], parts: readonly Part[], results: readonly Ex[]): Case {
  const stages: Stage[] = [];
  const sizes: Poly[] = [int(SIZE)];
  const output = (axes: readonly Axis[]): number => sizes.push(count(axes)) - 1;
  parts.forEach(({ axes, fn, v, also }, s) => {
    stages.push({ kind: 'reduce', axes, reductions: [reduction(`local${s}`, fn, v)] });
    if (also) {
      const over = [...grid, ...axes];
      stages.push({
        kind: 'map',
        axes,
        stores: [store(output(over), flat(over), op('add', v, local(`local${s}`)))],
      });
    }
    stages.push({ kind: 'map', axes: [], stores: [store(output(grid), flat(grid), results[s]!)] });
  });
  const kernel: RowsKernel = {
    kind: 'rows',
    name: 'random',
    notes: [],
    buffers: uses(sizes.map((_, i) => (i === 0 ? 'r f32' : 'w f32'))),
    grid,
    stages,
  };
  return { kernel, sizes };
}

const extentOf = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom('n', 'm'));
const contractCase: fc.Arbitrary<Case> = fc.oneof(
  fc
    .tuple(extentOf, extentOf, extentOf, fc.boolean(), fc.boolean())
    .map(([m, n, k, a, b]) => kernels.dense(m, n, k, { a, b })),
  fc
    .tuple(fc.integer({ min: 1, max: 5 }), extentOf, extentOf, extentOf)
    .map(([b, m, n, k]) => kernels.batched(b, m, n, k)),
);

let device: GpuDevice;
beforeAll(async () => {
  device = await softwareGpuDevice();
});
afterAll(() => device.close());

const used = (test: Case): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(DIMS).filter(([name]) => dimsOf([test]).includes(name)));

/** All dims that expressions may name, whether or not a size does. */
const withDims = (test: Case): Case => ({ ...test, dims: ['m', 'n'] });

describeGpu('random kernels', () => {
  it('rows', async () => {
    await fc.assert(
      fc.asyncProperty(rowsCase, (test) => expectSame(device, withDims(test), DIMS, sums)),
      { numRuns: 60 },
    );
  }, 240_000);

  it('contractions', async () => {
    await fc.assert(
      fc.asyncProperty(contractCase, (test) => expectSame(device, test, used(test))),
      { numRuns: 6 },
    );
  }, 240_000);

  it('as a driver that computes on the CPU gets them', async () => {
    const options = { isSoftware: true };
    await fc.assert(
      fc.asyncProperty(rowsCase, (test) => expectSame(device, withDims(test), DIMS, sums, options)),
      { numRuns: 40 },
    );
    await fc.assert(
      fc.asyncProperty(contractCase, (test) => expectSame(device, test, used(test), f32Tolerance, options)),
      { numRuns: 8 },
    );
  }, 240_000);

  it('compile on the null backend', async () => {
    const all = [...fc.sample(rowsCase, 150), ...fc.sample(contractCase, 100)];
    const codes = all.map((test, i) => emitWgsl(test.kernel, ['m', 'n'], { isSoftware: i % 3 === 0 }).code);
    expect(await shaderErrors(codes)).toEqual([]);
  }, 240_000);
});
