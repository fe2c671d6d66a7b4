/** Generated modules import an ordinary memory; for threads the same module must import a shared one. */

import { concat } from '../bytes.ts';

const importSection = 2;
const memoryKind = 2;

/** The module with its memory import made shared. It is the first import, `env.memory`, as the compiler writes it. */
export function withSharedMemory(bytes: Uint8Array): Uint8Array {
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at]!;
    const size = readUnsigned(bytes, at + 1);
    if (id === importSection) return patch(bytes, at, size);
    at = size.next + size.value;
  }
  throw new Error('the module imports no memory');
}

function patch(bytes: Uint8Array, section: number, size: Read): Uint8Array {
  let at = readUnsigned(bytes, size.next).next;
  for (let name = 0; name < 2; name++) {
    const length = readUnsigned(bytes, at);
    at = length.next + length.value;
  }
  if (bytes[at] !== memoryKind || bytes[at + 1] !== 0)
    throw new Error('the first import is not a plain memory');
  const minimum = readUnsigned(bytes, at + 2);
  const limits = [3, ...unsigned(minimum.value), ...unsigned(65536)];
  const before = bytes.subarray(size.next, at + 1);
  const after = bytes.subarray(minimum.next, size.next + size.value);
  const length = unsigned(before.length + limits.length + after.length);
  const rest = bytes.subarray(size.next + size.value);
  return concat([bytes.subarray(0, section + 1), length, before, limits, after, rest]);
}

interface Read {
  readonly value: number;
  readonly next: number;
}

function readUnsigned(bytes: Uint8Array, at: number): Read {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { value: value >>> 0, next: at };
  }
}

function unsigned(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...out, rest];
    out.push((rest & 0x7f) | 0x80);
  }
}
