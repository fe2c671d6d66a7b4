/** Checks of what a caller hands to a session, shared by all devices. Everything found wrong is a RuntimeError. */
import type { Plan, PlanDType, Port, Program, Tensor } from '../compiler/plan.ts';
import type { Data, Dims } from './device.ts';
import { RuntimeError } from './errors.ts';
import { describeShape, elements, evalShape } from './size.ts';

const arrays = {
  f32: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint32Array,
  // JavaScript has no array of binary16 everywhere yet: f16 travels as f32, and is rounded where it is stored.
  f16: Float32Array,
} as const;

/** The array type that carries `dtype` between host and device. */
export const arrayOf = (dtype: PlanDType): (typeof arrays)[PlanDType] => arrays[dtype];

export function planOf(program: Program, name: string): Plan {
  const plan = Object.hasOwn(program.plans, name) ? program.plans[name] : undefined;
  if (!plan) throw unknown('plan', name, Object.keys(program.plans));
  return plan;
}

export function tensorOf(program: Program, path: string): Tensor {
  const tensor = program.tensors.find((t) => t.path === path);
  if (!tensor)
    throw unknown(
      'tensor',
      path,
      program.tensors.map((t) => t.path),
    );
  return tensor;
}

export function outputOf(plan: Plan, name: string): Port {
  const port = plan.outputs.find((p) => p.name === name);
  if (!port)
    throw unknown(
      'output',
      name,
      plan.outputs.map((p) => p.name),
    );
  return port;
}

function unknown(what: string, name: string, known: readonly string[]): RuntimeError {
  const list = known.length === 0 ? 'there is none' : `there is ${known.map((k) => `\`${k}\``).join(', ')}`;
  return new RuntimeError(`unknown-${what}`, `no ${what} is called \`${name}\``, list, { name, known });
}

/** Every dimension of the plan has a value, a whole number of at least 0. */
export function checkDims(plan: Plan, dims: Dims): void {
  for (const name of plan.dims) {
    const value = dims[name];
    if (value === undefined)
      throw new RuntimeError(
        'missing-dimension',
        `the dimension \`${name}\` of plan \`${plan.name}\` has no value`,
        `pass { ${name}: … }`,
        {
          plan: plan.name,
          name,
        },
      );
    if (!Number.isSafeInteger(value) || value < 0 || value > 0x7fffffff)
      throw new RuntimeError(
        'bad-dimension',
        `the dimension \`${name}\` cannot be ${value}`,
        'give a whole number of at least 0',
        {
          plan: plan.name,
          name,
          value,
        },
      );
  }
}

/** Exactly the plan's inputs are given, each of its dtype and length. */
export function checkInputs(plan: Plan, dims: Dims, inputs: Readonly<Record<string, Data>>): void {
  const known = plan.inputs.map((port) => port.name);
  for (const name of Object.keys(inputs)) if (!known.includes(name)) throw unknown('input', name, known);
  for (const port of plan.inputs) {
    const data = Object.hasOwn(inputs, port.name) ? inputs[port.name] : undefined;
    if (!data)
      throw new RuntimeError(
        'missing-input',
        `the input \`${port.name}\` is missing`,
        `give it as ${expectation(port, dims)}`,
        {
          name: port.name,
        },
      );
    checkPort(port, dims, data);
  }
}

function expectation(port: Port, dims: Dims): string {
  return `${arrayOf(port.dtype).name} of shape ${port.dtype}${describeShape(port.shape, dims)}`;
}

function checkPort(port: Port, dims: Dims, data: Data): void {
  const shape = evalShape(port.shape, dims);
  const expected = elements(shape);
  if (!(data instanceof arrayOf(port.dtype)))
    throw new RuntimeError(
      'input-type',
      `the input \`${port.name}\` is ${kindOf(data)}`,
      `give ${expectation(port, dims)}`,
      {
        name: port.name,
        dtype: port.dtype,
      },
    );
  if (data.length !== expected)
    throw new RuntimeError(
      'input-length',
      `the input \`${port.name}\` holds ${data.length} values, but ${port.dtype}${describeShape(port.shape, dims)} has ${expected}`,
      `check the dims that the run was given, or the length of \`${port.name}\``,
      { name: port.name, shape, expected, found: data.length },
    );
}

/** `data` fits the stored tensor. */
export function checkTensor(tensor: Tensor, data: Data): void {
  const expected = elements(tensor.shape);
  const fields = { path: tensor.path, shape: tensor.shape, dtype: tensor.dtype };
  if (!(data instanceof arrayOf(tensor.dtype)))
    throw new RuntimeError(
      'tensor-type',
      `\`${tensor.path}\` is ${tensor.dtype}, the data is ${kindOf(data)}`,
      `give ${arrayOf(tensor.dtype).name}`,
      fields,
    );
  if (data.length !== expected)
    throw new RuntimeError(
      'tensor-length',
      `\`${tensor.path}\` has shape [${tensor.shape.join(', ')}], ${expected} values; the data has ${data.length}`,
      'check the shape',
      { ...fields, expected, found: data.length },
    );
}

const kindOf = (data: unknown): string =>
  (data as { constructor?: { name?: string } } | null)?.constructor?.name ?? typeof data;

/** Only the plan's clocks are given. Missing ones are 0. */
export function checkClocks(plan: Plan, clocks: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(clocks)) {
    if (!Number.isSafeInteger(value))
      throw new RuntimeError(
        'unknown-clock',
        `the clock \`${name}\` cannot be ${value}`,
        'give a whole number',
        { plan: plan.name, name },
      );
  }
}
