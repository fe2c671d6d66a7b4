/** The command line: its commands and options. The compiler is imported when a command needs it. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { bytesForm, parseBytes } from '../compiler/check/bytes.ts';
import { bench } from './commands/bench.ts';
import { doctor } from './commands/doctor.ts';
import { init } from './commands/init.ts';
import { run } from './commands/run.ts';
import { summary } from './commands/summary.ts';
import type { ExitCode } from './exit.ts';
import { exitCodes } from './exit.ts';
import { reportFailure } from './failure.ts';
import { loadCompiler } from './load-compiler.ts';
import type { Options } from './options.ts';
import { backendChoices, packageVersion, stages } from './options.ts';
import type { Terminal } from './terminal.ts';

/** A command gets what commander parsed and gives an exit code; it may throw RuntimeError, UsageError or Reported. */
export type CommandBody = (
  terminal: Terminal,
  args: readonly string[],
  options: Options,
) => Promise<ExitCode>;

/** Runs the command line; never throws and never ends the process. */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const result: { code: ExitCode } = { code: exitCodes.done };
  const version = packageVersion();
  try {
    await buildProgram(terminal, version, (code) => (result.code = code)).parseAsync([...argv], {
      from: 'user',
    });
    return result.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    return reportFailure(error, { terminal, json: argv.includes('--json'), version, argv });
  }
}

function buildProgram(terminal: Terminal, version: string, done: (code: ExitCode) => void): Command {
  const program = new Command('nnetc')
    .description('A compiler for neural networks: check, train, explain and compile .nnet files.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .showHelpAfterError('(nnetc --help shows the commands and options)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void terminal.out.write(text),
      writeErr: (text) => void terminal.err.write(text),
    });
  for (const { name, about, options, load } of commands) {
    const command = program.command(name).description(about).exitOverride();
    for (const option of options) command.addOption(option());
    command.action(async (...given: unknown[]) => {
      const args = given
        .slice(0, -2)
        .flat()
        .filter((arg): arg is string => typeof arg === 'string');
      const body = await load();
      done(await body(terminal, args, command.opts()));
    });
  }
  return program;
}

// ---------------------------------------------------------------- options

const integer =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least || value > 0x7fffffff || text.trim() === '')
      throw new InvalidArgumentError(`A whole number of at least ${least} is needed.`);
    return value;
  };

function memory(text: string): number {
  const found = parseBytes(text);
  if (found === undefined) throw new InvalidArgumentError(`It is ${bytesForm}.`);
  return found;
}

function setting(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It has the form name=value.');
  return { ...before, [text.slice(0, at).trim()]: text.slice(at + 1).trim() };
}

const option = {
  backend: () =>
    new Option('--backend <device>', 'where to compute').choices([...backendChoices]).default('auto'),
  threads: () =>
    new Option('--threads <n>', 'threads of the wasm backend (default: the processors, up to 4)').argParser(
      integer(1),
    ),
  seed: () => new Option('--seed <n>', 'seed of weights, shuffling and dropout').argParser(integer(0)),
  epochs: () => new Option('--epochs <n>', 'epochs of every fit').argParser(integer(0)),
  set: () =>
    new Option('--set <name=value>', 'set a parameter of the task').argParser(setting).default({}, 'none'),
  out: () => new Option('--out <dir>', 'folder of the run (default: runs/<file>/<number>)'),
  resume: () => new Option('--resume', 'go on with the run in --out, or the last one of the task'),
  weights: () => new Option('--weights <file>', 'start from the weights of a .safetensors file'),
  json: () => new Option('--json', 'print one JSON object a line'),
  inputs: () => new Option('--inputs <file>', 'run the model on the tensors of a .safetensors file'),
  outputs: () => new Option('--outputs <file>', 'write its outputs there'),
  model: () => new Option('--model <name>', 'the model to take'),
  task: () => new Option('--task <name>', 'the task whose training step to compile in'),
  output: () => new Option('-o, --output <file>', 'the module to write'),
  stage: () => new Option('--stage <stage>', 'what to show').choices([...stages]).default('schedule'),
  check: () => new Option('--check', 'change nothing; exit 1 when a file is not formatted'),
  steps: () => new Option('--steps <n>', 'steps to time').argParser(integer(1)),
  batch: () => new Option('--batch <n>', 'samples a step').argParser(integer(1)),
  workgroups: () =>
    new Option(
      '--workgroups <n>',
      'webgpu: workgroups that keep the GPU busy (real ones: 64; default: 1)',
    ).argParser(integer(1)),
  memory: () =>
    new Option(
      '--memory <amount>',
      'most memory of tensors, as "512MB" or "1.5GiB"; values are computed again where it does not suffice',
    ).argParser(memory),
  tune: () => new Option('--tune', 'webgpu: time the shapes of kernels on this GPU and keep the fastest'),
  kernels: () => new Option('--kernels', 'time every kernel, beside what the machine can do'),
  strict: () => new Option('--strict', 'exit 1 on warnings too'),
  strictCode: () =>
    new Option(
      '--strict',
      'wasm: code with the same results on every engine, as in compiled modules (default: what `run` takes here)',
    ),
} satisfies Record<string, () => Option>;

// ---------------------------------------------------------------- commands

interface CommandRow {
  /** With its arguments, as commander writes them. */
  readonly name: string;
  readonly about: string;
  readonly options: readonly (() => Option)[];
  readonly load: () => CommandBody | Promise<CommandBody>;
}

const device = [option.backend, option.threads];

const commands: readonly CommandRow[] = [
  {
    name: 'check <file>',
    about: 'report everything that is wrong with a file',
    options: [option.json, option.strict],
    load: async () => (await loadCompiler()).check,
  },
  {
    name: 'run <file> [task]',
    about: 'run a task: train, evaluate; or a model with --inputs',
    options: [
      ...device,
      option.tune,
      option.seed,
      option.epochs,
      option.set,
      option.memory,
      option.out,
      option.resume,
      option.weights,
      option.json,
      option.model,
      option.inputs,
      option.outputs,
    ],
    load: () => run,
  },
  {
    name: 'compile <file>',
    about: 'write a model as a typed ES module with its kernels inside',
    options: [option.output, option.model, option.task, option.set, option.memory],
    load: async () => (await loadCompiler()).compileModule,
  },
  {
    name: 'explain <file> [task]',
    about: 'show what the compiler makes of a file',
    options: [option.stage, ...device, option.strictCode, option.workgroups, option.set, option.memory],
    load: async () => (await loadCompiler()).explain,
  },
  {
    name: 'summary <file> [task]',
    about: "list a task's parameters and their sizes",
    options: [option.set, option.json],
    load: () => summary,
  },
  {
    name: 'fmt <files...>',
    about: 'format files in place',
    options: [option.check],
    load: async () => (await loadCompiler()).fmt,
  },
  {
    name: 'doc [what]',
    about: 'show a declaration of the library, or what a file declares',
    options: [],
    load: async () => (await loadCompiler()).doc,
  },
  {
    name: 'bench <file> [task]',
    about: 'time the training step of a task',
    options: [
      ...device,
      option.tune,
      option.kernels,
      option.steps,
      option.batch,
      option.set,
      option.memory,
      option.json,
    ],
    load: () => bench,
  },
  {
    name: 'doctor',
    about: 'show what this machine can do',
    options: [option.json],
    load: () => doctor,
  },
  {
    name: 'init [file]',
    about: 'write a first .nnet file to begin with',
    options: [],
    load: () => init,
  },
];
