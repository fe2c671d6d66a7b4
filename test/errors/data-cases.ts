/** Bad data files, tables and texts, and data that does not fit what reads it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StaticValue } from '../../compiler/plan.ts';
import { Batches } from '../../runtime/data/batches.ts';
import { checkLabels } from '../../runtime/data/column.ts';
import { loadSource } from '../../runtime/data/source.ts';
import type { runtimeProblems } from '../../runtime/problems.ts';
import { plan } from '../runtime/fake.ts';

export interface Case {
  readonly code: keyof typeof runtimeProblems;
  readonly slug: string;
  /** Makes its files in `folder` and does what fails. */
  readonly raise: (folder: string) => unknown;
}

/** An idx file: type code, dimensions, values (bytes; `types` 8 and 13 only). */
function idx(dims: readonly number[], values: readonly number[], type = 8): Uint8Array {
  const step = type === 8 ? 1 : 4;
  const bytes = new Uint8Array(4 + 4 * dims.length + step * values.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 0, type, dims.length]);
  dims.forEach((d, i) => view.setUint32(4 + 4 * i, d));
  values.forEach((v, i) => {
    const at = 4 + 4 * dims.length + step * i;
    if (type === 8) bytes[at] = v;
    else view.setFloat32(at, v);
  });
  return bytes;
}

const images = (count: number): Uint8Array => idx([count, 2, 2], Array<number>(count * 4).fill(7));
const labels = (values: readonly number[]): Uint8Array => idx([values.length], values);

/** Writes files and loads them as `idx(image: …, label: …)` does. */
function load(
  folder: string,
  files: Readonly<Record<string, Uint8Array>>,
  args?: Readonly<Record<string, string>>,
) {
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return loadSource({
    kind: 'idx',
    args: args ?? { image: 'images', label: 'labels' },
    file: join(folder, 'main.nnet'),
  });
}

/** Writes a table and loads fields of it. */
function table(
  folder: string,
  text: string,
  fields: Readonly<Record<string, string | readonly string[]>>,
): unknown {
  writeFileSync(join(folder, 'data.csv'), text);
  return loadSource({ kind: 'csv', args: { file: 'data.csv', ...fields }, file: join(folder, 'main.nnet') });
}

/** Writes a text and loads windows of it. */
function windows(
  folder: string,
  bytes: string | Uint8Array,
  options: Readonly<Record<string, StaticValue>>,
): unknown {
  writeFileSync(join(folder, 'book.txt'), bytes);
  return loadSource({
    kind: 'text',
    args: { file: 'book.txt', ...options },
    file: join(folder, 'main.nnet'),
  });
}

/** A step that takes batches of 2 x 2 images and labels. */
const step = plan('step', {
  inputs: [
    { name: 'image', dtype: 'f32', shape: ['batch', 2, 2], buffer: 0 },
    { name: 'label', dtype: 'i32', shape: ['batch'], buffer: 1 },
  ],
});

export const dataCases: readonly Case[] = [
  {
    code: 'E0701',
    slug: 'missing-package',
    raise: (d) => load(d, {}, { image: 'mnist-dada/data/train-images-idx3-ubyte' }),
  },
  {
    code: 'E0701',
    slug: 'missing-file',
    raise: (d) => load(d, { Images: images(2) }, { image: './images' }),
  },
  { code: 'E0701', slug: 'unnameable', raise: (d) => load(d, {}, { image: './im\0ages' }) },
  { code: 'E0701', slug: 'below-a-file', raise: (d) => load(d, { x: images(1) }, { image: './x/images' }) },
  {
    code: 'E0703',
    slug: 'gzip',
    raise: (d) => load(d, { images: Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0) }),
  },
  {
    code: 'E0703',
    slug: 'text',
    raise: (d) => load(d, { images: new TextEncoder().encode('<!DOCTYPE html>') }),
  },
  { code: 'E0703', slug: 'type', raise: (d) => load(d, { images: Uint8Array.of(0, 0, 7, 1, 0, 0, 0, 0) }) },
  { code: 'E0703', slug: 'empty', raise: (d) => load(d, { images: new Uint8Array(0) }) },
  {
    code: 'E0704',
    slug: 'truncated',
    raise: (d) => load(d, { images: images(5).slice(0, 30), labels: labels([1]) }),
  },
  {
    code: 'E0705',
    slug: 'too-long',
    raise: (d) => load(d, { images: Buffer.concat([images(5), images(1)]) }),
  },
  { code: 'E0706', slug: 'counts', raise: (d) => load(d, { images: images(5), labels: labels([1, 2, 3]) }) },
  {
    code: 'E0707',
    slug: 'swapped',
    raise: (d) => new Batches(step, load(d, { images: labels([1, 2]), labels: images(2) }), 'digits', 2),
  },
  {
    code: 'E0707',
    slug: 'shape',
    raise: (d) =>
      new Batches(
        step,
        load(d, { images: idx([2, 3, 3], Array<number>(18).fill(0)), labels: labels([1, 2]) }),
        'digits',
        2,
      ),
  },
  {
    code: 'E0708',
    slug: 'label-range',
    raise: (d) => {
      checkLabels(load(d, { images: images(3), labels: labels([9, 10, 1]) }).columns.get('label')!, 10);
    },
  },
  {
    code: 'E0710',
    slug: 'not-whole',
    raise: (d) =>
      new Batches(step, load(d, { images: images(2), labels: idx([2], [1, 2.5], 13) }), 'digits', 2).take(
        Uint32Array.of(0, 1),
        0,
        2,
      ),
  },
  {
    code: 'E0711',
    slug: 'no-field',
    raise: (d) => new Batches(step, load(d, { images: images(2) }, { image: 'images' }), 'digits', 2),
  },
  {
    code: 'E0712',
    slug: 'unknown-kind',
    raise: () => loadSource({ kind: 'hdf5', args: {}, file: 'main.nnet' }),
  },
  {
    code: 'E0713',
    slug: 'no-file-name',
    raise: () => loadSource({ kind: 'idx', args: { image: 7 }, file: 'main.nnet' }),
  },
  {
    code: 'E0714',
    slug: 'no-column',
    raise: (d) => table(d, 'length,width\n1,2\n', { x: ['length', 'height'] }),
  },
  {
    code: 'E0715',
    slug: 'not-a-number',
    raise: (d) => table(d, 'length,width\n1,2\n3,wide\n', { x: ['length', 'width'] }),
  },
  {
    code: 'E0715',
    slug: 'not-a-class',
    raise: (d) => table(d, 'species\nsetosa\nvirginia\n', { label: 'species: setosa|virginica' }),
  },
  {
    code: 'E0716',
    slug: 'short-row',
    raise: (d) => table(d, 'length,width\n1,2\n3\n', { x: ['length', 'width'] }),
  },
  { code: 'E0717', slug: 'short', raise: (d) => windows(d, 'To be, or not to be', { length: 64 }) },
  { code: 'E0717', slug: 'empty-text', raise: (d) => windows(d, '', { length: 4 }) },
  {
    code: 'E0717',
    slug: 'not-utf8',
    raise: (d) => windows(d, Uint8Array.of(97, 10, 98, 0xe9, 10, 99), { length: 2 }),
  },
  {
    code: 'E0717',
    slug: 'other-character',
    raise: (d) => windows(d, 'abba\ncab', { length: 2, vocabulary: 'ab\n' }),
  },
  { code: 'E0718', slug: 'no-length', raise: (d) => windows(d, 'abc', {}) },
  { code: 'E0718', slug: 'other-field', raise: (d) => windows(d, 'abc', { length: 2, label: 'x' }) },
  {
    code: 'E0718',
    slug: 'twice-in-vocabulary',
    raise: (d) => windows(d, 'abc', { length: 2, vocabulary: 'aab' }),
  },
];
