/**
 * What the compiler hands to the runtime: data and code, runnable without the compiler. Plain JSON except for the
 * Wasm bytes, which `encodePlan` turns into base64. This file imports nothing.
 */

export type PlanDType = 'f32' | 'i32' | 'u32' | 'bool' | 'f16';

/**
 * The nearest binary16 (IEEE 754, halves to even): 10 bits behind the leading one, steps of 2^-24 below 2^-14, infinite
 * from 65520 on.
 */
export function roundToHalf(x: number): number {
  const size = Math.abs(x);
  if (size === 0 || Number.isNaN(x)) return x;
  if (size >= 65520) return Math.sign(x) * Infinity;
  // `log2` may be off by one next to a power of two.
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent--;
  else if (2 ** (exponent + 1) <= size) exponent++;
  const step = 2 ** (Math.max(exponent, -14) - 10);
  const steps = size / step;
  const low = Math.floor(steps);
  const part = steps - low;
  return Math.sign(x) * step * (part > 0.5 || (part === 0.5 && low % 2 === 1) ? low + 1 : low);
}
export type Target = 'wasm' | 'webgpu' | 'reference';

/** An integer over the plan's dimensions: a number, a dimension's name, or an operation. */
export type Size = number | string | readonly ['+' | '*' | 'div' | 'mod' | 'min' | 'max', ...Size[]];

/** Kept between runs, shared by all plans of a program: parameters, states, optimizer states, running metrics. */
export interface Store {
  readonly name: string;
  readonly dtype: PlanDType;
  /** Elements. */
  readonly size: number;
}

/** A named tensor inside a store. */
export interface Tensor {
  /** Path: `conv1.weight`; a slot is `conv1.weight/m`. */
  readonly path: string;
  readonly role: 'param' | 'state' | 'slot' | 'metric';
  readonly dtype: PlanDType;
  readonly shape: readonly number[];
  readonly store: number;
  /** Elements from the start of the store. */
  readonly offset: number;
}

/** A value that the host gives or takes. */
export interface Port {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly shape: readonly Size[];
  /** Index into the plan's buffers. */
  readonly buffer: number;
}

/**
 * A buffer of a plan. `store`: the program's store of that index. Otherwise it lives in the transient arena from
 * dispatch `first` to dispatch `last` (inclusive; -1 is before the first, for what the host writes; what the host reads
 * lives to the end). Buffers whose lives do not meet may share memory.
 */
export interface PlanBuffer {
  readonly name: string;
  readonly dtype: PlanDType;
  /** Elements. */
  readonly size: Size;
  readonly place:
    | { readonly kind: 'store'; readonly store: number }
    | { readonly kind: 'arena'; readonly first: number; readonly last: number };
}

/**
 * One kernel run. Wasm: exported function `entry` runs units `begin … end` of `units`; WebGPU: pipeline of
 * `entry` with `workgroups`, bindings 0 … n-1 the listed buffers and binding n the dimensions (a uniform of u32, in the
 * order of `Plan.dims`, then of `Plan.loops`, then of `Plan.clocks`).
 */
export interface Dispatch {
  readonly name: string;
  readonly entry: string;
  /** Indices into the plan's buffers. */
  readonly buffers: readonly number[];
  readonly units: Size;
  readonly workgroups?: readonly [Size, Size, Size];
  /** Multiply-adds count two. */
  readonly flops: Size;
  /** Wasm: as long as so many operations of a matrix product it takes, where these are not its own. */
  readonly work?: Size;
  /** Wasm: what runs instead where a dimension has a certain value (a matrix product at batch 1 packs nothing). */
  readonly special?: Special;
  /** Wasm: fills, before a loop, the room of what the kernel of this name reads prepared in every iteration. */
  readonly prepares?: string;
  /** WebGPU: the same kernel in other shapes, of which a device may be faster with one. Same buffers, same results to rounding. */
  readonly variants?: readonly Variant[];
}

export interface Variant {
  readonly entry: string;
  readonly workgroups: readonly [Size, Size, Size];
}

export interface Special {
  readonly dim: string;
  readonly value: number;
  readonly entry: string;
  readonly units: Size;
}

export type Code =
  /**
   * A module importing `env.memory`, `env.b0 …` (i32 globals: byte offset of each buffer), `env.scratch` (byte offset of
   * the scratch area of `scratchBytes` per thread), and `env.d0 …` (mutable i32 globals: the dimensions), exporting one
   * function `(begin, end, thread)` per entry. `prepared`: of `env.prepared` so many bytes are the plan's own; its entries fill
   * what depends on parameters and states alone, before the first run and whenever these may have changed. Dispatches before
   * loops fill the rest.
   */
  | {
      readonly kind: 'wasm';
      readonly bytes: Uint8Array;
      readonly scratchBytes: Size;
      readonly relaxed: boolean;
      readonly prepared?: PreparedCode;
    }
  | { readonly kind: 'wgsl'; readonly shaders: Readonly<Record<string, string>> }
  | { readonly kind: 'reference'; readonly graph: GraphData };

export interface PreparedCode {
  readonly bytes: number;
  readonly entries: readonly { readonly entry: string; readonly units: number }[];
}

export interface Plan {
  readonly name: string;
  readonly target: Target;
  /** Names of the dimensions that are bound when the plan is run, in the order of the uniform. */
  readonly dims: readonly string[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Scalars i32 the runtime fills before each run: `step`, `epoch`, `seed`, … */
  readonly clocks: readonly Port[];
  readonly buffers: readonly PlanBuffer[];
  readonly dispatches: readonly Dispatch[];
  /** Dispatches that are run several times; properly nested, outer ones before inner ones. */
  readonly loops: readonly PlanLoop[];
  readonly code: Code;
}

/**
 * Dispatches `begin` to `end` - 1 are run `count` times, in order. `dim` is 1, 2, … meanwhile: it follows `Plan.dims` in the
 * uniform and among the globals, in the order of `Plan.loops`. Buffers that a loop touches live as long as the loop.
 */
export interface PlanLoop {
  readonly begin: number;
  readonly end: number;
  readonly dim: string;
  readonly count: Size;
}

/** The Graph as data, for the reference interpreter. Indices refer to earlier nodes. */
export interface GraphData {
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly { readonly name: string; readonly node: number }[];
  readonly updates: readonly { readonly path: string; readonly node: number }[];
}

export interface GraphNode {
  readonly op: 'leaf' | 'const' | 'index' | 'map' | 'view' | 'reduce' | 'scatter' | 'stop' | 'scan' | 'part';
  readonly dtype: PlanDType;
  readonly shape: readonly Size[];
  readonly inputs: readonly number[];
  /** Scalar or reduce operation; of a part `final`, `history` or `each`. */
  readonly fn?: string;
  readonly role?: string;
  readonly name?: string;
  /** Of a constant; the fill of a view. NaN and infinities as strings, for JSON. */
  readonly value?: number | string;
  /** Over `$0…`, `@0…` and dimensions. */
  readonly index?: readonly Size[];
  readonly guard?: readonly (readonly ['ge' | 'eq', Size])[];
  /** Reduced dimensions; of a part the number of the carry, or of the body's output `each N`. */
  readonly count?: number;
  /**
   * Of a scan, with `count` carries, `slices` slices and the number of iterations as `index[0]`. Its leaves are bound:
   * `carry K`, `slice K`, `capture K`; its outputs `next K`, `each K`.
   */
  readonly body?: GraphData;
  readonly slices?: number;
}

/** All plans that share stores: what a task or a compiled model is. */
export interface Program {
  readonly format: 1;
  readonly stores: readonly Store[];
  readonly tensors: readonly Tensor[];
  /** `init` fills every tensor from the clock `seed`; the others are named by what they do. */
  readonly plans: Readonly<Record<string, Plan>>;
}

// ---------------------------------------------------------------- tasks

/** What a task does around its plans: the part of an elaborated task that the runtime needs. Plain JSON. */
export interface TaskInfo {
  readonly name: string;
  readonly data: readonly DataInfo[];
  readonly models: readonly ModelInfo[];
  /** In the order of the text. */
  readonly steps: readonly TaskStep[];
}

export type StaticValue = string | number | boolean | readonly StaticValue[];

/** A data source: `mnist = idx(image: "…", label: "…")`. */
export interface DataInfo {
  /** Its name in the task. */
  readonly name: string;
  /** `idx`, … */
  readonly kind: string;
  readonly args: Readonly<Record<string, StaticValue>>;
  /** The file whose text names it: relative specifiers start from its folder. */
  readonly file: string;
  /** Of one example, without the batch dimension. Field names are the input names of the plans. */
  readonly fields: Readonly<Record<string, DataField>>;
  /** Number of examples. */
  readonly count: number;
  /** Of a text. */
  readonly vocabulary?: Vocabulary;
}

/** What the tokens of a text stand for: bytes, or characters by their numbers. */
export interface Vocabulary {
  readonly unit: 'char' | 'byte';
  readonly size: number;
  /** Of characters. */
  readonly symbols?: readonly string[];
}

export interface DataField {
  readonly dtype: PlanDType;
  readonly shape: readonly number[];
  /** Its values index a dimension of this size (`logits[n, label[n]]`), so each must be 0 … limit - 1. */
  readonly limit?: number;
}

/** A model that a task (or a compiled module) uses. */
export interface ModelInfo {
  /** Its name in the task: `net`. */
  readonly name: string;
  /** Name of the `model` declaration. */
  readonly declaration: string;
  /** What its tensors' paths begin with: empty when it is the only one, else `gen.`. */
  readonly prefix: string;
  /** The plan that computes its outputs with `training` false. */
  readonly predict: string;
  /** `net = LeNet() from "file"`: the weights it starts from. */
  readonly from: string | undefined;
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
}

export interface PortInfo {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly shape: readonly Size[];
}

export type TaskStep = FitStep | EvaluateStep | SaveStep | LoadStep;

/**
 * Trains. Each batch: run plan `train` (or that of the `cycle`) with the data's fields, the dimension `batch`, and the
 * clocks `seed`, `step` (1, 2, … from the beginning of this `fit`), `epoch` (from 1), `epochs`, `steps_per_epoch` and
 * `plateaus`. Running sums stand in the
 * `metric` tensors `metrics/NAME` (sums of value * batch) and `metrics/count`, all zeroed by the host when it begins an
 * epoch; the mean is their quotient. `evaluate` adds to the same sums and changes nothing else.
 */
export interface FitStep {
  readonly kind: 'fit';
  readonly data: string;
  readonly epochs: number;
  readonly batch: number;
  /** Part of the examples kept for validation, 0 … 1. */
  readonly valid: number;
  readonly seed: number;
  readonly shuffle: boolean;
  readonly train: string;
  readonly evaluate: string;
  /** `loss` (or one name per `minimize`) first, then the metrics. */
  readonly metrics: readonly string[];
  /** Metrics that are vectors or matrices, summed and divided in the same way. */
  readonly tables?: readonly string[];
  readonly earlyStopping: EarlyStopping | undefined;
  /** What the clock `plateaus` counts. */
  readonly plateau?: Plateau;
  /** The plans of steps in turn, where not all are alike: step `s` runs `cycle[s % cycle.length]`. */
  readonly cycle?: readonly string[];
  /** Run when the `fit` begins: sets optimizer states, starts averages of weights. */
  readonly begin?: string;
  /** Exchanges weights and their averages: run before and after each validation, and at the end. */
  readonly average?: string;
}

/** A quantity that is watched from epoch to epoch. */
export interface Watch {
  /** `valid.loss`, `train.accuracy` */
  readonly monitor: string;
  /** Epochs without an improvement by more than `minDelta`. */
  readonly patience: number;
  readonly minDelta: number;
  readonly mode: 'min' | 'max';
}

export interface EarlyStopping extends Watch {
  /** Epochs that do not count as waiting; default 0. */
  readonly start?: number;
  /** Training ends as soon as the quantity is as good as this. */
  readonly target?: number;
  /** Whether the weights of the best epoch come back at the end; default true. */
  readonly restore?: boolean;
}

/** `plateau(valid.loss, patience: 5)`: after so many epochs without improvement the clock `plateaus` goes on by one. */
export interface Plateau extends Watch {
  /** Epochs after a plateau that do not count. */
  readonly cooldown: number;
}

export interface EvaluateStep {
  readonly kind: 'evaluate';
  readonly data: string;
  readonly batch: number;
  /** Name of the plan. */
  readonly evaluate: string;
  readonly metrics: readonly string[];
  readonly tables?: readonly string[];
}

/** `save(net, "net.safetensors")` */
export interface SaveStep {
  readonly kind: 'save';
  readonly model: string;
  readonly path: string;
}

/** `load(net, "net.safetensors", only: "conv*")`: weights of a part of a model. */
export interface LoadStep {
  readonly kind: 'load';
  readonly model: string;
  readonly path: string;
  /** What the model's paths begin with in the program: empty when it is the only one, else `gen.`. */
  readonly prefix: string;
  /** Names of the parameters and states to fill, without the prefix. All of them must be in the file, unless `partial`. */
  readonly asked: readonly string[];
  /** Those of the model that stay as they are. */
  readonly others: readonly string[];
  /** What the names begin with in the file: `backbone` for `backbone.conv1.weight`. */
  readonly under?: string;
  /** Fills what is there with the right shape, at least one tensor, and says what is not. */
  readonly partial?: boolean;
}
