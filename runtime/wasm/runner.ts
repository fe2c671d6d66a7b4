/**
 * One step on several threads. Every thread walks through the same dispatches and takes pieces of those that are shared: it
 * begins with a share of its own, so that what it needs lies in its cache, and helps the others when that is done. Nobody
 * waits for a thread that is late: the others do its share. A dispatch begins when all pieces of those before it are done.
 *
 * The program of a worker is the text of `Runner` and `workerMain`, so each refers to nothing but its parameters and globals.
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
 * Then the shape: the dims; for every dispatch its units, into how many pieces they are cut (0: not shared), entry; for every loop its first
 * dispatch, the one behind its last, and how often it runs (its number is a dim behind the others).
 *
 * `mayBlock`: false on a browser's main thread, which may only spin.
 */
export class Runner {
  // Declared only: what bundlers for older engines make of fields with values calls helpers that a worker lacks.
  declare private readonly control: Int32Array;
  declare private readonly thread: number;
  declare private readonly threads: number;
  declare private readonly mayBlock: boolean;
  /** Of the words of a course. */
  declare private readonly at: {
    done: number;
    idle: number;
    waiting: number;
    failed: number;
    shares: number;
  };
  /** How often to look before sleeping: about 30 microseconds, longer than threads differ in a step, shorter than a time slice. */
  declare private readonly spins: number;
  /** The sequence number of the last command. */
  declare private seen: number;
  /** The number of the shape that was read last, its counts of dims, dispatches and loops, and its words. */
  declare private shape: number;
  declare private dims: number;
  declare private count: number;
  declare private loops: number;
  declare private words: Int32Array;
  /** The shared dispatches so far, and the pieces of all dispatches; what the first thread does alone until the next shared one is a piece. */
  declare private number: number;
  declare private target: number;
  declare private isAlone: boolean;
  /** How often to look whether the others do their pieces before helping. */
  declare private patience: number;

  constructor(control: Int32Array, thread: number, threads: number, mayBlock: boolean) {
    this.control = control;
    this.thread = thread;
    this.threads = threads;
    this.mayBlock = mayBlock;
    this.at = { done: 16, idle: 32, waiting: 33, failed: 34, shares: 48 };
    this.spins = 3000;
    this.seen = this.shape = this.dims = this.count = this.loops = 0;
    this.words = new Int32Array(0);
    this.number = this.target = 0;
    this.isAlone = false;
    this.patience = 0;
  }

  /** Of the first thread: gives a command. The shape of a run, by its number, is written where it is another than before. */
  command(kind: number, plan: number, next?: Shape): void {
    const { control } = this;
    Atomics.add(control, 0, 1);
    [control[1], control[2], control[7], control[8]] = [kind, plan, this.number, this.target];
    if (next && next.number !== this.shape) {
      control.set([next.number, next.dims, next.dispatches, next.loops], 3);
      control.set(next.words, this.shapeAt());
    }
    Atomics.add(control, 0, 1);
    if (Atomics.load(control, this.at.idle) !== 0) Atomics.notify(control, 0);
    this.read();
  }

  /** Blocks until there is another command, and gives its kind and plan. */
  nextCommand(): readonly [kind: number, plan: number] {
    const { control } = this;
    for (let i = 0; ; i++) {
      const value = Atomics.load(control, 0);
      if (value === this.seen) {
        if (i > this.spins) this.sleep(0, value, this.at.idle, Infinity);
      } else if (value % 2 === 0) {
        this.read();
        const [kind, plan] = [control[1]!, control[2]!];
        if (Atomics.load(control, 0) !== value) {
          // Overwritten meanwhile: the words may be half of one shape and half of the next.
          this.shape = 0;
          continue;
        }
        this.seen = value;
        return [kind, plan];
      }
    }
  }

  /** Runs this thread's part of the step that the last command describes. */
  step(plan: ThreadPlan): void {
    for (let i = 0; i < this.dims; i++) plan.dims[i]!.value = this.words[i]!;
    this.isAlone = false;
    this.dispatches(plan, 0, this.count, 0);
    this.endAlone();
    if (this.thread === 0) this.awaitDone(this.target);
  }

  /** Tells the others that this thread failed. */
  fail(): void {
    Atomics.store(this.control, this.at.failed, 1);
    Atomics.notify(this.control, this.at.done);
  }

  /** Where it stands what is left of a thread's share. */
  private shareAt(thread: number): number {
    return this.at.shares + 16 * thread;
  }

  /** Behind all shares. */
  private shapeAt(): number {
    return this.shareAt(this.threads);
  }

  private read(): void {
    const { control } = this;
    [this.dims, this.count, this.loops] = [control[4]!, control[5]!, control[6]!];
    [this.number, this.target] = [control[7]!, control[8]!];
    if (control[3] === this.shape) return;
    this.shape = control[3]!;
    const at = this.shapeAt();
    this.words = control.slice(at, at + this.dims + 3 * this.count + 3 * this.loops);
  }

  /** Sleeps while a word has a value, for so many milliseconds at most. A thread that changes it looks whether anybody sleeps. */
  private sleep(index: number, value: number, sleepers: number, limit: number): void {
    Atomics.add(this.control, sleepers, 1);
    Atomics.wait(this.control, index, value, limit);
    Atomics.sub(this.control, sleepers, 1);
  }

  private awaitDone(target: number): void {
    for (let i = 0; ; i++) {
      const value = Atomics.load(this.control, this.at.done);
      if (((value - target) | 0) >= 0) return;
      if (Atomics.load(this.control, this.at.failed) !== 0) throw new Error('a thread of the step failed');
      if (i > this.spins && this.mayBlock) this.sleep(this.at.done, value, this.at.waiting, 100);
    }
  }

  private addDone(pieces: number): void {
    Atomics.add(this.control, this.at.done, pieces);
    if (Atomics.load(this.control, this.at.waiting) !== 0) Atomics.notify(this.control, this.at.done);
  }

  /** Dispatches from one to another in order, those of loops as often as these run; `outer`: the first loop that may begin. */
  private dispatches(plan: ThreadPlan, from: number, to: number, outer: number): void {
    const { words } = this;
    const loops = this.dims + 3 * this.count;
    let loop = outer;
    for (let d = from; d < to;) {
      while (loop < this.loops && words[loops + 3 * loop]! < d) loop++;
      if (loop < this.loops && words[loops + 3 * loop] === d) {
        const behind = words[loops + 3 * loop + 1]!;
        const times = words[loops + 3 * loop + 2]!;
        for (let i = 1; i <= times; i++) {
          plan.dims[this.dims + loop]!.value = i;
          this.dispatches(plan, d, behind, loop + 1);
        }
        loop++;
        d = behind;
      } else this.dispatch(plan, d++);
    }
  }

  private dispatch({ entries }: ThreadPlan, d: number): void {
    const at = this.dims + 3 * d;
    const [units, pieces, which] = [this.words[at]!, this.words[at + 1]!, this.words[at + 2]!];
    if (units === 0) return;
    if (pieces === 0) {
      if (this.thread === 0) {
        if (!this.isAlone) this.awaitDone(this.target);
        entries[which]!(0, units, 0);
      }
      this.isAlone = true;
      return;
    }
    this.endAlone();
    this.awaitDone(this.target);
    this.number = (this.number + 1) & 0xfffff;
    this.target = (this.target + pieces) | 0;
    if (!this.isDone()) this.shared(entries[which]!, units, pieces);
  }

  private endAlone(): void {
    if (!this.isAlone) return;
    if (this.thread === 0) this.addDone(1);
    this.target = (this.target + 1) | 0;
    this.isAlone = false;
  }

  private isDone(): boolean {
    return ((Atomics.load(this.control, this.at.done) - this.target) | 0) >= 0;
  }

  /** `pieces` of the units, as even as can be. */
  private shared(entry: Entry, units: number, pieces: number): void {
    const { thread, threads } = this;
    let again = 0;
    for (let i = 0; i < threads; i++) {
      const owner = (thread + i) % threads;
      const start = Math.floor((pieces * owner) / threads);
      const size = Math.floor((pieces * (owner + 1)) / threads) - start;
      if (i === 1 && pieces <= threads && this.othersFinish()) return;
      for (let taken = 0; (taken = this.take(owner, size)) !== 0;) {
        const [first, end] = [start + (taken >> 6), start + (taken & 63)];
        entry(Math.floor((first * units) / pieces), Math.floor((end * units) / pieces), thread, again);
        again = 1;
        this.patience = owner === thread ? this.patience : 0;
        this.addDone(end - first);
        if (owner === thread && end === start + size) break;
      }
    }
  }

  /**
   * Where every thread has one piece: whether the others do theirs within about the time of this thread's own. To look at what
   * is left of a share takes its cache line from the owner; who has helped once looks at once, until there is nothing to help with.
   */
  private othersFinish(): boolean {
    for (let i = this.patience; i > 0; i--) if (this.isDone()) return true;
    this.patience = this.spins >> 3;
    return false;
  }

  /**
   * Takes pieces of a thread's share of the shared dispatch: its owner most of what is left, from the front (neighbouring
   * units share packed panels), others half of it, from the end. First piece * 64 + end; 0 where nothing is left, or this thread is late and that dispatch over.
   */
  private take(owner: number, size: number): number {
    const { control, thread, number } = this;
    const at = this.shareAt(owner);
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
  }
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
export function workerMain(port: Port, Thread: typeof Runner): void {
  port.receive(({ memory, control: words, thread, threads, plans }) => {
    const runner = new Thread(new Int32Array(words), thread, threads, true);
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
