/** Every mistake that data, choices and checkpoints can have: code, message, nothing half-written. */
import { copyFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { idx, images, labels, program, samples, tinyFolder } from './tiny.ts';

const { at, nnetc, train } = tinyFolder();

describe('bad data', () => {
  const cases: [string, () => void, string, RegExp][] = [
    ['missing', () => rmSync(at('labels')), 'E0701', /no file "\.\/labels"/],
    [
      'truncated',
      () => truncateSync(at('images'), 500),
      'E0704',
      /"\.\/images" is truncated.*1616 bytes in all, the file has 500/,
    ],
    ['not idx', () => writeFileSync(at('images'), '<html>'), 'E0703', /"\.\/images" is not an idx file/],
    [
      'of other counts',
      () => writeFileSync(at('labels'), labels(99)),
      'E0706',
      /`image` has 100 samples .* `label` has 99/,
    ],
    [
      'out of range',
      () =>
        writeFileSync(
          at('labels'),
          idx([samples], (i) => i % 4),
        ),
      'E0708',
      /`label` of sample 3 is 3, .* 3 classes/,
    ],
  ];
  it.each(cases)('is explained when it is %s', async (_, spoil, code, message) => {
    spoil();
    const { code: exit, out, err } = await train();
    expect(err).toContain(`error[${code}]`);
    expect(err.replace(/\s+/g, ' ')).toMatch(message);
    expect(err).not.toMatch(/ at .*\.[tj]s:\d/);
    expect(exit).toBe(1);
    expect(out).not.toContain('epoch');
    expect(existsSync(at('runs/tiny/1'))).toBe(false);
  });

  it('is explained when images and labels are swapped, or images have another size', async () => {
    copyFileSync(at('images'), at('x'));
    copyFileSync(at('labels'), at('images'));
    copyFileSync(at('x'), at('labels'));
    expect((await train()).code).toBe(1);
    writeFileSync(at('labels'), labels());
    writeFileSync(at('images'), images(samples, 5));
    const { code, err } = await train();
    expect(code).toBe(1);
    expect(err).toMatch(/5/);
    expect(err).not.toMatch(/ at .*\.[tj]s:\d/);
  });
});

describe('what to run', () => {
  const run = async (...argv: string[]): Promise<string> => {
    const { code, out, err } = await nnetc('run', ...argv);
    expect([code, out]).toEqual([1, '']);
    return err;
  };

  it('has to be there and to be clear', async () => {
    expect(await run('missing.nnet')).toContain('"missing.nnet" cannot be read: it does not exist');
    expect(await run('tiny.nnet', 'trian')).toMatch(/no task `trian`[^]*did you mean `train`\?/);
    writeFileSync(at('model.nnet'), program.slice(0, program.indexOf('task')));
    expect(await run('model.nnet')).toContain('"model.nnet" has no task');
    const task = program.slice(program.indexOf('task'));
    writeFileSync(
      at('two.nnet'),
      `${program.replace('task train', 'task a')}\n${task.replace('task train', 'task b')}`,
    );
    expect(await run('two.nnet')).toMatch(/several tasks: name one[^]*there is `a`, `b`/);
  });

  it('keeps to the settings the task has', async () => {
    expect(await run('tiny.nnet', '--set', 'lrr=1')).toMatch(/E0512[^]*did you mean `lr`/);
  });
});

describe('bad checkpoints', () => {
  it('are explained', async () => {
    expect((await train('--epochs', '1')).code).toBe(0);
    const last = at('runs/tiny/1/last.safetensors');
    const bytes = readFileSync(last);
    truncateSync(last, bytes.length - 5);
    const cut = await train('--resume', '--out', 'runs/tiny/1');
    expect(cut.code).toBe(1);
    expect(cut.err).toMatch(/E0801.*truncated/);
    writeFileSync(last, bytes);
    writeFileSync(at('tiny.nnet'), program.replace('hidden: int = 8', 'hidden: int = 9'));
    const other = await train('--resume', '--out', 'runs/tiny/1');
    expect(other.code).toBe(1);
    expect(other.err).toMatch(/E0803.*F32\[16, 8\].*f32\[16, 9\]/);
    expect((await train('--resume', '--out', 'nowhere')).err).toContain('E0808');
    expect((await train('--out', 'runs/tiny/1')).err).toContain('E0811');
  });
});
