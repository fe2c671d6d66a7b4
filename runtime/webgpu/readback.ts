/**
 * Reading from the GPU: requests made before anything else is enqueued travel together, through mappable buffers that
 * are kept and used again.
 */
import type { Gpu } from './gpu.ts';

const MAP_READ = 1;
const COPY_DST = 8;
const READ = 1;

interface Request {
  readonly buffer: GPUBuffer;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
  readonly resolve: (bytes: ArrayBuffer) => void;
  readonly reject: (error: unknown) => void;
}

export class Readback {
  readonly #gpu: Gpu;
  readonly #free: GPUBuffer[] = [];
  #requests: Request[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** A copy of `size` bytes as they are after all that was enqueued so far. Multiples of 4. */
  read(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
    if (size === 0) return Promise.resolve(new ArrayBuffer(0));
    const bytes = new Promise<ArrayBuffer>((resolve, reject) => {
      this.#requests.push({ buffer, offset, size, resolve, reject });
    });
    if (this.#requests.length === 1) queueMicrotask(() => this.flush());
    return bytes;
  }

  /** Enqueues what was asked for; to be called before anything that may change it is enqueued. */
  flush(): void {
    const requests = this.#requests;
    if (requests.length === 0) return;
    this.#requests = [];
    this.#transfer(requests).catch((error: unknown) => {
      for (const { reject } of requests) reject(error);
    });
  }

  async #transfer(requests: readonly Request[]): Promise<void> {
    const gpu = this.#gpu;
    gpu.check();
    const total = requests.reduce((n, r) => n + r.size, 0);
    const target = this.#take(total);
    const encoder = gpu.device.createCommandEncoder();
    let at = 0;
    for (const { buffer, offset, size } of requests) {
      encoder.copyBufferToBuffer(buffer, offset, target, at, size);
      at += size;
    }
    gpu.device.queue.submit([encoder.finish()]);
    gpu.stats.submits++;
    await gpu.waitFor(target.mapAsync(READ, 0, total));
    const mapped = target.getMappedRange(0, total);
    at = 0;
    for (const { size, resolve } of requests) {
      resolve(mapped.slice(at, at + size));
      at += size;
    }
    target.unmap();
    this.#free.push(target);
    gpu.check();
  }

  /** A buffer that no transfer uses: the smallest that is large enough, or a new one in place of a smaller. */
  #take(size: number): GPUBuffer {
    const fitting = this.#free.filter((b) => b.size >= size).sort((a, b) => a.size - b.size);
    const chosen = fitting[0] ?? this.#free[0];
    if (chosen) this.#free.splice(this.#free.indexOf(chosen), 1);
    if (fitting[0]) return fitting[0];
    chosen?.destroy();
    let capacity = 256;
    while (capacity < size) capacity *= 2;
    return this.#gpu.buffer(
      'readback',
      Math.min(capacity, Math.max(size, this.#gpu.device.limits.maxBufferSize)),
      MAP_READ | COPY_DST,
    );
  }

  close(): void {
    for (const buffer of this.#free.splice(0)) buffer.destroy();
  }
}
