/** Steps on several threads where some come late or never: what is to be done is done once all the same. */
import { describe, expect, it, vi } from 'vitest';
import { type Entry, Runner } from '../../runtime/wasm/runner.ts';
import { controlBytes, shapeOf, type StepShape } from '../../runtime/wasm/threads.ts';

const threads = 3;
/** A shared dispatch, then a loop of one that is not shared and one that is. */
const step: StepShape = {
  dims: [],
  units: [1000, 1, 7],
  shared: [true, false, true],
  pieces: [100, 1, 1],
  which: [0, 1, 2],
  loops: [{ begin: 1, end: 3, times: 2 }],
};

interface Crew {
  readonly control: Int32Array;
  readonly runners: readonly Runner[];
  readonly done: string[];
  readonly plan: (t: number) => Parameters<Runner['step']>[0];
}

function crew(): Crew {
  const control = new Int32Array(
    new SharedArrayBuffer(controlBytes([{ dims: [], dispatches: step.units, loops: step.loops }], threads)),
  );
  const done: string[] = [];
  const entry =
    (d: number): Entry =>
    (begin, end, thread) => {
      for (let u = begin; u < end; u++) done.push(`${d}.${u}`);
      expect(d === 1 ? thread : 0).toBe(0);
    };
  return {
    control,
    runners: Array.from({ length: threads }, (_, t) => new Runner(control, t, threads, true)),
    done,
    plan: () => ({
      entries: [0, 1, 2].map(entry),
      dims: [new WebAssembly.Global({ value: 'i32', mutable: true }, 0)],
    }),
  };
}

const everything = [
  ...Array.from({ length: 1000 }, (_, u) => `0.${u}`),
  ...[1, 2].flatMap(() => ['1.0', ...Array.from({ length: 7 }, (_, u) => `2.${u}`)]),
].sort();

describe('a step', () => {
  it('is done by one thread when no other comes, step after step', () => {
    const { runners, done, plan } = crew();
    for (let run = 1; run <= 3; run++) {
      done.length = 0;
      runners[0]!.command(0, 0, shapeOf(step, threads, 1));
      runners[0]!.step(plan(0));
      expect([...done].sort()).toEqual(everything);
    }
  });

  it('is left alone by a thread that comes when it is over', () => {
    const { runners, done, plan } = crew();
    for (let run = 1; run <= 2; run++) {
      runners[0]!.command(0, 0, shapeOf(step, threads, 1));
      runners[0]!.step(plan(0));
      done.length = 0;
      expect(runners[run]!.nextCommand()).toEqual([0, 0]);
      runners[run]!.step(plan(run));
      expect(done).toEqual([]);
    }
  });

  it('is read again where it was overwritten while it was read', () => {
    const { control, runners, done, plan } = crew();
    const one: StepShape = { ...step, units: [1000], shared: [true], pieces: [10], which: [0], loops: [] };
    const next = shapeOf({ ...one, units: [500], pieces: [5] }, threads, 2);
    runners[0]!.command(0, 0, shapeOf(one, threads, 1));
    const load = Atomics.load;
    let loads = 0;
    const spy = vi.spyOn(Atomics, 'load').mockImplementation(((words: Int32Array, index: number) => {
      // The command is half written when the thread begins to read, and whole when it looks whether anything changed.
      const count = ++loads;
      if (count === 2) runners[0]!.command(0, 0, next);
      const value = load(words, index);
      if (count === 1) control[3] = next.number;
      return value;
    }) as typeof Atomics.load);
    runners[1]!.nextCommand();
    spy.mockRestore();
    runners[1]!.step(plan(1));
    expect(done).toHaveLength(500);
  });

  it('tells the others when a thread fails', () => {
    const { runners, plan } = crew();
    runners[0]!.command(0, 0, shapeOf(step, threads, 1));
    runners[1]!.fail();
    runners[2]!.nextCommand();
    // It can do its own share and the others', but not what the first thread has to do alone.
    expect(() => runners[2]!.step(plan(2))).toThrow('a thread of the step failed');
  });
});
