/** Bad files of weights and checkpoints, weights that do not fit, and disks that take none. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Program } from '../../compiler/plan.ts';
import { openTensors, runStateOf } from '../../runtime/checkpoint.ts';
import { nodeDisk, writeAtomically } from '../../runtime/disk.ts';
import { decodeTensor, encodeSafetensors, type TensorToStore } from '../../runtime/safetensors.ts';
import { matchTensors, weightRoles } from '../../runtime/weights.ts';
import type { Case } from './data-cases.ts';

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

export const weightsCases: readonly Case[] = [
  {
    code: 'E0702',
    slug: 'unreadable',
    raise: (d) => {
      mkdirSync(join(d, 'net.safetensors'));
      openTensors(join(d, 'net.safetensors'));
    },
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
