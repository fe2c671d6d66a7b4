import type { DataField } from '../../compiler/plan.ts';
import type { Data } from '../../runtime/device.ts';

type Inputs = Readonly<Record<string, Data>>;

export interface Source {
  readonly fields: Readonly<Record<string, DataField>>;
  readonly count: number;
  batch(i: number, size: number): Inputs;
}

export const models: readonly string[];
export const operators: readonly string[];
export function weights(workload: string): Map<string, Float32Array>;
export function data(workload: string): Source;
export function inferenceInputs(source: Source, workload: string, i: number, size: number): Inputs;
export function trainBatch(workload: string): number;
