/**
 * One step on several threads: every thread runs the same dispatches, each its share of the units, and they meet after a
 * dispatch before the next one reads what it wrote. The program of a worker is the text of these two functions, so each
 * refers to nothing but its parameters and globals.
 */

export type Entry = (begin: number, end: number, thread: number) => void;

/** What a thread knows of a loaded plan. */
export interface ThreadPlan {
  /** Of the dispatches, then those that run instead of one in special cases. */
  readonly entries: readonly Entry[];
  readonly dims: readonly WebAssembly.Global[];
}

/**
 * Int32 words in shared memory:
 * 0 sequence (one more for each command), 1 arrivals at barriers since the plans were loaded, 2 command (0 run, 1 read messages, 2 end),
 * 3 plan, 4 count of dims, 5 count of dispatches, 6 set when a thread failed, 8 count of loops, from 16 the dims, the units of
 * every dispatch, its flags (1: its units are shared out, 2: all wait for it), its entry, and of every loop the first dispatch, the
 * one behind its last, and how often it runs (its number is a dim behind the others).
 */
export interface Runner {
  /** Runs this thread's part of the step that `control` describes. */
  step(plan: ThreadPlan): void;
  /** Blocks until the sequence is no longer `seen`, and gives it. */
  nextCommand(seen: number): number;
}

/** `mayBlock`: false on a browser's main thread, which may only spin. */
export function createRunner(
  control: Int32Array,
  thread: number,
  threads: number,
  mayBlock: boolean,
): Runner {
  // About 30 microseconds: longer than threads differ within a step, shorter than a time slice.
  const spins = 3000;
  const first = 16;

  const waitWhile = (index: number, isWaiting: (value: number) => boolean): void => {
    for (let i = 0; ; i++) {
      const value = Atomics.load(control, index);
      if (!isWaiting(value)) return;
      if (Atomics.load(control, 6) !== 0) throw new Error('a thread of the step failed');
      if (i > spins && mayBlock) Atomics.wait(control, index, value, 100);
    }
  };

  // Never set back: a thread that wakes late from the last barrier of a step must not see the next step's count.
  let arrivals = 0;
  const meet = (): void => {
    arrivals = (arrivals + threads) | 0;
    if (((Atomics.add(control, 1, 1) + 1) | 0) === arrivals) Atomics.notify(control, 1);
    else waitWhile(1, (value) => ((value - arrivals) | 0) < 0);
  };

  return {
    step({ entries, dims }) {
      const dimCount = control[4]!;
      const count = control[5]!;
      for (let i = 0; i < dimCount; i++) dims[i]!.value = control[first + i]!;
      const units = first + dimCount;
      const loops = units + 3 * count;
      const loopCount = control[8]!;
      const dispatch = (d: number): void => {
        const total = control[units + d]!;
        const flags = control[units + count + d]!;
        const isShared = (flags & 1) !== 0;
        const begin = isShared ? Math.floor((total * thread) / threads) : 0;
        const end = isShared ? Math.floor((total * (thread + 1)) / threads) : thread === 0 ? total : 0;
        if (begin < end) entries[control[units + 2 * count + d]!]!(begin, end, thread);
        if ((flags & 2) !== 0) meet();
      };
      const run = (from: number, to: number, outer: number): void => {
        let loop = outer;
        for (let d = from; d < to;) {
          while (loop < loopCount && control[loops + 3 * loop]! < d) loop++;
          if (loop < loopCount && control[loops + 3 * loop] === d) {
            const behind = control[loops + 3 * loop + 1]!;
            const times = control[loops + 3 * loop + 2]!;
            for (let i = 1; i <= times; i++) {
              dims[dimCount + loop]!.value = i;
              run(d, behind, loop + 1);
            }
            loop++;
            d = behind;
          } else dispatch(d++);
        }
      };
      run(0, count, 0);
    },
    nextCommand(seen) {
      for (let i = 0; ; i++) {
        const value = Atomics.load(control, 0);
        if (value !== seen) return value;
        if (i > spins) Atomics.wait(control, 0, value);
      }
    },
  };
}

/** What the main thread sends to a worker. */
export interface LoadMessage {
  readonly memory: WebAssembly.Memory;
  /** The control words. */
  readonly control: SharedArrayBuffer;
  readonly thread: number;
  readonly threads: number;
  readonly plans: readonly {
    readonly module: WebAssembly.Module;
    readonly buffers: readonly number[];
    readonly scratch: number;
    readonly dims: number;
    readonly entries: readonly string[];
  }[];
}

interface Port {
  send(message: string): void;
  receive(listener: (message: LoadMessage) => void): void;
}

/** The main function of a worker: loads what it is sent, then obeys commands until it has to read messages again. */
export function workerMain(port: Port, make: typeof createRunner): void {
  let seen = 0;
  port.receive(({ memory, control: words, thread, threads, plans }) => {
    const control = new Int32Array(words);
    const runner = make(control, thread, threads, true);
    const fixed = (value: number, mutable = false): WebAssembly.Global =>
      new WebAssembly.Global({ value: 'i32', mutable }, value);
    const loaded = plans.map((plan): ThreadPlan => {
      const dims = Array.from({ length: plan.dims }, () => fixed(0, true));
      const env: Record<string, WebAssembly.ImportValue> = { memory, scratch: fixed(plan.scratch) };
      plan.buffers.forEach((offset, i) => (env[`b${i}`] = fixed(offset)));
      dims.forEach((global, i) => (env[`d${i}`] = global));
      const { exports } = new WebAssembly.Instance(plan.module, { env });
      return { dims, entries: plan.entries.map((name) => exports[name] as Entry) };
    });
    seen = Atomics.load(control, 0);
    port.send('ready');
    for (;;) {
      seen = runner.nextCommand(seen);
      if (control[2] !== 0) return;
      try {
        runner.step(loaded[control[3]!]!);
      } catch (error) {
        Atomics.store(control, 6, 1);
        port.send(String(error));
        return;
      }
    }
  });
}
