/** What a driver that computes on the CPU gets: contractions without workgroup memory, rows without barriers. */
import { vi } from 'vitest';
import { describeGpu } from '../support/swiftshader.ts';
import * as kernels from './kernels.ts';
import { checks } from './run.ts';

vi.setConfig({ testTimeout: 180_000 });

const check = checks({ isSoftware: true });

describeGpu('rows of one invocation', () => {
  check('softmax of short rows', kernels.softmax('batch', 10), { batch: 1 }, { batch: 67 }, { batch: 0 });
  check('softmax of long rows', kernels.softmax('batch', 300), { batch: 5 });
  check('softmax of symbolic rows', kernels.softmax(70, 'n'), { n: 1 }, { n: 130 });
  check('column sums', kernels.columnSums('batch', 50), { batch: 64 }, { batch: 0 });
  check('few column sums', kernels.columnSums('batch', 3), { batch: 200 });
  check('totals', kernels.total('n'), { n: 1 }, { n: 2000 }, { n: 0 });
  check('max pooling with padding', kernels.maxPool(3, 8), { batch: 4 });
  check('maps side by side', kernels.optimizer([1, 64, 200]));
  check('axes that are one', kernels.scaled('batch', 5, 6), { batch: 3 }, { batch: 0 });
  check('argmax', kernels.argmax(64, 10));
  check('gather', kernels.gather('n', 7, 5), { n: 30 });
  check('scatter', kernels.embeddingGradient('n', 7, 5), { n: 30 }, { n: 0 });
});

describeGpu('contractions of patches', () => {
  check('1 x 1 over 1', kernels.dense(1, 1, 1));
  check('33 x 10 over 17', kernels.dense(33, 10, 17, { a: false, b: true }));
  check('primes', kernels.dense(13, 29, 31));
  check('a long k', kernels.dense(6, 25, 700, { a: true, b: false }));
  check('a symbolic m, at 0 too', kernels.dense('batch', 12, 28), { batch: 7 }, { batch: 65 }, { batch: 0 });
  check('a symbolic k, at 0 too', kernels.dense(12, 40, 'batch'), { batch: 7 }, { batch: 64 }, { batch: 0 });
  check(
    'a symbolic k that is shared',
    kernels.dense(3, 5, 'batch'),
    { batch: 7 },
    { batch: 300 },
    { batch: 0 },
  );
  check('all symbolic', kernels.dense('rows', 'columns', 'depth'), { rows: 3, columns: 50, depth: 21 });
  check('a symbolic batch', kernels.batched('batch', 5, 5, 40), { batch: 3 }, { batch: 0 });
  check('i32', kernels.denseInteger('i32'));
  check('sums of an operand', kernels.withSums(70, 45, 'batch'), { batch: 33 }, { batch: 0 });
  check('sums of an operand of few rows', kernels.withSums(5, 8, 700));
  check('parts of k', kernels.inParts(6, 25, 700, 5, 192));
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
