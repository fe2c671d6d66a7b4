import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RunFolder, latestRunFolder, nextRunFolder } from '../../runtime/run-folder.ts';
import type { FakePlan } from './fake.ts';
import type { FakeSession } from './fake.ts';
import { fit, task, sgd, valid, init, session, go, failure } from './line.ts';

const root = mkdtempSync(join(tmpdir(), 'nnetc-resume-'));
afterAll(() => rmSync(root, { recursive: true }));

describe('resuming', () => {
  const bits = (s: FakeSession): unknown =>
    Object.fromEntries([...s.tensors].map(([k, v]) => [k, new Uint8Array(v.buffer)]));
  const two = task({}, [
    { ...fit, epochs: 2 },
    { kind: 'evaluate', data: 'line', batch: 8, evaluate: 'valid', metrics: fit.metrics },
    { ...fit, epochs: 2, seed: 5, batch: 7 },
  ]);

  it('gives the same bits, wherever the run was interrupted', async () => {
    const whole = session();
    const { state } = await go(whole, two);
    const total = whole.runs.length;
    for (let stop = 1; stop <= total; stop++) {
      const folder = RunFolder.create(join(root, `resume-${stop}`));
      const controller = new AbortController();
      let runs = 0;
      const counted =
        (body: FakePlan): FakePlan =>
        (t, run) => {
          if (++runs === stop) controller.abort();
          return body(t, run);
        };
      const first = session({ train: counted(sgd), valid: counted(valid), init: counted(init) });
      const result = await go(first, two, { store: folder, signal: controller.signal });
      expect(result.status).toBe(stop === total ? 'done' : 'interrupted');
      const second = session();
      const resumed = await go(second, two, { store: folder, resume: await folder.load(second) });
      expect(resumed.status).toBe('done');
      expect(bits(second), `interrupted at run ${stop}`).toEqual(bits(whole));
      expect(resumed.state.step).toBe(state.step);
      expect(resumed.history.map(({ seconds: _, ...r }) => r)).toEqual(
        state.history.map(({ seconds: _, ...r }) => r),
      );
      folder.release();
    }
  });

  it('keeps the seed it was started with', async () => {
    const folder = RunFolder.create(join(root, 'seed'));
    const whole = session();
    await go(whole, task(), { seed: 9 });
    const first = session();
    await go(first, task(), { seed: 9, epochs: 1, store: folder });
    const second = session();
    await go(second, task(), { store: folder, resume: await folder.load(second) });
    expect(bits(second)).toEqual(bits(whole));
    const third = session();
    const resume = await folder.load(third);
    expect((await failure(() => go(third, task(), { resume, seed: 3 }))).code).toBe('E0806');
  });

  it('leaves the folder as described', async () => {
    const folder = RunFolder.create(join(root, 'folder'));
    const { events } = await go(session(), task(), { store: folder });
    folder.release();
    expect(readdirSync(folder.path).sort()).toEqual([
      'best.safetensors',
      'last.safetensors',
      'log.jsonl',
      'model.safetensors',
    ]);
    const log = readFileSync(join(folder.path, 'log.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l) as unknown);
    expect(log).toMatchObject([{ epoch: 1 }, { epoch: 2 }, { epoch: 3 }]);
    expect(events).toContainEqual({
      type: 'saved',
      what: 'model',
      path: join(folder.path, 'model.safetensors'),
    });
  });
});

describe('run folders', () => {
  it('are numbered, and the last one of the task is found again', async () => {
    const parent = join(root, 'runs', 'net');
    expect(nextRunFolder(parent)).toBe(join(parent, '1'));
    expect((await failure(async () => latestRunFolder(parent, 'train'))).code).toBe('E0808');
    await go(session(), task({ epochs: 1 }), { store: RunFolder.create(join(parent, '1')) });
    expect(nextRunFolder(parent)).toBe(join(parent, '2'));
    expect(latestRunFolder(parent, 'train')).toBe(join(parent, '1'));
    expect((await failure(async () => latestRunFolder(parent, 'other'))).code).toBe('E0808');
    expect((await failure(async () => RunFolder.create(join(parent, '1')))).message).toContain(
      'holds a run already',
    );
    expect((await failure(async () => RunFolder.reopen(join(parent, '9')))).code).toBe('E0808');
  });
});

describe('the lock of a run folder', () => {
  it('belongs to a living process only', async () => {
    const path = join(root, 'locked');
    const folder = RunFolder.create(path);
    const lock = join(path, '.lock');
    const mine = readFileSync(lock, 'utf8');
    folder.release();
    // Process 1 runs, but started at another time than the note says.
    for (const stale of ['', 'x', '999999999 5', '1 0', mine]) {
      writeFileSync(lock, stale);
      RunFolder.reopen(path).release();
    }
    if (process.platform !== 'linux') return;
    const stat = readFileSync('/proc/1/stat', 'utf8');
    writeFileSync(lock, `1 ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`);
    const error = await failure(async () => RunFolder.reopen(path));
    expect(error.message).toContain('is in use by process 1');
  });
});
