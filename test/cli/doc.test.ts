import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stdlib } from '../../compiler/stdlib.generated.ts';
import { cli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'nnetc-doc-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('nnetc doc', () => {
  it('lists the names of the library', async () => {
    const { code, out } = await cli(folder, 'doc');
    expect(code).toBe(0);
    expect(out).toMatch(/^layers: .*\bDense\b/m);
    expect(out.split('\n')).toHaveLength(Object.keys(stdlib).length + 1);
  });

  it('shows a declaration as it stands in the library', async () => {
    const { code, out } = await cli(folder, 'doc', 'Dense');
    expect(code).toBe(0);
    expect(out).toMatch(/^\/\/ stdlib\/layers\.nnet\n\n\/\/\/ /);
    const [, source = ''] = out.split('layers.nnet\n\n');
    expect(source).toContain('param  weight');
    expect(stdlib['layers.nnet']).toContain(source.trimEnd());
  });

  it('shows functions and optimizers too', async () => {
    for (const name of ['relu', 'cross_entropy', 'Adam', 'he_normal'])
      expect(await cli(folder, 'doc', name), name).toMatchObject({
        code: 0,
        out: expect.stringMatching(new RegExp(`^(layer|fn|optimizer) ${name}\\b`, 'm')) as string,
      });
  });

  it('suggests a name, with code 2', async () => {
    const { code, out, err } = await cli(folder, 'doc', 'Dens');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/the library has no `Dens`\ndo you mean `Dense`\?/);
  });

  it('shows what a file declares', async () => {
    const text =
      '/// Twice.\nfn twice(x: f32[...b]) -> f32[...b] = 2 * x\nlayer L { input x: f32[n] y = x }\n';
    writeFileSync(join(folder, 'mine.nnet'), text);
    expect(await cli(folder, 'doc', 'mine.nnet')).toMatchObject({
      code: 0,
      out: '/// Twice.\nfn twice(x: f32[...b]) -> f32[...b]\n\nlayer L {\n  input x: f32[n]\n}\n',
    });
    writeFileSync(join(folder, 'broken.nnet'), 'fn twice(');
    expect(await cli(folder, 'doc', 'broken.nnet')).toMatchObject({ code: 1, out: '' });
    expect((await cli(folder, 'doc', 'absent.nnet')).err).toMatch(/E0702/);
  });
});
