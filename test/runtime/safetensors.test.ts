import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RuntimeError } from '../../runtime/errors.ts';
import type { TensorToStore } from '../../runtime/safetensors.ts';
import {
  decodeSafetensors,
  decodeTensor,
  encodeSafetensors,
  headerLength,
} from '../../runtime/safetensors.ts';

const join = (chunks: readonly Uint8Array[]): Uint8Array => Uint8Array.from(chunks.flatMap((c) => [...c]));

/** A file with this text as its header. */
function file(header: string | Uint8Array, data: readonly number[] = []): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return join([length, json, Uint8Array.from(data)]);
}

const one = (name: string, begin: number, end: number, shape = [end - begin], dtype = 'U8'): string =>
  `"${name}":${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;

describe('reading', () => {
  it.each([
    ['an empty file', new Uint8Array(), 'it has only 0 bytes'],
    [
      'a header that lies beyond the file',
      Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 0, 123, 125),
      'header is said to have 255 bytes, but the file has only 10',
    ],
    ['a huge header', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 255), 'at most 100000000'],
    ['a pickle', file(Uint8Array.of(0x80, 2)), 'does not start with `{`'],
    ['a space first', file(' {}'), 'does not start with `{`'],
    ['half JSON', file('{"a":'), 'not JSON'],
    ['bad UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), 'not JSON'],
    ['a duplicate name', file(`{${one('a', 0, 1)},${one('a', 1, 2)}}`, [1, 2]), 'the key "a" twice'],
    [
      'a duplicate name in disguise',
      file(`{${one('a', 0, 1)},${one('\\u0061', 1, 2)}}`, [1, 2]),
      'the key "a" twice',
    ],
    [
      'a duplicate field',
      file('{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}}', [1]),
      'the key "dtype" twice',
    ],
    ['duplicate metadata', file('{"__metadata__":{"x":"1","x":"2"}}'), 'the key "x" twice'],
    ['metadata of another kind', file('{"__metadata__":{"x":1}}'), 'not a table of texts'],
    ['an overlap', file(`{${one('a', 0, 2)},${one('b', 1, 3)}}`, [1, 2, 3]), 'tensor "b" overlaps'],
    [
      'a hole',
      file(`{${one('a', 0, 1)},${one('b', 2, 3)}}`, [1, 2, 3]),
      'a hole of 1 bytes before tensor "b"',
    ],
    ['a hole at the start', file(`{${one('a', 1, 2)}}`, [1, 2]), 'a hole'],
    ['bytes at the end', file(`{${one('a', 0, 1)}}`, [1, 2]), '1 bytes that belong to no tensor'],
    ['too few bytes', file(`{${one('a', 0, 4)}}`, [1, 2]), 'truncated'],
    [
      'offsets that do not fit the shape',
      file(`{${one('a', 0, 2, [3])}}`, [1, 2]),
      'takes 3 bytes, its offsets span 2',
    ],
    [
      'offsets backwards',
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', [1]),
      'its offsets span -1',
    ],
    [
      'an enormous shape',
      file('{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
      'larger than anything',
    ],
    ['a negative size', file('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}'), 'no valid shape'],
    ['a fraction', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.5]}}', [1]), 'no valid offsets'],
    ['an unknown type', file('{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}', [1]), 'the type "F4"'],
    [
      'an inherited name as type',
      file('{"a":{"dtype":"toString","shape":[1],"data_offsets":[0,1]}}', [1]),
      'the type "toString"',
    ],
    [
      'an unknown field',
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}', [1]),
      'unknown field "x"',
    ],
    ['a tensor that is a list', file('{"a":[]}'), 'is not a table'],
  ] as const)('refuses %s', (_, bytes, reason) => {
    let error: unknown;
    try {
      decodeSafetensors('w.safetensors', bytes);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error).toMatchObject({ code: 'E0801' });
    expect((error as RuntimeError).message).toContain(reason);
    expect((error as RuntimeError).message).toContain('"w.safetensors"');
  });

  it('takes spaces after the header, strange names and empty tensors', () => {
    const { tensors } = decodeSafetensors(
      'f',
      file(`{${one('__proto__', 0, 1)},${one('e', 1, 1, [0, 7])}}   `, [9]),
    );
    expect([...tensors.keys()]).toEqual(['__proto__', 'e']);
  });

  it('refuses the header by its length alone', () => {
    expect(() => headerLength('f', Uint8Array.of(0, 0, 0, 16, 0, 0, 0, 0), 2 ** 40)).toThrow(/100000000/);
  });

  it('survives mutations of a good file', () => {
    const good = file(
      `{"__metadata__":{"k":"v"},${one('a', 0, 4, [1], 'F32')},${one('b', 4, 6)}}`,
      [0, 0, 128, 63, 1, 2],
    );
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, cut) => {
        const bytes = good.slice(0, Math.max(cut, 8));
        if (at < bytes.length) bytes[at] = byte;
        try {
          const { tensors, bytesOf } = decodeSafetensors('f', bytes);
          for (const t of tensors.values()) expect(bytesOf(t).length).toBe(t.end - t.begin);
        } catch (error) {
          expect(error).toBeInstanceOf(RuntimeError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('values', () => {
  const decode = (
    type: string,
    bytes: readonly number[],
    n: number,
    dtype: 'f32' | 'i32' | 'u32' | 'bool',
  ): number[] => {
    const { tensors, bytesOf } = decodeSafetensors(
      'f',
      file(`{${one('a', 0, bytes.length, [n], type)}}`, bytes),
    );
    const t = tensors.get('a')!;
    return [...decodeTensor('f', t, bytesOf(t), dtype)];
  };

  it('converts half, bfloat and double', () => {
    // 1, -2, 65504, smallest subnormal, smallest normal, infinity, NaN
    const halves = [0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0x7e00];
    expect(
      decode(
        'F16',
        halves.flatMap((h) => [h & 255, h >> 8]),
        7,
        'f32',
      ),
    ).toEqual([1, -2, 65504, 2 ** -24, 2 ** -14, Infinity, NaN]);
    expect(decode('BF16', [0x80, 0x3f, 0x49, 0x40], 2, 'f32')).toEqual([1, 3.140625]);
    expect(decode('F64', [...new Uint8Array(Float64Array.of(Math.PI).buffer)], 1, 'f32')).toEqual([
      Math.fround(Math.PI),
    ]);
  });

  it('takes integers as integers, if they fit', () => {
    expect(decode('I64', [...new Uint8Array(BigInt64Array.of(-5n).buffer)], 1, 'i32')).toEqual([-5]);
    expect(() => decode('I64', [...new Uint8Array(BigInt64Array.of(1n << 40n).buffer)], 1, 'i32')).toThrow(
      /does not fit/,
    );
    expect(() => decode('I8', [255], 1, 'u32')).toThrow(/does not fit/);
    expect(() => decode('F32', [0, 0, 0, 0], 1, 'i32')).toThrow(/types differ/);
    expect(() => decode('U8', [1], 1, 'f32')).toThrow(/types differ/);
    expect(decode('BOOL', [1, 0, 1], 3, 'bool')).toEqual([1, 0, 1]);
  });
});

describe('writing', () => {
  it('reads back what it wrote, aligned and in a stable order', () => {
    const tensors: TensorToStore[] = [
      { name: 'z', dtype: 'bool', shape: [3], data: Uint32Array.of(1, 0, 1) },
      { name: '10', dtype: 'i32', shape: [2], data: Int32Array.of(-1, 2) },
      { name: 'a"\n', dtype: 'f32', shape: [1, 2], data: Float32Array.of(0.1, NaN) },
      { name: 'empty', dtype: 'f32', shape: [0], data: new Float32Array() },
      { name: 'scalar', dtype: 'u32', shape: [], data: Uint32Array.of(4e9) },
    ];
    const bytes = join(encodeSafetensors(tensors, { state: '{"x":1}' }));
    expect(bytes).toEqual(join(encodeSafetensors(tensors.toReversed(), { state: '{"x":1}' })));
    const read = decodeSafetensors('f', bytes);
    expect(read.metadata).toEqual({ state: '{"x":1}' });
    for (const t of tensors) {
      const stored = read.tensors.get(t.name)!;
      expect(stored.shape).toEqual(t.shape);
      if (t.dtype !== 'bool') expect(stored.begin % 4).toBe(0);
      expect(decodeTensor('f', stored, read.bytesOf(stored), t.dtype)).toEqual(t.data);
    }
  });
});
