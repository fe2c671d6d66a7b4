/**
 * What a compiled module is built on: loads the program for the device at hand, and types its calls. Browser-safe;
 * the device's code is imported when it is opened.
 */
import type { Plan, Port, Program, Size } from '../compiler/plan.ts';
import { concat } from './bytes.ts';
import type { Backend, Data, Dims, Session } from './device.ts';
import { RuntimeError } from './errors.ts';
import { planOf } from './ports.ts';
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts';
import { describeShape, evalShape } from './size.ts';
import type { Tensor } from './tensor.ts';
import { allRoles, loadTensors, readTensors, weightRoles } from './weights.ts';

type Tensors = object;

/** What the compiler writes into a module. */
export interface CompiledModel {
  readonly name: string;
  /** The same model for each device it was compiled for. Wasm bytes are base64. */
  readonly programs: { readonly wasm?: ProgramText; readonly webgpu?: ProgramText };
  /** Names of the training step's scalar outputs. */
  readonly metrics: readonly string[];
  /** The plans of training steps in turn, where not all are alike: step `s` runs `cycle[s % cycle.length]`. */
  readonly cycle?: readonly string[];
}

/** A Program as it stands in a module: JSON whose Wasm bytes are base64. */
export type ProgramText = string;

export interface LoadOptions {
  /** `auto` (the default) takes a GPU when there is one, else Wasm. */
  readonly backend?: 'auto' | Exclude<Backend, 'reference'>;
  /** Weights as the bytes of a safetensors file; without them the model is initialised from `seed`. */
  readonly weights?: Uint8Array;
  readonly seed?: number;
  /** How long the program will train, for learning rate schedules; without it they stay where they begin. */
  readonly epochs?: number;
  readonly stepsPerEpoch?: number;
}

/** Steps an epoch when the program does not say: so many that a schedule never leaves its start. */
const endless = 2 ** 24;

/** A model that is loaded on a device. `In`, `Out`, `Batch` and `Metrics` are what the module declares. */
export interface LoadedModel<In extends Tensors, Out extends Tensors, Batch extends Tensors, Metrics> {
  readonly device: string;
  /** Computes the model's outputs. Nothing is to be disposed of. */
  predict(inputs: In): Promise<Out>;
  /** One training step; its loss and metrics on this batch. Absent steps (no task was compiled) throw. */
  train(batch: Batch): Promise<Metrics>;
  /** Weights as the bytes of a safetensors file; with `all` optimizer states and the step count too. */
  save(options?: { readonly all?: boolean }): Promise<Uint8Array>;
  /** Takes over what `save` gave; returns the names in the file that the model does not have. */
  restore(bytes: Uint8Array): Promise<readonly string[]>;
  /** A parameter or state by path, as a copy. */
  read(path: string): Promise<Data>;
  close(): void;
}

export interface ModelModule<In extends Tensors, Out extends Tensors, Batch extends Tensors, Metrics> {
  readonly name: string;
  load(options?: LoadOptions): Promise<LoadedModel<In, Out, Batch, Metrics>>;
}

/** Called by compiled modules. */
export function defineModel<In extends Tensors, Out extends Tensors, Batch extends Tensors, Metrics>(
  compiled: CompiledModel,
): ModelModule<In, Out, Batch, Metrics> {
  return { name: compiled.name, load: (options = {}) => load(compiled, options) };
}

async function load<In extends Tensors, Out extends Tensors, Batch extends Tensors, Metrics>(
  compiled: CompiledModel,
  options: LoadOptions,
): Promise<LoadedModel<In, Out, Batch, Metrics>> {
  const session = await open(compiled, options.backend ?? 'auto');
  const { seed = 0, epochs = 1, stepsPerEpoch = endless } = options;
  const model = new Loaded<In, Out, Batch, Metrics>(compiled, session, { seed, epochs, stepsPerEpoch });
  await model.start(options.weights);
  return model;
}

async function open(compiled: CompiledModel, backend: 'auto' | 'wasm' | 'webgpu'): Promise<Session> {
  const { webgpu, wasm } = compiled.programs;
  if (backend !== 'wasm' && webgpu) {
    const { openWebgpu } = await import('./webgpu.ts');
    const device = await openWebgpu({ allowSoftware: backend === 'webgpu' });
    if (!('reason' in device)) return device.load(parseProgram(webgpu));
    if (backend === 'webgpu')
      throw new RuntimeError(
        'no-device',
        `there is no WebGPU device: ${device.reason}`,
        'use the backend `wasm`',
      );
  }
  if (!wasm || backend === 'webgpu')
    throw new RuntimeError(
      'wrong-target',
      `${compiled.name} was not compiled for ${backend}`,
      'compile it again with that target',
    );
  const { openWasm } = await import('./wasm.ts');
  return openWasm(parseProgram(wasm));
}

/** The Program in a module's text. */
export function parseProgram(text: ProgramText): Program {
  return JSON.parse(text, (key, value: unknown) =>
    key === 'bytes' && typeof value === 'string' ? fromBase64(value) : value,
  ) as Program;
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

class Loaded<In extends Tensors, Out extends Tensors, Batch extends Tensors, Metrics> implements LoadedModel<
  In,
  Out,
  Batch,
  Metrics
> {
  private step = 0;

  constructor(
    private readonly compiled: CompiledModel,
    private readonly session: Session,
    private readonly length: Required<Pick<LoadOptions, 'seed' | 'epochs' | 'stepsPerEpoch'>>,
  ) {}

  get device(): string {
    return this.session.device;
  }

  async start(weights: Uint8Array | undefined): Promise<void> {
    await this.session.run('init', {}, {}, { seed: this.length.seed });
    if (weights) await this.restore(weights);
  }

  async predict(inputs: In): Promise<Out> {
    const { plan, dims } = await this.run('predict', inputs, {});
    const out: Record<string, Tensor> = {};
    for (const port of plan.outputs)
      out[port.name] = {
        // JavaScript carries f16 as f32.
        dtype: port.dtype === 'f16' ? 'f32' : port.dtype,
        shape: evalShape(port.shape, dims),
        data: (await this.session.output('predict', port.name)) as Float32Array,
      };
    return out as Out;
  }

  async train(batch: Batch): Promise<Metrics> {
    if (!this.session.program.plans['train'])
      throw new RuntimeError(
        'unknown-plan',
        `${this.compiled.name} was compiled without a training step`,
        'compile a file that has a task with `fit`',
      );
    this.step++;
    const { seed, epochs, stepsPerEpoch } = this.length;
    const epoch = Math.floor((this.step - 1) / stepsPerEpoch) + 1;
    const clocks = { seed, step: this.step, epoch, epochs, steps_per_epoch: stepsPerEpoch };
    const { cycle } = this.compiled;
    const plan = cycle?.[this.step % cycle.length] ?? 'train';
    await this.run(plan, batch, clocks);
    const scores: Record<string, number> = {};
    for (const name of this.compiled.metrics)
      scores[name] = (await this.session.output(plan, name))[0] ?? NaN;
    return scores as Metrics;
  }

  async save(options: { readonly all?: boolean } = {}): Promise<Uint8Array> {
    const tensors = await readTensors(this.session, options.all ? allRoles : weightRoles);
    return concat(encodeSafetensors(tensors, { step: String(this.step), seed: String(this.length.seed) }));
  }

  async restore(bytes: Uint8Array): Promise<readonly string[]> {
    const file = { file: 'the weights', ...decodeSafetensors('the weights', bytes) };
    const complete = this.session.program.tensors.every((t) => file.tensors.has(t.path));
    if (complete) this.step = Number(file.metadata['step'] ?? 0) || 0;
    return loadTensors(this.session, file, complete ? allRoles : weightRoles);
  }

  read(path: string): Promise<Data> {
    return this.session.read(path);
  }

  close(): void {
    this.session.close();
  }

  private async run(
    name: string,
    inputs: Tensors,
    clocks: Readonly<Record<string, number>>,
  ): Promise<{ plan: Plan; dims: Dims }> {
    const plan = planOf(this.session.program, name);
    const given = inputs as Readonly<Record<string, Tensor>>;
    const dims = bindDims(plan, given);
    const data = Object.fromEntries(Object.entries(given).map(([k, t]) => [k, t.data]));
    const used = Object.fromEntries(plan.clocks.map((c) => [c.name, clocks[c.name] ?? 0]));
    await this.session.run(name, dims, data, used);
    return { plan, dims };
  }
}

/**
 * The dimensions that the shapes of the inputs say.
 * @throws RuntimeError `input-shape` when two shapes disagree, or one does not fit its port
 */
export function bindDims(plan: Plan, inputs: Readonly<Record<string, Tensor>>): Dims {
  const dims: Record<string, number> = {};
  const ports = plan.inputs.filter((p) => inputs[p.name]);
  for (const port of ports)
    port.shape.forEach((size: Size, i) => {
      if (typeof size === 'string') dims[size] ??= inputs[port.name]?.shape[i] ?? 0;
    });
  for (const port of ports) checkShape(port, inputs[port.name]?.shape ?? [], dims);
  return dims;
}

function checkShape(port: Port, found: readonly number[], dims: Dims): void {
  const wanted = evalShape(port.shape, dims);
  if (wanted.length === found.length && wanted.every((d, i) => d === found[i])) return;
  throw new RuntimeError(
    'input-shape',
    `the input \`${port.name}\` has shape [${found.join(', ')}], but the model takes ${port.dtype}${describeShape(port.shape, dims)}`,
    'give every input the same batch, and the sizes that the model declares',
    { name: port.name, expected: wanted, found },
  );
}
