import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import {
  loadCheckpoint,
  loadWeights,
  openTensors,
  saveCheckpoint,
  saveWeights,
} from '../../runtime/checkpoint.ts';
import type { Disk } from '../../runtime/disk.ts';
import { nodeDisk, sweepTemporaries, writeAtomically } from '../../runtime/disk.ts';
import type { RuntimeError } from '../../runtime/errors.ts';
import { encodeSafetensors } from '../../runtime/safetensors.ts';
import type { RunState } from '../../runtime/state.ts';
import { FakeSession, tensor } from './fake.ts';

const root = mkdtempSync(join(tmpdir(), 'nnetc-checkpoint-'));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'));
});
afterAll(() => rmSync(root, { recursive: true }));

const state: RunState = {
  task: 'train',
  seed: 1,
  part: 0,
  epoch: 2,
  batch: 3,
  step: 17,
  waited: 1,
  stopped: false,
  train: null,
  best: { value: 0.5, epoch: 1 },
  history: [{ part: 0, epoch: 1, step: 9, train: { loss: 0.7 }, valid: { loss: null }, seconds: 1 }],
};

const session = (shape = [2, 2], extra: string[] = []): FakeSession =>
  new FakeSession(
    {
      format: 1,
      stores: [],
      plans: {},
      tensors: [
        tensor('fc.weight', 'param', shape),
        tensor('bn.count', 'state', [], 'i32'),
        tensor('fc.weight/m', 'slot', shape),
        tensor('loss', 'metric', [2]),
        ...extra.map((path) => tensor(path, 'param')),
      ],
    },
    {},
  );

async function filled(): Promise<FakeSession> {
  const s = session();
  await s.write('fc.weight', Float32Array.of(0.1, -0, NaN, 1e-42));
  await s.write('bn.count', Int32Array.of(-7));
  await s.write('fc.weight/m', Float32Array.of(1, 2, 3, 4));
  await s.write('loss', Float32Array.of(5, 6));
  return s;
}

const failure = async (body: () => Promise<unknown>): Promise<RuntimeError> =>
  await body().then(
    () => expect.fail('nothing was thrown'),
    (error: RuntimeError) => error,
  );

describe('checkpoints', () => {
  it('bring back every bit and the state of the run', async () => {
    const file = join(folder, 'last.safetensors');
    const saved = await filled();
    await saveCheckpoint(file, saved, state);
    const loaded = session();
    expect(await loadCheckpoint(file, loaded)).toMatchObject(state);
    for (const [path, data] of saved.tensors)
      expect(new Uint8Array(loaded.tensors.get(path)!.buffer)).toEqual(new Uint8Array(data.buffer));
    expect(readdirSync(folder)).toEqual(['last.safetensors']);
  });

  it('serve as weights, and weights are no checkpoint', async () => {
    const file = join(folder, 'w');
    await saveCheckpoint(file, await filled(), state);
    const loaded = session();
    expect(await loadWeights(file, loaded)).toEqual([]);
    expect(loaded.tensors.get('bn.count')).toEqual(Int32Array.of(-7));
    expect(loaded.tensors.get('fc.weight/m')).toEqual(new Float32Array(4));
    await saveWeights(file, loaded);
    expect([...openTensors(file).tensors.keys()]).toEqual(['bn.count', 'fc.weight']);
    expect((await failure(() => loadCheckpoint(file, loaded))).code).toBe('E0806');
  });

  it('are refused by another program, and nothing is written into it', async () => {
    const file = join(folder, 'w');
    await saveCheckpoint(file, await filled(), state);
    const cases: [FakeSession, string, RegExp][] = [
      [session([4]), 'E0803', /`fc.weight` is F32\[2, 2\] in ".*", but f32\[4\] in the program/],
      [session([2, 2], ['fc2.bias']), 'E0802', /lacks `fc2.bias`/],
    ];
    for (const [other, code, message] of cases) {
      const error = await failure(() => loadCheckpoint(file, other));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
      expect(other.tensors.get('bn.count')).toEqual(Int32Array.of(0));
    }
    const smaller = new FakeSession(
      { ...session().program, tensors: [tensor('fc.weight', 'param', [2, 2])] },
      {},
    );
    expect((await failure(() => loadCheckpoint(file, smaller))).code).toBe('E0806');
  });

  it('say which names may be meant', async () => {
    const file = join(folder, 'w');
    const data = new Float32Array(4);
    const names = ['net.fc.weight', 'bn.count'];
    writeFileSync(
      file,
      Buffer.concat(encodeSafetensors(names.map((name) => ({ name, dtype: 'f32', shape: [2, 2], data })))),
    );
    expect((await failure(() => loadWeights(file, session()))).help).toContain(
      '`net.fc.weight` for `fc.weight`',
    );
  });

  it.each([
    ['truncated', (file: string) => truncateSync(file, statSync(file).size - 1), 'E0801', /truncated/],
    ['empty', (file: string) => truncateSync(file, 0), 'E0801', /only 0 bytes/],
    [
      'of a later format',
      (file: string) => replace(file, '\\"format\\":1', '\\"format\\":2'),
      'E0807',
      /format 2/,
    ],
    ['with half a state', (file: string) => replace(file, '\\"part\\"', '\\"tarp\\"'), 'E0801', /incomplete/],
    [
      'with a broken state',
      (file: string) => replace(file, '\\"task\\"', '\\"task\\\\'),
      'E0801',
      /not JSON/,
    ],
    ['gone', (file: string) => rmSync(file), 'E0702', /does not exist/],
  ])('explain a file that is %s', async (_, spoil, code, message) => {
    const file = join(folder, 'last.safetensors');
    await saveCheckpoint(file, await filled(), state);
    spoil(file);
    const error = await failure(() => loadCheckpoint(file, session()));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });
});

function replace(file: string, from: string, to: string): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(from);
  expect(at).toBeGreaterThan(0);
  bytes.write(to, at);
  writeFileSync(file, bytes);
}

describe('atomic writing', () => {
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code, syscall: 'write' });
  };
  const chunks = [Buffer.from('new '), Buffer.from('content')];
  const failing: [string, Partial<Disk>, RegExp][] = [
    ['the disk is full', { write: () => fail('ENOSPC') }, /the disk is full/],
    ['the disk is full at fsync', { sync: () => fail('ENOSPC') }, /the disk is full/],
    ['the folder is read-only', { open: () => fail('EROFS') }, /read-only/],
    ['the rename fails', { rename: () => fail('EACCES') }, /permission denied/],
  ];

  it.each(failing)('keeps the old file when %s', (_, broken, message) => {
    const path = join(folder, 'f');
    writeAtomically(path, [Buffer.from('old')]);
    expect(() => writeAtomically(path, chunks, { ...nodeDisk, ...broken })).toThrow(message);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['f']);
  });

  it('says that the disk is full, how much is needed, and that nothing is lost', async () => {
    const disk: Disk = { ...nodeDisk, write: () => fail('ENOSPC') };
    const error = await failure(async () =>
      saveCheckpoint(join(folder, 'last'), await filled(), state, disk),
    );
    expect(error.code).toBe('E0805');
    expect(error.help).toMatch(/free some space .* --resume/);
  });

  it('never shows a half-written file, wherever the process stops', () => {
    const path = join(folder, 'f');
    writeAtomically(path, [Buffer.from('old')]);
    class Killed extends Error {}
    const calls = ['open', 'write', 'sync', 'close', 'rename', 'unlink'] as const;
    for (let stop = 0; stop < 12; stop++) {
      let count = 0;
      let dead = false;
      // After the kill no call reaches the disk any more.
      const disk = Object.fromEntries(
        calls.map((name) => [
          name,
          (...args: unknown[]) => {
            if (dead || count++ === stop) {
              dead = true;
              throw new Killed();
            }
            // Two bytes at a time, so that a stop between two writes leaves a part.
            const given = name === 'write' ? [args[0], (args[1] as Uint8Array).subarray(0, 2)] : args;
            return (nodeDisk[name] as (...a: unknown[]) => unknown)(...given);
          },
        ]),
      ) as unknown as Disk;
      try {
        writeAtomically(path, chunks, disk);
      } catch (error) {
        expect(error).toBeInstanceOf(Killed);
      }
      expect(['old', 'new content']).toContain(readFileSync(path, 'utf8'));
      writeAtomically(path, [Buffer.from('old')]);
    }
  });

  it('handles short writes', () => {
    const path = join(folder, 'f');
    const write: Disk['write'] = (fd, bytes) => nodeDisk.write(fd, bytes.subarray(0, 3));
    writeAtomically(path, chunks, { ...nodeDisk, write });
    expect(readFileSync(path, 'utf8')).toBe('new content');
  });

  it('sweeps what killed processes left, and nothing else', () => {
    for (const name of [
      '.last.safetensors.999999999.tmp',
      `.last.safetensors.${process.pid}.tmp`,
      'mine.tmp',
      '.hidden',
    ])
      writeFileSync(join(folder, name), '');
    sweepTemporaries(folder);
    expect(readdirSync(folder).sort()).toEqual([
      '.hidden',
      `.last.safetensors.${process.pid}.tmp`,
      'mine.tmp',
    ]);
  });
});
