/**
 * The idx format of MNIST: two zero bytes, a type code, the number of dimensions, the dimensions as big-endian
 * 32-bit integers, then the values, big-endian, the last dimension fastest. Works on bytes, so in a browser too.
 */
import { problem } from '../problems.ts';
import type { Column, ElementType, FieldDescription, Values } from './column.ts';
import { elementBytes, sizeOf } from './column.ts';

const typeCodes: Readonly<Record<number, ElementType>> = {
  0x08: 'u8',
  0x09: 'i8',
  0x0b: 'i16',
  0x0c: 'i32',
  0x0d: 'f32',
  0x0e: 'f64',
};

const maxRank = 8;

/** As many bytes as the longest header has. */
export const idxHeaderBytes = 4 + 4 * maxRank;

export interface IdxHeader {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Where the values begin. */
  readonly offset: number;
}

/**
 * Reads the header and compares it with the file's length, before anything is allocated for the values.
 * @param head the first bytes of the file, `idxHeaderBytes` of them if it has as many
 * @throws RuntimeError E0703, E0704, E0705
 */
export function idxHeader(file: string, head: Uint8Array, fileBytes: number): IdxHeader {
  const bad = (expected: string, found: string, mend?: string): Error =>
    problem('E0703', { file, expected, found, mend });
  if (fileBytes === 0) throw bad('a header', 'an empty file', 'fetch the file again');
  if (head.length < 4) throw bad('a header of at least 8 bytes', `${fileBytes} bytes in all`);
  if (head[0] === 0x1f && head[1] === 0x8b)
    throw bad('two zero bytes', 'a gzip archive', `unpack it first: gunzip "${file}"`);
  if (head[0] !== 0 || head[1] !== 0) throw bad('two zero bytes at its start', foundBytes(head));
  const type = typeCodes[head[2]!];
  if (!type) throw bad('a type code 08, 09, 0b, 0c, 0d or 0e as third byte', hex(head[2]!));
  const rank = head[3]!;
  if (rank < 1 || rank > maxRank) throw bad(`1 to ${maxRank} dimensions`, `${rank}`);
  const offset = 4 + 4 * rank;
  if (head.length < offset) throw bad(`a header of ${offset} bytes`, `${fileBytes} bytes in all`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = offset + sizeOf(dims) * elementBytes[type];
  const shape = `${type}[${dims.join(', ')}]`;
  if (fileBytes < expected) throw problem('E0704', { file, shape, expected, found: fileBytes });
  if (fileBytes > expected) throw problem('E0705', { file, shape, expected, found: fileBytes });
  return { type, dims, offset };
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

/** The first bytes, and what they look like. */
function foundBytes(head: Uint8Array): string {
  const text = [...head.subarray(0, 8)];
  const readable = text.every((c) => (c >= 32 && c < 127) || c === 9 || c === 10 || c === 13);
  return readable
    ? `text, ${JSON.stringify(String.fromCharCode(...text))}`
    : text.slice(0, 4).map(hex).join(' ');
}

/** Describes the field that an idx file holds: the first dimension counts samples. */
export function idxField(name: string, file: string, header: IdxHeader): FieldDescription {
  const [count = 0, ...shape] = header.dims;
  return { name, file, type: header.type, count, shape };
}

/** The field with its values; bytes are not copied where the format needs no change. */
export function idxColumn(name: string, file: string, bytes: Uint8Array): Column {
  const header = idxHeader(file, bytes.subarray(0, idxHeaderBytes), bytes.length);
  return { ...idxField(name, file, header), values: idxValues(header, bytes.subarray(header.offset)) };
}

function idxValues(header: IdxHeader, body: Uint8Array): Values {
  const n = sizeOf(header.dims);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const fill = <T extends Values>(values: T, read: (at: number) => number): T => {
    const step = values.BYTES_PER_ELEMENT;
    for (let i = 0; i < n; i++) values[i] = read(i * step);
    return values;
  };
  switch (header.type) {
    case 'u8':
      return body;
    case 'i8':
      return new Int8Array(body.buffer, body.byteOffset, n);
    case 'i16':
      return fill(new Int16Array(n), (at) => view.getInt16(at));
    case 'i32':
      return fill(new Int32Array(n), (at) => view.getInt32(at));
    case 'u32':
      return fill(new Uint32Array(n), (at) => view.getUint32(at));
    case 'f32':
      return fill(new Float32Array(n), (at) => view.getFloat32(at));
    case 'f64':
      return fill(new Float64Array(n), (at) => view.getFloat64(at));
  }
}
