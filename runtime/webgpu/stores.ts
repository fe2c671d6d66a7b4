/** What is kept between runs, on the GPU: all stores of a program, in as few buffers as the device's limits allow. */
import type { Program, Tensor } from '../../compiler/plan.ts';
import type { Gpu } from './gpu.ts';
import { outOfMemory } from './gpu.ts';

/** Offsets of bound ranges are multiples of it on every device. */
export const ALIGNMENT = 256;
/** All dtypes take four bytes; bool is u32. */
export const ELEMENT = 4;

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
    const slots = program.stores.map(({ name, size }) => {
      const bytes = Math.max(1, size) * ELEMENT;
      if (bytes > maxStorageBufferBindingSize)
        throw outOfMemory(name, `at most ${maxStorageBufferBindingSize} bytes can be bound`, bytes);
      const page = pages.length - 1;
      const start = Math.ceil((pages[page] ?? 0) / ALIGNMENT) * ALIGNMENT;
      if (page >= 0 && start + bytes <= maxBufferSize) {
        pages[page] = start + bytes;
        return { page, offset: start, size: bytes };
      }
      pages.push(bytes);
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
    return { buffer, offset: offset + tensor.offset * ELEMENT, size: length * ELEMENT };
  }

  close(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
