/** A GPU that programs are loaded on. */
import type { Program } from '../../compiler/plan.ts';
import { Gpu, needHalf } from './gpu.ts';
import { WebgpuSession } from './session.ts';

/** Sessions share it; the last one to close destroys it. */
export class GpuDevice extends Gpu {
  readonly #sessions = new Set<WebgpuSession>();

  /**
   * Loads a program that was compiled for `webgpu`. Its stores start as zeros.
   * @throws RuntimeError E0908 when it stores f16 and the device cannot; where only kernels compute in it, when their plan is reserved
   */
  load(program: Program): WebgpuSession {
    this.check();
    if (program.stores.some((store) => store.dtype === 'f16')) needHalf(this);
    const session = new WebgpuSession(this, program, () => {
      this.#sessions.delete(session);
      if (this.#sessions.size === 0) super.close();
    });
    this.#sessions.add(session);
    return session;
  }

  /** Closes all sessions and destroys the device, so that the process can end. */
  override close(): void {
    for (const session of this.#sessions) session.close();
    super.close();
  }
}
