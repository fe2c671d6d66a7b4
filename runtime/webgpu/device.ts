/** A GPU that programs are loaded on. */
import type { Program } from '../../compiler/plan.ts';
import { RuntimeError } from '../errors.ts';
import { Gpu } from './gpu.ts';
import { WebgpuSession } from './session.ts';

/** Sessions share it; the last one to close destroys it. */
export class GpuDevice extends Gpu {
  readonly #sessions = new Set<WebgpuSession>();

  /**
   * Loads a program that was compiled for `webgpu`. Its stores start as zeros.
   * @throws RuntimeError E0908 when it computes in f16 and the device cannot
   */
  load(program: Program): WebgpuSession {
    this.check();
    if (usesHalf(program) && !this.device.features.has('shader-f16'))
      throw new RuntimeError(
        'unsupported-dtype',
        `the program computes in f16, which ${this.name} cannot do (it lacks \`shader-f16\`)`,
        'take another GPU, the backend `reference`, or f32 (no `precision: "mixed"`)',
        { device: this.name },
      );
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

/** Whether any of its kernels declares that it needs f16. */
const usesHalf = (program: Program): boolean =>
  Object.values(program.plans).some(
    ({ code }) =>
      code.kind === 'wgsl' && Object.values(code.shaders).some((text) => text.startsWith('enable f16;')),
  );
