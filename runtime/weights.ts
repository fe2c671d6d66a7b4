/** Named tensors against a program's: which fit, which are missing, which are not known. Browser-safe. */
import type { LoadStep, PlanDType, Program, Tensor } from '../compiler/plan.ts';
import type { Data, Session } from './device.ts';
import { problem } from './problems.ts';
import type { SafetensorsHeader, StoredTensor, TensorToStore } from './safetensors.ts';
import { convertible, decodeTensor, describeStored } from './safetensors.ts';

export type Role = Tensor['role'];

/** What the weights of a trained model are: parameters and states. */
export const weightRoles: readonly Role[] = ['param', 'state'];
export const allRoles: readonly Role[] = ['param', 'state', 'slot', 'metric'];

/** A readable set of stored tensors: a file in memory or on disk. */
export interface TensorFile extends SafetensorsHeader {
  /** For messages. */
  readonly file: string;
  readonly bytesOf: (t: StoredTensor) => Uint8Array;
}

export interface Matched {
  readonly pairs: readonly { readonly tensor: Tensor; readonly stored: StoredTensor }[];
  /** Names that the file has beyond the program's tensors of any role. */
  readonly unexpected: readonly string[];
}

/**
 * Finds each of the program's tensors of these roles in the file. With a prefix (`gen.`) only those whose paths begin
 * with it; the file names them with or without.
 * @throws RuntimeError E0802 when any is missing, E0803 when shape or type differ; nothing is read before
 */
export function matchTensors(
  program: Program,
  from: TensorFile,
  roles: readonly Role[],
  prefix = '',
): Matched {
  const wanted = program.tensors.filter((t) => roles.includes(t.role) && t.path.startsWith(prefix));
  const stored = (path: string): StoredTensor | undefined =>
    from.tensors.get(path) ?? from.tensors.get(path.slice(prefix.length));
  const missing = wanted.filter((t) => !stored(t.path)).map((t) => t.path);
  const known = new Set(program.tensors.flatMap((t) => [t.path, t.path.slice(prefix.length)]));
  const unexpected = [...from.tensors.keys()].filter((name) => !known.has(name));
  if (missing.length > 0) throw missingProblem(from, missing, unexpected);
  const pairs = wanted.map((tensor) => ({ tensor, stored: stored(tensor.path)! }));
  for (const { tensor, stored } of pairs) checkFit(from.file, tensor, stored);
  return { pairs, unexpected };
}

/** Part of a model, as a `load` names it. */
export type Part = Pick<LoadStep, 'prefix' | 'asked' | 'under' | 'partial'>;

/** What became of a part: names without the model's prefix; `unused` are names in the file. */
export interface PartLoaded {
  readonly matched: readonly string[];
  /** Asked for, and not in the file. */
  readonly missing: readonly string[];
  /** There, but of another shape or type: `conv1.weight: F32[6, 1] in the file, f32[8, 1] here`. */
  readonly differing: readonly string[];
  readonly unused: readonly string[];
}

/**
 * Fills part of a model. The file names it with the model's prefix, without, or below `under`.
 * @throws RuntimeError E0802 when one that was asked for is missing, E0803 when shape or type differ; a `partial` one only
 * when there is nothing that fits
 */
export async function loadPart(session: Session, from: TensorFile, part: Part): Promise<PartLoaded> {
  const above = part.under === undefined ? '' : `${part.under.replace(/\.$/, '')}.`;
  const used = new Set<string>();
  const missing: { readonly name: string; readonly wanted: string }[] = [];
  const pairs = part.asked.flatMap((name) => {
    const path = `${part.prefix}${name}`;
    const tensor = session.program.tensors.find((t) => t.path === path && weightRoles.includes(t.role));
    const names = above === '' ? [path, name] : [`${above}${name}`];
    const found = names.find((n) => from.tensors.has(n));
    if (!tensor || found === undefined) {
      missing.push({ name, wanted: names.at(-1)! });
      return [];
    }
    used.add(found);
    return [{ name, tensor, stored: from.tensors.get(found)! }];
  });
  const fitting = part.partial ? pairs.filter((p) => fits(p.tensor, p.stored)) : pairs;
  const differing = pairs.filter((p) => !fitting.includes(p));
  const unused = [...from.tensors.keys()].filter((name) => !used.has(name));
  const isLost = part.partial ? fitting.length === 0 && differing.length === 0 : missing.length > 0;
  if (isLost)
    throw missingProblem(
      from,
      missing.map((m) => m.wanted),
      unused,
    );
  for (const { tensor, stored } of fitting.length > 0 ? fitting : differing)
    checkFit(from.file, tensor, stored);
  for (const { tensor, stored } of fitting)
    await session.write(tensor.path, decodeTensor(from.file, stored, from.bytesOf(stored), tensor.dtype));
  return {
    matched: fitting.map((p) => p.name),
    missing: missing.map((m) => m.name),
    differing: differing.map(
      ({ name, tensor, stored }) =>
        `${name}: ${describeStored(stored)} in the file, ${describeTensor(tensor.dtype, tensor.shape)} here`,
    ),
    unused,
  };
}

const shown = 6;

function missingProblem(from: TensorFile, missing: readonly string[], unexpected: readonly string[]): Error {
  const held = [...from.tensors.keys()];
  const pairs = missing.slice(0, shown).flatMap((path) => {
    const meant = nearest(path, unexpected);
    return meant === undefined ? [] : [`\`${meant}\` for \`${path}\``];
  });
  return problem('E0802', {
    file: from.file,
    missing: missing.slice(0, shown),
    missingMore: missing.length - shown,
    held: held.slice(0, shown),
    heldMore: held.length - shown,
    ...(pairs.length > 0 && { pairs }),
  });
}

/** The candidate that shares most of its dotted parts from the end, if any does. */
function nearest(path: string, candidates: readonly string[]): string | undefined {
  const parts = path.split(/[./]/).reverse();
  let best: string | undefined;
  let most = 0;
  for (const candidate of candidates) {
    const other = candidate.split(/[./]/).reverse();
    let common = 0;
    while (common < parts.length && parts[common] === other[common]) common++;
    if (common > most) [best, most] = [candidate, common];
  }
  return best;
}

const fits = (tensor: Tensor, stored: StoredTensor): boolean =>
  stored.shape.length === tensor.shape.length &&
  stored.shape.every((d, i) => d === tensor.shape[i]) &&
  convertible(stored.type, tensor.dtype);

function checkFit(file: string, tensor: Tensor, stored: StoredTensor): void {
  if (fits(tensor, stored)) return;
  throw problem('E0803', {
    file,
    path: tensor.path,
    found: describeStored(stored),
    expected: describeTensor(tensor.dtype, tensor.shape),
  });
}

/** `f32[120, 84]` */
export const describeTensor = (dtype: PlanDType, shape: readonly number[]): string =>
  `${dtype}[${shape.join(', ')}]`;

/**
 * Fills the program's tensors of these roles from a file; checks all of them before it writes any.
 * @returns names in the file that the program does not have
 * @throws RuntimeError E0802, E0803, E0810
 */
export async function loadTensors(
  session: Session,
  from: TensorFile,
  roles: readonly Role[],
  prefix = '',
): Promise<readonly string[]> {
  const { pairs, unexpected } = matchTensors(session.program, from, roles, prefix);
  for (const { tensor, stored } of pairs)
    await session.write(tensor.path, decodeTensor(from.file, stored, from.bytesOf(stored), tensor.dtype));
  return unexpected;
}

/** Copies of the program's tensors of these roles whose paths begin with `prefix`, which the names then lack. */
export async function readTensors(
  session: Session,
  roles: readonly Role[],
  prefix = '',
): Promise<TensorToStore[]> {
  const out: TensorToStore[] = [];
  for (const t of session.program.tensors)
    if (roles.includes(t.role) && t.path.startsWith(prefix))
      out.push({
        name: t.path.slice(prefix.length),
        dtype: t.dtype,
        shape: t.shape,
        data: await session.read(t.path),
      });
  return out;
}

/** Names of the tensors that hold a NaN or an infinity. */
export function notFinite(tensors: readonly { readonly name: string; readonly data: Data }[]): string[] {
  return tensors
    .filter(({ data }) => data instanceof Float32Array && data.some((x) => !Number.isFinite(x)))
    .map((t) => t.name);
}
