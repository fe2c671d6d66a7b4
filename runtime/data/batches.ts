/** Batches for a plan: host buffers made once, filled again for every batch. */
import type { Plan } from '../../compiler/plan.ts';
import type { Data } from '../device.ts';
import { arrayOf } from '../ports.ts';
import { problem } from '../problems.ts';
import type { Column, Dataset } from './column.ts';
import { gatherSamples, sizeOf } from './column.ts';

interface Feed {
  readonly name: string;
  readonly column: Column;
  readonly size: number;
  readonly buffer: Data;
}

export class Batches {
  private readonly feeds: readonly Feed[];
  private readonly whole: Readonly<Record<string, Data>>;
  /** Views of the buffers for a last, partial batch, by its length. */
  private readonly parts = new Map<number, Readonly<Record<string, Data>>>();
  private readonly batch: number;

  /**
   * @param source name of the data, for messages
   * @throws RuntimeError E0707 when samples have another shape than the plan takes, E0711 when a field is missing
   */
  constructor(plan: Plan, data: Dataset, source: string, batch: number) {
    this.batch = batch;
    this.feeds = plan.inputs.map((port) => {
      const column = data.columns.get(port.name);
      if (!column) throw problem('E0711', { field: port.name, source, fields: [...data.columns.keys()] });
      checkShape(column, port.shape.slice(1), data);
      const size = sizeOf(column.shape);
      return { name: port.name, column, size, buffer: new (arrayOf(port.dtype))(batch * size) };
    });
    this.whole = Object.fromEntries(this.feeds.map((f) => [f.name, f.buffer]));
  }

  /** The samples `order[start … start + count - 1]`, count ≤ batch. The arrays are overwritten by the next call. */
  take(order: Uint32Array, start: number, count: number): Readonly<Record<string, Data>> {
    for (const f of this.feeds) gatherSamples(f.column, order, start, count, f.buffer);
    return count === this.batch ? this.whole : this.part(count);
  }

  private part(count: number): Readonly<Record<string, Data>> {
    const known = this.parts.get(count);
    if (known) return known;
    const made = Object.fromEntries(this.feeds.map((f) => [f.name, f.buffer.subarray(0, count * f.size)]));
    this.parts.set(count, made);
    return made;
  }
}

/** `wanted`: dimensions of one sample; those that are not numbers are bound by the run and not checked here. */
function checkShape(column: Column, wanted: readonly unknown[], data: Dataset): void {
  const fits = (shape: readonly number[]): boolean =>
    shape.length === wanted.length && wanted.every((d, i) => typeof d !== 'number' || d === shape[i]);
  if (fits(column.shape)) return;
  const swapped = [...data.columns.values()].find((c) => c !== column && fits(c.shape));
  throw problem('E0707', {
    field: column.name,
    file: column.file,
    found: shapeText(column.shape),
    expected: shapeText(wanted),
    swapped: swapped?.name,
  });
}

const shapeText = (shape: readonly unknown[]): string =>
  shape.length === 0
    ? 'single numbers'
    : `[${shape.map((d) => (Array.isArray(d) ? '…' : String(d))).join(', ')}]`;
