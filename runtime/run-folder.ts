/**
 * A run's folder on disk (Node only): `last.safetensors` (the checkpoint), `best.safetensors` and
 * `model.safetensors` (weights), `log.jsonl` (one line an epoch), `vocabulary.json` (what tokens stand for). One process at a time writes in it.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  fileExists,
  loadCheckpoint,
  loadWeights,
  openTensors,
  runStateOf,
  saveCheckpoint,
  saveWeights,
} from './checkpoint.ts';
import type { Vocabulary } from '../compiler/plan.ts';
import type { Session } from './device.ts';
import { isAlive, makeFolder, sweepTemporaries, writeAtomically } from './disk.ts';
import { RuntimeError } from './errors.ts';
import { problem } from './problems.ts';
import type { RunState } from './state.ts';
import type { RunStore } from './store.ts';

export const runFiles = {
  last: 'last.safetensors',
  best: 'best.safetensors',
  model: 'model.safetensors',
  log: 'log.jsonl',
  vocabulary: 'vocabulary.json',
  lock: '.lock',
} as const;

export class RunFolder implements RunStore {
  readonly path: string;
  private logged = -1;
  /** Nobody asked for this folder by name. */
  private temporary = false;

  private constructor(path: string) {
    this.path = path;
  }

  /** The next numbered folder of `parent`; it goes again if nothing was saved in it. @throws RuntimeError E0805 */
  static next(parent: string): RunFolder {
    const folder = RunFolder.take(nextRunFolder(parent));
    folder.temporary = true;
    return folder;
  }

  /**
   * Takes a folder for a new run.
   * @throws RuntimeError E0805 when it cannot be made, E0811 when it holds a run already or is in use
   */
  static create(path: string): RunFolder {
    makeFolder(path);
    if (fileExists(join(path, runFiles.last)))
      throw problem('E0811', { folder: path, reason: 'holds a run already' });
    return RunFolder.take(path);
  }

  /** Takes the folder of a run that goes on, whether or not it came to its first checkpoint. @throws E0808, E0811 */
  static reopen(path: string): RunFolder {
    if (!existsSync(path)) throw problem('E0808', { folder: path });
    return RunFolder.take(path);
  }

  private static take(path: string): RunFolder {
    lock(path);
    sweepTemporaries(path);
    return new RunFolder(path);
  }

  get hasCheckpoint(): boolean {
    return fileExists(join(this.path, runFiles.last));
  }

  /** Fills the session from the checkpoint. @throws RuntimeError E0801 to E0807 */
  async load(session: Session): Promise<RunState> {
    return await loadCheckpoint(join(this.path, runFiles.last), session);
  }

  async saveCheckpoint(session: Session, state: RunState): Promise<string> {
    const file = join(this.path, runFiles.last);
    await saveCheckpoint(file, session, state);
    if (state.history.length !== this.logged) {
      const lines = state.history.map((record) => `${JSON.stringify(record)}\n`).join('');
      writeAtomically(join(this.path, runFiles.log), [Buffer.from(lines)]);
      this.logged = state.history.length;
    }
    return file;
  }

  async saveBest(session: Session, state: RunState): Promise<string> {
    const file = join(this.path, runFiles.best);
    await saveWeights(file, session, { epoch: String(state.epoch), value: String(state.best?.value ?? '') });
    return file;
  }

  async restoreBest(session: Session): Promise<void> {
    await loadWeights(join(this.path, runFiles.best), session);
  }

  async saveModel(session: Session): Promise<string> {
    const file = join(this.path, runFiles.model);
    await saveWeights(file, session);
    return file;
  }

  /** Keeps the vocabularies of texts by the names of their sources, so that predictions can be read. */
  saveVocabularies(vocabularies: Readonly<Record<string, Vocabulary>>): string {
    const file = join(this.path, runFiles.vocabulary);
    writeAtomically(file, [Buffer.from(`${JSON.stringify(vocabularies, null, 2)}\n`)]);
    return file;
  }

  /** Lets others have the folder. */
  release(): void {
    rmSync(join(this.path, runFiles.lock), { force: true });
    const saved = readdirSync(this.path).filter((name) => name !== runFiles.vocabulary);
    if (!this.temporary || saved.length > 0) return;
    rmSync(join(this.path, runFiles.vocabulary), { force: true });
    rmdirSync(this.path);
  }
}

/** Notes this process as the one that writes in the folder; the note of a process that is gone does not count. */
function lock(folder: string): void {
  const file = join(folder, runFiles.lock);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      writeFileSync(file, identity(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST'))
        throw problem('E0805', {
          file,
          reason: error instanceof Error ? error.message : String(error),
          full: false,
          bytes: 0,
        });
    }
    const owner = livingOwner(file);
    if (owner !== undefined) throw problem('E0811', { folder, reason: `is in use by process ${owner}` });
    rmSync(file, { force: true });
  }
  throw problem('E0811', { folder, reason: 'is in use' });
}

/** The process that noted itself in `file`, if it is another one and still runs. */
function livingOwner(file: string): number | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    const pid = Number(text.split(' ')[0]);
    const runs = Number.isInteger(pid) && pid > 0 && pid !== process.pid && isAlive(pid);
    return runs && identity(pid) === text ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** A process by number and, where the system tells (Linux), by when it started: numbers are used again. */
function identity(pid: number): string {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return `${pid} ${status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`;
  } catch {
    return `${pid} `;
  }
}

/** Numbers of the runs in `parent`, ascending. */
function runNumbers(parent: string): number[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => /^[1-9]\d{0,8}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Makes the next folder of `parent`: `1`, `2`, … @throws RuntimeError E0805 */
export function nextRunFolder(parent: string): string {
  makeFolder(parent);
  for (let number = (runNumbers(parent).at(-1) ?? 0) + 1; ; number++) {
    const path = join(parent, String(number));
    try {
      mkdirSync(path);
      return path;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') continue;
      throw problem('E0805', {
        file: path,
        reason: error instanceof Error ? error.message : String(error),
        full: false,
        bytes: 0,
      });
    }
  }
}

/** The last folder of `parent` with a checkpoint of this task. @throws RuntimeError E0808 when there is none */
export function latestRunFolder(parent: string, task: string): string {
  for (const number of runNumbers(parent).reverse()) {
    const path = join(parent, String(number));
    const file = join(path, runFiles.last);
    if (fileExists(file) && taskOf(file) === task) return path;
  }
  throw problem('E0808', { folder: parent });
}

function taskOf(file: string): string | undefined {
  try {
    return runStateOf(openTensors(file)).task;
  } catch (error) {
    if (error instanceof RuntimeError) return undefined;
    throw error;
  }
}
