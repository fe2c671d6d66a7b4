/**
 * The safetensors format: 8 bytes header length (little-endian), a JSON header, the tensors' bytes. Files come from
 * strangers, so everything the header says is checked before anything is allocated: at most 100 MB of header, no
 * duplicate keys, sizes that agree with shape and type, no holes, no overlaps, nothing after the end.
 * Works on bytes, so in a browser too.
 */
import type { PlanDType } from '../compiler/plan.ts';
import type { Data } from './device.ts';
import { halfBits, halfToNumber } from './half.ts';
import { arrayOf } from './ports.ts';
import { problem } from './problems.ts';

export type StoredType =
  'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U64' | 'U32' | 'U16' | 'U8' | 'BOOL';

/** Bytes an element. */
const storedBytes: { readonly [T in StoredType]: number } = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

export interface StoredTensor {
  readonly name: string;
  readonly type: StoredType;
  readonly shape: readonly number[];
  /** Bytes from the start of the file; `end` is exclusive. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const maxHeaderBytes = 100_000_000;

/** How many bytes the header has, from the file's first 8. @throws RuntimeError E0801 */
export function headerLength(file: string, first: Uint8Array, fileBytes: number): number {
  if (first.length < 8) throw invalid(file, `it has only ${fileBytes} bytes`);
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes))
    throw invalid(file, `its header is said to have ${length} bytes; at most ${maxHeaderBytes} are allowed`);
  if (8 + Number(length) > fileBytes)
    throw invalid(file, `its header is said to have ${length} bytes, but the file has only ${fileBytes}`);
  return Number(length);
}

/**
 * Parses and checks a header.
 * @param header the bytes after the first 8
 * @throws RuntimeError E0801
 */
export function parseHeader(file: string, header: Uint8Array, fileBytes: number): SafetensorsHeader {
  const json = parseJson(file, header);
  const { __metadata__: metadata = {}, ...entries } = json;
  if (!isRecord(metadata) || !Object.values(metadata).every((v) => typeof v === 'string'))
    throw invalid(file, '`__metadata__` is not a table of texts');
  const base = 8 + header.length;
  const tensors = Object.entries(entries).map(([name, entry]) => tensorEntry(file, name, entry, base));
  checkLayout(file, tensors, base, fileBytes);
  return {
    tensors: new Map(tensors.map((t) => [t.name, t])),
    metadata: metadata as Readonly<Record<string, string>>,
  };
}

function invalid(file: string, reason: string): Error {
  return problem('E0801', { file, reason });
}

const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === 'object' && x !== null && !Array.isArray(x);

function parseJson(file: string, header: Uint8Array): Record<string, unknown> {
  if (header[0] !== 0x7b) throw invalid(file, 'its header does not start with `{`');
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
    json = JSON.parse(text);
  } catch {
    throw invalid(file, 'its header is not JSON');
  }
  if (!isRecord(json)) throw invalid(file, 'its header is not a table');
  const twice = duplicateKey(text);
  if (twice !== undefined) throw invalid(file, `its header has the key ${JSON.stringify(twice)} twice`);
  return json;
}

/** A key that occurs twice in one object of a valid JSON text: `JSON.parse` would silently take the last. */
function duplicateKey(json: string): string | undefined {
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/gs;
  const open: Set<string>[] = [];
  for (let m = token.exec(json); m; m = token.exec(json)) {
    if (m[0] === '{') open.push(new Set());
    else if (m[0] === '}') open.pop();
    else if (m[1] !== undefined) {
      const key = JSON.parse(m[0].slice(0, m[0].length - m[1].length)) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

function tensorEntry(file: string, name: string, entry: unknown, base: number): StoredTensor {
  const where = `tensor ${JSON.stringify(name)}`;
  if (!isRecord(entry)) throw invalid(file, `${where} is not a table`);
  const { dtype, shape, data_offsets: offsets, ...rest } = entry;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw invalid(file, `${where} has an unknown field ${JSON.stringify(unknown)}`);
  if (typeof dtype !== 'string' || !Object.hasOwn(storedBytes, dtype))
    throw invalid(file, `${where} has the type ${JSON.stringify(dtype)}, which is not supported`);
  if (!Array.isArray(shape) || !shape.every(isSize)) throw invalid(file, `${where} has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw invalid(file, `${where} has no valid offsets`);
  const [begin, end] = offsets as [number, number];
  const bytes = byteCount(shape, storedBytes[dtype as StoredType]);
  if (bytes === undefined) throw invalid(file, `${where} is larger than anything can be`);
  if (end - begin !== bytes)
    throw invalid(
      file,
      `${where} of shape [${shape.join(', ')}] takes ${bytes} bytes, its offsets span ${end - begin}`,
    );
  return { name, type: dtype as StoredType, shape, begin: base + begin, end: base + end };
}

const isSize = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

function byteCount(shape: readonly number[], element: number): number | undefined {
  if (shape.includes(0)) return 0;
  let bytes = element;
  for (const d of shape) {
    bytes *= d;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

function checkLayout(file: string, tensors: readonly StoredTensor[], base: number, fileBytes: number): void {
  let at = base;
  for (const t of [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const where = `tensor ${JSON.stringify(t.name)}`;
    if (t.begin < at) throw invalid(file, `${where} overlaps the one before it`);
    if (t.begin > at) throw invalid(file, `there is a hole of ${t.begin - at} bytes before ${where}`);
    at = t.end;
  }
  if (at > fileBytes)
    throw invalid(file, `it is truncated: its header promises ${at} bytes in all, the file has ${fileBytes}`);
  if (at < fileBytes) throw invalid(file, `it has ${fileBytes - at} bytes that belong to no tensor`);
}

/** Whether a tensor of this type may be read as `dtype`: floats as floats, integers as integers, bools as either. */
export function convertible(type: StoredType, dtype: PlanDType): boolean {
  const isFloat = type === 'F64' || type === 'F32' || type === 'F16' || type === 'BF16';
  return dtype === 'f32' || dtype === 'f16'
    ? isFloat
    : dtype === 'bool'
      ? type === 'BOOL' || type === 'U8'
      : !isFloat;
}

/**
 * The values of a tensor as the runtime holds them.
 * @param bytes exactly the tensor's bytes
 * @throws RuntimeError E0810 when an integer does not fit 32 bits, or the types are not convertible
 */
export function decodeTensor(file: string, t: StoredTensor, bytes: Uint8Array, dtype: PlanDType): Data {
  const fail = (reason: string): Error =>
    problem('E0810', { name: t.name, file, found: describeStored(t), expected: dtype, reason });
  if (!convertible(t.type, dtype)) throw fail('the types differ');
  const n = (t.end - t.begin) / storedBytes[t.type];
  const out = new (arrayOf(dtype))(n);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = readers[t.type];
  const step = storedBytes[t.type];
  const exact = dtype !== 'f32' && dtype !== 'f16';
  for (let i = 0; i < n; i++) {
    const value = read(view, i * step);
    out[i] = value;
    if (exact && out[i] !== value) throw fail(`${value} does not fit`);
  }
  return out;
}

const readers: { readonly [T in StoredType]: (view: DataView, at: number) => number } = {
  F64: (v, at) => v.getFloat64(at, true),
  F32: (v, at) => v.getFloat32(at, true),
  F16: (v, at) => halfToNumber(v.getUint16(at, true)),
  BF16: (v, at) => bfloatToNumber(v.getUint16(at, true)),
  I64: (v, at) => Number(v.getBigInt64(at, true)),
  I32: (v, at) => v.getInt32(at, true),
  I16: (v, at) => v.getInt16(at, true),
  I8: (v, at) => v.getInt8(at),
  U64: (v, at) => Number(v.getBigUint64(at, true)),
  U32: (v, at) => v.getUint32(at, true),
  U16: (v, at) => v.getUint16(at, true),
  U8: (v, at) => v.getUint8(at),
  BOOL: (v, at) => Number(v.getUint8(at) !== 0),
};

/** The upper half of a binary32. */
function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits * 0x10000);
  return view.getFloat32(0);
}

/** `F32[120, 84]` */
export const describeStored = (t: StoredTensor): string => `${t.type}[${t.shape.join(', ')}]`;

export interface TensorToStore {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly shape: readonly number[];
  readonly data: Data;
}

const storedTypes: { readonly [T in PlanDType]: StoredType } = {
  f32: 'F32',
  i32: 'I32',
  u32: 'U32',
  bool: 'BOOL',
  f16: 'F16',
};

/**
 * A file as chunks to be written one after the other: large tensors are not copied. Tensors are sorted by the size
 * of their elements, then by name, and the header is padded with spaces to 8 bytes, so that every tensor is aligned.
 */
export function encodeSafetensors(
  tensors: readonly TensorToStore[],
  metadata: Readonly<Record<string, string>> = {},
): readonly Uint8Array[] {
  const size = (t: TensorToStore): number => storedBytes[storedTypes[t.dtype]];
  const sorted = [...tensors].sort((a, b) => size(b) - size(a) || (a.name < b.name ? -1 : 1));
  const chunks = sorted.map(encodeTensor);
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(['__metadata__', metadata]);
  let at = 0;
  sorted.forEach((t, i) => {
    const end = at + chunks[i]!.length;
    entries.push([t.name, { dtype: storedTypes[t.dtype], shape: t.shape, data_offsets: [at, end] }]);
    at = end;
  });
  // Written key by key: an object would move integer-like names to the front.
  const text = `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`;
  const json = new TextEncoder().encode(text);
  const header = new Uint8Array(Math.ceil((8 + json.length) / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return [header, ...chunks];
}

function encodeTensor(t: TensorToStore): Uint8Array {
  if (t.dtype === 'bool') return Uint8Array.from(t.data);
  if (t.dtype === 'f16') {
    const bytes = new Uint8Array(t.data.length * 2);
    const view = new DataView(bytes.buffer);
    t.data.forEach((x, i) => view.setUint16(2 * i, halfBits(x), true));
    return bytes;
  }
  return littleEndian(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength));
}

/** 4-byte words in the format's byte order; the same bytes on nearly every machine. */
function littleEndian(bytes: Uint8Array): Uint8Array {
  if (new Uint8Array(Uint32Array.of(1).buffer)[0] === 1) return bytes;
  const out = bytes.slice();
  for (let i = 0; i < out.length; i += 4) out.subarray(i, i + 4).reverse();
  return out;
}

/** Parses a whole file in memory: its tensors by name, each with its bytes. @throws RuntimeError E0801 */
export function decodeSafetensors(
  file: string,
  bytes: Uint8Array,
): SafetensorsHeader & { readonly bytesOf: (t: StoredTensor) => Uint8Array } {
  const length = headerLength(file, bytes.subarray(0, 8), bytes.length);
  const header = parseHeader(file, bytes.subarray(8, 8 + length), bytes.length);
  return { ...header, bytesOf: (t) => bytes.subarray(t.begin, t.end) };
}
