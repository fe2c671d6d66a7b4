/**
 * `nnetc/runtime`: what compiled modules and programs that train run on. Runs in browsers and in Node; what needs
 * Node's files is in `nnetc/runtime/node`.
 */
export type { DataInfo, FitStep, Plan, PlanDType, Port, Program, TaskInfo } from '../compiler/plan.ts';
export type { Column, Dataset, ElementType } from './data/column.ts';
export { dataset } from './data/column.ts';
export { idxColumn } from './data/idx.ts';
export type { Backend, Data, Dims, Session } from './device.ts';
export type { CompiledModel, LoadedModel, LoadOptions, ModelModule } from './embed.ts';
export { defineModel } from './embed.ts';
export { RuntimeError } from './errors.ts';
export type { RunEvent } from './events.ts';
export { shuffle, split } from './random.ts';
export { decodeSafetensors, decodeTensor, encodeSafetensors } from './safetensors.ts';
export type { RunState } from './state.ts';
export type { RunStore } from './store.ts';
export { MemoryStore } from './store.ts';
export type { Tensor } from './tensor.ts';
export { tensor } from './tensor.ts';
export type { RunOptions, RunResult } from './train.ts';
export { runTask } from './train.ts';
