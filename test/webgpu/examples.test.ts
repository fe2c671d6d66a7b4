/**
 * Every kernel of every task of every example compiles on Dawn's null backend, which has f16: with all in f32, and with the
 * products in f16, then for a GPU that contractions are split for and that has subgroups; and for a driver that computes on the CPU.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/host.ts';
import type { Host } from '../../compiler/check/index.ts';
import { tasksOf } from '../../compiler/check/index.ts';
import { compileTask, load } from '../../compiler/compile.ts';
import { must } from '../support/backends.ts';
import { root } from '../support/examples.ts';
import { shaderErrors } from './run.ts';

const files = readdirSync(`${root}/examples`).filter((f) => f.endsWith('.nnet'));
const variants = [
  { name: 'f32', change: (text: string) => text, device: {} },
  {
    name: 'f32 for a driver on the CPU',
    change: (text: string) => text,
    device: { isSoftware: true, subgroups: true },
  },
  {
    name: 'f16',
    change: (text: string) => text.replaceAll('fit(', 'fit(precision: "mixed", '),
    device: { workgroups: 64, subgroups: true },
  },
];

/** The files of the repository, the examples' texts changed. */
function hostWith(change: (text: string) => string): Host {
  const host = fileHost(root);
  const isExample = (path: string): boolean => /examples\/\w+\.nnet$/.test(path);
  return {
    ...host,
    read(path) {
      const text = host.read(path);
      return text !== undefined && isExample(path) ? change(text) : text;
    },
  };
}

describe.each(variants)('in $name', ({ name, change, device }) => {
  it.each(files)(
    '%s',
    async (file) => {
      const model = load(`examples/${file}`, hostWith(change));
      const options = { target: 'webgpu', relaxed: false, predict: false, ...device } as const;
      const programs = tasksOf(model).map((task) => must(compileTask(model, task, options)).program);
      const shaders = programs
        .flatMap((p) => Object.values(p.plans))
        .flatMap(({ code }) => (code.kind === 'wgsl' ? Object.values(code.shaders) : []));
      const distinct = [...new Set(shaders)];
      expect(distinct.length).toBeGreaterThan(5);
      expect(distinct.some((s) => s.startsWith('enable f16;'))).toBe(name === 'f16');
      expect(await shaderErrors(distinct)).toEqual([]);
    },
    60_000,
  );
});
