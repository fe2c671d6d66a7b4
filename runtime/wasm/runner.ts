/**
 * One step on several threads. Every thread walks through the same dispatches and takes pieces of those that are shared: it
 * begins with a share of its own, so that what it needs lies in its cache, and helps the others when that is done. Nobody
 * waits for a thread that is late: the others do its share. A dispatch begins when all pieces of those before it are done.
 *
 * The program of a worker is the text of these two functions, so each refers to nothing but its parameters and globals.
 */

/** `again`: 1 where this thread ran other units of the same dispatch just before. */
export type Entry = (begin: number, end: number, thread: number, again?: number) => void;

/** What a thread knows of a loaded plan. */
export interface ThreadPlan {
  /** Of the dispatches, then those that run instead of one in special cases. */
  readonly entries: readonly Entry[];
  readonly dims: readonly WebAssembly.Global[];
}

/** What a run is, for certain dims. */
export interface Shape {
  /** Not 0; another for another shape. */
  readonly number: number;
  readonly dims: number;
  readonly dispatches: number;
  readonly loops: number;
  readonly words: Int32Array;
}

/**
 * Int32 words in shared memory, each part in cache lines of its own. Of a command:
 * 0 sequence (two more for each command, odd while it is being written), 1 kind (0 run, 1 read messages, 2 end), 2 plan,
 * 3 number of the shape, 4 count of dims, 5 of dispatches, 6 of loops, 7 dispatches shared before it, 8 pieces done before it.
 * Of its course:
 * 16 pieces done, 32 threads that sleep until a command, 33 threads that sleep until pieces are done, 34 set when a thread failed,
 * from 48, 16 apart, what is left of each thread's share: number of the shared dispatch * 4096 + first piece * 64 + end.
 * Then the shape: the dims; for every dispatch its units, units in a piece (0: not shared), entry; for every loop its first
 * dispatch, the one behind its last, and how often it runs (its number is a dim behind the others).
 */
export interface Runner {
  /** Of the first thread: gives a command. The shape of a run, by its number, is written where it is another than before. */
  command(kind: number, plan: number, shape?: Shape): void;
  /** Blocks until there is another command, and gives its kind and plan. */
  nextCommand(): readonly [kind: number, plan: number];
  /** Runs this thread's part of the step that the last command describes. */
  step(plan: ThreadPlan): void;
  /** Tells the others that this thread failed. */
  fail(): void;
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
  const [doneAt, idleAt, waitingAt, failedAt, sharesAt] = [16, 32, 33, 34, 48] as const;
  const shapeAt = sharesAt + 16 * threads;

  let seen = 0;
  let [dimCount, count, loopCount, before, base] = [0, 0, 0, 0, 0];
  let shape = 0;
  let words = new Int32Array(0);
  const read = (): void => {
    [dimCount, count, loopCount] = [control[4]!, control[5]!, control[6]!];
    [before, base] = [control[7]!, control[8]!];
    if (control[3] === shape) return;
    shape = control[3]!;
    words = control.slice(shapeAt, shapeAt + dimCount + 3 * count + 3 * loopCount);
  };

  /** Sleeps while a word has a value, for so many milliseconds at most. A thread that changes it looks whether anybody sleeps. */
  const sleep = (index: number, value: number, sleepers: number, limit: number): void => {
    Atomics.add(control, sleepers, 1);
    Atomics.wait(control, index, value, limit);
    Atomics.sub(control, sleepers, 1);
  };

  const awaitDone = (target: number): void => {
    for (let i = 0; ; i++) {
      const value = Atomics.load(control, doneAt);
      if (((value - target) | 0) >= 0) return;
      if (Atomics.load(control, failedAt) !== 0) throw new Error('a thread of the step failed');
      if (i > spins && mayBlock) sleep(doneAt, value, waitingAt, 100);
    }
  };
  const addDone = (pieces: number): void => {
    Atomics.add(control, doneAt, pieces);
    if (Atomics.load(control, waitingAt) !== 0) Atomics.notify(control, doneAt);
  };

  /**
   * Takes pieces of a thread's share of the shared dispatch `number`: its owner most of what is left, from the front (neighbouring
   * units share packed panels), others half of it, from the end. First piece * 64 + end; 0 where nothing is left, or this thread is late and that dispatch over.
   */
  const take = (owner: number, number: number, size: number): number => {
    const at = sharesAt + 16 * owner;
    for (;;) {
      const old = Atomics.load(control, at);
      const ahead = ((old >>> 12) - number) & 0xfffff;
      const [first, end] = ahead === 0 ? [(old >> 6) & 63, old & 63] : [0, size];
      if (ahead !== 0 && ahead < 0x80000) return 0;
      const left = end - first;
      const some = owner === thread ? (3 * left + 3) >> 2 : (left + 1) >> 1;
      const [from, to] = owner === thread ? [first + some, end] : [first, end - some];
      if (some === 0 && ahead === 0) return 0;
      if (Atomics.compareExchange(control, at, old, (number << 12) | (from << 6) | to) !== old) continue;
      return owner === thread ? (first << 6) | from : (to << 6) | end;
    }
  };

  const shared = (entry: Entry, units: number, perPiece: number, number: number): void => {
    const pieces = Math.ceil(units / perPiece);
    let again = 0;
    for (let i = 0; i < threads; i++) {
      const owner = (thread + i) % threads;
      const start = Math.floor((pieces * owner) / threads);
      const size = Math.floor((pieces * (owner + 1)) / threads) - start;
      for (let taken = 0; (taken = take(owner, number, size)) !== 0;) {
        const [first, end] = [start + (taken >> 6), start + (taken & 63)];
        entry(first * perPiece, Math.min(units, end * perPiece), thread, again);
        again = 1;
        addDone(end - first);
        if (owner === thread && end === start + size) break;
      }
    }
  };

  return {
    command(kind, plan, next) {
      Atomics.add(control, 0, 1);
      [control[1], control[2], control[7], control[8]] = [kind, plan, before, base];
      if (next && next.number !== shape) {
        control.set([next.number, next.dims, next.dispatches, next.loops], 3);
        control.set(next.words, shapeAt);
      }
      Atomics.add(control, 0, 1);
      if (Atomics.load(control, idleAt) !== 0) Atomics.notify(control, 0);
      read();
    },
    nextCommand() {
      for (let i = 0; ; i++) {
        const value = Atomics.load(control, 0);
        if (value === seen) {
          if (i > spins) sleep(0, value, idleAt, Infinity);
        } else if (value % 2 === 0) {
          read();
          const [kind, plan] = [control[1]!, control[2]!];
          if (Atomics.load(control, 0) !== value) {
            // Overwritten meanwhile: the words may be half of one shape and half of the next.
            shape = 0;
            continue;
          }
          seen = value;
          return [kind, plan];
        }
      }
    },
    step({ entries, dims }) {
      for (let i = 0; i < dimCount; i++) dims[i]!.value = words[i]!;
      const loops = dimCount + 3 * count;
      let number = before;
      // Pieces of all dispatches so far; what the first thread does alone until the next shared dispatch is one.
      let target = base;
      let isAlone = false;
      const endAlone = (): void => {
        if (isAlone && thread === 0) addDone(1);
        if (isAlone) target = (target + 1) | 0;
        isAlone = false;
      };
      const dispatch = (d: number): void => {
        const at = dimCount + 3 * d;
        const units = words[at]!;
        const perPiece = words[at + 1]!;
        if (units === 0) return;
        if (perPiece === 0) {
          if (thread === 0) {
            if (!isAlone) awaitDone(target);
            entries[words[at + 2]!]!(0, units, 0);
          }
          isAlone = true;
          return;
        }
        endAlone();
        awaitDone(target);
        number = (number + 1) & 0xfffff;
        const pieces = Math.ceil(units / perPiece);
        target = (target + pieces) | 0;
        if (((Atomics.load(control, doneAt) - target) | 0) < 0)
          shared(entries[words[at + 2]!]!, units, perPiece, number);
      };
      const run = (from: number, to: number, outer: number): void => {
        let loop = outer;
        for (let d = from; d < to;) {
          while (loop < loopCount && words[loops + 3 * loop]! < d) loop++;
          if (loop < loopCount && words[loops + 3 * loop] === d) {
            const behind = words[loops + 3 * loop + 1]!;
            const times = words[loops + 3 * loop + 2]!;
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
      endAlone();
      if (thread === 0) awaitDone(target);
      [before, base] = [number, target];
    },
    fail() {
      Atomics.store(control, failedAt, 1);
      Atomics.notify(control, doneAt);
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
    readonly prepared: number;
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
  port.receive(({ memory, control: words, thread, threads, plans }) => {
    const runner = make(new Int32Array(words), thread, threads, true);
    const fixed = (value: number, mutable = false): WebAssembly.Global =>
      new WebAssembly.Global({ value: 'i32', mutable }, value);
    const loaded = plans.map((plan): ThreadPlan => {
      const dims = Array.from({ length: plan.dims }, () => fixed(0, true));
      const env: Record<string, WebAssembly.ImportValue> = {
        memory,
        scratch: fixed(plan.scratch),
        prepared: fixed(plan.prepared),
      };
      plan.buffers.forEach((offset, i) => (env[`b${i}`] = fixed(offset)));
      dims.forEach((global, i) => (env[`d${i}`] = global));
      const { exports } = new WebAssembly.Instance(plan.module, { env });
      return { dims, entries: plan.entries.map((name) => exports[name] as Entry) };
    });
    port.send('ready');
    for (;;) {
      const [kind, plan] = runner.nextCommand();
      if (kind !== 0) return;
      try {
        runner.step(loaded[plan]!);
      } catch (error) {
        runner.fail();
        port.send(String(error));
        return;
      }
    }
  });
}
