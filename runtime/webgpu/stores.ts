/** What is kept between runs, on the GPU: all stores of a program, in as few buffers as the device's limits allow. */
import { deviceMemory, roomOf } from '../../compiler/memory.ts';
import type { PlanDType, Program, Tensor } from '../../compiler/plan.ts';
import type { Data } from '../device.ts';
import { halfBits, halfToNumber } from '../half.ts';
import { arrayOf } from '../ports.ts';
import type { Gpu } from './gpu.ts';
import { outOfMemory } from './gpu.ts';

/** Offsets of bound ranges are multiples of it on every device. */
export const ALIGNMENT = deviceMemory.webgpu.alignment;
/** Bytes of a word: what copies and bindings count in. */
export const WORD = 4;
const VECTOR = 16;

/** Bytes of an element; bool is u32. */
export const bytesOf = (dtype: PlanDType): number => (dtype === 'f16' ? 2 : WORD);

/** Bytes that `length` elements take, whole words. */
export const sizeInBytes = deviceMemory.webgpu.bytesOf;

/** Bytes of a binding: whole vectors of four words, as a kernel may see it as those. */
export const boundBytes = (bytes: number): number => Math.max(1, Math.ceil(bytes / VECTOR)) * VECTOR;

/** As the GPU holds it: f16 in two bytes, the last word filled up. */
export function packed(dtype: PlanDType, data: Data): Data | Uint16Array {
  if (dtype !== 'f16') return data;
  const bits = new Uint16Array(sizeInBytes(dtype, data.length) / 2);
  data.forEach((x, i) => (bits[i] = halfBits(x)));
  return bits;
}

/** The `length` elements that the GPU holds in `bytes`. */
export function unpacked(dtype: PlanDType, bytes: ArrayBuffer, length: number): Data {
  if (dtype !== 'f16') return new (arrayOf(dtype))(bytes, 0, length);
  return Float32Array.from(new Uint16Array(bytes, 0, length), halfToNumber);
}

export const STORAGE_USAGE = 0x80 | 0x4 | 0x8;

/** A range of a buffer, in bytes. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

export class Stores {
  readonly #places: readonly Place[];
  readonly #buffers: readonly GPUBuffer[];

  /** Zeros. Throws RuntimeError `out-of-memory` when a store is larger than what can be bound. */
  constructor(gpu: Gpu, program: Program) {
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
    const pages: number[] = [];
    const slots = program.stores.map(({ name, dtype, size }) => {
      const bytes = boundBytes(sizeInBytes(dtype, size));
      if (bytes > maxStorageBufferBindingSize)
        throw outOfMemory(name, `at most ${maxStorageBufferBindingSize} bytes can be bound`, bytes);
      const room = roomOf(bytes, ALIGNMENT);
      const page = pages.length - 1;
      const start = pages[page] ?? 0;
      if (page >= 0 && start + room <= maxBufferSize) {
        pages[page] = start + room;
        return { page, offset: start, size: bytes };
      }
      pages.push(room);
      return { page: page + 1, offset: 0, size: bytes };
    });
    this.#buffers = pages.map((size, i) => gpu.buffer(`stores ${i}`, size, STORAGE_USAGE));
    this.#places = slots.map(({ page, offset, size }) => ({ buffer: this.#buffers[page]!, offset, size }));
  }

  place(store: number): Place {
    return this.#places[store]!;
  }

  /** The range of a tensor of `length` elements. */
  tensor(tensor: Tensor, length: number): Place {
    const { buffer, offset } = this.place(tensor.store);
    return {
      buffer,
      offset: offset + tensor.offset * bytesOf(tensor.dtype),
      size: sizeInBytes(tensor.dtype, length),
    };
  }

  /** Bytes of all stores. */
  get size(): number {
    return this.#buffers.reduce((sum, b) => sum + b.size, 0);
  }

  close(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
