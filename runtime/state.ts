/** Where a run stands: everything about it that is not in a tensor. JSON. */

export interface RunState {
  readonly task: string;
  readonly seed: number;
  /** Index of the task's part (`fit`, `evaluate`) that is running. */
  readonly part: number;
  /** Epochs of this part that are complete. */
  readonly epoch: number;
  /** Batches of the epoch in progress that are done. */
  readonly batch: number;
  /** Of the epoch in progress, once its batches are done and only validation is left. */
  readonly train: Scores | null;
  /** Steps taken in the task, over all its parts. */
  readonly step: number;
  readonly best: Best | null;
  /** Epochs since `best`, for early stopping. */
  readonly waited: number;
  /** Early stopping ended the part. */
  readonly stopped: boolean;
  readonly history: readonly EpochRecord[];
  /** What the clock `plateaus` has counted; absent where nothing watches. */
  readonly plateau?: PlateauState;
}

export interface PlateauState {
  readonly count: number;
  readonly best: number | null;
  /** Epochs since `best` or since the last plateau. */
  readonly waited: number;
  /** Epochs that are left of the cool-down. */
  readonly cooling: number;
}

export interface Best {
  readonly value: number;
  readonly epoch: number;
}

/** Averages over the samples of an epoch; `loss` and the metrics by name. Null stands for what is not finite. */
export type Scores = Readonly<Record<string, number | null>>;

export interface EpochRecord {
  readonly part: number;
  /** Counts from 1. */
  readonly epoch: number;
  readonly step: number;
  readonly train: Scores;
  readonly valid: Scores | null;
  readonly seconds: number;
}
