/**
 * Writing files so that a reader finds the old content or the new, never a part (Node only): temporary file in the
 * same folder, fsync, rename, fsync of the folder. Losing power or SIGKILL in between leaves the old file.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { problem } from './problems.ts';

/** The calls to the operating system, so that a test can make them fail. */
export interface Disk {
  readonly open: (path: string, flags: string) => number;
  readonly write: (fd: number, bytes: Uint8Array) => number;
  readonly sync: (fd: number) => void;
  readonly close: (fd: number) => void;
  readonly rename: (from: string, to: string) => void;
  readonly unlink: (path: string) => void;
}

export const nodeDisk: Disk = {
  open: (path, flags) => openSync(path, flags, 0o666),
  write: (fd, bytes) => writeSync(fd, bytes),
  sync: fsyncSync,
  close: closeSync,
  rename: renameSync,
  unlink: unlinkSync,
};

const temporaryName = (name: string): string => `.${name}.${process.pid}.tmp`;
const temporaryPattern = /^\..+\.(\d+)\.tmp$/;

/**
 * Replaces the file `path` by the concatenation of `chunks`.
 * @throws RuntimeError E0805; the old file is then untouched and no temporary file is left
 */
export function writeAtomically(path: string, chunks: readonly Uint8Array[], disk: Disk = nodeDisk): void {
  const temporary = join(dirname(path), temporaryName(basename(path)));
  const wanted = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  try {
    const fd = disk.open(temporary, 'w');
    try {
      for (const chunk of chunks) writeFully(disk, fd, chunk);
      disk.sync(fd);
    } finally {
      disk.close(fd);
    }
    disk.rename(temporary, path);
    syncFolder(dirname(path), disk);
  } catch (error) {
    try {
      disk.unlink(temporary);
    } catch {
      // It was never made, or it is already in place.
    }
    throw writeProblem(path, error, wanted);
  }
}

function writeFully(disk: Disk, fd: number, chunk: Uint8Array): void {
  for (let done = 0; done < chunk.length;) done += disk.write(fd, chunk.subarray(done));
}

function syncFolder(folder: string, disk: Disk): void {
  let fd: number;
  try {
    fd = disk.open(folder, 'r');
  } catch {
    return; // Windows cannot open folders; its rename is durable without.
  }
  try {
    disk.sync(fd);
  } catch {
    // Some network file systems refuse; the rename itself has happened.
  } finally {
    disk.close(fd);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'it is larger than the file system or a limit of this process allows',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is a file',
  EISDIR: 'it is a folder',
  EEXIST: 'its folder is a file',
  EIO: 'the disk reports an error',
};

/** A failure of the operating system as E0805; anything else as it is. */
function writeProblem(file: string, error: unknown, bytes: number): unknown {
  if (!(error instanceof Error && 'code' in error)) return error;
  const code = String(error.code);
  return problem('E0805', {
    file,
    reason: reasons[code] ?? code,
    full: code === 'ENOSPC' || code === 'EDQUOT',
    bytes,
  });
}

/** Makes a folder and those above it. @throws RuntimeError E0805 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw writeProblem(folder, error, 0);
  }
}

/** Removes temporary files that processes killed in mid-save have left in `folder`. */
export function sweepTemporaries(folder: string): void {
  for (const name of readdirSync(folder)) {
    const owner = temporaryPattern.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    try {
      unlinkSync(join(folder, name));
    } catch {
      // Another process swept it.
    }
  }
}

export function isAlive(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
