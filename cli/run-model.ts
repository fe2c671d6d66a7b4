/** `nnetc run FILE --model NAME --inputs IN --outputs OUT`: a model's ports, from tensors to tensors. */
import { resolve } from 'node:path';
import type { Plan, Port } from '../compiler/plan.ts';
import { loadWeights, openTensors } from '../runtime/checkpoint.ts';
import { writeAtomically } from '../runtime/disk.ts';
import type { Data, Dims, Session } from '../runtime/device.ts';
import { problem } from '../runtime/problems.ts';
import { decodeTensor, describeStored, encodeSafetensors } from '../runtime/safetensors.ts';
import { elements, evalShape } from '../runtime/size.ts';
import type { TensorFile } from '../runtime/weights.ts';
import { compileModel } from './compilation.ts';
import { chooseDevice } from './devices.ts';
import type { ExitCode } from './exit.ts';
import { exitCodes } from './exit.ts';
import { printJson } from './failure.ts';
import type { Options } from './options.ts';
import type { Terminal } from './terminal.ts';
import { shortPath } from './terminal.ts';

export async function runModel(
  terminal: Terminal,
  args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const [file = ''] = args;
  const chosen = await chooseDevice(options.backend, options.threads);
  try {
    const { program, info } = compileModel(terminal, file, options.model, chosen, options);
    const plan = program.plans[info.predict];
    if (!plan) throw new Error(`the program has no plan ${info.predict}`);
    const given = readInputs(resolve(terminal.cwd, options.inputs ?? ''), plan);
    const session = await chosen.load(program);
    try {
      if (program.plans['init']) await session.run('init', {}, {}, { seed: options.seed ?? 0 });
      if (options.weights !== undefined) await loadWeights(resolve(terminal.cwd, options.weights), session);
      await session.run(plan.name, given.dims, given.inputs);
      const out = resolve(terminal.cwd, options.outputs ?? '');
      await writeOutputs(out, session, plan, given.dims);
      if (options.json) printJson(terminal, { type: 'outputs', path: out, device: session.device });
      else terminal.out.write(`wrote ${shortPath(terminal, out)}\n`);
    } finally {
      session.close();
    }
    return exitCodes.done;
  } finally {
    chosen.close();
  }
}

interface Given {
  readonly dims: Dims;
  readonly inputs: Readonly<Record<string, Data>>;
}

/**
 * The plan's inputs from a file; the dimensions are bound by their shapes.
 * @throws RuntimeError E0702, E0801, E0809 (missing), E0810 (does not fit)
 */
export function readInputs(file: string, plan: Plan): Given {
  const from = openTensors(file);
  const dims: Record<string, number> = {};
  for (const port of plan.inputs) bind(from, port, dims);
  const inputs = Object.fromEntries(
    plan.inputs.map((port) => {
      const stored = from.tensors.get(port.name)!;
      return [port.name, decodeTensor(file, stored, from.bytesOf(stored), port.dtype)];
    }),
  );
  for (const port of plan.inputs) {
    const shape = evalShape(port.shape, dims);
    if (elements(shape) !== inputs[port.name]!.length)
      throw misfit(from, port, `the other inputs make it [${shape.join(', ')}]`);
  }
  return { dims, inputs };
}

function bind(from: TensorFile, port: Port, dims: Record<string, number>): void {
  const stored = from.tensors.get(port.name);
  if (!stored)
    throw problem('E0809', {
      file: from.file,
      name: port.name,
      expected: expectation(port),
      held: [...from.tensors.keys()],
    });
  if (stored.shape.length !== port.shape.length) throw misfit(from, port, undefined);
  port.shape.forEach((size, i) => {
    const found = stored.shape[i]!;
    if (typeof size === 'number' && size !== found) throw misfit(from, port, undefined);
    if (typeof size !== 'string') return;
    if (dims[size] !== undefined && dims[size] !== found)
      throw misfit(from, port, `\`${size}\` is ${dims[size]} elsewhere`);
    dims[size] = found;
  });
}

function misfit(from: TensorFile, port: Port, reason: string | undefined): Error {
  const stored = from.tensors.get(port.name)!;
  return problem('E0810', {
    file: from.file,
    name: port.name,
    found: describeStored(stored),
    expected: expectation(port),
    reason,
  });
}

const expectation = (port: Port): string =>
  `${port.dtype}[${port.shape.map((size) => (Array.isArray(size) ? '…' : String(size))).join(', ')}]`;

async function writeOutputs(file: string, session: Session, plan: Plan, dims: Dims): Promise<void> {
  const tensors = [];
  for (const port of plan.outputs) {
    const data = await session.output(plan.name, port.name);
    tensors.push({ name: port.name, dtype: port.dtype, shape: evalShape(port.shape, dims), data });
  }
  writeAtomically(file, encodeSafetensors(tensors));
}
