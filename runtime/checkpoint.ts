/**
 * Checkpoints and weights on disk (Node only). A checkpoint is a safetensors file with every stored tensor (parameters,
 * states, optimizer slots, running sums) and, in its metadata, where the run stands; no code, no paths.
 */
import { statSync } from 'node:fs';
import { readRange, reading } from './data/files.ts';
import type { Session } from './device.ts';
import type { Disk } from './disk.ts';
import { nodeDisk, writeAtomically } from './disk.ts';
import { problem } from './problems.ts';
import { encodeSafetensors, headerLength, parseHeader } from './safetensors.ts';
import type { Best, EpochRecord, RunState } from './state.ts';
import type { TensorFile } from './weights.ts';
import { allRoles, loadTensors, readTensors, weightRoles } from './weights.ts';

/** Version of what stands in the metadata under `nnetc.run`. */
export const checkpointFormat = 1;

/**
 * Opens a safetensors file: reads and checks its header; tensors are read when asked for.
 * @throws RuntimeError E0702, E0801
 */
export function openTensors(file: string): TensorFile {
  const header = reading(file, (fd, size) => {
    const length = headerLength(file, readRange(fd, 0, Math.min(8, size)), size);
    return parseHeader(file, readRange(fd, 8, length), size);
  });
  return {
    ...header,
    file,
    bytesOf: (t) => reading(file, (fd) => readRange(fd, t.begin, t.end - t.begin)),
  };
}

/**
 * Saves everything a resumed run needs to go on bit-identically.
 * @throws RuntimeError E0805; the file before it is then intact
 */
export async function saveCheckpoint(
  file: string,
  session: Session,
  state: RunState,
  disk: Disk = nodeDisk,
): Promise<void> {
  const metadata = { format: 'nnetc', 'nnetc.run': JSON.stringify({ ...state, format: checkpointFormat }) };
  writeAtomically(file, encodeSafetensors(await readTensors(session, allRoles), metadata), disk);
}

/** Saves parameters and states, named by path; with a prefix only those of one model, without it. @throws RuntimeError E0805 */
export async function saveWeights(
  file: string,
  session: Session,
  about: Readonly<Record<string, string>> = {},
  prefix = '',
  disk: Disk = nodeDisk,
): Promise<void> {
  const tensors = await readTensors(session, weightRoles, prefix);
  writeAtomically(file, encodeSafetensors(tensors, { format: 'nnetc', ...about }), disk);
}

/**
 * Loads a checkpoint whole.
 * @throws RuntimeError E0702, E0801 (unreadable), E0802, E0803, E0806, E0807 (of another program or version)
 */
export async function loadCheckpoint(file: string, session: Session): Promise<RunState> {
  const tensors = openTensors(file);
  const state = runStateOf(tensors);
  const known = new Set(session.program.tensors.map((t) => t.path));
  const extra = [...tensors.tensors.keys()].filter((name) => !known.has(name));
  if (extra.length > 0)
    throw problem('E0806', {
      file,
      reason: `it holds ${extra
        .slice(0, 4)
        .map((n) => `\`${n}\``)
        .join(', ')}, which this program does not have`,
    });
  await loadTensors(session, tensors, allRoles);
  return state;
}

/** Where the run of a checkpoint stands. @throws RuntimeError E0806, E0807 */
export function runStateOf(tensors: TensorFile): RunState {
  const { file } = tensors;
  const text = tensors.metadata['nnetc.run'];
  if (text === undefined)
    throw problem('E0806', { file, reason: 'it holds weights only, not the state of a run' });
  let state: unknown;
  try {
    state = JSON.parse(text);
  } catch {
    throw problem('E0801', { file, reason: 'the state of the run in its metadata is not JSON' });
  }
  const found = (state as { format?: unknown } | null)?.format;
  if (found !== checkpointFormat)
    throw problem('E0807', { file, found: String(found), expected: checkpointFormat });
  if (!isRunState(state))
    throw problem('E0801', { file, reason: 'the state of the run in its metadata is incomplete' });
  return state;
}

const isCount = (x: unknown): boolean => Number.isSafeInteger(x) && (x as number) >= 0;

function isRunState(x: unknown): x is RunState {
  if (typeof x !== 'object' || x === null) return false;
  const s = x as Partial<Record<keyof RunState, unknown>>;
  return (
    typeof s.task === 'string' &&
    Number.isSafeInteger(s.seed) &&
    [s.part, s.epoch, s.batch, s.step, s.waited].every(isCount) &&
    typeof s.stopped === 'boolean' &&
    Array.isArray(s.history) &&
    s.history.every(isRecord) &&
    (s.best === null || isBest(s.best)) &&
    (s.plateau === undefined || isPlateau(s.plateau)) &&
    (s.train === null || areNumbers(s.train))
  );
}

const isTable = (x: unknown): x is Record<string, unknown> =>
  typeof x === 'object' && x !== null && !Array.isArray(x);
const areNumbers = (x: unknown): boolean =>
  isTable(x) && Object.values(x).every((v) => typeof v === 'number' || v === null);
const isRecord = (x: unknown): x is EpochRecord =>
  isTable(x) &&
  isCount(x['epoch']) &&
  areNumbers(x['train']) &&
  (x['valid'] === null || areNumbers(x['valid']));
const isBest = (x: unknown): x is Best => isTable(x) && typeof x['value'] === 'number' && isCount(x['epoch']);
const isPlateau = (x: unknown): boolean =>
  isTable(x) &&
  ['count', 'waited', 'cooling'].every((name) => isCount(x[name])) &&
  (x['best'] === null || typeof x['best'] === 'number');

/**
 * Loads weights (parameters and states) from a weights file or a checkpoint.
 * @returns names in the file that the program does not have
 * @throws RuntimeError E0702, E0801, E0802, E0803
 */
export async function loadWeights(file: string, session: Session): Promise<readonly string[]> {
  return await loadTensors(session, openTensors(file), weightRoles);
}

export const fileExists = (file: string): boolean =>
  statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
