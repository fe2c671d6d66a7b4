/** Where a run keeps its checkpoints and weights. `runtime/run-folder.ts` keeps them on disk. Browser-safe. */
import type { Session } from './device.ts';
import type { TensorToStore } from './safetensors.ts';
import type { RunState } from './state.ts';
import { readTensors, weightRoles } from './weights.ts';

/** Each method returns where it saved, or undefined when there is nothing to tell. */
export interface RunStore {
  saveCheckpoint(session: Session, state: RunState): Promise<string | undefined>;
  saveBest(session: Session, state: RunState): Promise<string | undefined>;
  /** Puts the weights of the last `saveBest` back. */
  restoreBest(session: Session): Promise<void>;
  /** The weights at the end of the training. */
  saveModel(session: Session): Promise<string | undefined>;
}

/** Keeps the best weights in memory and nothing else. */
export class MemoryStore implements RunStore {
  private best: readonly TensorToStore[] = [];

  async saveCheckpoint(): Promise<undefined> {}

  async saveBest(session: Session): Promise<undefined> {
    this.best = await readTensors(session, weightRoles);
  }

  async restoreBest(session: Session): Promise<void> {
    for (const t of this.best) await session.write(t.name, t.data);
  }

  async saveModel(): Promise<undefined> {}
}
