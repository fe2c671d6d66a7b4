/** Every backend under one name, so that the same test runs on all of them. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Compiled, Host } from '../../compiler/index.ts';
import { renderProblems } from '../../compiler/index.ts';
import type { Program, Target } from '../../compiler/plan.ts';
import { describeSource } from '../../runtime/data/source.ts';
import type { Session } from '../../runtime/device.ts';
import { openReference } from '../../runtime/reference.ts';
import { openWasm } from '../../runtime/wasm.ts';
import { openWebgpu } from '../../runtime/webgpu.ts';
import { softwareGpu } from './swiftshader.ts';

/** Loads a program on the backend that it was compiled for; WebGPU is SwiftShader. */
export async function openSession(program: Program, target: Target): Promise<Session> {
  if (target === 'reference') return openReference(program);
  if (target === 'wasm') return await openWasm(program);
  const device = await openWebgpu({ gpu: await softwareGpu(), allowSoftware: true });
  if ('reason' in device) throw new Error(device.reason);
  return await device.load(program);
}

/**
 * Initial values, where a test writes all that do not start at 0: SwiftShader compiles the kernels of `init` as slowly as
 * those of a step, so that on webgpu, where all memory begins as 0, they are left to the tests of `init`.
 */
export async function startFromZero(session: Session, target: Target): Promise<void> {
  if (target !== 'webgpu') await session.run('init', {}, {}, { seed: 1 });
}

/** Files of the repository and texts in memory; the latter win. */
export function testHost(texts: Readonly<Record<string, string>> = {}): Host {
  return {
    read(path) {
      if (texts[path] !== undefined) return texts[path];
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    resolve: (from, specifier) => join(dirname(from), specifier),
    describeData: (kind, args, file) => describeSource({ kind, args, file }),
  };
}

/** The result of a compilation that must not fail; otherwise throws what a user would read. */
export function must<T>(compiled: Compiled<T>): T {
  if (compiled.result !== undefined) return compiled.result;
  throw new Error(renderProblems(compiled.problems, compiled.sources, { color: false }));
}
