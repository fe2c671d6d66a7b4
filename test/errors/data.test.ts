/**
 * What is printed for bad data, weights and disks. Each case makes the bad file in a folder of its own and hands it to
 * the function that a run uses. The expected text stands in `<code>-<slug>/expected.txt`, the page in docs/errors shows
 * the first case of its code. `npx vitest run test/errors -u` writes both.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { renderTold } from '../../compiler/diagnostics/index.ts';
import type { Plan, Program, StaticValue } from '../../compiler/plan.ts';
import { openTensors, runStateOf } from '../../runtime/checkpoint.ts';
import { Batches } from '../../runtime/data/batches.ts';
import { checkLabels } from '../../runtime/data/column.ts';
import { loadSource } from '../../runtime/data/source.ts';
import { nodeDisk, writeAtomically } from '../../runtime/disk.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { codeOf, runtimeProblems } from '../../runtime/problems.ts';
import { decodeTensor, encodeSafetensors, type TensorToStore } from '../../runtime/safetensors.ts';
import { matchTensors, weightRoles } from '../../runtime/weights.ts';
import { pageOf, pagePath, refreshPage } from './samples.ts';

interface Case {
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
const plan: Plan = {
  name: 'step',
  target: 'wasm',
  dims: ['batch'],
  inputs: [
    { name: 'image', dtype: 'f32', shape: ['batch', 2, 2], buffer: 0 },
    { name: 'label', dtype: 'i32', shape: ['batch'], buffer: 1 },
  ],
  outputs: [],
  clocks: [],
  buffers: [],
  dispatches: [],
  loops: [],
  code: { kind: 'wgsl', shaders: {} },
};

const program: Program = {
  format: 1,
  stores: [{ name: 'params', dtype: 'f32', size: 12 }],
  tensors: [
    { path: 'dense1.weight', role: 'param', dtype: 'f32', shape: [2, 4], store: 0, offset: 0 },
    { path: 'dense1.bias', role: 'param', dtype: 'f32', shape: [4], store: 0, offset: 8 },
  ],
  plans: {},
};

const weight: TensorToStore = {
  name: 'dense1.weight',
  dtype: 'f32',
  shape: [2, 4],
  data: new Float32Array(8),
};
const bias: TensorToStore = { name: 'dense1.bias', dtype: 'f32', shape: [4], data: new Float32Array(4) };

function save(
  folder: string,
  tensors: readonly TensorToStore[],
  metadata: Record<string, string> = {},
): string {
  const file = join(folder, 'net.safetensors');
  writeFileSync(file, Buffer.concat(encodeSafetensors(tensors, metadata)));
  return file;
}

/** A safetensors file with a header of one's own making. */
function forge(folder: string, header: string, bytes = 16, length = header.length): string {
  const file = join(folder, 'net.safetensors');
  const out = new Uint8Array(8 + header.length + bytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(new TextEncoder().encode(header), 8);
  writeFileSync(file, out);
  return file;
}

const match = (file: string) => matchTensors(program, openTensors(file), weightRoles);
const f32 = (begin: number, end: number) => ({
  dtype: 'F32',
  shape: [(end - begin) / 4],
  data_offsets: [begin, end],
});

const cases: readonly Case[] = [
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
    code: 'E0702',
    slug: 'unreadable',
    raise: (d) => {
      mkdirSync(join(d, 'net.safetensors'));
      openTensors(join(d, 'net.safetensors'));
    },
  },
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
    raise: (d) => new Batches(plan, load(d, { images: labels([1, 2]), labels: images(2) }), 'digits', 2),
  },
  {
    code: 'E0707',
    slug: 'shape',
    raise: (d) =>
      new Batches(
        plan,
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
      new Batches(plan, load(d, { images: images(2), labels: idx([2], [1, 2.5], 13) }), 'digits', 2).take(
        Uint32Array.of(0, 1),
        0,
        2,
      ),
  },
  {
    code: 'E0711',
    slug: 'no-field',
    raise: (d) => new Batches(plan, load(d, { images: images(2) }, { image: 'images' }), 'digits', 2),
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
  {
    code: 'E0801',
    slug: 'truncated',
    raise: (d) => openTensors(forge(d, JSON.stringify({ a: f32(0, 32) }), 16)),
  },
  { code: 'E0801', slug: 'lying-header', raise: (d) => openTensors(forge(d, '{}', 0, 1_000_000)) },
  {
    code: 'E0801',
    slug: 'overlap',
    raise: (d) => openTensors(forge(d, JSON.stringify({ a: f32(0, 12), b: f32(8, 16) }))),
  },
  {
    code: 'E0801',
    slug: 'hole',
    raise: (d) => openTensors(forge(d, JSON.stringify({ a: f32(0, 4), b: f32(8, 16) }))),
  },
  {
    code: 'E0801',
    slug: 'wrong-size',
    raise: (d) => openTensors(forge(d, '{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}')),
  },
  {
    code: 'E0801',
    slug: 'twice',
    raise: (d) => openTensors(forge(d, `{"a":${JSON.stringify(f32(0, 16))},"a":0}`)),
  },
  { code: 'E0801', slug: 'not-json', raise: (d) => openTensors(forge(d, '\u0080\u0004cos\nsystem')) },
  { code: 'E0802', slug: 'missing', raise: (d) => match(save(d, [{ ...weight, name: 'fc1.weight' }, bias])) },
  {
    code: 'E0803',
    slug: 'shape',
    raise: (d) => match(save(d, [{ ...weight, shape: [4, 2] }, bias])),
  },
  {
    code: 'E0805',
    slug: 'disk-full',
    raise: (d) => {
      const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
        code: 'ENOSPC',
        syscall: 'write',
      });
      const disk = {
        ...nodeDisk,
        write: () => {
          throw full;
        },
      };
      const file = join(d, 'last.safetensors');
      try {
        writeAtomically(file, encodeSafetensors([weight, bias]), disk);
      } finally {
        // Nothing half-written is left behind.
        expect(readdirSync(d)).toEqual([]);
      }
    },
  },
  {
    code: 'E0805',
    slug: 'no-folder',
    raise: (d) => {
      writeAtomically(join(d, 'runs/last.safetensors'), [new Uint8Array(8)]);
    },
  },
  { code: 'E0806', slug: 'weights-only', raise: (d) => runStateOf(openTensors(save(d, [weight, bias]))) },
  {
    code: 'E0807',
    slug: 'version',
    raise: (d) => runStateOf(openTensors(save(d, [weight], { 'nnetc.run': '{"format":99}' }))),
  },
  {
    code: 'E0810',
    slug: 'does-not-fit',
    raise: (d) => {
      const file = openTensors(
        save(d, [{ name: 'label', dtype: 'u32', shape: [1], data: Uint32Array.of(4_000_000_000) }]),
      );
      const stored = file.tensors.get('label')!;
      decodeTensor(file.file, stored, file.bytesOf(stored), 'i32');
    },
  },
];

const root = mkdtempSync(join(tmpdir(), 'nnetc-errors-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** What is printed, with the test's own folder left out of the paths. */
function print(test: Case): { readonly error: RuntimeError; readonly printed: string } {
  const folder = join(root, `${test.code}-${test.slug}`);
  mkdirSync(folder);
  try {
    test.raise(folder);
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    const told = {
      code: codeOf(error),
      severity: 'error',
      message: error.message,
      help: error.help,
    } as const;
    return { error, printed: renderTold(told, { color: false }).replaceAll(`${folder}/`, '') };
  }
  throw new Error('nothing went wrong');
}

describe.each(cases)('$code $slug', (test) => {
  const { error, printed } = print(test);
  const { code, slug } = test;

  it('raises this code, names what it is about, and prints no stack', () => {
    expect(codeOf(error)).toBe(code);
    expect(printed).not.toMatch(/undefined|NaN|\[object|\.ts:\d|node:/);
    expect(error.help).not.toBe('');
  });

  it('is printed as expected', async () => {
    const expected = new URL(`./${code}-${slug}/expected.txt`, import.meta.url);
    await expect(printed).toMatchFileSnapshot(expected.pathname);
  });

  it('has a page that shows it', async () => {
    const page = pageOf(code);
    expect(page, `docs/errors/${code}.md`).toBeDefined();
    if (cases.find((c) => c.code === code) !== test) return;
    const title = `${code}: ${runtimeProblems[code].title}`;
    await expect(refreshPage(page!, { title, files: new Map(), printed })).toMatchFileSnapshot(
      pagePath(code),
    );
  });
});

describe('every code of the runtime', () => {
  it.each(Object.keys(runtimeProblems))('%s has a page', (code) => {
    expect(existsSync(pagePath(code))).toBe(true);
    expect(pageOf(code)).toContain('## How to mend it');
  });
});
