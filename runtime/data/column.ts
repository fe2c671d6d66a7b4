/** Data in memory: columns of samples, in the type the file has, and their conversion into host buffers. */
import type { PlanDType } from '../../compiler/plan.ts';
import type { Data } from '../device.ts';
import { problem } from '../problems.ts';

/** Types of elements that data files hold. */
export type ElementType = 'u8' | 'i8' | 'i16' | 'i32' | 'u32' | 'f32' | 'f64';

export type Values =
  Uint8Array | Int8Array | Int16Array | Int32Array | Uint32Array | Float32Array | Float64Array;

/** One named field of a data source: `count` samples of the same shape, one after the other. */
export interface Column {
  readonly name: string;
  /** For messages: where it was read from. */
  readonly file: string;
  readonly type: ElementType;
  readonly count: number;
  /** Of one sample; `[]` for a label. */
  readonly shape: readonly number[];
  /** From the beginning of a sample to that of the next, in elements; without it they stand one behind the other. */
  readonly step?: number;
  readonly values: Values;
}

/** Columns with the same number of samples. */
export interface Dataset {
  readonly count: number;
  readonly columns: ReadonlyMap<string, Column>;
}

/** What can be known about a field without reading its samples; the compiler makes types of it. */
export interface FieldDescription {
  readonly name: string;
  readonly file: string;
  readonly type: ElementType;
  readonly count: number;
  readonly shape: readonly number[];
}

export const elementBytes: { readonly [T in ElementType]: number } = {
  u8: 1,
  i8: 1,
  i16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  f64: 8,
};

/** The dtype a field has in the language: integers of up to 32 bits are i32, floats f32. */
export const planDType: { readonly [T in ElementType]: PlanDType } = {
  u8: 'i32',
  i8: 'i32',
  i16: 'i32',
  i32: 'i32',
  u32: 'u32',
  f32: 'f32',
  f64: 'f32',
};

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Throws E0706 unless all fields have the same number of samples. */
export function checkCounts(fields: readonly FieldDescription[]): void {
  const [first] = fields;
  for (const field of fields) {
    if (!first || field.count === first.count) continue;
    throw problem('E0706', {
      first: first.name,
      firstCount: first.count,
      firstFile: first.file,
      second: field.name,
      secondCount: field.count,
      secondFile: field.file,
    });
  }
}

/** Throws E0706 when the columns differ in their number of samples. */
export function dataset(columns: readonly Column[]): Dataset {
  checkCounts(columns);
  return { count: columns[0]?.count ?? 0, columns: new Map(columns.map((c) => [c.name, c])) };
}

/**
 * Copies samples `order[start … start + count - 1]` into `into`, converted to its type.
 * Values of f32 and f64 files taken as integers must be whole numbers in range (E0710).
 */
export function gatherSamples(
  column: Column,
  order: Uint32Array,
  start: number,
  count: number,
  into: Data,
): void {
  const size = sizeOf(column.shape);
  const { values, step = size } = column;
  const checked =
    !(into instanceof Float32Array) && (values instanceof Float32Array || values instanceof Float64Array);
  const negative =
    into instanceof Uint32Array && !(values instanceof Uint8Array || values instanceof Uint32Array);
  for (let i = 0, to = 0; i < count; i++) {
    const from = order[start + i]! * step;
    // `set` converts 8 times faster than a loop, but needs a view of each sample: worth it for long ones.
    if (size >= 16) into.set(values.subarray(from, from + size), to);
    else for (let e = 0; e < size; e++) into[to + e] = values[from + e]!;
    to += size;
    if (checked || negative) checkExact(column, order[start + i]!, into, to - size, size);
  }
}

function checkExact(column: Column, sample: number, into: Data, at: number, size: number): void {
  for (let e = 0; e < size; e++) {
    const value = column.values[sample * size + e]!;
    if (into[at + e] === value) continue;
    const dtype = into instanceof Uint32Array ? 'u32' : 'i32';
    throw problem('E0710', { field: column.name, sample, value, dtype, file: column.file });
  }
}

/** Throws E0708 unless every value of the column is in 0 … limit - 1. */
export function checkLabels(column: Column, limit: number): void {
  const size = sizeOf(column.shape);
  const { values } = column;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value >= 0 && value < limit) continue;
    throw problem('E0708', {
      field: column.name,
      sample: Math.floor(i / Math.max(1, size)),
      value,
      limit,
      file: column.file,
    });
  }
}
