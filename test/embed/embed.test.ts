/** The example program that embeds a compiled LeNet: it is what the compiler writes today, it runs, and it learns. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tensor } from 'nnetc/runtime';
import { describe, expect, it } from 'vitest';
import { LeNet } from '../../examples/embed/lenet.ts';
import { main } from '../../examples/embed/main.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the embedding example', () => {
  it('learns in 100 steps of its own loop', async () => {
    const { after, labels, losses } = await main('wasm');
    expect(losses).toHaveLength(100);
    expect(losses.at(-1)).toBeLessThan(1);
    expect(after.filter((digit, i) => digit === labels[i]).length).toBeGreaterThanOrEqual(6);
  });

  it('refuses a length that does not fit, with what was expected and found', async () => {
    expect(() => tensor('f32', [1, 28, 28], new Float32Array(783))).toThrow(/783 values.*784/);
    const net = await LeNet.load({ backend: 'wasm' });
    const image = { dtype: 'f32', shape: [2, 28, 28], data: new Float32Array(784) } as const;
    await expect(net.predict({ image })).rejects.toThrow(/`image` holds 784 values/);
    net.close();
  });

  it('gives the same weights back that it saved, and goes on with the same step', async () => {
    const net = await LeNet.load({ backend: 'wasm', seed: 3 });
    const bytes = await net.save({ all: true });
    const other = await LeNet.load({ backend: 'wasm', seed: 4 });
    expect(await other.read('fc1.weight')).not.toEqual(await net.read('fc1.weight'));
    expect(await other.restore(bytes)).toEqual([]);
    expect(await other.read('fc1.weight')).toEqual(await net.read('fc1.weight'));
    net.close();
    other.close();
  });
});

/** `tsc` on a program with one line that must not compile. */
function compileErrors(line: string): string {
  const folder = mkdtempSync(join(root, 'test/embed/tmp-'));
  try {
    const start = `import { tensor } from 'nnetc/runtime';\nimport { LeNet } from '../../../examples/embed/lenet.ts';\nconst net = await LeNet.load();\n`;
    writeFileSync(join(folder, 'program.ts'), `${start}export const wrong = ${line};\n`);
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: '../../../tsconfig.json', include: ['program.ts'] }),
    );
    execFileSync(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder, '--noEmit'],
      { encoding: 'utf8' },
    );
    return '';
  } catch (error) {
    return (error as { stdout?: string }).stdout ?? String(error);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the types of a compiled module', () => {
  it('are what the compiler writes today', () => {
    const made = execFileSync(
      process.execPath,
      [join(root, 'dist/cli/main.js'), 'compile', 'examples/lenet.nnet', '-o', '-'],
      { cwd: root, encoding: 'utf8' },
    );
    const types = (text: string): string => text.slice(0, text.indexOf('defineModel({'));
    expect(types(made)).toBe(types(readFileSync(join(root, 'examples/embed/lenet.ts'), 'utf8')));
  });

  it('refuse a wrong input name', () => {
    expect(compileErrors(`net.predict({ picture: tensor('f32', [1, 28, 28]) })`)).toMatch(/picture/);
  }, 60_000);

  it('refuse a wrong literal size', () => {
    expect(compileErrors(`net.predict({ image: tensor('f32', [1, 28, 27]) })`)).toMatch(/27/);
  }, 60_000);
});
