/** `nnetc` on a small problem: what its commands say and write. */
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { describe, expect, it } from 'vitest';
import { decisive } from '../../cli/settings.ts';
import { openTensors } from '../../runtime/checkpoint.ts';
import { hasRelaxedSimd } from '../../runtime/relaxed.ts';
import { encodeSafetensors } from '../../runtime/safetensors.ts';
import { cliWith } from './run-cli.ts';
import { images, program, tinyFolder } from './tiny.ts';

const { at, nnetc, train } = tinyFolder();

const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('nnetc check', () => {
  it('finds nothing wrong with a good program', async () => {
    expect(await nnetc('check', 'tiny.nnet')).toMatchObject({ code: 0, err: '' });
  });

  it('reports mistakes of the program and of its data together', async () => {
    writeFileSync(at('tiny.nnet'), program.replace('f32[batch, 3]', 'f32[batch, 4]'));
    rmSync(at('labels'));
    const { code, err, out } = await nnetc('check', 'tiny.nnet');
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(err).toMatch(/E03\d\d/);
    expect(err).toContain('E0701');
    const json = await nnetc('check', 'tiny.nnet', '--json');
    expect(jsonLines(json.out).map((p) => p['type'])).toContain('problem');
  });
});

describe('nnetc run', () => {
  it('trains, evaluates and keeps the weights', async () => {
    const { code, out } = await train('--epochs', '20');
    expect(code).toBe(0);
    expect(out).toMatch(/^epoch 20\/20 /m);
    const [, accuracy] = /^data {2}.*accuracy ([\d.]+)/m.exec(out) ?? [];
    expect(Number(accuracy)).toBeGreaterThan(0.9);
    expect(out.trimEnd()).toMatch(/saved runs\/tiny\/1\/model\.safetensors/);
    expect(readdirSync(at('runs/tiny/1')).sort()).toEqual([
      'best.safetensors',
      'last.safetensors',
      'log.jsonl',
      'model.safetensors',
    ]);
    expect((await train()).out).toContain('runs/tiny/2/');
  });

  it('prints JSON lines and nothing else', async () => {
    const { code, out } = await train('--json');
    expect(code).toBe(0);
    const types = jsonLines(out).map((e) => e['type']);
    expect(types[0]).toBe('start');
    expect(types.filter((t) => t === 'epoch')).toHaveLength(3);
    expect(types).toContain('test');
    expect(types.at(-1)).toBe('end');
  });

  it('is the same for the same seed, and another for another or another setting', async () => {
    const weights = async (...argv: string[]): Promise<Buffer> => {
      const out = at(`out-${argv.join('')}-${Math.random()}`);
      expect((await train('--out', out, ...argv)).code).toBe(0);
      return readFileSync(join(out, 'model.safetensors'));
    };
    const first = await weights();
    expect((await weights()).equals(first)).toBe(true);
    expect((await weights('--seed', '2')).equals(first)).toBe(false);
    expect((await weights('--set', 'lr=0.02')).equals(first)).toBe(false);
  });

  it('stops at Ctrl-C with code 130, and --resume ends with the same bits', async () => {
    expect((await train('--out', 'whole')).code).toBe(0);
    let presses = 0;
    const onInterrupt = (handler: () => void): (() => void) => {
      const timer = setTimeout(() => (presses++, handler()), 5);
      return () => clearTimeout(timer);
    };
    const argv = ['run', 'tiny.nnet', '--backend', 'wasm', '--threads', '1', '--out', 'cut'];
    const cut = await cliWith({ onInterrupt }, at('.'), ...argv);
    expect(presses).toBe(1);
    if (cut.code !== 0) {
      expect(cut.code).toBe(130);
      expect(cut.err).toContain('--resume');
      expect((await train('--out', 'cut', '--resume')).code).toBe(0);
    }
    expect(
      readFileSync(at('cut/model.safetensors')).equals(readFileSync(at('whole/model.safetensors'))),
    ).toBe(true);
  });

  it('goes on with the last run of the task', async () => {
    expect((await train('--epochs', '1')).code).toBe(0);
    const { code, out } = await train('--resume', '--epochs', '2');
    expect(code).toBe(0);
    expect(out).not.toMatch(/^epoch 1\//m);
    expect(out).toMatch(/^epoch 2\/2/m);
    expect(existsSync(at('runs/tiny/2'))).toBe(false);
  });

  it('starts from given weights', async () => {
    expect((await train('--out', 'a')).code).toBe(0);
    const { out } = await train('--out', 'b', '--epochs', '0', '--weights', 'a/model.safetensors');
    const scores = /^data .*$/m.exec(out)?.[0].replace(/ [\d.]+ s$/, '');
    expect(scores).toBe(/^data .*$/m.exec((await train('--out', 'c')).out)?.[0].replace(/ [\d.]+ s$/, ''));
  });

  it('runs a model on tensors', async () => {
    expect((await train('--out', 'a')).code).toBe(0);
    const data = Float32Array.from(images().subarray(16, 16 + 5 * 16), (x) => x / 255);
    const input = (shape: number[]): void =>
      writeFileSync(
        at('in'),
        Buffer.concat(
          encodeSafetensors([
            {
              name: 'image',
              dtype: 'f32',
              shape,
              data: data.subarray(
                0,
                shape.reduce((a, b) => a * b),
              ),
            },
          ]),
        ),
      );
    input([5, 4, 4]);
    const argv = [
      'run',
      'tiny.nnet',
      '--backend',
      'wasm',
      '--model',
      'Tiny',
      '--inputs',
      'in',
      '--outputs',
      'out',
      '--weights',
      'a/model.safetensors',
    ];
    expect(await nnetc(...argv)).toMatchObject({ code: 0, out: 'wrote out\n' });
    expect(openTensors(at('out')).tensors.get('logits')?.shape).toEqual([5, 3]);
    input([5, 2, 8]);
    expect(await nnetc(...argv)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/E0810.*F32\[5, 2, 8\].*f32\[batch, 4, 4\]/) as string,
    });
  });
});

describe('nnetc explain', () => {
  it.each(['syntax', 'graph', 'grad', 'schedule', 'kernels', 'wgsl', 'wat', 'plan'])(
    'shows the stage %s',
    async (stage) => {
      const { code, out, err } = await nnetc('explain', 'tiny.nnet', '--stage', stage);
      expect(err).toBe('');
      expect(code).toBe(0);
      const marks = {
        syntax: '"kind": "model"',
        graph: 'predict',
        grad: "weight'",
        schedule: 'kernels',
        kernels: 'contract',
        wgsl: '@compute',
        wat: '(func $',
        plan: 'dispatches',
      };
      expect(out).toContain(marks[stage as keyof typeof marks]);
    },
  );

  it('shows the code that a run here would take, or that of every engine', async () => {
    const { out } = await nnetc('explain', 'tiny.nnet', '--stage', 'wat');
    expect(out.includes('relaxed_madd')).toBe(hasRelaxedSimd());
    const strict = await nnetc('explain', 'tiny.nnet', '--stage', 'wat', '--strict');
    expect(strict.out).toContain('f32x4.mul');
    expect(strict.out).not.toContain('relaxed_madd');
  });
});

describe('--memory', () => {
  it('is told of by explain', async () => {
    const plan = ['explain', 'tiny.nnet', '--stage', 'plan'];
    const { out } = await nnetc(...plan);
    expect(out).toMatch(/memory +66 kB predicted: parameters 652 B, optimizer 1 kB, .*inputs 1 kB/);
    expect(out).not.toContain('again');
    expect((await nnetc(...plan, '--memory', '1MB')).out).toContain('nothing is computed again');
    const webgpu = await nnetc(...plan, '--memory', '9700B', '--backend', 'webgpu');
    expect(webgpu.out).toMatch(/train on webgpu, batch 16/);
  });

  it('that does not suffice is a mistake, before anything is written', async () => {
    for (const command of ['run', 'bench', 'compile', 'explain']) {
      const { code, err } = await nnetc(command, 'tiny.nnet', '--memory', '1KB');
      expect({ command, code }).toEqual({ command, code: 1 });
      expect(err).toMatch(/error\[E0516\]: `train` takes at least .* KB of memory with batches of 16/);
      expect(err).toContain('allow at least');
    }
    expect(existsSync(at('runs'))).toBe(false);
    const larger = await nnetc('bench', 'tiny.nnet', '--memory', '1KB', '--batch', '64');
    expect(larger.err).toContain('with batches of 64');
    expect(await nnetc('run', 'tiny.nnet', '--memory', '1GB', '--backend', 'reference')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--memory is for the backends wasm and webgpu') as string,
    });
  });

  it('and threads decide what a cached plan is', () => {
    const wasm = { target: 'wasm', relaxed: false, wide: false, threads: 1 } as const;
    const kinds = [
      decisive(wasm, {}),
      decisive(wasm, { memory: 1000 }),
      decisive(wasm, { memory: 2000 }),
      decisive(wasm, { memory: 2000, batch: 8 }),
      decisive({ ...wasm, threads: 2 }, { memory: 2000 }),
    ];
    expect(new Set(kinds.map((k) => JSON.stringify(k))).size).toBe(kinds.length);
  });
});

describe('nnetc compile', () => {
  it('writes a formatted module that another run of prettier leaves alone', async () => {
    expect(await nnetc('compile', 'tiny.nnet', '-o', 'tiny.ts')).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('-> tiny.ts') as string,
    });
    const text = readFileSync(at('tiny.ts'), 'utf8');
    expect(text).toContain('export const Tiny');
    expect(text).toMatch(/image: Tensor<["']f32["'], readonly \[number, 4, 4\]>/);
    expect(await format(text, { parser: 'typescript' })).toBe(text);
  });

  it('refuses to write anything else', async () => {
    expect(await nnetc('compile', 'tiny.nnet', '-o', 'tiny.nnet')).toMatchObject({ code: 2 });
    expect(readFileSync(at('tiny.nnet'), 'utf8')).toBe(program);
  });
});

describe('nnetc summary and bench', () => {
  it('lists parameters', async () => {
    const { code, out } = await nnetc('summary', 'tiny.nnet');
    expect(code).toBe(0);
    expect(out).toMatch(/weight +f32\[16, 8\] +128/);
    expect(out).toContain('163 parameters');
  });

  it('times a step', async () => {
    const { code, out } = await nnetc('bench', 'tiny.nnet', '--backend', 'wasm', '--steps', '20', '--json');
    expect(code).toBe(0);
    const [timing] = jsonLines(out);
    expect(timing).toMatchObject({ type: 'bench', task: 'train', batch: 16 });
    for (const key of ['medianStep', 'bestStep', 'samplesPerSecond', 'gflops', 'firstStep', 'peakMemory'])
      expect(timing?.[key]).toBeGreaterThan(0);
    expect(timing?.['allocated']).toBe(timing?.['planned']);
    expect(timing?.['allocated']).toBeGreaterThan(0);
  });

  it('times every kernel beside the peaks', async () => {
    const args = ['bench', 'tiny.nnet', '--backend', 'wasm', '--kernels', '--steps', '5'];
    const [timing] = jsonLines((await nnetc(...args, '--json')).out);
    const { kernels, peaks } = timing as {
      kernels: Record<string, number | string>[];
      peaks: { flops: number };
    };
    expect(peaks.flops).toBeGreaterThan(0);
    const plan = (await nnetc('explain', 'tiny.nnet', '--stage', 'schedule')).out;
    for (const k of kernels) {
      expect(plan).toContain(` ${k['name']} `);
      expect(k).toMatchObject({ runs: 1 });
      for (const key of ['ms', 'bytes', 'ideal']) expect(k[key], `${key} of ${k['name']}`).toBeGreaterThan(0);
    }
    // The first layer: 16 samples of 16 pixels to 8 units.
    expect(kernels).toContainEqual(
      expect.objectContaining({ shape: expect.stringMatching(/^(16×8|8×16)×16$/) as string }),
    );
    expect((await nnetc(...args)).out).toMatch(/^all .* 100\.0 %/m);
  });

  it('refuses to time kernels elsewhere', async () => {
    const { code, err } = await nnetc('bench', 'tiny.nnet', '--backend', 'reference', '--kernels');
    expect(err).toContain('kernels are timed on wasm');
    expect(code).toBe(2);
  });
});
