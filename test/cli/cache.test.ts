import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PlanCache } from '../../cli/cache.ts';
import { compileTask, type Host, load } from '../../compiler/index.ts';
import { must, testHost } from '../support/backends.ts';

const text = `
import { Head } from "./head.nnet"
model Net() {
  input  x: f32[batch, 3]
  output y: f32[batch, classes]
  head = Head()
  y    = head(x)
}
task train() {
  net  = Net()
  data = idx(x: "x")
  fit(batch: 4) on data { minimize mean(net(x) ^ 2) with Sgd(lr: 0.1) }
}
`;

const head = (width: number): string => `
layer Head() {
  input  x: f32[b, n]
  output y: f32[b, ${width}]
  fc = Dense(${width})
  y  = fc(x)
}
`;

let folder: string;
let compilations: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nnetc-cache-'));
  compilations = 0;
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Situation {
  readonly text?: string;
  readonly width?: number;
  readonly count?: number;
  readonly build?: string;
}

function compiled({ text: main = text, width = 2, count = 8, build = 'a' }: Situation = {}) {
  const host: Host = {
    ...testHost({ 'net.nnet': main, 'head.nnet': head(width) }),
    describeData: () => ({ fields: { x: { dtype: 'f32', shape: [3] } }, count }),
  };
  const cache = PlanCache.open({ NNET_CACHE: folder }, build)!;
  return cache.task(['net.nnet', 'train'], host, (h) => {
    compilations++;
    const found = compileTask(load('net.nnet', h), 'train', { target: 'wasm', relaxed: false });
    return { result: must(found), isClean: found.problems.length === 0 };
  });
}

describe('compiled tasks', () => {
  it('are the same from the cache, plan by plan', () => {
    const first = JSON.parse(JSON.stringify(compiled())) as unknown;
    const second = compiled();
    expect(JSON.parse(JSON.stringify(second))).toEqual(first);
    expect(second.program.plans['train']!.code).toHaveProperty('bytes', expect.any(Uint8Array));
    expect(compilations).toBe(1);
  });

  it('are compiled again when a file, an imported one, the data or the compiler changes', () => {
    compiled();
    const changes: Situation[] = [{ text: `${text}\n` }, { width: 5 }, { count: 9 }, { build: 'b' }];
    for (const [i, change] of changes.entries()) {
      compiled(change);
      expect(compilations).toBe(i + 2);
    }
    expect(compiled({ width: 5 }).info.models[0]!.outputs[0]!.shape).toEqual(['batch', 5]);
  });

  it('are compiled again as far as the cache is damaged', () => {
    const whole = JSON.stringify(compiled().program);
    for (const name of readdirSync(folder))
      if (name.includes('-')) writeFileSync(join(folder, name), '{"cut');
    expect(JSON.stringify(compiled().program)).toBe(whole);
    expect(compilations).toBe(2);
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name), '');
    expect(JSON.stringify(compiled().program)).toBe(whole);
    expect(compilations).toBe(3);
  });

  it('are not kept where nothing can be written, and not with NNET_CACHE=off', () => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    compiled();
    compiled();
    expect(compilations).toBe(2);
    expect(PlanCache.open({ NNET_CACHE: 'off' }, 'a')).toBeUndefined();
    expect(PlanCache.open({})).toBeUndefined();
  });
});
