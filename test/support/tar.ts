/** A regular file in a tar archive. */
export interface TarFile {
  readonly name: string;
  readonly data: Uint8Array;
}

const BLOCK = 512;

/** The regular files of a ustar archive (names up to 100 bytes, which is all that SwiftShader's needs). */
export function* untar(archive: Uint8Array): Generator<TarFile> {
  const text = (from: number, length: number) =>
    Buffer.from(archive.subarray(from, from + length))
      .toString('latin1')
      .replace(/\0.*$/s, '');
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0;) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    const type = text(at + 156, 1);
    const start = at + BLOCK;
    if (start + size > archive.length) throw new Error('truncated tar archive');
    if (type === '' || type === '0')
      yield { name: text(at, 100), data: archive.subarray(start, start + size) };
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}
