import { describe, expect, it, vi } from 'vitest';
import { emitWgsl } from '../../compiler/backend/wgsl/index.ts';
import type { Kernel } from '../../compiler/kernel/kernel.ts';
import { add, floorDivide, multiply, symbol } from '../../compiler/shape/poly.ts';
import { describeGpu } from '../support/swiftshader.ts';
import type { Case } from '../support/kernel-build.ts';
import { dimsOf } from '../support/kernel-build.ts';
import * as kernels from './kernels.ts';
import { pairs, triangular } from './triangular.ts';
import { checks } from './run.ts';

// SwiftShader takes up to seconds to compile a tiled kernel, more when the machine is busy.
vi.setConfig({ testTimeout: 180_000 });

const check = checks();

describeGpu('contractions', () => {
  const sizes = [
    [1, 1, 1, false, false],
    [1, 10, 50, false, false],
    [33, 10, 17, false, true],
    [6, 25, 700, true, false],
    [10, 6, 1, false, false],
    [2, 3, 400, true, true],
    [70, 40, 20, false, false],
    [70, 40, 20, false, true],
    [70, 40, 20, true, false],
    [70, 40, 20, true, true],
    [64, 64, 32, false, false],
    [1, 300, 64, false, true],
    [300, 1, 65, true, false],
  ] as const;
  for (const [m, n, k, a, b] of sizes)
    check(`${m} x ${n} over ${k}, transposed: ${a} ${b}`, kernels.dense(m, n, k, { a, b }));
  check('a symbolic m, at 0 too', kernels.dense('batch', 12, 28), { batch: 7 }, { batch: 65 }, { batch: 0 });
  check('a symbolic k, at 0 too', kernels.dense(12, 40, 'batch'), { batch: 7 }, { batch: 64 }, { batch: 0 });
  check(
    'all symbolic',
    kernels.dense('rows', 'columns', 'depth'),
    { rows: 3, columns: 50, depth: 20 },
    { rows: 40, columns: 1, depth: 33 },
  );
  check('a batch', kernels.batched(6, 9, 20, 13));
  check('a symbolic batch', kernels.batched('batch', 5, 5, 40), { batch: 3 }, { batch: 0 });
  check('i32', kernels.denseInteger('i32'));
  check('u32', kernels.denseInteger('u32'));
  check('sums of an operand', kernels.withSums(70, 45, 'batch'), { batch: 33 }, { batch: 0 });
  check('sums of an operand of few rows', kernels.withSums(5, 8, 700));
  // The last part is short, and one is empty.
  check('parts of k', kernels.inParts(6, 25, 700, 5, 192));
  check('parts that are no whole slices', kernels.inParts(40, 32, 50, 3, 20));
  const share = multiply(floorDivide(add(symbol('batch'), 3), 4), 16);
  check(
    'parts of a symbolic k',
    kernels.inParts(5, 6, multiply(symbol('batch'), 16), 4, share),
    { batch: 9 },
    { batch: 1 },
    { batch: 0 },
  );
  for (const [more, less] of pairs) {
    check(`${more} not before ${less}`, triangular([70, 40, 50], more, less, 0));
    check(
      `${more} not long before ${less}, sizes bound later`,
      triangular(['rows', 'columns', 'depth'], more, less, 9),
      { rows: 37, columns: 50, depth: 40 },
      { rows: 3, columns: 50, depth: 33 },
    );
  }
  it('takes no slices that count nothing', () => {
    const { kernel } = triangular([70, 40, 50], 'i', 'k', 0);
    const slices = (k: Kernel): string => /for \(var k0 = .*\)/.exec(emitWgsl(k, []).code)![0];
    expect(slices(kernel)).not.toBe(slices({ ...kernel, live: [] } as Kernel));
  });
  check('an operand that is read by elements, too', kernels.gram(12, 8));
  check('prologue, epilogue, in place, two outputs', kernels.fused(20, 37, 19));
  const convs: kernels.Conv[] = [
    { channels: 1, filters: 6, size: 9, kernel: 5, stride: 1, padding: 0 },
    { channels: 3, filters: 17, size: 7, kernel: 3, stride: 2, padding: 1 },
    { channels: 2, filters: 4, size: 8, kernel: 3, stride: 3, padding: 2 },
  ];
  for (const c of convs) {
    const name = JSON.stringify(c);
    check(`convolution ${name}`, kernels.conv(c), { batch: 3 });
    check(`its filter gradient ${name}`, kernels.convFilterGradient(c), { batch: 5 });
    check(`its input gradient ${name}`, kernels.convInputGradient(c), { batch: 3 });
  }
});

describeGpu('rows', () => {
  check('softmax of short rows', kernels.softmax('batch', 10), { batch: 1 }, { batch: 67 }, { batch: 0 });
  check('softmax of long rows', kernels.softmax('batch', 300), { batch: 5 });
  check('softmax of very long rows', kernels.softmax(2, 1000));
  check('softmax of symbolic rows', kernels.softmax(70, 'n'), { n: 1 }, { n: 3 }, { n: 130 });
  check('softmax of columns', kernels.softmax(37, 'n', 'grid'), { n: 1 }, { n: 100 });
  check('column sums', kernels.columnSums('batch', 50), { batch: 64 }, { batch: 0 }, { batch: 1 });
  check('few column sums', kernels.columnSums('batch', 3), { batch: 200 });
  check('symbolic column sums', kernels.columnSums(100, 'n'), { n: 1 }, { n: 33 });
  check('totals', kernels.total('n'), { n: 1 }, { n: 255 }, { n: 2000 });
  check('a total of nothing', kernels.total('n'), { n: 0 });
  check('a short total', kernels.total(7));
  check('max pooling with padding', kernels.maxPool(3, 5), { batch: 4 });
  check('maps side by side', kernels.optimizer([1, 64, 200]));
  check('a map', kernels.optimizer([64]));
  check('maps of four points at once beside others', kernels.optimizer([4096, 7, 5004]));
  check('axes that are one', kernels.scaled('batch', 5, 6), { batch: 3 }, { batch: 0 });
  check('argmax', kernels.argmax('batch', 10), { batch: 20 });
  check('argmax of long rows', kernels.argmax('batch', 100), { batch: 20 });
});

describeGpu('data as indices', () => {
  check('gather', kernels.gather('n', 7, 5), { n: 30 });
  check('scatter', kernels.embeddingGradient('n', 7, 5), { n: 30 }, { n: 0 });
  check('scatter of many columns', kernels.embeddingGradient(10, 3, 100));
});

/** Which buffers a kernel sees as vectors of four. */
function vectorsOf(test: Case): number[] {
  const { code } = emitWgsl(test.kernel, dimsOf([test]));
  return [...code.matchAll(/binding\((\d+)\).*array<vec4<\w+>>/g)].map((m) => Number(m[1]));
}

describe('four elements at once', () => {
  it('are read and stored wherever that is provably in line', () => {
    expect(vectorsOf(kernels.dense('batch', 12, 28))).toEqual([0, 1, 2, 3]);
    expect(vectorsOf(kernels.dense(64, 64, 32, { a: true, b: true }))).toEqual([0, 1, 2, 3]);
    // Rows of 30 do not begin at multiples of four, results of 10 neither.
    expect(vectorsOf(kernels.dense('batch', 12, 30))).toEqual([1, 2, 3]);
    expect(vectorsOf(kernels.dense('batch', 10, 28))).toEqual([0]);
    // The contracted axis of unknown length is not in line here, but is in the gradient of a weight.
    expect(vectorsOf(kernels.dense(12, 40, 'batch'))).toEqual([1, 2, 3]);
    expect(vectorsOf(kernels.dense(12, 40, 'batch', { a: true, b: false }))).toEqual([0, 1, 2, 3]);
    expect(vectorsOf(kernels.gram(12, 8))).toEqual([0, 1]);
    expect(vectorsOf(kernels.inParts(40, 32, 50, 3, 20))).toEqual([0, 1, 2, 3]);
    expect(vectorsOf(kernels.optimizer([4096, 7, 5004]))).toEqual([0, 1, 2, 6, 7, 8]);
    expect(vectorsOf(kernels.scaled('batch', 5, 6))).toEqual([0, 2, 3, 4]);
  });

  it('are read from workgroup memory too', () => {
    const { code } = emitWgsl(kernels.dense(64, 64, 32).kernel, []);
    expect(code).toMatch(/var<workgroup> w_a: array<vec4<f32>, \d+>/);
    expect(code).toMatch(/var<workgroup> w_b: array<vec4<f32>, \d+>/);
  });
});
