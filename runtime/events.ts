/** What a run tells while it goes on; the command line renders it, `--json` prints it. Plain data. */
import type { EpochRecord, Scores } from './state.ts';

export type RunEvent =
  | StartEvent
  | FitEvent
  | ProgressEvent
  | EpochEvent
  | StoppedEvent
  | RestoredEvent
  | TestEvent
  | SavedEvent
  | LoadedEvent
  | VocabularyEvent
  | WarningEvent
  | EndEvent;

export interface StartEvent {
  readonly type: 'start';
  readonly task: string;
  readonly device: string;
  readonly seed: number;
  /** Trained numbers in all. */
  readonly parameters: number;
  /** Steps already taken by the run that is resumed. */
  readonly resumedAt: number | undefined;
}

export interface FitEvent {
  readonly type: 'fit';
  readonly part: number;
  readonly data: string;
  readonly train: number;
  readonly valid: number;
  readonly epochs: number;
  readonly batch: number;
}

export interface ProgressEvent {
  readonly type: 'progress';
  readonly phase: 'train' | 'valid' | 'test';
  readonly part: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly samples: number;
  readonly of: number;
  /** Averages since the epoch began. */
  readonly scores: Scores;
  readonly samplesPerSecond: number;
  /** Of this epoch or pass. */
  readonly secondsLeft: number;
}

/** Metrics that are vectors or matrices, row by row. */
export interface Tables {
  readonly tables?: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>
  >;
}

export interface EpochEvent extends EpochRecord, Tables {
  readonly type: 'epoch';
  readonly epochs: number;
  readonly samplesPerSecond: number;
  /** Whether it is the best so far; undefined where nothing is watched. */
  readonly best: boolean | undefined;
}

/** Early stopping ended the training. */
export interface StoppedEvent {
  readonly type: 'stopped';
  readonly epoch: number;
  readonly monitor: string;
  readonly patience: number;
  /** The target that was reached. */
  readonly reached?: number;
}

/** The weights of the best epoch are back. */
export interface RestoredEvent {
  readonly type: 'restored';
  readonly epoch: number;
  readonly monitor: string;
  readonly value: number;
}

export interface TestEvent extends Tables {
  readonly type: 'test';
  readonly data: string;
  readonly samples: number;
  readonly scores: Scores;
  readonly seconds: number;
}

export interface SavedEvent {
  readonly type: 'saved';
  readonly what: 'checkpoint' | 'best' | 'model';
  readonly path: string;
}

/** Part of a model was filled from a file. */
export interface LoadedEvent {
  readonly type: 'loaded';
  readonly model: string;
  readonly path: string;
  /** Paths in the model that were filled. */
  readonly matched: readonly string[];
  /** Those that were not asked for and stay as they are. */
  readonly kept: readonly string[];
  /** Asked for by a partial load, and not in the file; or there with another shape. These stay as they are, too. */
  readonly missing: readonly string[];
  readonly differing: readonly string[];
  /** Names in the file that nothing asked for. */
  readonly unused: readonly string[];
}

/** What the tokens of a text stand for. */
export interface VocabularyEvent {
  readonly type: 'vocabulary';
  readonly data: string;
  readonly unit: 'char' | 'byte';
  readonly size: number;
  readonly symbols?: readonly string[];
  /** Where it was saved. */
  readonly path?: string;
}

export interface WarningEvent {
  readonly type: 'warning';
  readonly code: string;
  readonly message: string;
}

export interface EndEvent {
  readonly type: 'end';
  readonly status: 'done' | 'interrupted';
  readonly step: number;
  readonly seconds: number;
}
