/** What is watched from epoch to epoch: the best one, when to stop, plateaus. Browser-safe. */
import type { EarlyStopping, Plateau, Watch } from '../compiler/plan.ts';
import type { EpochRecord, PlateauState, RunState } from './state.ts';

/** Compares an epoch with the best one. */
export function judge(
  watch: EarlyStopping | undefined,
  state: RunState,
  record: EpochRecord,
): { readonly state: RunState; readonly best: boolean } {
  if (!watch) return { state, best: false };
  const value = monitored(record, watch.monitor);
  const reached = reachedTarget(watch, record);
  if (value !== null && improves(watch, value, state.best?.value ?? null)) {
    const best = { value, epoch: record.epoch };
    return { state: { ...state, best, waited: 0, stopped: reached }, best: true };
  }
  const waited = record.epoch <= (watch.start ?? 0) ? 0 : state.waited + 1;
  return { state: { ...state, waited, stopped: reached || waited >= watch.patience }, best: false };
}

/** By more than `minDelta`. */
function improves({ mode, minDelta }: Watch, value: number, best: number | null): boolean {
  return best === null || (best - value) * (mode === 'min' ? 1 : -1) > minDelta;
}

/** Whether the epoch is as good as training needs to be. */
export function reachedTarget(
  { monitor, mode, target }: EarlyStopping,
  record: EpochRecord | undefined,
): boolean {
  const value = record ? monitored(record, monitor) : null;
  if (target === undefined || value === null) return false;
  return mode === 'min' ? value <= target : value >= target;
}

/** Counts a plateau once `patience` epochs have brought nothing; then `cooldown` epochs do not count. */
export function nextPlateau(
  watch: Plateau,
  before: PlateauState = { count: 0, best: null, waited: 0, cooling: 0 },
  record: EpochRecord,
): PlateauState {
  const value = monitored(record, watch.monitor);
  const cooling = Math.max(0, before.cooling - 1);
  if (value !== null && improves(watch, value, before.best))
    return { ...before, best: value, waited: 0, cooling };
  if (before.cooling > 0) return { ...before, waited: 0, cooling };
  const waited = before.waited + 1;
  if (waited < watch.patience) return { ...before, waited, cooling };
  return { ...before, count: before.count + 1, waited: 0, cooling: watch.cooldown };
}

/** `valid.loss`, `train.accuracy`; null where there is no such number. */
function monitored(record: EpochRecord, monitor: string): number | null {
  const [part, name = ''] = monitor.split('.', 2);
  const scores = part === 'train' ? record.train : part === 'valid' ? record.valid : null;
  return scores?.[name] ?? null;
}
