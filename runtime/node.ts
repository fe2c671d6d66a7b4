/** `nnetc/runtime/node`: data, checkpoints and run folders on disk. */
export { loadCheckpoint, loadWeights, openTensors, saveCheckpoint, saveWeights } from './checkpoint.ts';
export type { SourceCall, SourceDescription } from './data/source.ts';
export { describeSource, loadSource } from './data/source.ts';
export { writeAtomically } from './disk.ts';
export { latestRunFolder, nextRunFolder, RunFolder } from './run-folder.ts';
