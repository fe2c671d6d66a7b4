/** Reductions across a workgroup with the functions of subgroups: the same results, with one barrier instead of nine. */
import { expect, it, vi } from 'vitest';
import { emitWgsl } from '../../compiler/backend/wgsl/index.ts';
import type { Case } from '../support/kernel-build.ts';
import { dimsOf } from '../support/kernel-build.ts';
import { describeGpu } from '../support/swiftshader.ts';
import * as kernels from './kernels.ts';
import { expectSame, f32Tolerance, fileDevice, runBoth, shaderErrors } from './run.ts';

vi.setConfig({ testTimeout: 60_000 });

const device = fileDevice();

const options = { subgroups: true };
const textOf = (test: Case): string => emitWgsl(test.kernel, dimsOf([test]), options).code;

type Dims = Readonly<Record<string, number>>;
const check = (name: string, test: Case, ...dims: readonly Dims[]): void =>
  it(name, async (context) => {
    expect(textOf(test)).toMatch(/^enable subgroups;/);
    expect(await shaderErrors([textOf(test)])).toEqual([]);
    if (!device().subgroups) context.skip('the GPU has no subgroups');
    for (const d of dims) await expectSame(device(), test, d, f32Tolerance, options);
  });

describeGpu('reductions by subgroups', () => {
  check('softmax of long rows', kernels.softmax('batch', 300), { batch: 5 }, { batch: 0 });
  check('softmax of very long rows', kernels.softmax(2, 1000), {});
  check('softmax of symbolic rows', kernels.softmax(70, 'n'), { n: 1 }, { n: 3 }, { n: 130 });
  check('totals', kernels.total('n'), { n: 1 }, { n: 255 }, { n: 2000 }, { n: 0 });
  check('argmax of long rows', kernels.argmax('batch', 100), { batch: 20 });

  it('have one barrier', () => {
    const test = kernels.softmax(2, 1000);
    const barriers = (code: string): number => code.match(/workgroupBarrier/g)?.length ?? 0;
    // Two reductions use one array in turn.
    expect(barriers(textOf(test))).toBe(3);
    expect(barriers(emitWgsl(test.kernel, []).code)).toBe(5);
  });

  it('give the same bits again', async (context) => {
    if (!device().subgroups) context.skip('the GPU has no subgroups');
    const run = async () => (await runBoth(device(), kernels.total('n'), { n: 3000 }, 1, options)).actual;
    expect(await run()).toEqual(await run());
  });

  it('of columns are done as before', () => {
    expect(textOf(kernels.columnSums('batch', 50))).not.toMatch(/subgroup/);
  });
});
