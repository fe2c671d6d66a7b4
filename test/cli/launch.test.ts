/** The bundled command with V8's code for its scripts: it starts from it, and without it where that does not fit. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
let bin: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nnetc-launch-'));
  bin = join(folder, 'dist', 'bin');
  cpSync(join(root, 'dist', 'bin'), bin, { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const command = (...args: string[]): string =>
  execFileSync(process.execPath, [join(bin, 'nnetc.js'), ...args], { encoding: 'utf8', stdio: 'pipe' });

const checks = (): string => command('check', join(root, 'examples/lenet.nnet'));

const codeFiles = (): string[] =>
  readdirSync(bin).flatMap((f) => (f.endsWith('.code') ? [join(bin, f)] : []));

/** Which scripts V8 took the code of. */
const accepted = (...flags: string[]): boolean[] => acceptedWith(undefined, flags);

/** The same with code that is kept in a folder, and kept there at the end. */
function acceptedWith(kept: string | undefined, flags: readonly string[] = []): boolean[] {
  const program = `
    const { Scripts } = require(${JSON.stringify(join(bin, 'nnetc.js'))});
    const scripts = new Scripts(${JSON.stringify(kept)});
    const terminal = { out: { write() {} }, err: { write() {} }, env: {}, cwd: process.cwd(), onInterrupt() {} };
    scripts.command().runCli(['check', 'examples/lenet.nnet'], terminal).then(() => {
      console.log(JSON.stringify([...scripts.loaded.values()].map((s) => s.script.cachedDataRejected === false)));
      scripts.keep();
    });`;
  const out = execFileSync(process.execPath, [...flags, '-e', program], { cwd: root, encoding: 'utf8' });
  return JSON.parse(out) as boolean[];
}

describe('the bundled command', () => {
  it('starts with the code that V8 made when it was built, those of the compiler too', () => {
    const found = accepted();
    expect(found.length).toBeGreaterThan(2);
    expect(found).not.toContain(false);
  });

  it('takes no code of a V8 with other flags', () => {
    expect(accepted('--max-lazy')).not.toContain(true);
  });

  it('runs without any', () => {
    for (const file of codeFiles()) rmSync(file);
    expect(checks()).toMatch(/no mistakes/);
  });

  it('keeps the code that was missing, for the next run', () => {
    for (const file of codeFiles()) rmSync(file);
    const kept = join(folder, 'kept');
    expect(acceptedWith(kept)).not.toContain(true);
    const written = readdirSync(kept);
    const found = acceptedWith(kept);
    expect(found).toEqual(written.map(() => true));
    expect(found.length).toBeGreaterThan(2);
    for (const name of written)
      writeFileSync(join(kept, name), readFileSync(join(kept, name)).fill(0x55, 40, 80));
    expect(acceptedWith(kept)).not.toContain(true);
    expect(acceptedWith(kept)).not.toContain(false);
    expect(readdirSync(kept)).toEqual(written);
  });

  it('keeps nothing where the code that was built is good, nor where it cannot', () => {
    const kept = join(folder, 'kept');
    acceptedWith(kept);
    expect(existsSync(kept)).toBe(false);
    for (const file of codeFiles()) rmSync(file);
    writeFileSync(kept, 'a file');
    expect(acceptedWith(kept)).not.toContain(true);
  });

  it('takes no damaged code, which would end the process', () => {
    for (const file of codeFiles()) {
      const bytes = readFileSync(file);
      for (let i = 200; i < bytes.length; i += 97) bytes[i]! ^= 0x55;
      writeFileSync(file, bytes);
    }
    expect(accepted()).not.toContain(true);
    expect(checks()).toMatch(/no mistakes/);
    for (const file of codeFiles()) truncateSync(file, 1000);
    expect(checks()).toMatch(/no mistakes/);
    for (const file of codeFiles()) truncateSync(file, 3);
    expect(checks()).toMatch(/no mistakes/);
  });

  it('takes no code of a script that was changed', () => {
    const script = join(bin, 'command.js');
    const text = readFileSync(script, 'utf8');
    writeFileSync(script, text.replace('A compiler for neural networks', 'A COMPILER for neural networks'));
    expect(command('--help')).toMatch(/A COMPILER/);
  });
});
