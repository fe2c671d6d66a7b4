/**
 * What `nnetc run` prints when data, checkpoints or the command line are wrong: exit code 1, the message as expected, no
 * stack trace. As in data.test.ts, the page of a code shows its first case.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeSafetensors } from '../../runtime/safetensors.ts';
import { runtimeProblems } from '../../runtime/problems.ts';
import { cli } from '../cli/run-cli.ts';
import { dataCases } from './data-cases.ts';
import { pageOf, pagePath, refreshPage } from './samples.ts';
import { weightsCases } from './weights-cases.ts';

const program = `model Tiny() {
  input  image: f32[batch, 2, 2]
  output logits: f32[batch, 3]

  logits = image |> Flatten() |> Dense(3)
}

task train(lr: float = 0.01, batch: int = 4) {
  net  = Tiny()
  data = idx(image: "./images", label: "./labels")

  fit(epochs: 2, batch: batch) on data {
    minimize cross_entropy(net(image / 255), label) with Sgd(lr: lr)
  }
}

task nothing() {
  net = Tiny()
}
`;

interface Case {
  readonly code: keyof typeof runtimeProblems;
  readonly slug: string;
  /** Words of the command line after \`nnetc\`. */
  readonly argv: string;
  /** Changes the folder first; may run commands in it. */
  readonly prepare?: (folder: string) => unknown;
}

function idx(dims: readonly number[], value: (i: number) => number): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * dims.length));
  header.setUint32(0, 0x800 + dims.length);
  dims.forEach((d, i) => {
    header.setUint32(4 + 4 * i, d);
  });
  const size = dims.reduce((a, b) => a * b, 1);
  return Uint8Array.from([
    ...new Uint8Array(header.buffer),
    ...Array.from({ length: size }, (_, i) => value(i) & 255),
  ]);
}

const images = (count: number): Uint8Array => idx([count, 2, 2], (i) => i * 37);
const labels = (count: number, classes = 3): Uint8Array => idx([count], (i) => i % classes);

const put =
  (name: string, bytes: Uint8Array) =>
  (folder: string): void => {
    writeFileSync(join(folder, name), bytes);
  };

function tensors(folder: string, name: string, shape: readonly number[]): void {
  const size = shape.reduce((a, b) => a * b, 1);
  const tensor = { name, dtype: 'f32', shape, data: new Float32Array(size) } as const;
  writeFileSync(join(folder, 'in.safetensors'), Buffer.concat(encodeSafetensors([tensor])));
}

const run = 'run main.nnet train --backend wasm --threads 1';
const cases: readonly Case[] = [
  {
    code: 'E0709',
    slug: 'no-samples',
    argv: run,
    prepare: (d) => {
      put('images', images(0))(d);
      put('labels', labels(0))(d);
    },
  },
  { code: 'E0704', slug: 'truncated-in-task', argv: run, prepare: put('images', images(12).slice(0, 40)) },
  { code: 'E0706', slug: 'counts-in-task', argv: run, prepare: put('labels', labels(11)) },
  { code: 'E0708', slug: 'label-in-task', argv: run, prepare: put('labels', labels(12, 5)) },
  { code: 'E0701', slug: 'missing-in-task', argv: run, prepare: (d) => rmSync(join(d, 'labels')) },
  { code: 'E0808', slug: 'no-checkpoint', argv: `${run} --resume --out elsewhere` },
  {
    code: 'E0811',
    slug: 'used-folder',
    argv: `${run} --out runs/a`,
    prepare: (d) => cli(d, ...`${run} --out runs/a`.split(' ')),
  },
  {
    code: 'E0809',
    slug: 'missing-input',
    argv: 'run main.nnet --model Tiny --backend reference --inputs in.safetensors --outputs out.safetensors',
    prepare: (d) => {
      tensors(d, 'picture', [5, 2, 2]);
    },
  },
  {
    code: 'E0810',
    slug: 'input-shape',
    argv: 'run main.nnet --model Tiny --backend reference --inputs in.safetensors --outputs out.safetensors',
    prepare: (d) => {
      tensors(d, 'image', [5, 3, 2]);
    },
  },
  { code: 'E0905', slug: 'loss-infinite', argv: `${run} --set lr=1e38` },
  { code: 'E0906', slug: 'no-such-task', argv: 'run main.nnet trian --backend wasm' },
  { code: 'E0907', slug: 'nothing-to-do', argv: 'run main.nnet nothing --backend wasm' },
];

const root = mkdtempSync(join(tmpdir(), 'nnetc-run-errors-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Runs the case in a folder of its own and leaves that folder's name out of what is printed. */
async function print(
  test: Case,
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const folder = join(root, `${test.code}-${test.slug}`);
  mkdirSync(folder);
  for (const [name, content] of [
    ['main.nnet', program],
    ['images', images(12)],
    ['labels', labels(12)],
  ] as const)
    writeFileSync(join(folder, name), content);
  await test.prepare?.(folder);
  const { code, out, err } = await cli(folder, ...test.argv.split(' '));
  const own = (text: string): string =>
    text
      .replaceAll(`${folder}/`, '')
      // At which step the loss is looked at depends on the machine.
      .replace(/between steps \d+ and \d+|at step \d+/, 'between steps 2 and 3');
  return { code, out: own(out), err: own(err) };
}

describe.each(cases)('$code $slug', (test) => {
  it('ends with exit code 1 and is printed as expected', async () => {
    const { code, out, err } = await print(test);
    const printed = err.slice(Math.max(0, err.search(/^error\[/m)));
    expect(printed, out).toContain(`error[${test.code}]`);
    expect(printed).not.toMatch(/undefined|NaN\b.*NaN|\[object|\.ts:\d|node:/);
    expect(code).toBe(1);
    const expected = new URL(`./${test.code}-${test.slug}/expected.txt`, import.meta.url);
    await expect(printed).toMatchFileSnapshot(expected.pathname);
    const page = pageOf(test.code);
    expect(page).toBeDefined();
    const shown = page!.split('<!-- sample -->')[1]?.split('<!-- end of sample -->')[0]?.trim() ?? '';
    if (!mine(test) && shown !== '') return;
    const files = new Map([['main.nnet', program]]);
    const title = `${test.code}: ${runtimeProblems[test.code].title}`;
    const fresh = refreshPage(page!, { title, files, command: test.argv, printed });
    await expect(fresh).toMatchFileSnapshot(pagePath(test.code));
  });
});

/** Codes whose pages show a case of this file; the others show one of data.test.ts. */
function mine({ code, slug }: Case): boolean {
  const first = cases.find((c) => c.code === code);
  const isElsewhere = [...dataCases, ...weightsCases].some((c) => c.code === code);
  return first?.slug === slug && !isElsewhere;
}
