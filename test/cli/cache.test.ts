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
let loads: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nnetc-cache-'));
  compilations = 0;
  loads = 0;
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Situation {
  readonly text?: string;
  readonly width?: number;
  readonly count?: number;
  readonly build?: string;
  /** The plans that are wanted; all if not given. */
  readonly plans?: readonly string[];
}

function compiled({ text: main = text, width = 2, count = 8, build = 'a', plans }: Situation = {}) {
  const host: Host = {
    ...testHost({ 'net.nnet': main, 'head.nnet': head(width) }),
    describeData: () => ({ fields: { x: { dtype: 'f32', shape: [3] } }, count }),
  };
  const cache = PlanCache.open({ NNET_CACHE: folder }, build)!;
  const compile = (h: Host) => {
    compilations++;
    const found = compileTask(load('net.nnet', h), 'train', { target: 'wasm', relaxed: false });
    return { result: must(found), isClean: found.problems.length === 0 };
  };
  const loadCompiler = () => {
    loads++;
    return Promise.resolve(compile);
  };
  return cache.task(['net.nnet', 'train'], host, loadCompiler, plans && (() => plans));
}

describe('compiled tasks', () => {
  it('are the same from the cache, plan by plan', async () => {
    const first = JSON.parse(JSON.stringify(await compiled())) as unknown;
    const second = await compiled();
    expect(JSON.parse(JSON.stringify(second))).toEqual(first);
    expect(second.program.plans['train']!.code).toHaveProperty('bytes', expect.any(Uint8Array));
    expect([compilations, loads]).toEqual([1, 1]);
  });

  it('need no compiler where the wanted plans were kept', async () => {
    const first = await compiled({ plans: ['train'] });
    const bytes = (c: typeof first): unknown => JSON.parse(JSON.stringify(c.program.plans['train']));
    const train = bytes(first);
    const second = await compiled({ plans: ['train'] });
    expect(bytes(second)).toEqual(train);
    expect(() => second.program.plans['init']).toThrow(/was not wanted/);
    expect(loads).toBe(1);
    const third = await compiled({ plans: ['train', 'init'] });
    expect([compilations, loads]).toEqual([1, 2]);
    expect(third.program.plans['init']!.dispatches.length).toBeGreaterThan(0);
    expect([compilations, loads]).toEqual([2, 2]);
  });

  it('are compiled again when a file, an imported one, the data or the compiler changes', async () => {
    await compiled();
    const changes: Situation[] = [{ text: `${text}\n` }, { width: 5 }, { count: 9 }, { build: 'b' }];
    for (const [i, change] of changes.entries()) {
      await compiled(change);
      expect(compilations).toBe(i + 2);
    }
    expect((await compiled({ width: 5 })).info.models[0]!.outputs[0]!.shape).toEqual(['batch', 5]);
  });

  it('are compiled again as far as the cache is damaged', async () => {
    const whole = JSON.stringify((await compiled()).program);
    for (const name of readdirSync(folder))
      if (name.includes('-')) writeFileSync(join(folder, name), '{"cut');
    expect(JSON.stringify((await compiled()).program)).toBe(whole);
    expect(compilations).toBe(2);
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name), '');
    expect(JSON.stringify((await compiled()).program)).toBe(whole);
    expect(compilations).toBe(3);
  });

  it('are not kept where nothing can be written, and not with NNET_CACHE=off', async () => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    await compiled();
    await compiled();
    expect(compilations).toBe(2);
    expect(PlanCache.open({ NNET_CACHE: 'off' }, 'a')).toBeUndefined();
    expect(PlanCache.open({})).toBeUndefined();
  });
});
